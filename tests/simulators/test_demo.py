"""The whole demo as a newcomer runs it, and the small decisions around it."""

import json
import os
import socket
import subprocess
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from city_adapters.catalogue import load_catalogue
from fare_chain.errors import Conflict
from simulators import demo, staging
from simulators.board import Quiet
from simulators.commands import add_to
from simulators.crossings import PASSAGE_US
from simulators.demo import Demo, Wish, free_ports, make_phones, make_plan
from simulators.members import issuer_keys, key_names, make_missing_keys
from simulators.staging import data_folder

PROGRAM = str(Path(sysconfig.get_path("scripts")) / "fare-chain")
NOW_US = 1_795_000_000_000_000
KEYS = {
    "taps", "journeys", "joined_over_a_border", "windows", "batches",
    "positions", "positions_sum", "gross_fen", "net_fen", "ledger_size", "verified",
    "mirrors_agreeing", "refused", "p50_ms", "p99_ms", "p50_final_ms", "p99_final_ms", "seconds", "data_dir", "console_url",
    "city_pairs", "hosts", "issuers", "gate_p50_ms", "gate_p99_ms", "restarts", "taps_per_second", "log_dir", "house_url",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


@pytest.fixture(scope="module")
def ridden(tmp_path_factory):
    """A short demo without a terminal, in an environment that knows of a proxy and a temporary folder of its own."""
    temporary = tmp_path_factory.mktemp("temporary")
    environment = os.environ | {"TMPDIR": str(temporary), "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    command = [PROGRAM, "demo", "--seconds", "8", "--taps-per-second", "100", "--json"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    return ended, temporary


@pytest.mark.slow
def test_a_demo_ends_with_one_json_object_and_code_0(ridden):
    ended, _ = ridden
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("\n") == 1
    assert json.loads(ended.stdout).keys() >= KEYS


@pytest.mark.slow
def test_all_cities_host_and_issue_all_pairs_occur_and_positions_sum_to_zero(ridden):
    told = json.loads(ridden[0].stdout)
    assert (told["hosts"], told["issuers"], told["city_pairs"]) == (9, 9, 72)
    assert told["verified"]
    assert told["faults"] == []
    assert told["positions_sum"] == sum(told["positions"].values()) == 0
    assert len(told["positions"]) == 10
    assert told["positions"]["scheme"] > 0
    assert told["gross_fen"] > told["net_fen"] > 0


@pytest.mark.slow
def test_every_tap_is_on_the_ledger_and_every_refusal_has_its_reason(ridden):
    told = json.loads(ridden[0].stdout)
    assert told["taps"] == told["opened"] > 600
    assert told["refused"].keys() == {"ALREADY_INSIDE", "FORGED_CREDENTIAL", "REPLAYED", "STALE", "STRIPPED", "UNKNOWN_ISSUER"}
    assert told["taps"] // 2 - 10 < told["journeys"] <= told["taps"] // 2
    assert (told["unanswered"], told["restarts"], told["taps_of_others"]) == (0, {}, 0)
    assert 0 < told["p50_ms"] <= told["p99_ms"]


@pytest.mark.slow
def test_nothing_stays_behind(ridden):
    ended, temporary = ridden
    assert not list(temporary.iterdir())
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert json.loads(ended.stdout)["data_dir"].encode() not in path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue


def test_a_plan_walks_all_city_pairs_first_and_sets_out_at_the_rate_that_is_asked_for(catalogue, tmp_path):
    wish = Wish(seconds=10, taps_per_second=50, seed=3, data=tmp_path)
    plan = make_plan(catalogue, wish, NOW_US)
    assert len(plan) == 250
    pairs = set(zip(plan.rides.issuer[:72].tolist(), plan.rides.host[:72].tolist(), strict=True))
    assert pairs == {(issuer, host) for issuer in range(1, 10) for host in range(1, 10) if issuer != host}
    assert int(plan.legs.enter_us.max()) < 10_000_000
    rides_us = plan.legs.exit_us - plan.legs.enter_us
    crossing = np.isin(np.arange(len(plan)), list(plan.crossings))
    assert 0 < crossing.sum() < 10
    assert int(rides_us[~crossing].max()) <= demo.LONGEST_RIDE_US
    assert int(rides_us[crossing].max()) <= 2 * demo.LONGEST_RIDE_US + PASSAGE_US
    assert (make_plan(catalogue, wish, NOW_US).rides.to_station == plan.rides.to_station).all()


def test_every_run_has_new_phones(catalogue, tmp_path):
    make_missing_keys(tmp_path / "keys", tmp_path / "members", key_names(catalogue.cities), now_us=NOW_US)
    keys = issuer_keys(tmp_path / "keys", catalogue.cities)
    wish = Wish(seconds=1, taps_per_second=2, seed=1, data=tmp_path)
    plan = make_plan(catalogue, wish, NOW_US)
    scan = plan.scans(0)[0]
    shown = [make_phones(plan, keys, wish, now_us).show(scan, NOW_US)[8:40] for now_us in (NOW_US, NOW_US, NOW_US + 1)]
    assert Counter(shown).most_common(1)[0][1] == 2, "the same run gives the same device keys, another run others"


def test_free_ports_lie_in_a_row_below_those_that_outgoing_connections_take():
    first = free_ports(10)
    assert demo.FIRST_PORT <= first <= demo.LAST_PORT
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 3))
        taken.listen()
        assert not set(range(free_ports(10), free_ports(10) + 10)) & {first + 3}


def test_no_free_ports_are_said_so(monkeypatch):
    monkeypatch.setattr(demo, "_is_free", lambda _port: False)
    with pytest.raises(Conflict, match="--port"):
        free_ports(10)


def test_each_process_is_given_its_own_keys_and_no_others(tmp_path):
    play = Demo(Wish(1, 2, 1, tmp_path, 20_500), Quiet(), {})
    roles = [play.house_role(), *play.gate_roles()]
    assert [role.health_url.split("/")[2] for role in roles] == [f"127.0.0.1:{20_500 + place}" for place in range(10)]
    for role in roles:
        keys = Path(role.command[role.command.index("--keys") + 1])
        assert {path.stem.rpartition("-")[0] for path in keys.glob("*.key")} == {role.name}


@pytest.mark.parametrize("keep", [True, False])
def test_a_temporary_folder_stays_only_where_it_is_to_be_kept(keep, monkeypatch, tmp_path):
    monkeypatch.setattr(staging.tempfile, "tempdir", str(tmp_path))
    with data_folder(None, keep=keep) as folder:
        (folder / "keys").mkdir()
    assert folder.exists() is keep


def test_a_named_folder_always_stays(tmp_path):
    with data_folder(tmp_path / "data", keep=False) as folder:
        folder.mkdir()
    assert folder.exists()


@pytest.mark.parametrize(("arguments", "said"), [(["--seconds", "0"], "seconds"), (["--taps-per-second", "1"], "taps")])
def test_a_demo_without_riders_is_not_begun(arguments, said):
    app = typer.Typer()
    add_to(app)
    app.callback()(lambda: None)
    ended = CliRunner().invoke(app, ["demo", *arguments])
    assert ended.exit_code == 2
    assert said in ended.output
