"""Lines out of taps: those of every batch, those that clearing refused or that wait, and the register of keys and tables."""

from collections.abc import Iterator
from enum import IntEnum

import numpy as np

from city_adapters.tables import CityTable
from fare_chain.events import EntryKind, read_key_entry, read_tariff_entry
from fare_chain.tap import GOING_IN, GOING_OUT, Category, StationMode, TapKind
from settlement.core.columns import ClearingReason, Mask, Records, column
from settlement.reports.facts import SECOND_US, Asked, BatchFacts, EndFacts, Registered, WindowFacts, city_of, day_text, moment
from settlement.reports.journey_lines import service_days
from settlement.reports.stations import Stations
from settlement.reports.tally import Line
from settlement.reports.window_lines import LinesOfWindows


class TapDetail(LinesOfWindows):
    """R15."""

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """A line for each tap, as the batches stand on the ledger."""
        for batch in facts.batches:
            stations, chosen = Stations(batch.rules), self._chosen(batch.taps)
            served = service_days(batch.rules, column(batch.taps, "host"), column(batch.taps, "tapped_at_us"))
            areas = batch.rules.area_rows(batch.taps)
            for row in np.flatnonzero(chosen):
                tap = batch.taps[row]
                city = city_of(batch.rules, int(tap["host"]))
                yield _tap(self, tap, stations) | {
                    "line": _own_line(city, int(areas[row])),
                    "category": _named(Category, int(tap["category"])),
                    "recorded": moment(batch.recorded_us),
                    "service_day": day_text(int(served[row])),
                    "mode": _named(StationMode, int(tap["mode"])),
                    **_place(batch, int(row)),
                }

    def _chosen(self, taps: Records) -> Mask:
        at_us, chosen = taps["tapped_at_us"], np.ones(len(taps), np.bool_)
        if self.asked.by_event:
            chosen = (at_us >= self.asked.from_second * SECOND_US) & (at_us < self.asked.to_second * SECOND_US)
        return chosen & _about(self.asked, taps)


class Exceptions(LinesOfWindows):
    """R14."""

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """The taps of the span that clearing refused."""
        for tick in facts.ticks:
            stations = Stations(tick.rules)
            for row in np.flatnonzero(_about(self.asked, tick.exceptions)):
                tap = tick.exceptions[row]
                reason = ClearingReason(int(tap["reason"]))
                yield self._line(tap, stations, "refused", f"{reason.value} {reason.name}")

    def finish(self, end: EndFacts) -> Iterator[Line]:
        """Whatever waits at the report's ledger size."""
        stations = Stations(self.asked.as_of.rules)
        for row in np.flatnonzero(_about(self.asked, end.waiting)):
            yield self._line(end.waiting[row], stations, "one-sided", "")

    def _line(self, tap: np.void, stations: Stations, view: str, reason: str) -> Line:
        kind = int(tap["kind"])
        missing = "exit" if kind in GOING_IN else "entry" if kind in GOING_OUT else "ride"
        return _tap(self, tap, stations) | {
            "view": view,
            "reason": reason,
            "missing": missing if view == "one-sided" else "",
            "age_s": (self.asked.as_of.recorded_us - int(tap["tapped_at_us"])) // SECOND_US,
        }


class Versions(LinesOfWindows):
    """R18."""

    def take(self, facts: WindowFacts) -> Iterator[Line]:  # noqa: ARG002  versions lie in no window
        """Nothing."""
        return iter(())

    def finish(self, end: EndFacts) -> Iterator[Line]:
        """A line for each entry, in the ledger's order."""
        pinned = {pin.sha256 for pin in self.asked.as_of.rules.pins}
        for entry in end.register:
            owner, line = (self._key if entry.kind == EntryKind.KEY else self._table)(entry, pinned)
            if self.is_about(owner):
                yield line | {
                    "owner": self.names.member(owner),
                    "published": moment(entry.recorded_us),
                    "entry_index": entry.entry_index,
                    "age_s": (self.asked.as_of.recorded_us - entry.recorded_us) // SECOND_US,
                }

    def _key(self, entry: Registered, _pinned: set[bytes]) -> tuple[int, dict[str, int | str]]:
        key = read_key_entry(entry.payload).key
        return int(key.owner), {
            "what": "key",
            "use": key.use.name.lower(),
            "id": key.key_id.hex(),
            "valid_from": moment(key.not_before_us),
            "valid_to": moment(key.not_after_us),
            "in_force": "yes" if key.is_valid_at(self.asked.as_of.recorded_us) else "no",
        }

    def _table(self, entry: Registered, pinned: set[bytes]) -> tuple[int, dict[str, int | str]]:
        tariff = read_tariff_entry(entry.payload)
        return tariff.member, {
            "what": "table",
            "use": "tariffs and splits" if tariff.member else "agreement",
            "id": tariff.table_hash.hex(),
            "valid_from": moment(entry.recorded_us),
            "valid_to": "",
            "in_force": "yes" if tariff.table_hash in pinned else "no",
        }


def _tap(lines: LinesOfWindows, tap: np.void, stations: Stations) -> dict[str, int | str]:
    """What every tap has, in a batch or as an exception."""
    host = int(tap["host"])
    return {
        "host": lines.names.member(host),
        "station": stations.name(host, int(tap["station"])),
        "gate": int(tap["gate"]),
        "gate_seq": int(tap["gate_seq"]),
        "kind": _named(TapKind, int(tap["kind"])),
        "issuer": lines.names.member(int(tap["issuer"])),
        "medium": tap["medium"].tobytes().hex(),
        "tapped": moment(int(tap["tapped_at_us"])),
    }


def _place(batch: BatchFacts, tap: int) -> dict[str, int | str]:
    return {"key_id": batch.key_id.hex(), "batch_seq": batch.city_seq, "entry_index": batch.entry_index, "tap": tap}


def _about(asked: Asked, taps: Records) -> Mask:
    """The taps of which the member is host or issuer."""
    if asked.party is None:
        return np.ones(len(taps), np.bool_)
    about: Mask = (taps["host"] == asked.party) | (taps["issuer"] == asked.party)
    return about


def _own_line(city: CityTable | None, row: int) -> str:
    """The line that has this paid area for itself; empty for a station's own."""
    if city is None or row < len(city.station_ids):
        return ""
    return city.gate_areas[row - len(city.station_ids)].line_id


def _named(numbered: type[IntEnum], number: int) -> str:
    """The name of a number, or the number itself where it has none."""
    return numbered(number).name if number in set(numbered) else str(number)
