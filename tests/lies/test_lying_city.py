"""A city that lies with its own batch key: the intake, an auditor or a mirror catches it, and a file convicts it."""

import asyncio
from functools import partial

import pytest

from fare_chain.batch import CityTail, read_batch
from fare_chain.errors import Conflict, Untrusted
from fare_chain.events import EntryKind
from fare_chain.evidence_folder import keep_evidence
from fare_chain.log_export import export
from fare_chain.mirror_feed import write_feed
from fare_chain.tap import TapKind
from settlement.intake import Intake
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from simulators.adversary.city import forged, invented, relabelled
from simulators.small_house import SmallHouse, SmallRider, door_ring
from tests.lies.liars import COSIGNING, lying_city, only, run, told
from tests.settlement.mirror.mirror_world import POLICY, make_mirror

CITY = lying_city(1)


def scan(rider, at_us, issuer=2, kind=TapKind.ENTRY):
    return SmallRider(rider, issuer).scan(1, 1, kind, at_us)


@pytest.fixture
def small_house(database_url, tmp_path):
    """Tell a story to a house whose intake keeps evidence in `found`."""

    async def main(story):
        engine = make_engine(database_url)
        await migrate(engine)
        house = SmallHouse(engine)
        await house.start()
        house.intake = Intake(engine, house.sequencer, door_ring(), keep=partial(keep_evidence, tmp_path / "found"))
        result = await story(house)
        await engine.dispose()
        return result

    return lambda story: asyncio.run(main(story))


@pytest.fixture
def complete(exported_log, tmp_path):
    """Put the keys into a file, from a log that two cities cosigned: it then convicts with the policy alone."""
    log = told(exported_log, COSIGNING).export(tmp_path / "cosigned")
    (tmp_path / "policy").write_text(POLICY.to_text())

    def ask(file):
        words = ["complete-evidence", file, "--log", log, "--policy", "policy", "-o", "complete"]
        code, said = run(tmp_path, *words)
        assert code == 0, said
        return tmp_path / "complete"

    return ask


def test_two_batches_of_one_number_are_refused_at_the_intake_which_keeps_both_headers(small_house, complete, tmp_path, judge):
    async def story(house):
        first = CITY.seals(CityTail(), scan(1, house.now_us))
        await house.take(first)
        assert await house.intake.accept(first.to_bytes()), "the same batch again is no lie"
        with pytest.raises(Conflict, match="another batch 0 before: this one is not taken"):
            await house.intake.accept(CITY.seals(CityTail(), scan(2, house.now_us)).to_bytes())

    small_house(story)
    assert judge.convicts(complete(only(tmp_path / "found")), "double-batch", {"city 1"})


def test_a_false_root_over_a_right_body_is_refused_at_the_intake_which_keeps_header_and_body(
    small_house, complete, tmp_path, judge
):
    async def story(house):
        batch = CITY.seals(CityTail(), scan(1, house.now_us), scan(2, house.now_us))
        with pytest.raises(Untrusted, match="the city signed a false root"):
            await house.intake.accept(CITY.signs_false_root(batch).to_bytes())
        spoilt = batch.to_bytes()[:-500] + b"x" + batch.to_bytes()[-499:]
        with pytest.raises(Untrusted):
            await house.intake.accept(spoilt)

    small_house(story)
    assert judge.convicts(complete(only(tmp_path / "found")), "bad-root", {"city 1"})


@pytest.fixture
def cosigned_log(small_house, app_of, app_log, tmp_path):
    """The log of a house that took such scans of city 1, cosigned by as many cities as the quorum asks for."""

    def ask(make_scans):
        async def story(house):
            await house.take(CITY.seals(CityTail(), *make_scans(house.now_us - 10**6)))
            await house.seal_windows()
            await asyncio.to_thread(export, app_log(app_of(house), asyncio.get_running_loop()), tmp_path / "plain")

        small_house(story)
        (tmp_path / "policy").write_text(POLICY.to_text())
        return told(tmp_path / "plain", COSIGNING)

    return ask


FORGERIES = {
    "a-device-signature-made-up": (lambda at_us: forged(scan(7, at_us)), 2),
    "no-code-at-all": (lambda at_us: invented(scan(7, at_us)[0]), 2),
    "a-rider-of-another-city": (lambda at_us: relabelled(scan(7, at_us, issuer=2), issuer=3), 3),
}
"""What the city makes up, and which city would pay for it."""


@pytest.mark.parametrize("name", FORGERIES)
def test_a_tap_that_no_rider_made_fails_the_audit_and_convicts_the_city_by_that_tap_alone(cosigned_log, tmp_path, judge, name):
    make, pays = FORGERIES[name]
    log = cosigned_log(lambda at_us: [scan(1, at_us), make(at_us + 1), scan(2, at_us + 2)])
    mirror = make_mirror(tmp_path / "pays", pays)
    mirror.take(write_feed(log.ticks()))
    assert mirror.bad_riders == 1, "the mirror of the city that would pay finds it by itself"
    folder = log.export(tmp_path / "log")
    code, said = run(tmp_path, "verify", folder, "--policy", "policy", "--evidence", "found")
    assert (code, "tap 1: " in said, "no objection to it stands on the ledger" in said) == (1, True, True), said
    file = only(tmp_path / "found")
    assert judge.convicts(file, "bad-rider-signature", {"city 1"})
    assert file.stat().st_size < 8_000


def test_a_false_root_that_a_house_let_in_fails_the_audit_and_convicts_the_city_and_not_the_house(cosigned_log, tmp_path, judge):
    log = cosigned_log(lambda at_us: [scan(1, at_us), scan(2, at_us)])
    (at,) = log.places(EntryKind.BATCH)
    honest = read_batch(log.entries[at].payload + log.entries[at].beside)
    let_in = log.having(at, payload=CITY.signs_false_root(honest).signed_header)
    code, said = run(tmp_path, "verify", let_in.export(tmp_path / "log"), "--policy", "policy", "--evidence", "found")
    assert (code, "the city signed a false root" in said) == (1, True), said
    assert judge.convicts(only(tmp_path / "found"), "bad-root", {"city 1"})
