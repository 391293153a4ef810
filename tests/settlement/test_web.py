"""The house over HTTP: statuses of refusals, the C2SP addresses, status, windows and reports."""

import asyncio
import csv
import io
import json

import httpx2

from fare_chain.checkpoint import read_checkpoint
from fare_chain.hashing import sha256
from fare_chain.tap import TapKind
from settlement.store import ledger as store
from settlement.web.app import make_app
from settlement.web.parts import Running
from simulators.small_house import LOG_VERIFIER, SmallAdapter, SmallHouse, SmallRider
from tests.conftest import AskedBy


def test_refusals_have_their_status_and_say_why(told):
    async def story(house, client):
        rider, adapter = SmallRider(77, 2), SmallAdapter(1)
        forked = adapter.seal([rider.scan(1, 1, TapKind.ENTRY, house.now_us - 10**6)])
        later = adapter.seal([rider.scan(1, 2, TapKind.EXIT, house.now_us)])
        unsigned = bytearray(forked.to_bytes())
        unsigned[150] ^= 1
        answers = {}
        for name, data in {
            "nothing": b"",
            "cut": forked.to_bytes()[:250],
            "unsigned": bytes(unsigned),
            "forked": forked.to_bytes(),
            "forked chain": later.to_bytes(),
        }.items():
            answer = await client.post("/v1/batches", content=data)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"]
            answers[name] = (answer.status_code, answer.json()["title"])
        return answers

    assert told(story) == {
        "nothing": (400, "Malformed"),
        "cut": (400, "Malformed"),
        "unsigned": (403, "Untrusted"),
        "forked": (409, "Conflict"),
        "forked chain": (409, "Conflict"),
    }


def test_a_house_that_starts_answers_503():
    async def main():
        transport = httpx2.ASGITransport(app=make_app(Running()))
        async with httpx2.AsyncClient(transport=transport, base_url="http://house") as client:
            return await client.get("/v1/health"), await client.post("/v1/batches", content=b"x")

    for answer in asyncio.run(main()):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_database_that_does_not_answer_is_a_503_and_tells_nothing_of_itself(told, monkeypatch):
    async def story(_house, client):
        async def fail(*_given):
            raise OSError("connection to /secret/socket refused")

        monkeypatch.setattr(store, "read_bundle", fail)
        answer = await client.get("/tile/entries/000.p/1")
        return answer.status_code, answer.json()["title"], "secret" in answer.text

    assert told(story) == (503, "Overloaded", False)


def test_the_log_is_served_at_its_c2sp_addresses(told):
    async def story(_house, client):
        checkpoint = await client.get("/checkpoint")
        size = read_checkpoint(checkpoint.text, [LOG_VERIFIER]).size
        assert size < 256
        tile, bundle = await client.get(f"/tile/0/000.p/{size}"), await client.get(f"/tile/entries/000.p/{size}")
        assert len(tile.content) == size * 32
        for answer in (tile, bundle):
            assert answer.headers["content-type"] == "application/octet-stream"
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["access-control-allow-origin"] == "*"
        shorter = await client.get(f"/tile/0/000.p/{size - 3}")
        assert shorter.content == tile.content[: (size - 3) * 32]
        statuses = {}
        for path in (f"/tile/0/000.p/{size + 1}", "/tile/0/001", "/tile/0/00", "/tile/64/000", "/body/00", f"/body/{'0' * 64}"):
            answer = await client.get(path)
            assert "immutable" not in answer.headers.get("cache-control", "")
            statuses[path.replace(str(size + 1), "N")] = answer.status_code
        return statuses

    assert told(story) == {
        "/tile/0/000.p/N": 404,
        "/tile/0/001": 404,
        "/tile/0/00": 400,
        "/tile/64/000": 400,
        "/body/00": 400,
        f"/body/{'0' * 64}": 404,
    }


def test_what_is_named_by_a_hash_has_that_hash(told):
    async def story(house, client):
        async with house.engine.connect() as connection:
            held = (await connection.exec_driver_sql("SELECT body_hash, city FROM body JOIN entry USING (entry_index)")).all()
        for digest, city in held:
            assert sha256((await client.get(f"/body/{digest.hex()}", auth=AskedBy(city))).content) == digest
        return len(held)

    assert told(story) == 12


def test_status_windows_and_watermark_tell_one_story(told):
    async def story(house, client):
        status = (await client.get("/v1/status")).json()
        windows = (await client.get("/v1/windows", params={"limit": 3600})).json()["windows"]
        assert status["positions_sum"] == 0
        assert status["positions"] == windows[-1]["positions"]
        for name in ("taps", "journeys", "gross_fen", "net_fen"):
            assert status[name] == sum(window[name] for window in windows), name
        assert (status["taps"], status["journeys"], status["batches"]) == (66, 30, 12)
        assert status["windows"] == len(windows)
        busy = next(window for window in windows if window["journeys"])
        lines = (await client.get(f"/v1/windows/{busy['second']}")).json()["postings"]
        sums = {}
        for line in lines:
            key = (line["level"], line["reason"])
            sums[key] = sums.get(key, 0) + line["amount_fen"]
        assert set(sums.values()) == {0}
        assert len(sums) >= 4
        assert (await client.get("/v1/windows/12")).status_code == 404
        assert (await client.get("/v1/cities/alder/watermark")).json()["next_seq"] == 4
        assert (await client.get("/v1/cities/nowhere/watermark")).status_code == 404
        reborn = SmallHouse(house.engine, house.now_us)
        await reborn.start()
        assert reborn.clearing.totals == house.clearing.totals

    told(story)


def test_reports_come_as_csv_and_json_with_totals(told):
    async def story(_house, client):
        form = {"format": "csv"}
        rows = list(csv.reader(io.StringIO((await client.get("/v1/reports/window-net", params=form)).content.decode("utf-8-sig"))))
        told_json = (await client.get("/v1/reports/window-net", params={"for": "alder"})).json()
        matrix = (await client.get("/v1/reports/pair-matrix")).json()
        status = (await client.get("/v1/status")).json()
        return rows, told_json, matrix, status

    rows, alder, matrix, status = told(story)
    assert {row[0] for row in rows} == {"H", "row", "D", "S"}
    header = next(row for row in rows if row[0] == "row")
    data = [dict(zip(header, row, strict=True)) for row in rows if row[0] == "D"]
    # The last window is closed, and its entry stands on the ledger from the next tick on.
    known = status["windows"] - 1
    assert len(data) == len(status["positions"]) * known, "each member has a line in each window"
    assert {line["sum_check_fen"] for line in data} == {"0"}
    total = dict(zip(header, next(row for row in rows if row[0] == "S"), strict=True))
    assert int(total["net_fen"]) == 0
    assert int(total["receivable_fen"]) == sum(int(line["receivable_fen"]) for line in data) > 0
    assert alder["count"] == known
    assert alder["rows"][-1]["position_after_fen"] == status["positions"]["alder"] == alder["totals"]["net_fen"]
    assert matrix["totals"]["fare_fen"] == status["gross_fen"]
    assert {(row["debtor"], row["creditor"]) for row in matrix["rows"]} >= {("birch", "alder"), ("alder", "scheme")}
    owed = {}
    for row in matrix["rows"]:
        owed[row["creditor"]] = owed.get(row["creditor"], 0) + row["net_fen"]
        owed[row["debtor"]] = owed.get(row["debtor"], 0) - row["net_fen"]
    assert {member: owed.pop(member, 0) for member in status["positions"]} == status["positions"]
    assert not owed


def test_a_report_over_a_span_never_changes(told):
    async def story(house, client):
        span = {"from": 0, "to": house.clearing.state.second - 2}
        before = (await client.get("/v1/reports/window-net", params=span)).json()
        await house.seal_windows()
        after = (await client.get("/v1/reports/window-net", params=span)).json()
        assert before["rows"] == after["rows"]
        assert json.dumps(before["totals"]) == json.dumps(after["totals"])
        for path in ("/v1/reports/nothing", "/v1/reports/window-net?for=nobody"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/v1/reports/window-net?format=pdf")).status_code == 400

    told(story)
