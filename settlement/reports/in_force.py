"""The tables in force at each size of a ledger, by its TARIFF entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fare_chain.errors import Conflict
from settlement.core.rules import PinnedTable, Rules


@dataclass(frozen=True, slots=True, eq=False)
class TablesInForce:
    """`named` are (index, table hash) of the TARIFF entries in order, `pins` the tables by hash; each rules made once.

    `known` are rules that somebody holds already: taken where they are the same, because what they worked out comes with them.
    """

    named: Sequence[tuple[int, bytes]]
    pins: Mapping[bytes, PinnedTable]
    known: Rules = field(default_factory=Rules)
    _made: dict[int, Rules] = field(default_factory=dict)

    def at(self, size: int) -> Rules:
        """The rules that the entries before `size` put in force; Conflict where a table is not held."""
        count = sum(index < size for index, _digest in self.named)
        if count not in self._made:
            lower = max((held for held in self._made if held < count), default=0)
            rules = self._made.get(lower, Rules()).including([self._pin(digest) for _index, digest in self.named[lower:count]])
            same = [pin.sha256 for pin in rules.pins] == [pin.sha256 for pin in self.known.pins]
            self._made[count] = self.known if same else rules
        return self._made[count]

    def _pin(self, digest: bytes) -> PinnedTable:
        if digest not in self.pins:
            raise Conflict(f"table {digest.hex()} is named by the ledger and not held: restore a backup of the database")
        return self.pins[digest]
