"""Ed25519 keys, and the ring that says whose key was good for what, and when.

Signatures are RFC 8032 Ed25519, made and checked by libsodium. Whatever has no magic of its own is signed under a named
context, so that a signature over one kind of bytes never fits another.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as _SodiumSigningKey
from nacl.signing import VerifyKey as _SodiumVerifyKey

from fare_chain.errors import Conflict, Malformed, Untrusted
from fare_chain.hashing import tagged_hash
from fare_chain.identifiers import MemberNumber, Micros

SEED_BYTES = 32
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 4


class KeyUse(IntEnum):
    """What a key may sign. A key has one use; numbers are never used twice."""

    LOG = 1
    BATCH = 2
    ISSUER = 3
    WITNESS = 4
    CLEARING = 5
    ACCESS = 6
    REPORT = 7


def in_context(context: str, message: bytes) -> bytes:
    """Put a message under its domain: "fare-chain/<context>/v1" LF | message."""
    return b"fare-chain/" + context.encode("ascii") + b"/v1\n" + message


class SigningKey:
    """A private Ed25519 key made from its 32-byte seed."""

    __slots__ = ("_sodium", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """Take the seed; Malformed unless it has 32 bytes."""
        if len(seed) != SEED_BYTES:
            raise Malformed(f"a signing key's seed has {len(seed)} bytes, expected {SEED_BYTES}")
        self._sodium = _SodiumSigningKey(seed)
        self.seed = seed
        self.public = bytes(self._sodium.verify_key)

    @classmethod
    def generate(cls) -> "SigningKey":
        """Draw a new key from the operating system's randomness."""
        return cls(os.urandom(SEED_BYTES))

    def sign(self, message: bytes) -> bytes:
        """Sign bytes that carry their own domain; 64 bytes, the same each time."""
        return self._sodium.sign(message).signature

    def sign_in(self, context: str, message: bytes) -> bytes:
        """Sign bytes under a named context."""
        return self.sign(in_context(context, message))


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is `public`'s over `message`; anything malformed is simply not a signature."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        _SodiumVerifyKey(public).verify(message, signature)
    except BadSignatureError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A member's public key: one use, valid from `not_before_us` to just before `not_after_us`."""

    owner: MemberNumber
    use: KeyUse
    public: bytes
    not_before_us: Micros
    not_after_us: Micros

    @property
    def key_id(self) -> bytes:
        """The four bytes by which signed records name this key: they bind owner and use, not only the key."""
        owner_and_use = self.owner.to_bytes(2, "little") + bytes([self.use])
        return tagged_hash("key-id", [owner_and_use, self.public])[:KEY_ID_BYTES]

    def is_valid_at(self, moment_us: int) -> bool:
        """Tell whether the key may sign at that moment."""
        return self.not_before_us <= moment_us < self.not_after_us


class KeyRing:
    """The public keys of all members, as values: adding a key gives a new ring."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[PublicKey] = ()) -> None:
        """Hold these keys; Conflict when two different keys share owner, use and key id."""
        held: dict[tuple[int, int, bytes], PublicKey] = {}
        for key in keys:
            name = (key.owner, key.use, key.key_id)
            if name in held and held[name].public != key.public:
                raise Conflict(f"two keys of member {key.owner} share the id {key.key_id.hex()}: make a new key")
            held[name] = key
        self._keys = held

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    def including(self, key: PublicKey) -> "KeyRing":
        """Add a key, or give a known key a new validity: the later word counts."""
        return KeyRing([*self, key])

    def find(self, *, owner: int, use: KeyUse, key_id: bytes) -> PublicKey | None:
        """The key of that name, valid or not; None where the ring has none."""
        return self._keys.get((owner, use, key_id))

    def valid(self, *, owner: int, use: KeyUse, key_id: bytes, at_us: int) -> PublicKey:
        """The key of that name, valid at that moment; Untrusted says what is wrong with it."""
        key = self.find(owner=owner, use=use, key_id=key_id)
        if key is None:
            raise Untrusted(
                f"member {owner} has no {use.name} key {key_id.hex()} on the ring: register it, or sign with one that is"
            )
        if not key.is_valid_at(at_us):
            raise Untrusted(
                f"member {owner}'s {use.name} key {key_id.hex()} is valid from {key.not_before_us} to {key.not_after_us}, "
                f"not at {at_us}"
            )
        return key
