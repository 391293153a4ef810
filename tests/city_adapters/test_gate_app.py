import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from starlette.testclient import TestClient

from city_adapters.adapter import Adapter, AdapterReason
from city_adapters.gate import Reason
from city_adapters.gate_app import make_gate_app
from city_adapters.spool import open_spool
from fare_chain import tap
from fare_chain.rider_code import JourneyState
from fare_chain.tap import TapKind
from tests.city_adapters.gate_world import CITY, CITY_KEY, RING, FakeHouse, GateProcess, Rider, now_us, serving, wait_until

STATIONS = {"SHA-xinzhuang": 1, "SHA-huaqiao": 2}
NOWHERE = "http://127.0.0.1:9"


@contextmanager
def gates(folder, house=NOWHERE, stations=STATIONS):
    """The gates of a city in this process, over HTTP as Starlette's client speaks it."""
    spool = open_spool(folder, CITY_KEY)
    adapter = Adapter(slug="shanghai", host=CITY, stations=stations, ring=RING, spool=spool, house=house, clock=now_us)
    with TestClient(make_gate_app(adapter)) as client:
        client.adapter = adapter
        yield client


def scan(client, scanned):
    response = client.post("/v1/scans", json=scanned)
    assert response.status_code == 200
    return response.json()


def reason(client, scanned):
    answer = scan(client, scanned)
    assert answer["decision"] == ("open" if answer["reason"] == "OPEN" else "refuse")
    return answer["reason"]


def test_a_good_code_opens_and_its_tap_reaches_the_house(tmp_path):
    house, rider = FakeHouse(), Rider(1)
    with serving(house) as address, gates(tmp_path, address) as client:
        scanned = rider.scan(gate=4_000_000_000)
        answer = scan(client, scanned)
        wait_until(lambda: house.taps)
    (reading,) = [tap.read(record) for record in house.taps]
    assert answer == {
        "decision": "open",
        "reason": "OPEN",
        "number": 0,
        "medium": rider.credential.medium.hex(),
        "tapped_at_us": reading.tapped_at_us,
        "gate_seq": 1,
    }
    assert (reading.kind, reading.host, reading.station, reading.gate, reading.gate_seq) == (
        TapKind.ENTRY,
        CITY,
        1,
        4_000_000_000,
        1,
    )


def test_a_refusal_is_an_answer_and_its_reading_stays_in_the_city(tmp_path):
    house, rider = FakeHouse(), Rider(1)
    with serving(house) as address, gates(tmp_path, address) as client:
        first = rider.scan()
        assert reason(client, first) == "OPEN"
        assert reason(client, first) == "REPLAYED"
        assert reason(client, rider.scan()) == "ALREADY_INSIDE"
        assert reason(client, Rider(2).scan("exit")) == "NOT_INSIDE"
        assert reason(client, Rider(3).scan(station="SHA-nowhere")) == "UNKNOWN_STATION"
        assert client.get("/v1/status").json()["refused"] == {
            "ALREADY_INSIDE": 1,
            "NOT_INSIDE": 1,
            "REPLAYED": 1,
            "UNKNOWN_STATION": 1,
        }
        wait_until(lambda: client.get("/v1/status").json()["acknowledged_taps"] == 1)
    kept = (tmp_path / "refused.taps").read_bytes()
    assert len(kept) == 4 * 81
    assert [kept[at] for at in range(80, len(kept), 81)] == [
        Reason.REPLAYED, Reason.ALREADY_INSIDE, Reason.NOT_INSIDE, Reason.UNKNOWN_STATION,
    ]  # fmt: skip
    assert {kept[at] for at in range(72, len(kept), 81)} == {TapKind.REFUSED}
    assert len(house.taps) == 1


@pytest.mark.parametrize("text", ["", "lower case", "ABCD", "+" * 5000, "\u4e0a"])
def test_a_text_that_is_no_code_is_refused_as_malformed(tmp_path, text):
    with gates(tmp_path) as client:
        answer = scan(client, Rider(1).scan() | {"code": text})
    assert (answer["reason"], answer["number"], answer["medium"], answer["gate_seq"]) == ("MALFORMED", 1, None, None)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "JSON object"),
        (b'{"station": "SHA-x", "gate": 1, "kind": "entry"}', "code is None"),
        (b'{"code": 7, "station": "SHA-x", "gate": 1, "kind": "entry"}', "code is 7"),
        (b'{"code": "A", "station": 7, "gate": 1, "kind": "entry"}', "station is 7"),
        (b'{"code": "A", "station": "SHA-x", "gate": -1, "kind": "entry"}', "gate is -1"),
        (b'{"code": "A", "station": "SHA-x", "gate": true, "kind": "entry"}', "gate is True"),
        (b'{"code": "A", "station": "SHA-x", "gate": 4294967296, "kind": "entry"}', "gate is 4294967296"),
        (b'{"code": "A", "station": "SHA-x", "gate": "1", "kind": "entry"}', "gate is '1'"),
        (b'{"code": "A", "station": "SHA-x", "gate": 1, "kind": "leave"}', "kind is 'leave'"),
        (b'{"code": "A", "station": "SHA-x", "gate": 1, "kind": ["entry"]}', "kind is"),
        (b'{"code": "' + b"A" * 20_000 + b'"}', "16384 bytes"),
    ],
)
def test_what_is_no_scan_at_all_is_a_problem_that_names_the_field(tmp_path, body, names):
    with gates(tmp_path) as client:
        response = client.post("/v1/scans", content=body)
        assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
        assert names in response.json()["detail"]
        assert client.get("/v1/status").json()["refused"] == {}


def test_gates_open_while_the_house_is_away_and_it_gets_everything_later(tmp_path):
    house, riders = FakeHouse(), [Rider(number) for number in range(1, 40)]
    with gates(tmp_path) as client:
        for rider in riders:
            assert reason(client, rider.scan()) == "OPEN"
        wait_until(lambda: client.get("/v1/status").json()["uplink"])
        status = client.get("/v1/status").json()
        assert status["open_taps"] + status["spooled_taps"] == 39
        assert status["stuck"] is None
        assert client.get("/v1/health").json() == {"city": "shanghai", "opens": True, "stuck": False}
    with serving(house) as address, gates(tmp_path, address):
        wait_until(lambda: len(house.taps) == 39)


def test_a_tap_that_cannot_be_kept_keeps_the_gate_shut_and_moves_nobody(tmp_path):
    rider = Rider(1)
    with gates(tmp_path) as client:
        spool = client.adapter.spool
        room, spool.most_bytes = spool.most_bytes, 0
        answer = scan(client, rider.scan())
        assert (answer["decision"], answer["reason"], answer["number"]) == ("refuse", "SPOOL_FULL", AdapterReason.SPOOL_FULL)
        assert "is full" in client.get("/v1/status").json()["disk"]
        assert client.get("/v1/health").json()["opens"] is False
        spool.most_bytes = room
        assert reason(client, rider.scan()) == "OPEN"
        assert client.get("/v1/status").json()["disk"] is None


def test_numbers_of_the_adapters_reasons_are_nobody_elses():
    assert not {int(one) for one in Reason} & {int(one) for one in AdapterReason}


def test_a_restart_remembers_who_is_inside_what_was_spent_and_each_gates_count(tmp_path):
    inside, outside = Rider(1), Rider(2)
    with gates(tmp_path) as client:
        shown = inside.scan()
        assert reason(client, shown) == "OPEN"
        assert reason(client, outside.scan()) == "OPEN"
        assert reason(client, outside.scan("exit")) == "OPEN"
    with gates(tmp_path) as client:
        assert reason(client, shown) == "REPLAYED"
        assert reason(client, inside.scan()) == "ALREADY_INSIDE"
        assert reason(client, outside.scan("exit")) == "NOT_INSIDE"
        answer = scan(client, inside.scan("exit"))
        assert (answer["reason"], answer["gate_seq"]) == ("OPEN", 4)


def test_the_swept_spool_still_knows_who_is_inside(tmp_path):
    house, rider = FakeHouse(), Rider(1)
    with serving(house) as address, gates(tmp_path, address) as client:
        assert reason(client, rider.scan()) == "OPEN"
        wait_until(lambda: client.adapter.spool.sent)
        assert client.adapter.spool.let_go(now_us(), 0) == 1
    with gates(tmp_path) as client:
        assert reason(client, rider.scan()) == "ALREADY_INSIDE"
        assert scan(client, rider.scan("exit"))["gate_seq"] == 2


def test_an_exit_opens_for_a_journey_that_only_the_code_knows(tmp_path):
    rider = Rider(1)
    with gates(tmp_path) as client:
        journey = JourneyState(CITY, 2, now_us() // 1_000_000 - 600)
        assert reason(client, rider.scan("exit") | {"code": rider.code(journey)}) == "OPEN"


def test_a_refused_scan_takes_no_number_of_the_gates_count(tmp_path):
    riders = [Rider(number) for number in range(1, 4)]
    with gates(tmp_path) as client:
        for count, rider in enumerate(riders, 1):
            assert reason(client, rider.scan("exit")) == "NOT_INSIDE"
            assert scan(client, rider.scan())["gate_seq"] == count


def test_status_has_its_stable_keys(tmp_path):
    house = FakeHouse()
    with serving(house) as address, gates(tmp_path, address) as client:
        assert reason(client, Rider(1).scan()) == "OPEN"
        wait_until(lambda: client.get("/v1/status").json()["acknowledged_seq"] == 0)
        status = client.get("/v1/status").json()
    assert set(status.pop("decision_ms")) == {"p50", "p99"}
    assert status == {
        "city": "shanghai",
        "accepted": 1,
        "refused": {},
        "open_taps": 0,
        "spooled_batches": 0,
        "spooled_taps": 0,
        "sealed_seq": 0,
        "acknowledged_seq": 0,
        "acknowledged_taps": 1,
        "oldest_unacknowledged_ms": None,
        "remembered": {"inside": 1, "spent": 1, "credentials": 1},
        "stuck": None,
        "uplink": None,
        "disk": None,
    }


def test_a_house_that_refuses_is_said_loudly_and_gates_go_on(tmp_path):
    house = FakeHouse()
    house.plan = ["403"] * 99
    with serving(house) as address, gates(tmp_path, address) as client:
        assert reason(client, Rider(1).scan()) == "OPEN"
        wait_until(lambda: client.get("/v1/health").json()["stuck"])
        assert "403" in client.get("/v1/status").json()["stuck"]
        assert reason(client, Rider(2).scan()) == "OPEN"
        assert client.get("/v1/status").json()["spooled_batches"] == 1


def test_a_disk_that_cannot_seal_is_tried_again(tmp_path, monkeypatch):
    house, fsync, failing = FakeHouse(), os.fsync, [True]

    def sync(descriptor):
        if failing:
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    with serving(house) as address, gates(tmp_path, address) as client:
        assert reason(client, Rider(1).scan()) == "OPEN"
        wait_until(lambda: client.get("/v1/status").json()["disk"])
        assert client.get("/v1/status").json()["open_taps"] == 1
        failing.clear()
        wait_until(lambda: house.taps)


def test_the_process_seals_what_it_holds_when_it_is_told_to_stop(tmp_path):
    gate = GateProcess(tmp_path, NOWHERE)
    assert gate.scan(Rider(1).scan())["decision"] == "open"
    assert gate.stop(signal.SIGTERM) == 0
    assert sorted(path.name for path in gate.data.iterdir()) == ["000000000000.batch", "lock", "refused.taps"]


def test_the_process_ends_with_the_one_that_it_was_told_of(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        gate = GateProcess(tmp_path, NOWHERE, parent=parent.pid)
        assert gate.scan(Rider(1).scan())["decision"] == "open"
        parent.kill()
    assert gate.process.wait(10) == 0
    gate.client.close()
    gate.log.close()
    assert (gate.data / "000000000000.batch").exists()
