"""The issuer's own table of daily pseudonyms: which account rode under which medium, a file for each service day.

Only the issuer has it, and none of it reaches the ledger. `<day>.pseudonyms` is the 8 bytes "FCPSDN01", then a record of 60 bytes
for each device key, little-endian:

     0 account 16 B   16 device public key 32 B   48 not_before_s u32   52 not_after_s u32   56 crc32 u32 of the 56 bytes before it

An account is a number that the issuer draws for a rider, never a name. What a day's file loses, or the file itself, is gone for
good: from then on nobody can say whose the media were.
"""

import os
import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from city_adapters.service_day import ServiceDays
from fare_chain.errors import Conflict, Malformed, Overloaded, Untrusted
from fare_chain.identifiers import Medium
from fare_chain.keys import PUBLIC_BYTES, SigningKey, in_context, is_signed
from fare_chain.rider_code import medium_of

MAGIC = b"FCPSDN01"
ACCOUNT_BYTES = 16
SECOND_US = 1_000_000
_RECORD = struct.Struct("<16s32sII")
_CHECK = struct.Struct("<I")
RECORD_BYTES = _RECORD.size + _CHECK.size
assert RECORD_BYTES == 60
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.pseudonyms")
_CLAIM_CONTEXT = "claim-link"


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """One device key of an account, and the seconds from and until which its credential is good."""

    account: bytes
    device_public: bytes
    not_before_s: int
    not_after_s: int

    @property
    def medium(self) -> Medium:
        """The pseudonym under which its taps travel."""
        return medium_of(self.device_public)

    def to_bytes(self) -> bytes:
        """Write the record of 60 bytes."""
        record = _RECORD.pack(self.account, self.device_public, self.not_before_s, self.not_after_s)
        return record + _CHECK.pack(zlib.crc32(record))


@dataclass(frozen=True, slots=True)
class ClaimLink:
    """The issuer's word that two media were one rider's, and nothing of whose: an open entry finds its journey after a rotation."""

    entered_as: Medium
    went_on_as: Medium
    signature: bytes

    def is_signed_by(self, issuer_public: bytes) -> bool:
        """Tell whether the issuer's key signed exactly this link."""
        return is_signed(issuer_public, in_context(_CLAIM_CONTEXT, self.entered_as + self.went_on_as), self.signature)


class Pseudonyms:
    """The table of one issuer, in a folder that one process writes."""

    def __init__(self, folder: Path, days: ServiceDays, longest_ride_us: int) -> None:
        """Read what is there; what a death left unfinished is the end of a file, whose key was never attested: it is cut off.

        `days` are the issuer's service days; a key stays good after its day for as long as a ride may last.
        """
        self.folder = folder
        self.days = days
        self.longest_ride_us = longest_ride_us
        self._held: dict[date, dict[Medium, Pseudonym]] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.glob("*.pseudonyms.partial"):
            path.unlink()  # a death left it behind: it names riders, and no day's dropping would find it
        for path in sorted(folder.iterdir()):
            found = _NAME.fullmatch(path.name)
            if found:
                self._held[date.fromisoformat(found[1])] = _read_whole(path)

    def enrol(self, account: bytes, device_public: bytes, at_us: int) -> Pseudonym:
        """Take a device's key for the service day of a moment, durably; attest it only then. Asking again gives the same.

        Its credential is good from then until the day is over and a ride that began in it is too. Conflict where the key was
        another account's or another day's: whoever shows one key on two days is one rider to everybody.
        """
        if len(account) != ACCOUNT_BYTES or len(device_public) != PUBLIC_BYTES:
            raise Malformed(
                f"an account has {ACCOUNT_BYTES} bytes and a device key {PUBLIC_BYTES}, "
                f"found {len(account)} and {len(device_public)}"
            )
        day, medium = self.days.day_of(at_us), medium_of(device_public)
        for known_on, held in self._held.items():
            known = held.get(medium)
            if known is not None and (known_on, known.account) != (day, account):
                raise Conflict("this device key was another account's or another day's: let the device make a new one")
            if known is not None:
                return known
        ends_us = self.days.start_us(day + timedelta(days=1)) + self.longest_ride_us
        pseudonym = Pseudonym(account, device_public, at_us // SECOND_US, -(-ends_us // SECOND_US))
        _append(self._file(day), pseudonym.to_bytes())
        # Dead before: nobody has a credential for the key, and the device asks again. Dead after: it asks again and gets the same.
        self._held.setdefault(day, {})[medium] = pseudonym
        return pseudonym

    def media_of(self, account: bytes, day: date) -> list[Medium]:
        """The pseudonyms of an account on a service day, in the order in which they were taken."""
        return [medium for medium, known in self._held.get(day, {}).items() if known.account == account]

    def account_of(self, medium: bytes, at_us: int) -> bytes | None:
        """Whose a medium was at a moment; None where it is not ours, or was dropped. A key may be shown after its day's end."""
        day = self.days.day_of(at_us)
        for known_on in (day, day - timedelta(days=1)):
            known = self._held.get(known_on, {}).get(Medium(medium))
            if known is not None and known.not_before_s <= at_us // SECOND_US < known.not_after_s:
                return known.account
        return None

    def claim(self, entered_as: bytes, entered_at_us: int, went_on_as: bytes, went_on_at_us: int, key: SigningKey) -> ClaimLink:
        """Link an open entry to a later journey of the same rider, signed with the issuer's key; Untrusted where not the same."""
        whose = self.account_of(entered_as, entered_at_us)
        if whose is None or whose != self.account_of(went_on_as, went_on_at_us):
            raise Untrusted("the two media are not known as one rider's: the claim is for somebody else, or the day was dropped")
        return ClaimLink(Medium(entered_as), Medium(went_on_as), key.sign_in(_CLAIM_CONTEXT, entered_as + went_on_as))

    def drop_before(self, day: date) -> list[date]:
        """Drop every service day before that one; which they were. Dead between two: the rest goes the next time."""
        over = sorted(known for known in self._held if known < day)
        for known in over:
            self._file(known).unlink(missing_ok=True)
            del self._held[known]
        _sync_names(self.folder)
        return over

    def forget(self, media: Iterable[bytes]) -> int:
        """Drop these media alone, whatever their day; how many there were. Dead between two days: ask again."""
        wanted, dropped = set(media), 0
        for day, held in list(self._held.items()):
            left = {medium: known for medium, known in held.items() if medium not in wanted}
            if len(left) < len(held):
                _rewrite(self._file(day), MAGIC + b"".join(known.to_bytes() for known in left.values()))
                dropped += len(held) - len(left)
                self._held[day] = left
        return dropped

    def _file(self, day: date) -> Path:
        return self.folder / f"{day.isoformat()}.pseudonyms"


def keeps_its_key(days: ServiceDays, made_at_us: int, now_us: int, *, inside: bool) -> bool:
    """The rotation rule of a device: a new key from the service-day cut on, but not before an open journey has its exit."""
    return inside or days.day_of(made_at_us) == days.day_of(now_us)


def _append(path: Path, record: bytes) -> None:
    """Bring a record to the disk, and the name of a new file too."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        end = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, record if end else MAGIC + record)
            os.fsync(descriptor)
        except OSError as error:
            os.ftruncate(descriptor, end)
            raise Overloaded(f"{path} takes no more ({error.strerror}): free disk space, no key was attested") from error
    finally:
        os.close(descriptor)
    if not end:
        _sync_names(path.parent)


def _rewrite(path: Path, data: bytes) -> None:
    """Put a whole file in the place of another. Dead before the rename: the old one counts. Dead after: the new one does."""
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(path)
    _sync_names(path.parent)


def _read_whole(path: Path) -> dict[Medium, Pseudonym]:
    """The whole records of a file; behind the last, what was never finished is cut off so that the next stands in its place."""
    data = path.read_bytes()
    held: dict[Medium, Pseudonym] = {}
    end = len(MAGIC)
    while data.startswith(MAGIC) and (read := _record_at(data, end)) is not None:
        held[read.medium] = read
        end += RECORD_BYTES
    if not data.startswith(MAGIC) and len(data) >= len(MAGIC):
        raise Malformed(f"{path} does not begin with {MAGIC!r}: it is another file, take it out of this folder (offset 0)")
    if len(data) > end + RECORD_BYTES:
        raise Malformed(f"{path}: the record at offset {end} was changed and others follow it: restore the file from a copy")
    if len(data) != end:
        _rewrite(path, MAGIC + data[len(MAGIC) : end])
    return held


def _record_at(data: bytes, at: int) -> Pseudonym | None:
    record = data[at : at + _RECORD.size]
    if len(data) < at + RECORD_BYTES or _CHECK.unpack_from(data, at + _RECORD.size)[0] != zlib.crc32(record):
        return None
    return Pseudonym(*_RECORD.unpack(record))


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of it; the system may take less at a time."""
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_names(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
