"""Reports over HTTP: who may pull them, as of when, twice the same bytes, and editions that never change."""

import asyncio
import json

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from fare_chain.keys import KeyUse
from fare_chain.note import read_note
from settlement.reports.catalogue import REPORTS, Readers
from settlement.reports.manifest import read_manifest, reports_verifier
from settlement.store import report_facts
from simulators.small_house import ORIGIN, small_key
from tests.conftest import AskedBy
from tests.settlement.editions.reporting_world import Client, app_of, know_keys, scans_of, token_of

VERIFIER = reports_verifier(ORIGIN, small_key(0, KeyUse.REPORT).public)
PRIVATE = [report.name for report in REPORTS.values() if report.readers is not Readers.PUBLIC]


def test_the_same_question_as_of_the_same_size_gets_the_same_bytes_later_and_from_a_house_that_was_born_again(asking):
    async def story(client):
        first, questions = {}, []
        for report in REPORTS.values():
            for basis in report.bases:
                for form in report.forms:
                    party = {} if report.readers is Readers.PUBLIC else {"for_": "alder"}
                    questions.append((report.name, {"format": form, "basis": basis, **party}))
        size = client.house.clearing.state.next_index
        for at, (name, given) in enumerate(questions):
            first[at] = await client.file(name, 1, **given)
        await client.house.seal_windows()
        await client.house.start()
        know_keys(client.house)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app_of(client.house)), base_url="http://house", auth=AskedBy(1)
        ) as born:
            again = Client(client.house, born)
            for at, (name, given) in enumerate(questions):
                span = {
                    key: str(getattr(read_manifest(first[at][1], [VERIFIER]), f"{key.rstrip('_')}_second"))
                    for key in ("from_", "to_")
                }
                assert await again.file(name, 1, as_of=size, **given, **span) == first[at], (name, given)
                assert await again.file(name, 1, as_of=size, **given) == first[at], (name, given)

    asking(story)


def test_what_waits_is_folded_again_for_an_earlier_size(asking, monkeypatch):
    async def story(client):
        size = client.house.clearing.state.next_index
        now = await client.file("exceptions", 1, for_="alder")
        await client.house.take(client.house.adapters[1].seal(scans_of(["alder", "1-", "of", "alder"], 201, client.house.now_us)))
        await client.house.seal_windows()
        assert json.loads((await client.file("exceptions", 1, for_="alder"))[0])["count"] == json.loads(now[0])["count"] + 1
        assert await client.file("exceptions", 1, for_="alder", as_of=size) == now, "from the last snapshot before it"

        async def no_snapshot(_connection, _size):
            return None

        monkeypatch.setattr(report_facts, "snapshot_before", no_snapshot)
        assert await client.file("exceptions", 1, for_="alder", as_of=size) == now, "from the first entry"
        assert json.loads(now[0])["count"] > 1

    asking(story)


def test_rides_and_taps_are_shown_to_their_member_and_to_the_scheme(asking):
    async def story(client):
        answers = {}
        for name in PRIVATE:
            answers[name] = [(await client.get(name, reader, for_="alder")).status_code for reader in (None, 2, 1, 0)]
            assert (await client.get(name, 1)).status_code == 400, "it must say whom it is for"
        forged = await client.client.get("/v1/reports/tap-detail", params={"for": "alder"}, headers={"Authorization": "Bearer x"})
        public = [(await client.get(name)).status_code for name in REPORTS if name not in PRIVATE]
        return answers, forged.status_code, public

    answers, forged, public = asking(story)
    assert len(answers) == 6
    assert all(codes == [401, 403, 200, 400] for codes in answers.values()), answers
    assert forged == 401
    assert set(public) == {200}


def test_an_operator_gets_its_own_lines_alone(asking):
    async def story(client):
        every = json.loads((await client.file("operator-revenue", 2, for_="birch"))[0])["rows"]
        own = json.loads((await client.file("operator-revenue", 2, for_="birch/4"))[0])["rows"]
        wrong = await client.get("operator-revenue", 2, for_="birch/9")
        level_1 = await client.get("window-net", for_="birch/4")
        return every, own, wrong, level_1

    every, own, wrong, level_1 = asking(story)
    assert own == [row for row in every if row["beneficiary"] == "birch/4"] != []
    assert (wrong.status_code, wrong.json()["detail"]) == (404, "there is no operator 'birch/9': expected one of birch/1, birch/4")
    assert level_1.status_code == 400


def test_a_report_knows_what_was_known_at_its_size_and_not_more(asking):
    async def story(client):
        house = client.house
        moment = house.clearing.state.recorded_us
        told = [json.loads((await client.file("window-net", as_of=size))[0]) for size in (30, 45)]
        entry_of = {row["second"]: row["entry_index"] for row in json.loads((await client.file("chain-proof"))[0])["rows"]}
        by_moment = json.loads((await client.file("window-net", as_of="2024-10-04T08:00:05Z"))[0])
        refused = {
            "future size": await client.get("window-net", as_of=10**6),
            "future moment": await client.get("window-net", as_of="2030-01-01T00:00:00Z"),
            "before the first": await client.get("window-net", as_of="2001-01-01T00:00:00Z"),
            "no moment": await client.get("window-net", as_of="soon"),
        }
        return told, entry_of, by_moment, {name: answer.status_code for name, answer in refused.items()}, moment

    told, entry_of, by_moment, refused, _moment = asking(story)
    for early in told:
        assert {row["second"] for row in early["rows"]} == {at for at, place in entry_of.items() if place < early["as_of_size"]}
    assert told[0]["as_of_size"] <= 30 < told[1]["as_of_size"] <= 45
    assert told[0]["rows"] == told[1]["rows"][: len(told[0]["rows"])], "by settlement nothing changes"
    assert 0 < by_moment["as_of_size"] < 45
    assert refused == {"future size": 503, "future moment": 503, "before the first": 404, "no moment": 400}


def test_by_event_a_late_ride_joins_an_hour_that_was_told_already(asking):
    async def story(client):
        sizes = [row["checkpoint_size"] for row in json.loads((await client.file("chain-proof"))[0])["rows"]]
        span = {"from_": "2024-10-04T06:00:00Z", "to_": "2024-10-04T07:00:30Z", "basis": "event", "per": "span"}
        counted = []
        for size in sizes[::3]:
            told = json.loads((await client.file("inter-city-position", as_of=size, **span))[0])
            counted.append(told["totals"]["journeys"])
        return counted

    counted = asking(story)
    assert counted == sorted(counted)
    assert (counted[0], counted[-1]) == (0, 1)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"fromm": "1"}, 400),
        ({"format": "pdf"}, 400),
        ({"basis": "event"}, 400),
        ({"per": "day"}, 400),
        ({"from": "10", "to": "5", "for": "alder"}, 400),
        ({"for": "atlantis"}, 404),
        ({"from": "yesterday"}, 400),
        ({"as_of": "9" * 40}, 400),
    ],
)
def test_a_question_that_cannot_be_is_refused_by_name(asking, given, status):
    async def story(client):
        answer = await client.client.get("/v1/reports/window-net", params=given)
        twice = await client.client.get("/v1/reports/window-net?for=alder&for=birch")
        return answer.status_code, answer.json()["detail"], twice.status_code

    found, why, twice = asking(story)
    assert (found, twice) == (status, 400)
    assert len(why) > 20


def test_a_report_that_has_not_changed_is_not_sent_again(asking):
    async def story(client):
        size = client.house.clearing.state.next_index
        answer = await client.client.get("/v1/reports/window-net", params={"as_of": size})
        again = await client.client.get(
            "/v1/reports/window-net", params={"as_of": size}, headers={"If-None-Match": answer.headers["etag"]}
        )
        note = (await client.client.get("/v1/reports/window-net/manifest", params={"as_of": size})).text
        return answer, again, note

    answer, again, note = asking(story)
    assert (again.status_code, again.content) == (304, b"")
    assert answer.headers["etag"] == f'"{read_manifest(note, [VERIFIER]).sha256.hex()}"'
    assert 'filename="R01_window-net_all_' in answer.headers["content-disposition"]


def test_an_edition_never_changes_and_a_correction_names_what_it_supersedes(asking):
    async def story(client):
        house, span = client.house, {"to": str(client.house.clearing.state.second - 1), "for": "birch", "format": "csv"}

        async def publish(reader, **more):
            address = "/v1/reports/operator-revenue/editions"
            return await client.client.post(address, params=span | more, headers=token_of(reader))

        size = house.clearing.state.next_index
        refused = [(await publish(reader)).status_code for reader in (1, 2)]
        first, again = (await publish(0, as_of=str(size))).json(), (await publish(0, as_of=str(size))).json()
        before = (await client.client.get(f"/v1/editions/{first['document']}/1", headers=token_of(2))).content
        await house.seal_windows()
        second = (await publish(0)).json()
        kept = await client.client.get(f"/v1/editions/{first['document']}/1", headers=token_of(2))
        strangers = [
            (await client.client.get(f"/v1/editions/{first['document']}{end}", headers=token_of(1))).status_code
            for end in ("", "/1")
        ]
        listed = (await client.client.get(f"/v1/editions/{first['document']}", headers=token_of(2))).json()
        missing = (await client.client.get(f"/v1/editions/{first['document']}/7", headers=token_of(2))).status_code
        async with house.engine.connect() as connection:
            for table in ("edition", "edition_part"):
                with pytest.raises(DBAPIError):
                    await connection.execute(sa.text(f"DELETE FROM {table}"))
                await connection.rollback()
        return refused, first, again, before, second, kept, strangers, listed, missing

    refused, first, again, before, second, kept, strangers, listed, missing = asking(story)
    assert refused == [403, 403]
    assert strangers == [403, 403]
    assert missing == 404
    assert first == again
    assert kept.content == before
    one, two = (read_manifest(told["manifest"], [VERIFIER]) for told in (first, second))
    assert (one.edition, one.supersedes) == (1, b"")
    assert (two.edition, two.supersedes) == (2, one.sha256)
    assert [told["edition"] for told in listed["editions"]] == [1, 2]
    assert "_e1.csv" in kept.headers["content-disposition"]


def test_two_who_publish_at_once_publish_one_edition(asking):
    async def story(client):
        size = str(client.house.clearing.state.next_index)

        async def publish():
            given = {"as_of": size}
            return await client.client.post("/v1/reports/window-net/editions", params=given, headers=token_of(0))

        answers = await asyncio.gather(*(publish() for _ in range(4)))
        document = next(answer.json()["document"] for answer in answers if answer.status_code == 200)
        listed = (await client.client.get(f"/v1/editions/{document}")).json()["editions"]
        return [answer.status_code for answer in answers], listed

    codes, listed = asking(story)
    assert set(codes) <= {200, 409}
    assert len(listed) == 1


def test_a_large_edition_comes_back_in_its_parts(asking, monkeypatch):
    from settlement.store import editions

    monkeypatch.setattr(editions, "PART_BYTES", 100)

    async def story(client):
        published = (await client.client.post("/v1/reports/window-net/editions", headers=token_of(0))).json()
        answer = await client.client.get(f"/v1/editions/{published['document']}/{published['edition']}")
        now = await client.client.get("/v1/reports/window-net", params={"as_of": published["as_of_size"]})
        return answer.content, now.content

    stored, now = asking(story)
    assert stored == now
    assert len(stored) > 1000


def test_a_house_without_a_key_gives_reports_that_nobody_signed_and_publishes_none(asking):
    async def story(client):
        app = app_of(client.house)
        parts = app.state.running.parts
        import dataclasses

        app.state.running.parts = dataclasses.replace(parts, reports_key=None)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://house", auth=AskedBy(1)) as bare:
            report = await bare.get("/v1/reports/window-net")
            manifest = await bare.get("/v1/reports/window-net/manifest")
            published = await bare.post("/v1/reports/window-net/editions", headers=token_of(0))
        return report, manifest, published

    report, manifest, published = asking(story)
    assert report.status_code == 200
    assert "report-manifest" not in report.headers
    assert (manifest.status_code, published.status_code) == (404, 404)
    assert "--use report" in manifest.json()["detail"]


def test_the_catalogue_tells_every_report_in_two_languages(asking):
    async def story(client):
        return (await client.client.get("/v1/reports")).json()["reports"]

    told = asking(story)
    assert [report["name"] for report in told] == list(REPORTS)
    for report in told:
        assert report["title"]["zh"]
        assert all(column["zh"] and column["en"] for column in report["columns"])


def test_the_log_key_signs_no_report(asking):
    async def story(client):
        return (await client.file("window-net"))[1]

    names = [line.name for line in read_note(asking(story)).lines]
    assert names == [f"{ORIGIN}/reports"]
