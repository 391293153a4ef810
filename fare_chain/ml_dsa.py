"""ML-DSA-44 (FIPS 204): the signature that a quantum computer does not forge, for logs and cosigners that carry it beside Ed25519.

Signatures are hedged: two over the same message differ, so a note is stored as it was signed.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from fare_chain.errors import Malformed

ML_DSA_SEED_BYTES = 32
ML_DSA_PUBLIC_BYTES = 1_312
ML_DSA_SIGNATURE_BYTES = 2_420


class MlDsaKey:
    """A private ML-DSA-44 key made from its 32-byte seed."""

    __slots__ = ("_key", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """Take the seed; Malformed unless it has 32 bytes."""
        if len(seed) != ML_DSA_SEED_BYTES:
            raise Malformed(f"an ML-DSA-44 key's seed has {len(seed)} bytes, expected {ML_DSA_SEED_BYTES}")
        self._key = MLDSA44PrivateKey.from_seed_bytes(seed)
        self.seed = seed
        self.public: bytes = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Sign bytes that carry their own domain; 2,420 bytes, other ones each time."""
        return self._key.sign(message)


def is_ml_dsa_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is `public`'s over `message`; anything malformed is simply not a signature."""
    if len(public) != ML_DSA_PUBLIC_BYTES or len(signature) != ML_DSA_SIGNATURE_BYTES:
        return False
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
