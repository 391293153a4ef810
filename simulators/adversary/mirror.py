"""A mirror that lies: it cosigns without looking, goes back, cosigns two trees, gives one term to two houses."""

from dataclasses import dataclass

from fare_chain.checkpoint import read_text
from fare_chain.governance import Term, TermEntry
from fare_chain.note import Note, read_note
from simulators.adversary.told_log import Cosigning


@dataclass(frozen=True, slots=True)
class LyingMirror:
    """A city's number, and the key with which it cosigns."""

    member: int
    cosigning: Cosigning

    def cosigns(self, note: str, time_s: int) -> str:
        """Whatever the log signed, at whatever second, with no journal to hold it back."""
        read = read_note(note)
        line = self.cosigning.line(read_text(read.text), time_s)
        return Note(read.text, (*read.lines, line)).to_text()

    def approves(self, *terms: Term) -> list[TermEntry]:
        """Each of these terms, signed alone: as the ledger takes it where one city is enough."""
        return [TermEntry(term, ((self.member, term.sign(self.cosigning.key)),)) for term in terms]
