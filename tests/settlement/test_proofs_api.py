"""Proofs over HTTP are those that the log itself gives, byte for byte; made of stored rows, for those whom they concern."""

import asyncio
import functools
import time

import pytest
from sqlalchemy import text as sql

from fare_chain import inner_proofs
from fare_chain.access_tokens import issue_token
from fare_chain.batch import read_header
from fare_chain.events import EntryKind
from fare_chain.keys import KeyUse, PublicKey
from fare_chain.ledger import read_entry
from fare_chain.tap import TAP_BYTES
from fare_chain.tap import read as read_tap
from settlement.proving import from_log
from settlement.store.ledger import read_bundle
from simulators.small_house import ORIGIN, small_key
from tests.settlement.proving.proofs_of_a_log import line_of, opened

CITIES = (0, 1, 2, 3)


def access(owner):
    """An access key of a member as the ring has it."""
    return PublicKey(owner, KeyUse.ACCESS, small_key(owner, KeyUse.ACCESS).public, 0, 2**60)


def token(owner):
    """A member's signed token for now."""
    signed = issue_token(small_key(owner, KeyUse.ACCESS), access(owner), audience=ORIGIN, now_s=int(time.time()))
    return {"Authorization": f"Bearer {signed}"}


class Once:
    """A log that stands still, read once."""

    def __init__(self, source):
        self.read = functools.cache(source.read)


class Asking:
    """A house that knows its members' access keys, a client, and the windows that its log gives when it is cleared again."""

    def __init__(self, house, client, windows, source):
        self.house, self.client, self.windows, self.source = house, client, windows, source

    async def get(self, what, owner=0, /, **asked):
        given = {name.removesuffix("_"): value for name, value in asked.items() if value is not None}
        headers = {} if owner is None else token(owner)
        return await self.client.get(f"/v1/proofs/{what}", params=given, headers=headers, auth=None)

    async def proof(self, what, owner=0, /, **asked):
        answer = await self.get(what, owner, **asked)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def from_log(self, prove, *given):
        return await asyncio.to_thread(prove, self.source, *given)


@pytest.fixture
def asked(told, app_of, app_log):
    """Ask a house where riders have ridden for proofs."""

    def run(story):
        async def main(house, client):
            for owner in CITIES:
                house.intake.ring = house.intake.ring.including(access(owner))
            source = Once(app_log(app_of(house), asyncio.get_running_loop()))
            windows = await asyncio.to_thread(lambda: list(from_log.cleared_windows(source)))
            return await story(Asking(house, client, windows, source))

        return told(main)

    return run


def test_every_journey_sum_and_balance_is_proved_as_the_log_proves_it(asked):
    async def story(scene):
        for window in scene.windows:
            second = window.window.second
            assert await scene.proof("window", second=second) == await scene.from_log(inner_proofs.prove_window, second)
            for tick in window.ticks:
                for record in tick.journeys:
                    journey_id = record["journey_id"].tobytes()
                    assert await scene.proof("journey", int(record["issuer"]), id=journey_id.hex()) == await scene.from_log(
                        from_log.prove_journey, journey_id
                    )
            rows = [row for tick in window.ticks for row in tick.sums]
            for line in {line_of(row) for row in rows}:
                creditor = str(line.creditor) if line.level == 1 else f"{line.creditor >> 8}.{line.creditor & 255}"
                kind = {1: "fare", 2: "commission", 3: "fee", 7: "local-fare"}[line.kind]
                found = await scene.proof("line", second=second, debtor=line.debtor, creditor=creditor, kind=kind)
                assert found == await scene.from_log(from_log.prove_line, second, line)
        return sum(window.window.journeys for window in scene.windows)

    assert asked(story) == 30


def test_statements_are_those_of_the_log_wherever_they_open_and_close(asked):
    async def story(scene):
        first, *_others, last = scene.windows
        spans = [*((None, window) for window in scene.windows), (first, scene.windows[3]), (scene.windows[3], last)]
        for begin, end in spans:
            from_second = None if begin is None else begin.window.second + 1
            to_second = end.window.second + 1
            for beneficiary, _fen in end.earned:
                party = f"{beneficiary >> 8}.{beneficiary & 255}"
                found = await scene.proof("statement", for_=party, from_=from_second, to_=to_second)
                assert found == await scene.from_log(from_log.prove_earned, beneficiary, from_second, to_second)
            found = await scene.proof("statement", None, for_="birch", from_=from_second, to_=to_second)
            assert found == await scene.from_log(inner_proofs.prove_position, 2, from_second, to_second)
            assert opened(found).cleared.closing_fen == dict(end.window.positions)[2]

    asked(story)


def test_a_tap_is_proved_as_the_log_proves_it_to_its_host_and_issuer(asked):
    async def story(scene):
        async with scene.house.engine.connect() as connection:
            entries = [read_entry(data) for data in await read_bundle(connection, 0, scene.house.sequencer.head.head.size)]
        batch = next(entry for entry in entries if entry.kind is EntryKind.BATCH)
        taps = await asyncio.to_thread(scene.source.read, f"body/{read_header(batch.payload).body_hash.hex()}")
        for number in range(len(taps) // TAP_BYTES):
            shown = read_tap(taps[number * TAP_BYTES : (number + 1) * TAP_BYTES])
            for owner in CITIES[1:]:
                answer = await scene.get("tap", owner, batch=batch.index, tap=number)
                assert answer.status_code == (200 if owner in (shown.host, shown.issuer) else 403), answer.text
                if answer.status_code == 200:
                    assert answer.text == await scene.from_log(inner_proofs.prove_tap, batch.index, number)
        refused = [await scene.get("tap", 1, batch=batch.index, tap=9999), await scene.get("tap", 1, batch=0, tap=0)]
        return [answer.status_code for answer in refused]

    assert asked(story) == [404, 404]


def test_a_proof_goes_to_those_whom_it_concerns(asked):
    async def story(scene):
        busy = next(window for window in scene.windows if window.window.journeys)
        journeys = [record for window in scene.windows for tick in window.ticks for record in tick.journeys]
        for record in journeys:
            of = {int(record["host"]), int(record["issuer"])}
            for owner in CITIES[1:]:
                answer = await scene.get("journey", owner, id=record["journey_id"].tobytes().hex())
                assert answer.status_code == (200 if owner in of else 403), answer.text
        assert {len({int(record["host"]), int(record["issuer"])}) for record in journeys} == {1, 2}
        second, end = busy.window.second, scene.windows[-1].window.second + 1
        for owner in CITIES:
            line = await scene.get("line", owner, second=second, debtor="birch", creditor="alder")
            assert line.status_code == (200 if owner in (0, 1, 2) else 403), line.text
            earned = await scene.get("statement", owner, for_="2.1", to_=end)
            assert earned.status_code == (200 if owner in (0, 2) else 403), earned.text
        for kind, asked_for in {
            "tap": {"batch": 20, "tap": 0},
            "journey": {"id": journeys[0]["journey_id"].tobytes().hex()},
            "line": {"second": second, "debtor": 2, "creditor": 1},
            "statement": {"for_": "2.1", "to_": end},
        }.items():
            answer = await scene.get(kind, None, **asked_for)
            assert (answer.status_code, answer.json()["title"]) == (401, "Unidentified"), kind

    asked(story)


def test_what_cannot_be_proved_is_named(asked):
    async def story(scene):
        first, last = scene.windows[0].window.second, scene.windows[-1].window.second
        answers = {
            "no such journey": await scene.get("journey", 1, id="00" * 16),
            "no journey's id": await scene.get("journey", 1, id="zz"),
            "eight days": await scene.get("journey", 1, id="00" * 16, from_=0, to_=8 * 86_400),
            "before the log": await scene.get("window", second=5),
            "still open": await scene.get("window", second=last + 100),
            "nothing owed": await scene.get("line", second=first, debtor=1, creditor=1),
            "no such kind": await scene.get("line", second=first, debtor=1, creditor=2, kind="debt"),
            "no such party": await scene.get("statement", for_="nowhere", to_=last),
            "nothing earned": await scene.get("statement", for_="1.99", to_=last),
            "no span": await scene.get("statement", for_="1.1", from_=last + 1, to_=last + 1),
            "no number": await scene.get("window", second="now"),
        }
        for answer in answers.values():
            assert answer.headers["content-type"] == "application/problem+json"
        return {name: answer.status_code for name, answer in answers.items()}

    assert asked(story) == {
        "no such journey": 404, "no journey's id": 400, "eight days": 400, "before the log": 404, "still open": 404,
        "nothing owed": 404, "no such kind": 400, "no such party": 404, "nothing earned": 404, "no span": 404, "no number": 400,
    }  # fmt: skip


def test_rows_that_do_not_give_the_root_on_the_ledger_are_never_proved(asked):
    async def story(scene):
        busy = next(window for window in scene.windows if window.window.journeys)
        end = scene.windows[-1].window.second + 1
        journey_id = busy.ticks[-1].journeys["journey_id"][0].tobytes().hex()
        async with scene.house.engine.begin() as connection:
            await connection.execute(sql("SET LOCAL session_replication_role = replica"))  # who owns the machine owns its triggers
            await connection.execute(
                sql("UPDATE cleared_tick SET journey_block = set_byte(journey_block, 64, 77) WHERE journeys > 0")
            )
            await connection.execute(
                sql("UPDATE posting SET after_fen = after_fen + 1, before_fen = before_fen + 1 WHERE account = 5")
            )
        bent_line = {"second": busy.window.second, "debtor": 2, "creditor": 1}
        answers = [
            await scene.get("journey", int(busy.ticks[-1].journeys["issuer"][0]), id=journey_id),
            await scene.get("line", **bent_line),
            await scene.get("statement", for_="1.1", from_=busy.window.second + 1, to_=end),
        ]
        return [(answer.status_code, answer.json()["title"]) for answer in answers]

    assert asked(story) == [(409, "Conflict")] * 3
