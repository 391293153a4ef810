"""A city that lies: two batches of one number, a false root, taps that no rider made; each signed with its real batch key."""

from dataclasses import dataclass, replace

from fare_chain.batch import BatchHeader, CityTail, SealedBatch, seal
from fare_chain.hashing import sha256
from fare_chain.keys import SigningKey
from fare_chain.tap import Tap


@dataclass(frozen=True, slots=True)
class LyingCity:
    """A city's number, and the key with which it signs batches."""

    city: int
    key: SigningKey
    key_id: bytes

    def seals(self, tail: CityTail, *scans: tuple[Tap, bytes]) -> SealedBatch:
        """A batch at any place in its chain: two of one place are a fork."""
        taps = b"".join(tap.to_bytes() for tap, _code in scans)
        codes = [code for _tap, code in scans]
        return seal(taps, codes, city=self.city, tail=tail, key=self.key, key_id=self.key_id)

    def signs_false_root(self, batch: SealedBatch) -> SealedBatch:
        """The same taps and body hash under a root that is none of theirs."""
        return self._signed(replace(batch.header, taps_root=sha256(b"no tree of these taps")), batch)

    def _signed(self, header: BatchHeader, batch: SealedBatch) -> SealedBatch:
        return replace(batch, header=header, signature=self.key.sign(header.to_bytes()))


def forged(scan: tuple[Tap, bytes]) -> tuple[Tap, bytes]:
    """A tap over a code whose device signature somebody made up."""
    tap, code = scan
    return _over(tap, code[:-1] + bytes([code[-1] ^ 1]))


def invented(tap: Tap) -> tuple[Tap, bytes]:
    """A tap of nobody: what its gate says it scanned is no rider code at all."""
    return _over(tap, b"")


def relabelled(scan: tuple[Tap, bytes], issuer: int) -> tuple[Tap, bytes]:
    """A rider's true code under a tap that another city shall pay for."""
    tap, code = scan
    return replace(tap, issuer=issuer), code


def _over(tap: Tap, code: bytes) -> tuple[Tap, bytes]:
    return replace(tap, code_digest=sha256(code)), code
