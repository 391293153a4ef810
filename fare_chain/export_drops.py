"""An export lets go what its log lets go: codes below the last RETENTION entry, and those that ERASURE entries name."""

from collections.abc import Iterable
from pathlib import Path

from fare_chain.batch import erase_codes, read_header
from fare_chain.errors import Malformed
from fare_chain.events import EntryKind
from fare_chain.governance import read_erasure_entry, read_retention_entry
from fare_chain.ledger import Entry, read_entry
from fare_chain.ledger_walk import beside_path


class ExportDrops:
    """What the entries of a log say of codes, unchecked: the audit holds them to their rule."""

    def __init__(self) -> None:
        self.codes_from = 0
        self.erased: dict[int, set[int]] = {}

    def __bool__(self) -> bool:
        return bool(self.codes_from or self.erased)

    def take(self, data: bytes) -> None:
        """Take one entry as it is hashed; one that cannot be read says nothing."""
        try:
            entry = read_entry(data)
            if entry.kind is EntryKind.RETENTION:
                self.codes_from = max(self.codes_from, read_retention_entry(entry.payload).codes_from)
            elif entry.kind is EntryKind.ERASURE:
                told = read_erasure_entry(entry.payload)
                self.erased.setdefault(told.index, set()).update(told.taps)
        except Malformed:
            return

    def apply(self, folder: Path, entries: Iterable[bytes]) -> None:
        """Let codes of these entries go from an exported folder; what went before stays gone. Dead on the way: applied again."""
        for data in entries:
            try:
                entry = read_entry(data)
                if entry.kind is EntryKind.BATCH and (entry.index < self.codes_from or entry.index in self.erased):
                    self._let_go(folder, entry)
            except Malformed:
                continue

    def _let_go(self, folder: Path, entry: Entry) -> None:
        file = folder / beside_path("codes", read_header(entry.payload).body_hash)
        if entry.index < self.codes_from or not file.is_file():
            file.unlink(missing_ok=True)
            return
        held = file.read_bytes()
        left = erase_codes(held, self.erased[entry.index])
        if left != held:
            partial = file.with_name(f"{file.name}.partial")
            partial.write_bytes(left)
            partial.replace(file)
