"""What reports are made of: windows as the ledger has them, with what was cleared in each, wherever they are read from.

The house reads facts from its store, an auditor makes them again from an exported log: the same facts, so the same bytes. A row is
known at a ledger size where the WINDOW entry that covers it stands below that size.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from city_adapters.tables import CityTable
from fare_chain.events import WindowEntry
from fare_chain.identifiers import SCHEME
from settlement.core.columns import EXCEPTION_DTYPE, JOURNEY_DTYPE, SHARE_DTYPE, TAP_DTYPE, Records, Taps, no_rows
from settlement.core.rules import FUTURE_TOLERANCE_US, Rules
from settlement.reports.catalogue import Needs, Report

SECOND_US = 1_000_000
DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = 253_402_300_800 * SECOND_US
"""The end of the year 9999, after which no date is written."""


class Owed(NamedTuple):
    """What one member owes another for the journeys of a window: a sum of one kind."""

    kind: int
    debtor: int
    creditor: int
    journeys: int
    amount_fen: int


@dataclass(frozen=True, slots=True, eq=False)
class TickFacts:
    """What one tick cleared to, the seed of its draws (32 bytes), and the tables in force then."""

    recorded_us: int
    seed: bytes
    rules: Rules
    journeys: Records = field(default_factory=lambda: no_rows(JOURNEY_DTYPE))
    shares: Records = field(default_factory=lambda: no_rows(SHARE_DTYPE))
    exceptions: Records = field(default_factory=lambda: no_rows(EXCEPTION_DTYPE))


@dataclass(frozen=True, slots=True, eq=False)
class BatchFacts:
    """A city's batch: where it stands, which key signed it, and its taps (TAP_DTYPE; none where they were erased).

    `rules` are those in force at the end of its window.
    """

    entry_index: int
    recorded_us: int
    key_id: bytes
    city_seq: int
    rules: Rules
    taps: Taps = field(default_factory=lambda: no_rows(TAP_DTYPE))


@dataclass(frozen=True, slots=True, eq=False)
class WindowFacts:
    """One window, the place of its own entry, the first checkpoint over it, and of its insides what a report needs.

    `owed` in order of kind, debtor, creditor; `ticks` and `batches` in that of the ledger.
    """

    entry_index: int
    checkpoint_size: int
    window: WindowEntry
    owed: tuple[Owed, ...] = ()
    ticks: tuple[TickFacts, ...] = ()
    batches: tuple[BatchFacts, ...] = ()


class Registered(NamedTuple):
    """A KEY or TARIFF entry: its place, when it was recorded, its kind and payload."""

    entry_index: int
    recorded_us: int
    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True, eq=False)
class AsOf:
    """A ledger size at which a checkpoint was signed: its root, when its last entry was recorded, and the tables in force then."""

    size: int
    root: bytes
    recorded_us: int
    rules: Rules


@dataclass(frozen=True, slots=True, eq=False)
class EndFacts:
    """What stands at a ledger size and in no window: the taps that wait (TAP_DTYPE, in total order) and the register of entries."""

    waiting: Taps = field(default_factory=lambda: no_rows(TAP_DTYPE))
    register: tuple[Registered, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One report with nothing left open. `party` is a member; with `beneficiary` (host * 256 + number) one operator of it.

    Settlement basis: windows that begin in [from_second, to_second). Event basis: rides whose exit tap, and taps that, lie in it.
    """

    report: Report
    party: int | None
    beneficiary: int | None
    from_second: int
    to_second: int
    basis: str
    per: str
    form: str
    as_of: AsOf

    @property
    def needs(self) -> frozenset[Needs]:
        """What of a window it is made of: by exit time nothing can be told from the sums of a window."""
        own = self.report.needs
        return own - {Needs.SUMS} | {Needs.TICKS} if self.by_event and Needs.SUMS in own else own

    @property
    def reads_windows(self) -> bool:
        """Whether it has anything to do with windows: the register of keys and tables has not."""
        return bool(self.needs - {Needs.REGISTER})

    @property
    def by_event(self) -> bool:
        """Whether it goes by the gates' clocks."""
        return self.basis == "event"

    def windows(self) -> tuple[int, int | None]:
        """The seconds [from, to) of the windows that may hold a row; None where every later one may: late taps come late."""
        if self.by_event:
            return self.from_second - FUTURE_TOLERANCE_US // SECOND_US, None
        return self.from_second, self.to_second

    @property
    def utc_offset_s(self) -> int:
        """The clock by which settlement days are cut: that of the first city in force."""
        return next((city.calendar.utc_offset_s for city in self.as_of.rules.cities), 0)

    def names(self) -> "Names":
        """The names of the parties, by the tables in force at its ledger size."""
        return Names({int(SCHEME): "scheme"} | {city.city: city.slug for city in self.as_of.rules.cities})


class Names(NamedTuple):
    """Parties as they are written: `shanghai`, `scheme`, an operator as `shanghai/3`."""

    members: dict[int, str]

    def member(self, number: int) -> str:
        """A member; one without a table by its number."""
        return self.members.get(int(number), f"member-{number}")

    def beneficiary(self, number: int) -> str:
        """An operator, under its host."""
        return f"{self.member(int(number) >> 8)}/{int(number) & 0xFF}"


def city_of(rules: Rules, number: int) -> CityTable | None:
    """A city's table, if it is in force."""
    return next((city for city in rules.cities if city.city == number), None)


def moment(at_us: int) -> str:
    """A moment as ISO 8601 in UTC, with microseconds where there are some; empty where no date can be written."""
    if not -_LAST_US < at_us < _LAST_US:
        return ""
    return (_EPOCH + timedelta(microseconds=int(at_us))).replace(tzinfo=None).isoformat() + "Z"


def day_text(day: int) -> str:
    """A day, counted from 1970-01-01."""
    return (_EPOCH + timedelta(days=int(day))).date().isoformat()
