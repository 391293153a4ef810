"""Who may see what, over real HTTP on a real database: every address, every row, and every look on the ledger."""

import asyncio
import socket
import time
from dataclasses import replace

import httpx2
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from fare_chain.access_tokens import issue_token
from fare_chain.audit import audit
from fare_chain.batch import read_codes
from fare_chain.errors import Malformed, Untrusted
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.governance import Basis, Scope, read_look_entry
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse, SigningKey
from fare_chain.ledger import read_entry
from fare_chain.log_export import export
from fare_chain.log_reader import FolderLog
from fare_chain.tap import TapKind, read, records
from settlement import sequencer
from settlement.core.replay import Rederiving
from settlement.sequencer import Control
from settlement.store import ledger as store
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from settlement.web.app import make_app
from settlement.web.parts import Running
from settlement.web.permits import PERMITS, Caller, Role, hold_report, read_basis
from simulators.small_cities import SECOND_US
from simulators.small_house import (
    AUDITOR,
    LOG_VERIFIER,
    ORIGIN,
    REGULATOR,
    SmallAdapter,
    SmallHouse,
    SmallRider,
    access_ring,
    small_access,
    small_key,
)
from tests.conftest import AppLog, AskedBy, looks_taken
from tests.settlement.test_cleared_journeys import stored

HOST, ISSUER, OTHER = 1, 2, 3
MATRIX = """
route                                             nobody host issuer other scheme auditor forged expired
POST /v1/batches                                  400    400  400    400   400    400     400    400
POST /v1/cosignatures                             404    404  404    404   404    404     404    404
GET /v1/follow                                    401    200  200    200   403    403     401    401
GET /checkpoint                                   200    200  200    200   200    200     200    200
GET /v1/checkpoint                                200    200  200    200   200    200     200    200
GET /v1/anchored                                  404    404  404    404   404    404     404    404
GET /log.vkey                                     200    200  200    200   200    200     200    200
GET /policy                                       404    404  404    404   404    404     404    404
GET /tile/{path:path}                             200    200  200    200   200    200     200    200
GET /table/{digest}                               200    200  200    200   200    200     200    200
GET /body/{digest}                                401    200  403    403   200    200     401    401
GET /codes/{digest}                               401    200  200    403   200    200     401    401
POST /v1/looks                                    401    403  403    403   200    200     401    401
POST /v1/evidence                                 400    400  400    400   400    400     400    400
GET /evidence/{digest}                            401    404  404    404   404    404     401    401
POST /v1/erasures                                 401    400  400    400   400    403     401    401
GET /v1/proofs/tap                                401    200  200    403   200    200     401    401
GET /v1/proofs/journey                            401    200  200    403   200    200     401    401
GET /v1/proofs/window                             200    200  200    200   200    200     200    200
GET /v1/proofs/line                               401    200  200    403   200    403     401    401
GET /v1/proofs/statement                          200    200  200    200   200    200     200    200
GET /v1/health                                    200    200  200    200   200    200     200    200
GET /v1/status                                    200    200  200    200   200    200     200    200
GET /v1/windows                                   200    200  200    200   200    200     200    200
GET /v1/windows/{second}                          401    200  200    200   200    200     401    401
GET /v1/cities/{city}/watermark                   200    200  200    200   200    200     200    200
GET /v1/reports                                   200    200  200    200   200    200     200    200
GET /v1/reports/{name}                            401    200  200    200   200    200     401    401
GET /v1/reports/{name}/manifest                   401    404  404    404   404    404     401    401
POST /v1/reports/{name}/editions                  401    403  403    403   404    403     401    401
GET /v1/editions/{document}                       401    200  200    200   200    200     401    401
GET /v1/editions/{document}/{number}              401    404  404    404   404    404     401    401
GET /v1/fares/quote                               404    404  404    404   404    404     404    404
GET /v1/fares/quote.svg                           404    404  404    404   404    404     404    404
GET /v1/journeys/{journey_id}/explanation         401    200  200    403   200    200     401    401
GET /v1/journeys/{journey_id}/explanation.txt     401    200  200    403   200    200     401    401
GET /v1/journeys/{journey_id}/explanation.svg     401    404  404    403   404    404     401    401
GET /openapi.json                                 200    200  200    200   200    200     200    200
"""
"""The statuses of one request each, about a ride of issuer 2 in host 1. The house has no policy and no folders (404)."""


def bearer(owner, *, key=None, ago_s=0):
    described = next(known for known in access_ring() if known.owner == owner)
    key = key or small_key(owner, KeyUse.ACCESS)
    return {"Authorization": f"Bearer {issue_token(key, described, audience=ORIGIN, now_s=int(time.time()) - ago_s)}"}


def callers():
    """The header of everybody who asks, signed now: a token is good for minutes, and a session of tests is longer."""
    return {
        "nobody": {},
        "host": bearer(HOST),
        "issuer": bearer(ISSUER),
        "other": bearer(OTHER),
        "scheme": bearer(0),
        "auditor": bearer(AUDITOR),
        "forged": bearer(AUDITOR, key=SigningKey(bytes(32))),
        "expired": bearer(AUDITOR, ago_s=3600),
    }


def routes_of(app):
    """Every method and address that the app answers, found in the app itself."""
    plain = {(method, route.path) for route in app.routes if isinstance(route, Route) for method in route.methods - {"HEAD"}}
    described = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    return {f"{method} {path}" for method, path in plain | described}


def test_every_route_has_a_line_in_the_table_and_in_the_matrix_and_no_line_is_without_a_route():
    lines = {" ".join(line.split()[:2]) for line in MATRIX.strip().splitlines()[1:]}
    assert routes_of(make_app(Running())) == set(PERMITS) == lines


@pytest.fixture
def served(database_url, app_of, ride_about):
    """Tell a story to a client of a small house behind a real socket; its ledger has the keys of scheme, cities and readers."""

    async def main(story, rides):
        engine = make_engine(database_url)
        await migrate(engine)
        house = SmallHouse(engine)
        await house.start()
        for key in access_ring():
            house.sequencer.stage_control(Control(EntryKind.KEY, KeyEntry.of(key, small_key(key.owner, KeyUse.ACCESS)).to_bytes()))
        await house.tick()
        await (rides or ride_about)(house)
        app = app_of(house)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
                house.app = app
                try:
                    return await story(house, client)
                finally:
                    server.should_exit = True
                    await serving
                    await engine.dispose()

    return lambda story, rides=None: asyncio.run(main(story, rides))


async def one_ride(house):
    """A rider of city 2 rides in city 1, and nobody else."""
    rider, at_us = SmallRider(5, ISSUER), house.now_us - 3600 * SECOND_US
    scans = [rider.scan(HOST, 1, TapKind.ENTRY, at_us), rider.scan(HOST, 2, TapKind.EXIT, at_us + 900 * SECOND_US)]
    await house.take(SmallAdapter(HOST).seal(scans))
    await house.seal_windows()


async def bodies(house):
    """Every body on the ledger: hash, host, entry."""
    async with house.engine.connect() as connection:
        query = "SELECT body_hash, city, entry_index, taps FROM body JOIN entry USING (entry_index) ORDER BY entry_index"
        return (await connection.exec_driver_sql(query)).all()


async def looks(house):
    """Every look on the ledger, as it is stored."""
    async with house.engine.connect() as connection:
        return [read_look_entry(payload) for payload in await store.read_payloads(connection, EntryKind.LOOK)]


def test_every_address_answers_whom_the_matrix_says(served):
    async def story(house, client):
        (digest, _host, index, _taps), *_ = await bodies(house)
        journey, _paid, _seed, recorded_us = (await stored(house))[0]
        async with house.engine.connect() as connection:
            table = (await connection.exec_driver_sql("SELECT hash FROM rule_table LIMIT 1")).scalar_one()
            second = (await connection.exec_driver_sql("SELECT max(second) FROM win")).scalar_one()
        names = {
            "{path:path}": "0/000.p/1", "{second}": str(second), "{city}": "alder", "{name}": "window-net",
            "{document}": "nothing", "{number}": "1",
            "{journey_id}": journey["journey_id"].tobytes().hex(),
        }  # fmt: skip
        quote = {"from": "ALD-1", "to": "ALD-2"}
        proofs = {
            "/v1/proofs/tap": {"batch": index, "tap": 0},
            "/v1/proofs/journey": {"id": journey["journey_id"].tobytes().hex()},
            "/v1/proofs/window": {"second": second},
            "/v1/proofs/line": {"second": recorded_us // SECOND_US, "debtor": ISSUER, "creditor": HOST},
            "/v1/proofs/statement": {"for": "alder", "to": second},
        }
        found = [MATRIX.strip().splitlines()[0]]
        for line in PERMITS:
            method, address = line.split()
            path = address.replace("{digest}", (table if "table" in address else digest).hex())
            for name, value in names.items():
                path = path.replace(name, value)
            statuses = []
            for name, headers in callers().items():
                basis = (
                    {"basis": "audit"}
                    if name in ("scheme", "auditor") and any(part in path for part in ("journeys", "look", "proofs"))
                    else {}
                )
                basis |= {"basis": "audit"} if path.startswith(("/body", "/codes")) else {}
                params = basis | (quote if "quote" in path else {}) | proofs.get(path, {})
                answer = await looks_taken(house, client.request(method, path, params=params, headers=headers))
                if answer.status_code == 401:
                    assert answer.headers["www-authenticate"] == "Bearer"
                if answer.status_code in (401, 403):
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert "no-store" in answer.headers["cache-control"]
                if path.startswith(("/body", "/codes", "/v1/journeys", "/v1/follow")) and answer.status_code == 200:
                    assert answer.headers["cache-control"] == "private, no-store"
                statuses.append(answer.status_code)
            cells = zip(callers(), statuses, strict=True)
            found.append(f"{line:<50}" + " ".join(f"{status:<{len(name)}}" for name, status in cells).rstrip())
        return found

    assert served(story, one_ride) == MATRIX.strip().splitlines()


def test_no_city_sees_another_citys_detail_row_by_row(served):
    async def story(house, client):
        seen, expected = {"body": 0, "codes": 0, "journey": 0}, {"body": 0, "codes": 0, "journey": 0}
        for digest, host, _index, taps in await bodies(house):
            issuers = [read(record).issuer for record in records(taps)]
            expected["body"] += 1
            expected["codes"] += sum(len({host, issuer}) for issuer in issuers)
            for city in (1, 2, 3):
                body = await client.get(f"/body/{digest.hex()}", headers=bearer(city))
                assert (body.status_code == 200) == (city == host), "taps go to their host alone"
                seen["body"] += body.status_code == 200
                codes = await client.get(f"/codes/{digest.hex()}", headers=bearer(city))
                for issuer, code in zip(issuers, read_codes(codes.content), strict=True):
                    assert bool(code) == (city in (host, issuer)), "codes go to host and issuer alone"
                    seen["codes"] += bool(code)
        for journey, *_ in await stored(house):
            parties = {int(journey["host"]), int(journey["issuer"])}
            expected["journey"] += len(parties)
            for city in (1, 2, 3):
                answer = await client.get(f"/v1/journeys/{journey['journey_id'].tobytes().hex()}/explanation", headers=bearer(city))
                assert answer.status_code == (200 if city in parties else 403), answer.text
                seen["journey"] += answer.status_code == 200
        assert await looks(house) == [], "a party's look at its own is no look"
        return seen, expected

    told, expected = served(story)
    assert told == expected
    assert told["body"] == 12
    assert 66 < told["codes"] < 2 * 66, "some riders rode at home, most abroad"
    assert 30 < told["journey"] < 2 * 30


def test_a_look_is_on_the_ledger_before_its_answer_goes_out(served, monkeypatch):
    async def story(house, client):
        (digest, *_), *_ = await bodies(house)
        asked = asyncio.create_task(client.get(f"/body/{digest.hex()}?basis=supervision", headers=bearer(REGULATOR)))
        await wait_for(lambda: house.sequencer.awaited)
        append = store.append_tick

        async def late(*given, **named):
            await append(*given, **named)
            await asyncio.sleep(0.1)
            assert not asked.done(), "nothing goes out before the commit"

        monkeypatch.setattr(store, "append_tick", late)
        await house.tick()
        answer = await asked
        (look,) = await looks(house)
        assert answer.status_code == 200
        assert sha256(answer.content) == digest
        assert (look.reader, look.scope, look.basis) == (REGULATOR, Scope.BODY, Basis.SUPERVISION)
        assert look.subject == sha256(f"body/{digest.hex()}".encode())

    served(story)


def test_a_commit_that_fails_shows_nothing_and_logs_nothing(served, monkeypatch):
    async def story(house, client):
        journey, *_ = (await stored(house))[0]
        path = f"/v1/journeys/{journey['journey_id'].tobytes().hex()}/explanation"
        asked = asyncio.create_task(client.get(path, params={"basis": "audit"}, headers=bearer(AUDITOR)))
        await wait_for(lambda: house.sequencer.awaited)

        async def fail(*_given, **_named):
            raise OSError("the database is gone")

        with monkeypatch.context() as patch:
            patch.setattr(store, "append_tick", fail)
            with pytest.raises(OSError, match="gone"):
                await house.tick()
        assert not asked.done()
        house.sequencer.abandon()  # as the house does after any failed commit
        answer = await asked
        assert (answer.status_code, answer.json()["title"]) == (503, "Overloaded")
        assert await looks(house) == []
        reborn = SmallHouse(house.engine, house.now_us)
        await reborn.start()
        assert reborn.sequencer.head.head.size == house.sequencer.head.head.size

    served(story)


def test_more_looks_than_can_wait_are_put_off(served, monkeypatch):
    async def story(house, client):
        monkeypatch.setattr(sequencer, "MOST_AWAITED", 1)
        first = asyncio.create_task(client.post("/v1/looks?basis=audit", headers=bearer(AUDITOR)))
        await wait_for(lambda: house.sequencer.awaited)
        second = await client.post("/v1/looks?basis=audit", headers=bearer(0))
        await house.tick()
        third = await looks_taken(house, client.post("/v1/looks?basis=audit", headers=bearer(0)))
        return [(await first).status_code, second.status_code, third.status_code, len(await looks(house))]

    assert served(story) == [200, 503, 200, 2]


async def wait_for(is_so):
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  the sequencer tells nobody that somebody waits
            await asyncio.sleep(0.005)


def test_a_look_without_a_basis_or_under_another_roles_basis_is_refused_and_not_logged(served):
    async def story(house, client):
        (digest, *_), *_ = await bodies(house)
        answers = {}
        for owner in (0, AUDITOR, REGULATOR):
            for basis in (None, "curiosity", "supervision", "rider-asked"):
                params = {} if basis is None else {"basis": basis}
                asked = client.get(f"/codes/{digest.hex()}", params=params, headers=bearer(owner))
                answers[owner, basis] = (await looks_taken(house, asked)).status_code
        assert len(await looks(house)) == 2
        return answers

    told = served(story)
    assert {basis: told[0, basis] for basis in (None, "curiosity", "supervision", "rider-asked")} == {
        None: 400, "curiosity": 400, "supervision": 403, "rider-asked": 200,
    }  # fmt: skip
    assert [told[AUDITOR, basis] for basis in (None, "curiosity", "supervision", "rider-asked")] == [400, 400, 403, 403]
    assert [told[REGULATOR, basis] for basis in (None, "curiosity", "supervision", "rider-asked")] == [400, 400, 200, 403]


def test_one_look_at_the_whole_log_opens_what_stood_on_it_for_an_hour_to_its_reader_alone(served):
    async def story(house, client):
        (digest, *_), *_ = await bodies(house)
        first = f"/body/{digest.hex()}"
        posted = await looks_taken(house, client.post("/v1/looks?basis=audit", headers=bearer(AUDITOR)))
        look = posted.json()["look"]
        assert posted.json()["good_for_s"] == 3600
        await house.take(later_batch(house))
        later = f"/body/{(await bodies(house))[-1][0].hex()}"
        statuses = {}
        for name, path, given, owner in (
            ("its own", first, look, AUDITOR),
            ("of another reader", first, look, REGULATOR),
            ("what came later", later, look, AUDITOR),
            ("no look", first, 0, AUDITOR),
            ("no entry", first, 10**9, AUDITOR),
            ("no number", first, "x", AUDITOR),
        ):
            statuses[name] = (await client.get(path, params={"look": given}, headers=bearer(owner))).status_code
        house.now_us += 3600 * SECOND_US
        statuses["an hour later"] = (await client.get(first, params={"look": look}, headers=bearer(AUDITOR))).status_code
        assert [told.scope for told in await looks(house)] == [Scope.LOG_EXPORT]
        return statuses

    assert served(story) == {
        "its own": 200, "of another reader": 403, "what came later": 403, "no look": 403, "no entry": 403, "no number": 400,
        "an hour later": 403,
    }  # fmt: skip


def later_batch(house):
    adapter = SmallAdapter(1, house.sequencer.tail(1))
    return adapter.seal([SmallRider(900, 1).scan(1, 1, TapKind.ENTRY, house.now_us)])


def test_an_export_is_whole_by_one_look_public_without_a_key_and_refused_to_a_city(served, tmp_path):
    async def story(house, _client):
        loop = asyncio.get_running_loop()

        def exported(name, access, *, bodies):
            return looks_taken(house, asyncio.to_thread(export, AppLog(house.app, loop, access), tmp_path / name, bodies=bodies))

        await exported("whole", small_access(AUDITOR, "audit"), bodies=True)
        assert len(await looks(house)) == 1, "one look for twelve bodies and their codes"
        await exported("public", None, bodies=False)
        with pytest.raises(Untrusted, match="other cities' detail, not that of city 1"):
            await exported("city", small_access(1), bodies=True)
        with pytest.raises(Untrusted, match="send Authorization: Bearer"):
            await exported("nobody", None, bodies=True)
        again = await looks_taken(
            house,
            asyncio.to_thread(audit, AppLog(house.app, loop, small_access(0, "audit")), [LOG_VERIFIER], followers=[Rederiving()]),
        )
        assert (again.bodies, again.looks) == (True, 1), "the auditor's look is counted; the scheme's own comes after"

    served(story)
    whole, public = FolderLog(tmp_path / "whole"), FolderLog(tmp_path / "public")
    assert (whole.has_bodies, public.has_bodies) == (True, False)
    assert not (tmp_path / "city" / "checkpoint").exists()
    assert not list(tmp_path.glob("nobody/body/*"))
    assert {path.name for path in (tmp_path / "public").iterdir()} == {"checkpoint", "log.vkey", "tile", "table"}
    full = audit(whole, [LOG_VERIFIER], followers=[Rederiving()])
    open_ = audit(public, [LOG_VERIFIER], followers=[Rederiving()], bodies=False)
    assert (full.bodies, full.taps, full.rider_codes) == (True, 66, 66)
    assert (open_.bodies, open_.taps, open_.rider_codes, open_.looks) == (False, 66, 0, 1)


def test_a_reader_without_a_role_and_an_address_without_a_line_open_nothing(served):
    async def story(house, client):
        running = house.app.state.running
        running.parts = replace(running.parts, roles={})
        refused = await client.post("/v1/looks?basis=audit", headers=bearer(AUDITOR))
        house.app.add_route("/v1/backdoor", lambda _request: PlainTextResponse("open"))
        unknown = [await client.get("/v1/backdoor"), await client.delete("/checkpoint"), await client.get("/body/")]
        return refused.status_code, refused.json()["detail"], [answer.status_code for answer in unknown]

    status, detail, unknown = served(story)
    assert (status, "has a key but no role" in detail) == (403, True)
    assert unknown == [404, 404, 404]


def test_a_report_that_is_no_sum_by_member_is_a_citys_own_or_needs_a_look():
    city, scheme = Caller(1, Role.CITY), Caller(0, Role.SCHEME)
    assert not hold_report(city, "window-net", None, is_of_sums=True)
    assert not hold_report(city, "journeys", 1, is_of_sums=False)
    for member in (None, 0, 2):
        with pytest.raises(Untrusted, match="its own alone"):
            hold_report(city, "journeys", member, is_of_sums=False)
    assert hold_report(scheme, "journeys", 1, is_of_sums=False)
    assert not hold_report(scheme, "pair-matrix", None, is_of_sums=True)


def test_a_basis_is_read_by_name():
    assert read_basis("court-order", Role.REGULATOR) is Basis.COURT_ORDER
    with pytest.raises(Malformed, match="basis=supervision, court-order, audit"):
        read_basis(None, Role.REGULATOR)


def test_the_small_fixture_asks_as_who_it_says(served):
    async def story(_house, client):
        return (await client.get("/v1/follow?from=0", auth=AskedBy(1))).status_code

    assert served(story) == 200


def test_an_entry_is_read_back_by_its_index(served):
    async def story(house, _client):
        async with house.engine.connect() as connection:
            return read_entry(await store.find_entry(connection, 3)).index, await store.find_entry(connection, 10**9)

    assert served(story) == (3, None)
