"""Whether riders really signed: each tap of a batch against the code that its gate scanned, and the issuer's word for the rider."""

from collections.abc import Iterator
from dataclasses import dataclass

from fare_chain import batch, rider_code, tap
from fare_chain.errors import FareChainError, Untrusted
from fare_chain.hashing import sha256
from fare_chain.keys import KeyRing

_MOST_REMEMBERED = 1 << 20
NO_CODE = sha256(b"")
"""What a tap digests that names no code at all: no rider's, whoever may see it."""


@dataclass(frozen=True, slots=True)
class BadRider:
    """A tap whose kept code is not its rider's valid signature, and why."""

    tap: int
    why: str


class RiderChecks:
    """Checks rider codes, remembering credentials that held: a rider shows the same one all day. Safe on several threads."""

    def __init__(self, issuers: frozenset[int] | None = None) -> None:
        """Check the riders of these issuers; everybody's without them."""
        self.issuers = issuers
        self._known_credentials: set[bytes] = set()

    def bad_riders(self, body: bytes, codes: bytes, ring: KeyRing) -> Iterator[BadRider]:
        """Every tap of a batch whose rider did not sign it; codes that are withheld (0 bytes) say nothing."""
        for number, (record, code) in enumerate(zip(tap.records(body), batch.read_codes(codes), strict=True)):
            reading = tap.read(record)
            if (code or reading.code_digest == NO_CODE) and (self.issuers is None or reading.issuer in self.issuers):
                try:
                    self.check(record, code, ring)
                except FareChainError as error:
                    yield BadRider(number, str(error))

    def check(self, record: bytes, scanned: bytes, ring: KeyRing) -> None:
        """Hold one tap to its rider's own signature, and to the issuer's over the rider's key; Untrusted or Malformed where not."""
        code, reading = rider_code.read(scanned), tap.read(record)
        attested = code.credential
        told = (code.medium, attested.issuer, attested.category, attested.entitlement)
        if told != (reading.medium, reading.issuer, reading.category, reading.entitlement):
            raise Untrusted("the tap's medium, issuer, category or entitlement is not its rider code's")
        rider_code.check_period(code, reading.tapped_at_us)
        rider_code.check_fresh(code, reading.tapped_at_us)
        key = rider_code.issuer_key(code, ring, reading.tapped_at_us)
        credential = scanned[: rider_code.CREDENTIAL_BYTES] + key.public
        if credential not in self._known_credentials:
            rider_code.verify_credential(code, key)
            if len(self._known_credentials) >= _MOST_REMEMBERED:
                self._known_credentials.clear()
            self._known_credentials.add(credential)
        rider_code.verify_device(code)
