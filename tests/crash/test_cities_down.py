"""Two cities down: final goes on. Three: it stops, nothing is lost, it resumes by itself. The house lost: the cities go on.

One scheme of processes lives through all of it, once; each test asks for one thing of what was seen.
"""

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from fare_chain.policy import read_policy
from simulators import members
from tests.conftest import _execute
from tests.crash.scheme_processes import STANDBY_KEY, STANDBY_PORT, SchemeOfProcesses

pytestmark = pytest.mark.slow


QUORUM, DOWN = 7, 3
NOBODY = 9
"""A port on which nobody answers."""


@pytest.fixture(scope="module")
def seen(postgres_url, tmp_path_factory):
    """What was seen while cities, then the house, went down and came back."""
    server, name = make_url(postgres_url), f"cities_{uuid4().hex}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    scheme = SchemeOfProcesses(tmp_path_factory.mktemp("scheme"), server.set(database=name).render_as_string(hide_password=False))
    told = SimpleNamespace(policy=read_policy((scheme.data / members.POLICY).read_text()), taps=0)
    try:
        scheme.start("house")
        scheme.start("shanghai", *scheme.mirrors)
        ride(scheme, told)
        scheme.wait(lambda: scheme.is_final(9), "all nine cosign")
        for chapter in CHAPTERS:
            chapter(scheme, told)
    finally:
        scheme.end()
    asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))
    return told


def ride(scheme, told):
    """Some rides, until the ledger has them in a window."""
    told.taps += scheme.ride()
    scheme.wait(lambda: not scheme.spooled(), "every tap has its receipt")
    scheme.wait(lambda: scheme.status()["taps"] == told.taps and not scheme.status()["staged_batches"], "every tap is cleared")


def two_down(scheme, told):
    scheme.kill(*scheme.mirrors[:2])
    before = scheme.status()["size"]
    ride(scheme, told)
    scheme.wait(lambda: scheme.is_final(QUORUM), "seven cosign")
    told.two_down = scheme.status()
    told.grew_with_two_down = told.two_down["final_size"] - before


def three_down(scheme, told):
    told.before_three = scheme.status()
    told.published_before = scheme.get("checkpoint").text
    scheme.kill(scheme.mirrors[2])
    for _second in range(2):
        ride(scheme, told)
        time.sleep(1.2)
    told.three_down = scheme.status()
    told.published_with_three_down = scheme.get("checkpoint").text
    told.windows_with_three_down = scheme.get("v1/windows").json()["windows"]


def all_back(scheme, told):
    scheme.start(*scheme.mirrors[:DOWN])
    scheme.wait(lambda: scheme.is_final(9), "all nine cosign again, by themselves")
    told.back, told.first_term = scheme.status(), scheme.get("v1/health").json()["term"]
    told.published_after = scheme.get("checkpoint").text
    told.verified = scheme.verify()


def house_lost(scheme, told):
    """The house hangs, its key is gone, with a tick that no mirror has seen; gates open all the same."""
    scheme.mirrors_way.turn(NOBODY)
    ride(scheme, told)
    scheme.processes["house"].send_signal(signal.SIGSTOP)
    (scheme.data / "keys" / members.HOUSE / "house-log.key").rename(scheme.data / "lost.key")
    told.taps += scheme.ride()
    told.spooled = scheme.spooled()
    told.mirrors_before = [mirror_status(scheme, name)["size"] for name in scheme.mirrors]


def cities_sign_a_term(scheme, told):
    """A standby shows what is stored; once seven cities have cosigned it, they sign, six in vain."""
    scheme.roles["standby"] = scheme.standby_role("--standby")
    scheme.start("standby")
    scheme.turn(scheme.demo.port + STANDBY_PORT)
    scheme.wait(lambda: scheme.is_final(9), "all nine come to the end of what is stored")
    told.standing_by, told.spooled_at_standby = scheme.status(), scheme.spooled()
    log_key = scheme.data / "members" / f"{STANDBY_KEY}.pub"
    proposed = scheme.run("term", "propose", "--log-key", log_key, "--number", 1, "--house", scheme.url)
    (scheme.data / "proposed").write_bytes(proposed.stdout)
    with ThreadPoolExecutor(2) as pool:
        told.approved = list(pool.map(lambda slug: approve(scheme, slug), scheme.demo.slugs[:QUORUM]))
    scheme.kill("standby", number=signal.SIGTERM)
    six, seven = (join(scheme, scheme.demo.slugs[:count]) for count in (QUORUM - 1, QUORUM))
    told.six = scheme.run(*scheme.standby_role("--term", six).command[1:])
    scheme.roles["standby"] = scheme.standby_role("--term", seven)


def approve(scheme, slug):
    folders = (
        "--data",
        scheme.data / "mirrors" / slug,
        "--members",
        scheme.data / "members",
        "--keys",
        scheme.data / "keys" / slug,
    )
    more = ("--policy", scheme.data / members.POLICY, "--out", scheme.data / f"{slug}.signature")
    return scheme.run("approve-term", scheme.data / "proposed", "--city", slug, *folders, *more)


def join(scheme, slugs):
    signatures = [scheme.data / f"{slug}.signature" for slug in slugs]
    joined = scheme.run("term", "join", scheme.data / "proposed", *signatures)
    path = scheme.data / f"term-by-{len(slugs)}"
    path.write_bytes(joined.stdout)
    return path


def standby_takes_over(scheme, told):
    scheme.start("standby")
    ride(scheme, told)
    scheme.wait(lambda: scheme.is_final(9), "all nine follow the standby")
    told.after_failover, told.second_term = scheme.status(), scheme.get("v1/health").json()["term"]
    told.terms = [mirror_status(scheme, name) for name in scheme.mirrors]


def mirror_status(scheme, name):
    return scheme.client.get(scheme.roles[name].health_url.removesuffix("health") + "status").json()


def old_house_wakes(scheme, told):
    """It goes on where it was stopped: with its key in memory, and one tick due at once."""
    size = scheme.status()["size"]
    scheme.processes["house"].send_signal(signal.SIGCONT)
    told.old_code = scheme.processes.pop("house").wait(60)
    told.old_log = scheme.log("house")
    told.size_when_old_woke = size
    ride(scheme, told)
    scheme.wait(lambda: scheme.is_final(9), "final goes on")
    told.end = scheme.status()
    told.verified_at_the_end = scheme.verify()


CHAPTERS = (two_down, three_down, all_back, house_lost, cities_sign_a_term, standby_takes_over, old_house_wakes)


def test_with_two_cities_down_every_window_still_becomes_final(seen):
    assert seen.grew_with_two_down > 0
    assert not seen.two_down["provisional"]
    assert len([size for size in seen.two_down["cosigned_to"].values() if size == seen.two_down["size"]]) == QUORUM


def test_with_three_down_windows_go_on_provisional_and_the_status_says_so(seen):
    assert seen.three_down["provisional"]
    assert seen.three_down["final_size"] == seen.before_three["final_size"] < seen.three_down["size"]
    assert seen.three_down["windows"] > seen.before_three["windows"]
    assert [window["final"] for window in seen.windows_with_three_down].count(False) > 0
    assert seen.published_with_three_down == seen.published_before, "what is published stands still, to the byte"


def test_when_they_are_back_it_resumes_by_itself_and_nothing_is_lost(seen):
    assert seen.back["final_size"] >= seen.three_down["size"]
    assert not seen.back["provisional"]
    for text in (seen.published_before, seen.published_after):
        assert seen.policy.open_final(text).is_final
    assert seen.verified["size"] >= seen.three_down["size"]


def test_a_standby_without_a_term_brings_the_mirrors_to_the_end_and_appends_nothing(seen):
    assert max(seen.mirrors_before) < seen.standing_by["size"] == seen.standing_by["final_size"]
    assert seen.standing_by["standby"]
    assert seen.spooled_at_standby == seen.spooled > 0, "it takes no batch"


def test_six_cities_are_too_few_for_a_term_and_seven_are_enough(seen):
    assert [done.returncode for done in seen.approved] == [0] * QUORUM, seen.approved
    assert seen.six.returncode == 1
    assert b"6 cities' signatures, 7 are needed" in seen.six.stderr
    assert seen.second_term > seen.first_term


def test_what_gates_opened_for_while_no_house_was_there_is_on_the_ledger_of_the_standby(seen):
    assert seen.spooled > 0
    assert seen.after_failover["taps"] == seen.end["taps"] - 6
    assert [told["stopped"] for told in seen.terms] == [None] * 9


def test_the_old_house_that_wakes_up_is_fenced_and_ends_with_a_sentence(seen):
    assert seen.old_code == 1
    assert "restarting the insides" in seen.old_log, "what it had begun did not go through"
    assert "names another sequencer than this house's key" in seen.old_log
    assert seen.end["size"] > seen.size_when_old_woke


def test_in_the_end_the_audit_holds_from_zero_under_both_keys(seen):
    assert seen.verified_at_the_end["size"] >= seen.end["size"], "a second may have been closed meanwhile"
    assert seen.end["taps"] == seen.taps
    assert seen.end["positions_sum"] == 0
