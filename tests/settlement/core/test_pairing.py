"""Taps become legs, wait, or are exceptions with their reason."""

import numpy as np
import pytest

from fare_chain.tap import TapKind
from settlement.core.columns import DUE_DTYPE, ClearingReason, no_rows
from settlement.core.pairing import pair
from settlement.core.rules import Rules
from settlement.core.tap_counters import CountedTaps
from settlement.core.waiting import WaitingTaps
from simulators.small_cities import CHANGE_US, SECOND_US, small_scheme, small_tap, tap_records

RULES = Rules().including(small_scheme())
NOON_US = CHANGE_US + 12 * 3600 * SECOND_US
NOTHING_DUE = no_rows(DUE_DTYPE)
KINDS = {
    "entry": TapKind.ENTRY, "exit": TapKind.EXIT, "in": TapKind.TRANSFER_ENTRY, "out": TapKind.TRANSFER_EXIT,
    "marker": TapKind.MARKER,
}  # fmt: skip


def moment(text):
    """A time of the second day, `-08:00` one of the first."""
    hours, minutes = text.lstrip("-").split(":")
    return CHANGE_US + (int(hours) * 3600 + int(minutes) * 60 - text.startswith("-") * 86_400) * SECOND_US


def assert_pairs(*ticks, rules=RULES, recorded_us=NOON_US):
    """Pair each table's taps (after those that wait from the one before) and compare: 'entry -> exit', 'waits', or a reason.

    Left: medium, kind, host/station, time, and `of` another issuer. Right: all outcomes, in any order and beside any tap.
    """
    waiting, due, counted = WaitingTaps(), NOTHING_DUE, CountedTaps()
    for table in ticks:
        lines = [[part.split() for part in line.split("|")] for line in table.strip().splitlines()]
        taps = [
            small_tap(
                int(words[0]), KINDS[words[1]], moment(words[3]), host=int(words[2].split("/")[0]),
                station=int(words[2].split("/")[1]), issuer=int(words[5]) if len(words) > 4 else None,
            )
            for words, _ in lines
            if words
        ]  # fmt: skip
        pairing = pair(waiting, due, counted, tap_records(taps), rules, recorded_us)
        waiting, due, counted = pairing.waiting, pairing.due, pairing.counted
        ridden = pairing.ridden
        columns = (ridden.entries, ridden.exits, ridden.legs, ridden.markers)
        found = [
            f"{clock(entry)} -> {clock(leave)}" + f" {legs} legs" * int(legs > 1) + f" {markers} markers" * int(markers > 0)
            for entry, leave, legs, markers in zip(*(list(column) for column in columns), strict=True)
        ]
        found += [f"{clock(tap)} waits" for tap in waiting.all()]
        found += [f"{clock(row)} {ClearingReason(row['reason']).name}" for row in pairing.exceptions]
        expected = [" ".join(outcome) for _, outcome in lines if outcome]
        assert sorted(found) == sorted(expected)


def clock(row):
    minutes = (int(row["tapped_at_us"]) - CHANGE_US) // (60 * SECOND_US)
    return f"{'-' * (minutes < 0)}{minutes // 60 % 24:02}:{minutes % 60:02}"


def test_an_entry_and_the_exit_after_it_are_a_leg_and_a_missing_side_waits():
    assert_pairs("""
        1 entry 1/1 08:00 | 08:00 -> 08:20
        1 exit  1/2 08:20 |
        2 entry 1/1 08:05 | 08:05 waits
        3 exit  1/1 08:07 | 08:07 waits
    """)


def test_an_exit_may_come_before_its_entry_in_the_ledger():
    assert_pairs("1 exit 1/2 08:20 | 08:20 waits", "1 entry 1/1 08:00 | 08:00 -> 08:20")


def test_an_exit_made_before_an_entry_does_not_belong_to_it():
    assert_pairs("""
        1 exit  1/2 08:00 | 08:00 waits
        1 entry 1/1 08:20 | 08:20 waits
    """)


def test_taps_of_other_hosts_and_other_media_are_other_lanes():
    assert_pairs("""
        1 entry 1/1 08:00 | 08:00 waits
        1 exit  2/2 08:20 | 08:20 waits
        2 exit  1/2 08:30 | 08:30 waits
    """)


def test_media_that_share_their_first_48_bits_are_other_lanes():
    assert_pairs(f"""
        0        entry 1/1 08:00 | 08:00 waits
        {1 << 120} exit  1/2 08:20 | 08:20 waits
    """)


def test_a_second_entry_leaves_the_first_one_sided():
    assert_pairs("""
        1 entry 1/1 08:00 | 08:00 waits
        1 entry 1/2 09:00 | 09:00 -> 09:20
        1 exit  1/3 09:20 |
    """)


def test_entries_and_exits_match_like_brackets_in_one_tick_as_in_many():
    assert_pairs("""
        1 entry 1/1 08:00 | 08:00 -> 09:30
        1 entry 1/2 09:00 | 09:00 -> 09:20
        1 exit  1/3 09:20 |
        1 exit  1/3 09:30 |
        1 exit  1/3 09:40 | 09:40 waits
    """)
    assert_pairs(
        """
        1 entry 1/1 08:00 | 08:00 waits
        1 entry 1/2 09:00 | 09:00 waits
        """,
        """
        1 exit  1/3 09:20 | 09:00 -> 09:20
                          | 08:00 waits
        """,
        """
        1 exit  1/3 09:30 | 08:00 -> 09:30
        1 exit  1/3 09:40 | 09:40 waits
        """,
    )


def test_an_exit_without_a_place_in_the_brackets_takes_nothing_from_later_entries():
    assert_pairs("""
        1 exit  1/2 07:00 | 07:00 waits
        1 exit  1/2 07:10 | 07:10 waits
        1 entry 1/1 08:00 | 08:00 -> 08:20
        1 exit  1/3 08:20 |
    """)


def test_a_ride_longer_than_the_agreement_allows_leaves_both_sides_waiting():
    assert_pairs("""
        1 entry 1/1 -08:00 | -08:00 -> 08:00
        1 exit  1/2 08:00  |
        2 entry 1/1 -08:00 | -08:00 waits
        2 exit  1/2 08:01  | 08:01 waits
    """)


def test_a_tap_that_comes_again_is_dropped_in_the_same_tick_and_against_those_that_wait():
    assert_pairs(
        """
        1 entry 1/1 08:00 | 08:00 waits
        1 entry 1/1 08:00 | 08:00 REPEATED
        """,
        """
        1 entry 1/1 08:00 | 08:00 REPEATED
        1 entry 1/1 08:00 | 08:00 REPEATED
        1 exit  1/2 08:20 | 08:00 -> 08:20
        """,
    )


def test_a_tap_that_differs_in_anything_is_another_tap():
    assert_pairs("""
        1 entry 1/1 08:00 | 08:00 waits
        1 entry 1/2 08:00 | 08:00 waits
    """)


def test_the_gates_of_a_passage_pair_like_any_other():
    assert_pairs("""
        1 in    1/1 08:00 | 08:00 -> 08:20
        1 exit  1/2 08:20 |
        2 entry 1/1 08:00 | 08:00 -> 08:21
        2 out   1/2 08:21 |
        3 in    1/1 08:00 | 08:00 -> 08:22
        3 out   1/2 08:22 |
    """)


def test_a_marker_belongs_to_the_innermost_bracket_around_it_and_waits_without_one():
    assert_pairs("""
        1 marker 4/2 07:50 | 07:50 waits
        1 entry  4/1 08:00 | 08:00 -> 08:50 2 markers
        1 marker 4/2 08:05 |
        1 entry  4/1 08:10 | 08:10 -> 08:30 1 markers
        1 marker 4/3 08:20 |
        1 exit   4/4 08:30 |
        1 marker 4/3 08:40 |
        1 exit   4/2 08:50 |
        1 marker 4/3 08:55 | 08:55 waits
        2 entry  4/1 08:00 | 08:00 waits
        2 marker 4/2 08:01 | 08:01 waits
        2 entry  4/1 08:02 | 08:02 -> 08:03
        2 exit   4/2 08:03 |
    """)


def test_a_marker_may_come_before_or_after_the_sides_of_its_ride():
    assert_pairs(
        "1 marker 4/2 08:05 | 08:05 waits",
        """
        1 entry  4/1 08:00 | 08:00 -> 08:50 1 markers
        1 exit   4/2 08:50 |
        """,
        "1 marker 4/3 08:40 | 08:40 waits",
    )


def test_a_marker_in_a_ride_that_is_too_long_waits_with_it():
    assert_pairs("""
        1 entry  4/1 -08:00 | -08:00 waits
        1 marker 4/2 01:00  | 01:00 waits
        1 exit   4/2 08:01  | 08:01 waits
    """)


def test_taps_that_make_no_sense_are_exceptions_and_the_rest_clears():
    assert_pairs("""
        1 entry    1/1 08:00      | 08:00 -> 08:30
        1 entry    1/5 08:01      | 08:01 UNKNOWN_STATION
        1 entry    1/0 08:02      | 08:02 UNKNOWN_STATION
        1 entry    9/1 08:03      | 08:03 UNKNOWN_STATION
        1 entry    1/1 08:04 of 9 | 08:04 UNKNOWN_ISSUER
        1 entry    1/1 08:05 of 0 | 08:05 UNKNOWN_ISSUER
        1 marker   1/1 08:07      | 08:07 KIND_NOT_CLEARED
        1 exit     1/2 08:30      |
        2 exit     1/2 12:05      | 12:05 waits
        2 exit     1/2 12:06      | 12:06 FROM_FUTURE
    """)


def test_a_station_number_beyond_every_table_is_unknown_and_not_an_error():
    taps = tap_records([small_tap(1, TapKind.ENTRY, NOON_US, host=host, station=2**32 - 1) for host in (1, 9, 2**16 - 1)])
    assert (
        pair(WaitingTaps(), NOTHING_DUE, CountedTaps(), taps, RULES, NOON_US).exceptions["reason"].tolist()
        == [ClearingReason.UNKNOWN_STATION] * 3
    )


def test_without_an_agreement_nobody_is_known():
    cities = Rules().including(small_scheme()[:3])
    assert_pairs("1 entry 1/1 08:00 | 08:00 UNKNOWN_ISSUER", rules=cities)


@pytest.mark.parametrize("entered_at_us", [-(2**63), -1, small_scheme()[3].table.valid_from_us - 1])
def test_an_entry_before_the_first_agreement_pairs_with_nothing(entered_at_us):
    taps = tap_records([small_tap(1, TapKind.ENTRY, entered_at_us), small_tap(1, TapKind.EXIT, entered_at_us + 1)])
    pairing = pair(WaitingTaps(), NOTHING_DUE, CountedTaps(), taps, RULES, NOON_US)
    assert (len(pairing.ridden), len(pairing.waiting)) == (0, 2)


def test_an_exception_names_the_tap_by_host_gate_and_sequence():
    tap = small_tap(5, TapKind.MARKER, NOON_US, host=2, station=3, issuer=1, gate=7)
    row = pair(WaitingTaps(), NOTHING_DUE, CountedTaps(), tap_records([tap]), RULES, NOON_US).exceptions[0]
    for name in ("host", "issuer", "station", "gate", "gate_seq", "kind", "tapped_at_us"):
        assert row[name] == getattr(tap, name)
    assert row["medium"].tobytes() == tap.medium


def test_a_tick_pays_for_no_lane_that_it_does_not_touch():
    waiting = pair(
        WaitingTaps(), NOTHING_DUE, CountedTaps(), tap_records([small_tap(1, TapKind.ENTRY, NOON_US)]), RULES, NOON_US
    ).waiting
    after = pair(waiting, NOTHING_DUE, CountedTaps(), tap_records([small_tap(2, TapKind.ENTRY, NOON_US)]), RULES, NOON_US).waiting
    assert np.array_equal(after.all()["medium"].tolist(), [(number).to_bytes(16, "little") for number in (1, 2)])
