"""Render a report: facts in, a file and its manifest out; whoever has the same facts gets the same bytes."""

import hashlib
from collections.abc import Iterable
from typing import BinaryIO

from settlement.reports.catalogue import SCHEMA
from settlement.reports.facts import Asked, EndFacts, WindowFacts
from settlement.reports.makers import maker_of
from settlement.reports.manifest import Manifest
from settlement.reports.statement import StatementWriter
from settlement.reports.tables import About, CsvWriter, JsonWriter, Writer
from settlement.reports.workbook import WorkbookWriter

WRITERS: dict[str, type[CsvWriter | JsonWriter | WorkbookWriter | StatementWriter]] = {
    "csv": CsvWriter,
    "json": JsonWriter,
    "xlsx": WorkbookWriter,
    "pdf": StatementWriter,
}
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}


_PIECE = 1 << 16


class Rendering:
    """One report on its way into a file, window by window."""

    def __init__(self, asked: Asked, sink: BinaryIO) -> None:
        """The sink may be read again: it is hashed at the end."""
        self.asked, self.sink = asked, sink
        self.maker = maker_of(asked)
        self.writer: Writer = WRITERS[asked.form](sink, asked.report, about(asked))
        self.first_state_root, self.last_state_root, self.rules_hash = b"", b"", b""

    def take(self, many: Iterable[WindowFacts]) -> None:
        """Write what these windows make ready."""
        for facts in many:
            self.first_state_root = self.first_state_root or facts.window.state_root
            self.last_state_root, self.rules_hash = facts.window.state_root, facts.window.rules_hash
            for line in self.maker.take(facts):
                self.writer.line(line)

    def finish(self, end: EndFacts) -> Manifest:
        """Write the rest and the totals; the manifest of the whole file."""
        for line in self.maker.finish(end):
            self.writer.line(line)
        self.writer.end()
        length, digest = _hash(self.sink)
        asked, tally = self.asked, self.writer.tally
        return Manifest(
            document=document_number(asked),
            report=asked.report.name,
            number=asked.report.number,
            schema=SCHEMA,
            party=party_name(asked),
            from_second=asked.from_second,
            to_second=asked.to_second,
            basis=asked.basis,
            per=asked.per,
            form=asked.form,
            as_of_size=asked.as_of.size,
            as_of_root=asked.as_of.root,
            first_state_root=self.first_state_root,
            last_state_root=self.last_state_root,
            rules_hash=self.rules_hash,
            rows=tally.rows,
            length=length,
            sha256=digest,
            sums=dict(tally.totals),
        )


def about(asked: Asked) -> About:
    """What stands above the rows of a report."""
    return {
        "document": document_number(asked),
        "schema": SCHEMA,
        "for": party_name(asked),
        "from": asked.from_second,
        "to": asked.to_second,
        "basis": asked.basis,
        "per": asked.per,
        "utc_offset_s": asked.utc_offset_s,
        "as_of_size": asked.as_of.size,
        "as_of_root": asked.as_of.root.hex(),
    }


def document_number(asked: Asked) -> str:
    """One number for what was asked for, whatever the ledger size: the name under which editions follow each other."""
    party = party_name(asked).replace("/", ".")
    parts = [asked.report.number, asked.report.name, party, str(asked.from_second), str(asked.to_second), asked.basis, asked.per]
    return "_".join([*(part for part in parts if part), asked.form])


def file_name(manifest: Manifest) -> str:
    """A file's name, never given to other bytes: the document, its ledger size, its edition once it is published."""
    edition = f"_e{manifest.edition}" if manifest.edition else ""
    return f"{manifest.document}_at{manifest.as_of_size}{edition}.{manifest.form}"


def party_name(asked: Asked) -> str:
    """Who it is for, as it was asked for."""
    if asked.beneficiary is not None:
        return asked.names().beneficiary(asked.beneficiary)
    return "all" if asked.party is None else asked.names().member(asked.party)


def _hash(sink: BinaryIO) -> tuple[int, bytes]:
    sink.flush()
    sink.seek(0)
    digest = hashlib.sha256()
    while piece := sink.read(_PIECE):
        digest.update(piece)
    return sink.tell(), digest.digest()
