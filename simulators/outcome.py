"""What a demo came to: held against the plan, the gates, the ledger and the house, and told as one JSON object."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from city_adapters.gate import Reason
from fare_chain.audit import AuditFailure, AuditResult
from fare_chain.identifiers import SCHEME
from simulators import ledger_taps
from simulators.gates import Diary
from simulators.ledger_taps import Taps, first_few
from simulators.members import HOUSE
from simulators.status import Look


@dataclass(frozen=True)
class Evidence:
    """All that a run leaves behind once the house has come to rest."""

    diary: Diary
    audited: AuditResult | AuditFailure
    taps: Taps
    """Those on the verified ledger, of earlier runs too; none where it is not verified."""
    last: Look
    """What the house and the gates said when all had come to rest."""
    restarts: Mapping[str, int]
    members: Mapping[int, str]
    """Every member's name by number: the cities' slugs, and `scheme`."""
    started_us: int
    """When the run's gates were started: later taps are this run's."""
    seconds: int

    @cached_property
    def verified(self) -> AuditResult | None:
        """What the audit found, where the log holds."""
        return self.audited if isinstance(self.audited, AuditResult) else None

    @cached_property
    def taps_of_run(self) -> Taps:
        """The taps of this run."""
        return ledger_taps.of_this_run(self.taps, self.started_us)

    @cached_property
    def digests(self) -> Counter[bytes]:
        """How often each code of this run stands on the ledger."""
        return ledger_taps.digests(self.taps_of_run)

    def positions(self) -> dict[str, int]:
        """Every member's position in fen, by name, as the last window on the ledger has it."""
        found = self.verified.positions if self.verified else {}
        return {name: found.get(number, 0) for number, name in self.members.items()}


def find_faults(evidence: Evidence) -> list[str]:
    """Everything that is not as it has to be, in sentences; an empty list is the only good end."""
    return [
        fault
        for part in (_ledger, _positions, _mirrors, _opened, _gates, _refusals)
        for fault in part(evidence)
    ]  # fmt: skip


def _ledger(evidence: Evidence) -> Iterator[str]:
    """The exported log holds, and every tap is in a closed window."""
    if isinstance(evidence.audited, AuditFailure):
        yield f"the exported log is not verified: {evidence.audited}"
        return
    in_windows = evidence.audited.rederived["taps_in_windows"]
    if in_windows != evidence.audited.taps:
        yield f"the ledger has {evidence.audited.taps} taps, but its windows cover {in_windows}"
    if evidence.audited.rider_codes_dropped:
        yield f"{evidence.audited.rider_codes_dropped} rider codes are missing from the export: none is old enough to be dropped"


def _positions(evidence: Evidence) -> Iterator[str]:
    """Positions sum to zero, and the house says of them what the ledger says."""
    if evidence.verified is None:
        return
    positions = evidence.positions()
    if sum(evidence.verified.positions.values()):
        yield f"the positions sum to {sum(evidence.verified.positions.values())} fen, expected 0"
    told = evidence.last.house.get("positions")
    if told is None:
        yield "the house did not answer at the end"
    elif told != positions:
        differing = {name: (fen, told.get(name)) for name, fen in positions.items() if told.get(name) != fen}
        yield f"the house's positions are not those of the last window (ledger, house): {differing}"


def _mirrors(evidence: Evidence) -> Iterator[str]:
    """Every city's mirror came to the same state root over the whole ledger, and none has stopped."""
    for slug, told in evidence.last.mirrors.items():
        if told["stopped"] is not None:
            yield f"the mirror of {slug} cosigns no more: {told['stopped']}"
    expected = len(evidence.members) - 1
    if evidence.last.agreeing() != expected:
        yield f"{evidence.last.agreeing()} of {expected} mirrors agree on the whole ledger"


def _opened(evidence: Evidence) -> Iterator[str]:
    """Every code that opened a gate is on the ledger, once; each gate's taps are numbered without a gap."""
    if evidence.verified is None:
        return
    lost = sum(digest not in evidence.digests for digest in evidence.diary.opened)
    if lost:
        yield f"{lost} of {len(evidence.diary.opened)} scans that opened a gate are not on the ledger"
    doubled = sum(times > 1 for times in evidence.digests.values())
    if doubled:
        yield f"{doubled} rider codes stand on the ledger more than once"
    broken = ledger_taps.broken_gate_runs(evidence.taps)
    if broken:
        yield first_few(broken)


def _gates(evidence: Evidence) -> Iterator[str]:
    """Each city's gates opened as often as the ledger has taps of them; those of a process that died counted anew."""
    if evidence.verified is None:
        return
    on_ledger = ledger_taps.taps_by_host(evidence.taps_of_run)
    for number, slug in evidence.members.items():
        if number == SCHEME or evidence.restarts.get(slug):
            continue
        told = evidence.last.gates.get(slug)
        if told is None:
            yield f"the gates of {slug} did not answer at the end"
        elif told["accepted"] != on_ledger[number]:
            yield f"{slug}'s gates opened {told['accepted']} times, the ledger has {on_ledger[number]} of these taps"


def _refusals(evidence: Evidence) -> Iterator[str]:
    """Gates answered as the plan foretold; a scan that nobody answered needs a gate process that died."""
    surprises = evidence.diary.surprises()
    if surprises:
        yield "answers were not as planned: " + first_few(
            f"{times} scans were answered {answered}, expected {expected}" for (expected, answered), times in surprises.items()
        )
    if evidence.diary.unfinished:
        yield f"{evidence.diary.unfinished} rides had not ended when the run was ended: the gates did not keep up"
    if evidence.diary.unheard and not evidence.restarts.keys() - {HOUSE}:
        yield f"{len(evidence.diary.unheard)} scans were never answered, and no city's gates had died"


def to_json(evidence: Evidence, faults: list[str], about: Mapping[str, Any]) -> dict[str, Any]:
    """The one JSON object at the end. Sums are the ledger's, earlier runs on the same data included; `refused` is this run's.

    `about` says where things are: data_dir, log_dir, house_url and the like.
    """
    audited = evidence.verified
    windows = audited.rederived if audited else {}
    positions = evidence.positions()
    return {
        "verified": audited is not None,
        "faults": faults,
        "taps": audited.taps if audited else 0,
        "journeys": windows.get("journeys_in_windows", 0),
        "joined_over_a_border": windows.get("joins_rederived", 0),
        "windows": audited.windows if audited else 0,
        "batches": audited.batches if audited else 0,
        "ledger_size": audited.size if audited else 0,
        "positions": positions,
        "positions_sum": sum(positions.values()),
        "gross_fen": windows.get("gross_fen", 0),
        "net_fen": windows.get("net_fen", 0),
        "mirrors_agreeing": evidence.last.agreeing(),
        "final_size": evidence.last.house.get("final_size", 0),
        "cosigned_by": len(audited.cosigned) if audited else 0,
        "refused": dict(sorted(evidence.diary.refused.items())),
        **_latencies(evidence),
        **_this_run(evidence),
        **about,
    }


def _latencies(evidence: Evidence) -> dict[str, Any]:
    """Waits in milliseconds: from the tap to cleared and durable, to final, and at the gate."""
    cleared = evidence.last.house.get("latency_ms", {})
    return {
        "p50_ms": cleared.get("p50"),
        "p99_ms": cleared.get("p99"),
        "p50_final_ms": cleared.get("final_p50"),
        "p99_final_ms": cleared.get("final_p99"),
        "gate_p50_ms": evidence.diary.wait_ms(50),
        "gate_p99_ms": evidence.diary.wait_ms(99),
    }


def _this_run(evidence: Evidence) -> dict[str, Any]:
    """What this run did, whatever was on the ledger before."""
    taps, diary = evidence.taps_of_run, evidence.diary
    until_us = diary.began_us + evidence.seconds * 1_000_000
    riding = int(((taps["tapped_at_us"] >= diary.began_us) & (taps["tapped_at_us"] < until_us)).sum())
    pairs = ledger_taps.city_pairs(taps)
    known = diary.opened | diary.unheard
    scans_lost = sum(times for (_expected, answered), times in diary.answers.items() if answered not in Reason.__members__)
    return {
        "seconds": evidence.seconds,
        "taps_of_run": len(taps),
        "taps_per_second": riding // max(evidence.seconds, 1),
        "hosts": len({host for _issuer, host in pairs}),
        "issuers": len({issuer for issuer, _host in pairs}),
        "city_pairs": sum(issuer != host for issuer, host in pairs),
        "opened": len(diary.opened),
        "shown_again": diary.shown_again,
        "unanswered": scans_lost,
        "taps_of_others": sum(digest not in known for digest in evidence.digests),
        "restarts": dict(evidence.restarts),
    }
