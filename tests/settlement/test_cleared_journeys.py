"""Cleared journeys explained over HTTP, from a small house on a real database: every fen recomputed from the JSON alone."""

import numpy as np
import pytest

from city_adapters.table_packing import pack_city
from fare_chain.events import EntryKind, TariffEntry
from fare_chain.hashing import leaf_hash, sha256
from settlement.core.columns import JOURNEY_DTYPE, SHARE_DTYPE
from settlement.sequencer import Control
from settlement.store.ledger import keep_table
from simulators.small_cities import FOREVER_US, OPENING_US, small_city
from tests.conftest import AskedBy


def party(journey):
    """Whoever may see a journey: its issuer."""
    return AskedBy(int(journey["issuer"]))


async def stored(house):
    """Every cleared journey with its shares in fen and the seed of its tick."""
    found = []
    async with house.engine.connect() as connection:
        ticks = (
            await connection.exec_driver_sql("SELECT to_index, recorded_us, journey_block, share_block FROM cleared_tick")
        ).all()
        for tick in ticks:
            query = f"SELECT data FROM entry WHERE entry_index = {tick.to_index - 1}"
            seed = leaf_hash((await connection.exec_driver_sql(query)).scalar_one())
            shares = np.frombuffer(tick.share_block, SHARE_DTYPE)
            for row, journey in enumerate(np.frombuffer(tick.journey_block, JOURNEY_DTYPE)):
                own = shares[shares["journey"] == row]
                paid = dict(zip(own["beneficiary"].tolist(), own["amount_fen"].tolist(), strict=True))
                found.append((journey, paid, seed, tick.recorded_us))
    return found


def drawn_by_hand(explained):
    """The shares and the commission as somebody computes them who has the JSON and whole numbers, and nothing else."""
    point = int.from_bytes(bytes.fromhex(explained["draw"]["journey_id"])[:8], "little")
    point = (point + int.from_bytes(bytes.fromhex(explained["draw"]["seed"])[:8], "little")) % 2**64 >> 1
    total = sum(share["weight"] for share in explained["shares"])
    shares, edge, upto = {}, 0, 0
    for share in explained["shares"]:
        upto += share["weight"]
        reached = (explained["fare_fen"] * upto + point % total) // total
        shares[share["beneficiary"]] = reached - edge
        edge = reached
    terms = explained["commission"]
    commission = (explained["fare_fen"] * terms["ppm"] + point % 10**6) // 10**6 if terms else 0
    return shares, commission, terms["fee_fen"] if terms else 0


def test_every_fen_of_every_journey_is_recomputed_from_its_explanation_alone(told):
    async def story(house, client):
        journeys = await stored(house)
        for journey, paid, seed, _recorded_us in journeys:
            name = journey["journey_id"].tobytes().hex()
            explained = (await client.get(f"/v1/journeys/{name}/explanation", auth=party(journey))).json()
            assert explained["draw"]["seed"] == seed.hex()
            shares, commission_fen, fee_fen = drawn_by_hand(explained)
            assert shares == paid == {share["beneficiary"]: share["fen"] for share in explained["shares"]}
            assert (commission_fen, fee_fen) == (int(journey["commission_fen"]), int(journey["fee_fen"]))
            assert sum(shares.values()) == explained["fare_fen"] == int(journey["fare_fen"])
            for share in explained["shares"]:
                more = any(begin <= explained["draw"]["point"] < end for begin, end in share["one_more_where_point_in"])
                assert share["fen"] == share["floor_fen"] + more
        return len(journeys)

    assert told(story) == 30


def test_an_explanation_names_the_tables_on_the_ledger_and_says_what_it_cannot_tell(told):
    async def story(house, client):
        journey, *_ = (await stored(house))[0]
        name = journey["journey_id"].tobytes().hex()
        explained = (await client.get(f"/v1/journeys/{name}/explanation", auth=party(journey))).json()
        for table in (explained["tables"]["city_table"], explained["tables"]["agreement"]):
            assert (await client.get(f"/table/{table}")).status_code == 200
        words = (await client.get(f"/v1/journeys/{name}/explanation.txt", auth=party(journey))).text
        assert f"of journey {name}" in words
        assert "folder is not at hand" in words
        picture = await client.get(f"/v1/journeys/{name}/explanation.svg", auth=party(journey))
        return picture.status_code, picture.json()["title"]

    assert told(story) == (404, "Unknown")


def test_a_journey_keeps_its_explanation_under_the_table_of_its_time(told):
    dearer = small_city(1, "alder", [(OPENING_US, FOREVER_US, 700)], kilometres=(1.3, 2.2, 0.9), beneficiaries=(1, 2, 3))

    async def story(house, client):
        journey = next(journey for journey, *_ in await stored(house) if int(journey["host"]) == 1)
        path = f"/v1/journeys/{journey['journey_id'].tobytes().hex()}/explanation"
        before = (await client.get(path, auth=party(journey))).json()
        data = pack_city(dearer)
        async with house.engine.begin() as connection:
            await keep_table(connection, sha256(data), data)
        house.sequencer.stage_control(Control(EntryKind.TARIFF, TariffEntry(1, len(data), sha256(data)).to_bytes(), data))
        await house.seal_windows()
        assert (await client.get(path, auth=party(journey))).json() == before
        return before["tables"]["city_table"] == sha256(data).hex()

    assert told(story) is False


def test_a_search_is_bounded_by_recorded_time(told):
    async def story(house, client):
        journey, _paid, _seed, recorded_us = (await stored(house))[0]
        path = f"/v1/journeys/{journey['journey_id'].tobytes().hex()}/explanation"
        second = recorded_us // 1_000_000
        spans = {
            "around": {"from": second, "to": second + 1},
            "before": {"from": second - 60, "to": second},
            "after": {"from": second + 1, "to": second + 60},
            "too long": {"from": second - 8 * 86_400, "to": second + 1},
        }
        return {name: (await client.get(path, params=span, auth=party(journey))).status_code for name, span in spans.items()}

    assert told(story) == {"around": 200, "before": 404, "after": 404, "too long": 400}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"journeys/{'0' * 32}/explanation", 404),
        (f"journeys/{'0' * 31}/explanation", 400),
        (f"journeys/{'A' * 32}/explanation", 400),
        (f"journeys/{'0' * 32}/explanation?since=1", 400),
        (f"journeys/{'0' * 32}/explanation?from=yesterday", 400),
        ("fares/quote?from=ALD-1&to=ALD-2", 404),
        ("fares/quote?from=ALD-1", 400),
        ("fares/quote?from=ALD-1&to=ALD-2&step=300", 400),
        ("fares/quote?from=ALD-1&to=ALD-2&form=x", 400),
        ("fares/quote?from=ALD-1&from=ALD-2&to=ALD-2", 400),
    ],
)
def test_what_is_not_there_or_cannot_be_read_is_refused_by_name(told, path, status):
    async def story(_house, client):
        answer = await client.get(f"/v1/{path}")
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code

    assert told(story) == status


def test_stored_money_that_was_changed_is_not_explained(told):
    async def story(house, client):
        journey, *_ = (await stored(house))[0]
        name = journey["journey_id"].tobytes().hex()
        async with house.engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE cleared_tick DISABLE TRIGGER USER")
            changed = "UPDATE cleared_tick SET share_block = overlay(share_block placing '\\x00' from 9 for 1)"
            await connection.exec_driver_sql(f"{changed} WHERE length(share_block) > 0")
        answer = await client.get(f"/v1/journeys/{name}/explanation", auth=party(journey))
        return answer.status_code, "does not give what is stored" in answer.json()["detail"]

    assert told(story) == (409, True)
