"""The batch keys of an import: the cities' own from their folders, or fresh ones that this run makes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from city_adapters.spool import CityKey, open_spool
from city_adapters.tap_fields import EARLIEST_US
from fare_chain.batch import CityTail
from fare_chain.errors import Unknown, Untrusted
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.key_entries import write_member_key
from fare_chain.key_files import read_public_folder, read_signing_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from settlement.import_taps.folding import Payload
from settlement.import_taps.sealing import Signer

KEYS, MEMBERS = "keys", "members"
"""Where an output folder keeps the keys that were made for it."""


@dataclass(frozen=True, slots=True)
class KeyFolders:
    """Where private keys (NAME.key, or SLUG/NAME.key) and public ones (NAME.pub) are."""

    private: Path
    public: Path


@dataclass(slots=True)
class Signers:
    """The signers of the cities that have taps, each made when it is first needed; `news` are the KEY entries for that."""

    slugs: dict[int, str]
    folders: KeyFolders | None
    out: Path | None
    until_us: int
    made: dict[int, Signer] = field(default_factory=dict)
    _news: list[Payload] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)

    def of(self, city: int) -> Signer:
        """A city's signer; Unknown or Untrusted where its key is not in the folders."""
        if city not in self.made:
            key, public = self._find(city) if self.folders else self._fresh(city)
            self._news.append((EntryKind.KEY, KeyEntry.of(public, key).to_bytes()))
            city_key = CityKey(city, key, public.key_id)
            spool = None
            if self.out is not None:
                spool = open_spool(self.out / self.slugs[city], city_key)
                self._open.callback(spool.close)
            self.made[city] = Signer(city_key, public, spool.chain if spool else CityTail(), spool)
        return self.made[city]

    def news(self) -> list[Payload]:
        """The KEY entries of signers made since this was last asked."""
        told, self._news = self._news, []
        return told

    def gate_counts(self) -> dict[tuple[int, int], int]:
        """How far the gates of spools that are there already have counted."""
        if self.out is None:
            return {}
        there = [city for city, slug in self.slugs.items() if (self.out / slug / "lock").exists()]
        spools = {city: self.of(city).spool for city in there}
        return {(city, gate): last for city, spool in spools.items() if spool for gate, last in spool.gates.items()}

    def _find(self, city: int) -> tuple[SigningKey, PublicKey]:
        assert self.folders is not None
        name = f"{self.slugs[city]}-batch.key"
        paths = [self.folders.private / name, self.folders.private / self.slugs[city] / name]
        path = next((path for path in paths if path.exists()), None)
        if path is None:
            raise Unknown(f"there is no {paths[0]}, and the log has taps of {self.slugs[city]}: give its key, or leave --keys away")
        key = read_signing_key(path)
        for public in read_public_folder(self.folders.public):
            if (public.public, public.owner, public.use) == (key.public, city, KeyUse.BATCH):
                return key, public
        raise Untrusted(f"{path} is none of {self.slugs[city]}'s BATCH keys in {self.folders.public}: put its .pub there")

    def _fresh(self, city: int) -> tuple[SigningKey, PublicKey]:
        key = SigningKey.generate()
        public = PublicKey(MemberNumber(city), KeyUse.BATCH, key.public, Micros(EARLIEST_US), Micros(self.until_us))
        if self.out is not None:
            write_member_key(self.out / KEYS, self.out / MEMBERS, f"{self.slugs[city]}-batch", key, public)
        return key, public


@contextmanager
def signers(slugs: dict[int, str], folders: KeyFolders | None, out: Path | None, until_us: int) -> Iterator[Signers]:
    """Signers whose spools are let go at the end. Keys that an earlier run made for `out` are used again."""
    made = Signers(slugs, folders or _earlier(out), out, until_us)
    with made._open:  # noqa: SLF001  the other half of making them
        yield made


def _earlier(out: Path | None) -> KeyFolders | None:
    return KeyFolders(out / KEYS, out / MEMBERS) if out is not None and (out / KEYS).is_dir() else None
