"""A whole house on the real cities: a ride over the border and one past a marker, explained by HTTP and by the command line."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from zlib import crc32

import httpx2
import pytest

from city_adapters.catalogue import load_catalogue
from fare_chain.access_files import read_access
from fare_chain.batch import CityTail, seal
from fare_chain.commands import DEFAULT_ORIGIN
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.key_entries import write_member_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.tap import Tap, TapKind
from settlement.core.one_ride import two_taps

YEAR_US = 365 * 86_400_000_000
PROGRAM = [sys.executable, "-c", "from fare_chain.command_line import main; main()"]
HANGZHOU, SUZHOU, AUDITOR = 2, 7, 60_001
KEYS = {}


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


@pytest.fixture(scope="module")
def house(tmp_path_factory, catalogue):
    """A house process, and a way to give it taps of a city."""
    folder = tmp_path_factory.mktemp("house")
    now_us = time.time_ns() // 1000
    begins = (now_us // 1_000_000 - 3600) * 1_000_000
    keys, tails = {}, {}
    cities = [("shanghai-batch", catalogue.city("SHA").number), ("suzhou-batch", catalogue.city("SZV").number)]
    uses = [("house-log", 0, KeyUse.LOG), *((name, owner, KeyUse.BATCH) for name, owner in cities)]
    readers = [(f"{number}-access", number, KeyUse.ACCESS) for number in (HANGZHOU, SUZHOU, AUDITOR)]
    (folder / "members").mkdir()
    (folder / "members" / "access.toml").write_text(f'[readers]\n{AUDITOR} = "auditor"\n')
    for name, owner, use in (*uses, *readers):
        key = SigningKey.generate()
        described = PublicKey(MemberNumber(owner), use, key.public, Micros(begins), Micros(begins + YEAR_US))
        write_member_key(folder / "keys", folder / "members", name, key, described)
        if use is KeyUse.BATCH:
            keys[owner], tails[owner] = (key, described.key_id), CityTail()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = ["house", "--data", folder / "data", "--members", folder / "members", "--keys", folder / "keys", "--port", port]
    with (folder / "house.log").open("wb") as log:
        process = subprocess.Popen([*PROGRAM, *map(str, words)], stdout=log, stderr=log, env=os.environ)
    try:
        wait_for(lambda: get(f"{url}/v1/health") == 200, (folder / "house.log").read_text)

        def take(*taps):
            host = taps[0].host
            key, key_id = keys[host]
            batch = seal(b"".join(tap.to_bytes() for tap in taps), [], city=host, tail=tails[host], key=key, key_id=key_id)
            tails[host] = tails[host].after(batch.header)
            assert httpx2.post(f"{url}/v1/batches", content=batch.to_bytes(), timeout=60).status_code == 200

        KEYS.update({owner: folder / "keys" / f"{owner}-access.key" for owner in (HANGZHOU, SUZHOU, AUDITOR)})
        yield url, take
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(address):
    try:
        return httpx2.get(address, timeout=5).status_code
    except httpx2.TransportError:
        return 0


def run(*words):
    return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False)


def wait_for(is_so, why):
    deadline = time.monotonic() + 90
    while not is_so():
        assert time.monotonic() < deadline, why()
        time.sleep(0.2)


def taps_of(catalogue, medium, begin_us, *steps):
    """Taps of one Hangzhou rider: kind, station id and minute of each; and the id of the journey that each entry begins."""
    taps, ids = [], []
    for number, (kind, name, minute) in enumerate(steps):
        city, station = catalogue.station(name)
        at_us = begin_us + minute * 60_000_000
        tap = Tap(
            at_us, medium, bytes([number]) * 32, crc32(medium + bytes([number])), 1, station.number, city.number, HANGZHOU, kind
        )
        taps.append(tap)
        if kind in (TapKind.ENTRY, TapKind.TRANSFER_ENTRY):
            ids.append(two_taps(tap, tap).journey_id[0].tobytes().hex())
    return taps, ids


def explained(url, journey_id, owner=HANGZHOU):
    who = read_access(KEYS[owner]).header(DEFAULT_ORIGIN)
    answer = httpx2.get(f"{url}/v1/journeys/{journey_id}/explanation", headers=who, timeout=60)
    return answer.json() if answer.status_code == 200 else None


def test_a_ride_over_the_border_is_explained_with_both_its_legs(house, catalogue, tmp_path):
    url, take = house
    begin_us = time.time_ns() // 1000 - 3600 * 1_000_000
    taps, (near, far) = taps_of(
        catalogue,
        b"over the border!",
        begin_us,
        (TapKind.ENTRY, "SHA-guangminglu", 0),
        (TapKind.TRANSFER_EXIT, "SHA-huaqiao", 4),
        (TapKind.TRANSFER_ENTRY, "SZV-huaqiao", 6),
        (TapKind.EXIT, "SZV-huaxigongyuan", 9),
    )
    take(*taps[2:])
    take(*taps[:2])
    wait_for(lambda: (explained(url, far) or {}).get("kind") == "joined ride", lambda: str(explained(url, far)))
    told = explained(url, near)
    assert told == explained(url, far), "either id tells the whole ride"
    assert [(leg["host"], leg["fare_fen"], leg["issuer"]) for leg in told["legs"]] == [
        ("shanghai", 300, "hangzhou"),
        ("suzhou", 200, "hangzhou"),
    ]
    assert [leg["draw"]["journey_id"] for leg in told["legs"]] == [near, far]
    for leg in told["legs"]:
        assert sum(share["fen"] for share in leg["shares"]) == leg["fare_fen"]
        assert leg["commission"]["fen"] in (leg["commission"]["floor_fen"], leg["commission"]["floor_fen"] + 1)
        assert leg["price"]["parts"], "the folder gives the table on the ledger"
    issuer = ("--access", str(KEYS[HANGZHOU]))
    told_words = run("explain", near, "--house", url, "--svg", str(tmp_path / "map.svg"), *issuer).stdout
    assert "5.00 yuan = 3.00 (shanghai) + 2.00 (suzhou)" in told_words
    assert ET.parse(tmp_path / "map.svg").getroot().tag.endswith("svg")
    assert json.loads(run("explain", near, "--house", url, "--json", *issuer).stdout) == told
    refused = run("explain", "0" * 32, "--house", url, *issuer)
    assert (refused.returncode, refused.stderr.startswith("Unknown: no journey")) == (1, True)
    assert explained(url, far, SUZHOU)["kind"] != "joined ride", "a host is told of its own leg alone"
    assert explained(url, near, SUZHOU) is None
    for options, why in (
        ((), "Untrusted: this is not for everybody"),
        (("--access", str(KEYS[SUZHOU])), "Untrusted: journey"),
        (("--access", str(KEYS[AUDITOR])), "Malformed: no basis is named"),
        (("--access", str(KEYS[AUDITOR]), "--basis", "supervision"), "Untrusted: supervision is no basis of the auditor's"),
    ):
        refused = run("explain", near, "--house", url, *options)
        assert (refused.returncode, refused.stderr.startswith(why)) == (1, True), refused.stderr
    looked = run("explain", near, "--house", url, "--json", "--access", str(KEYS[AUDITOR]), "--basis", "audit")
    assert json.loads(looked.stdout) == told
    verified = json.loads(run("verify", url, "--json").stdout)
    assert verified.get("looks") == 1, verified


def test_a_ride_past_a_marker_is_explained_by_the_path_that_it_proves(house, catalogue):
    url, take = house
    begin_us = time.time_ns() // 1000 - 3600 * 1_000_000
    ends = (TapKind.ENTRY, "SHA-yunjinlu", 0), (TapKind.EXIT, "SHA-langaolu", 40)
    plain, (unproven,) = taps_of(catalogue, b"without a marker", begin_us, *ends)
    marked, (proven,) = taps_of(catalogue, b"with one markers", begin_us, ends[0], (TapKind.MARKER, "SHA-jiangsulu", 20), ends[1])
    take(*plain)
    take(*marked)
    wait_for(lambda: explained(url, proven), lambda: "no explanation")
    told, beside = explained(url, proven), explained(url, unproven)
    assert (told["markers"], told["split"]["basis"]) == (1, "proven by markers")
    assert (beside["markers"], beside["split"]["basis"] != told["split"]["basis"]) == (0, True)
    assert told["fare_fen"] == beside["fare_fen"] == sum(share["fen"] for share in told["shares"])
    assert [share["weight"] for share in told["shares"]] != [share["weight"] for share in beside["shares"]]
    assert told["split"]["paths"] == []


def test_quotes_and_pictures_are_served(house):
    url, _take = house
    ask = {"from": "SHA-guangminglu", "to": "SZV-huaxigongyuan", "at": "2026-10-01T08:30:00+08:00", "issuer": "HGH"}
    plain = httpx2.get(f"{url}/v1/fares/quote", params=ask, timeout=60).json()
    told = httpx2.get(f"{url}/v1/fares/quote", params={**ask, "explain": "true"}, timeout=60).json()
    assert plain["fare_fen"] == told["fare_fen"] == 500
    assert told["legs"][0]["draw"] is None
    senior = {"from": "HGH-xianghu", "to": "HGH-wulinguangchang", "at": "2026-09-21T08:00:00+08:00", "category": "senior"}
    assert httpx2.get(f"{url}/v1/fares/quote", params=senior, timeout=60).json()["rider_pays_fen"] == 250
    picture = httpx2.get(f"{url}/v1/fares/quote.svg", params=ask, timeout=60)
    assert picture.headers["content-type"] == "image/svg+xml"
    assert ET.fromstring(picture.text).tag.endswith("svg")
    for change, status in (
        ({"from": "SHA-nowhere"}, 404),
        ({"category": "dog"}, 400),
        ({"to": "HGH-xianghu"}, 409),
        ({"minutes": "x"}, 400),
    ):
        answer = httpx2.get(f"{url}/v1/fares/quote", params={**ask, **change}, timeout=60)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
