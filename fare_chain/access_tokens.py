"""Who asks: a short-lived signed token (JWT, EdDSA over Ed25519) by a key that the ledger registers for access."""

import base64
import json
from dataclasses import dataclass

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from fare_chain.errors import Untrusted
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey

LONGEST_S = 300
"""How long a token may be valid."""
_SKEW_S = 30
_ALGORITHMS = ["Ed25519", "EdDSA"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who signed a request: a member's number, or a reader's from 60,000 on."""

    owner: int


def issue_token(key: SigningKey, described: PublicKey, *, audience: str, now_s: int, lifetime_s: int = 60) -> str:
    """Sign a token for one log (`audience` is its origin), valid from now."""
    claims = {"iss": str(described.owner), "aud": audience, "iat": now_s, "exp": now_s + lifetime_s}
    private = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _base64(key.public), "d": _base64(key.seed)})
    header = {"alg": "Ed25519", "typ": "JWT", "kid": described.key_id.hex()}
    return jws.serialize_compact(header, json.dumps(claims, separators=(",", ":")), private, algorithms=_ALGORITHMS)


def read_token(token: str, ring: KeyRing, *, audience: str, now_s: int) -> Reader:
    """Who signed a token; Untrusted unless a registered ACCESS key did, for this log, not long ago."""
    try:
        told = jws.extract_compact(token.encode())
        claims, key_id = json.loads(told.payload), bytes.fromhex(told.protected["kid"])
        owner, begins_s, ends_s = int(claims["iss"]), int(claims["iat"]), int(claims["exp"])
        key = ring.valid(owner=owner, use=KeyUse.ACCESS, key_id=key_id, at_us=now_s * 1_000_000)
        public = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _base64(key.public)})
        jws.deserialize_compact(token.encode(), public, algorithms=_ALGORITHMS)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Untrusted(f"the access token is not one of ours or not signed by its key: {type(error).__name__}") from error
    if claims.get("aud") != audience:
        raise Untrusted(f"the access token is for {str(claims.get('aud'))[:80]!r}, this is {audience!r}: issue one for this log")
    if ends_s - begins_s > LONGEST_S or not begins_s - _SKEW_S <= now_s < ends_s:
        raise Untrusted(f"the access token is not valid now, or for more than {LONGEST_S} s: issue a new one")
    return Reader(owner)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
