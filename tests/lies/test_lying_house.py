"""A house that lies is caught, and what catches it keeps a file that convicts it before anybody."""

from dataclasses import replace

import pytest

from fare_chain.events import EntryKind
from simulators.adversary.house import LyingHouse, folded
from simulators.small_house import ORIGIN
from tests.lies.liars import COSIGNING, only, run, told
from tests.settlement.mirror.mirror_world import POLICY

HOUSE_AND_TWO = {ORIGIN, "alder", "birch"}


@pytest.fixture
def house(exported_log):
    """A house that lies, with two cities that cosign for it."""
    return LyingHouse(told(exported_log, COSIGNING))


@pytest.fixture
def verify(tmp_path):
    """An auditor with the policy and a folder for evidence: (exit code, what was said, that folder)."""
    (tmp_path / "policy").write_text(POLICY.to_text())

    def ask(log):
        folder = log.export(tmp_path / "log")
        code, said = run(tmp_path, "verify", folder, "--policy", "policy", "--evidence", "found")
        return code, said, folder

    return ask


def test_the_liars_own_tools_tell_an_honest_log_when_nothing_is_bent(house, verify):
    code, said, _folder = verify(folded(house.truth, quiet_s=3))
    assert code == 0, said


@pytest.mark.parametrize(
    ("lie", "check"),
    [
        ("splits_wrongly", "says state_root"),
        ("moves_a_fen", "says positions"),
        ("back_dates_a_window", "outside the window of second"),
        ("back_dates_an_entry", "is before the last"),
    ],
)
def test_a_false_window_or_moment_fails_the_audit_and_convicts_all_who_signed(house, verify, tmp_path, judge, lie, check):
    code, said, folder = verify(getattr(house, lie)())
    assert (code, check in said) == (1, True), said
    assert judge.convicts(only(tmp_path / "found"), "wrong-state", HOUSE_AND_TWO, folder)


def test_a_rewritten_entry_shows_when_two_copies_of_a_log_are_compared(house, tmp_path, judge):
    at = house.truth.places(EntryKind.BATCH)[2]
    honest = house.truth.export(tmp_path / "honest")
    (tmp_path / "policy").write_text(POLICY.to_text())
    for name, log, kind in (
        ("rewritten", house.rewrites(at), "fork-same-size"),
        ("longer", replace(house.rewrites(at), entries=house.rewrites(at).entries[:-2]), "fork-any-size"),
    ):
        copy = log.export(tmp_path / name)
        code, said = run(tmp_path, "compare-logs", honest, copy, "--policy", "policy", "--evidence", f"found-{name}")
        assert (code, "FORKED" in said) == (1, True), said
        assert judge.convicts(only(tmp_path / f"found-{name}"), kind, HOUSE_AND_TWO)
    code, said = run(
        tmp_path, "compare-logs", honest, house.truth.cut(20).export(tmp_path / "younger"), "--policy", "policy", "--evidence", "x"
    )
    assert (code, "one log" in said) == (0, True), said
