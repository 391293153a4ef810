"""A proof in words and in JSON: discounts, shares of several operators, what a host owes inside."""

import json
from dataclasses import replace

from fare_chain.checkpoint import Checkpoint
from fare_chain.cleared_records import Balance, Sum, read_journey_leaf
from fare_chain.events import EntryKind, WindowEntry
from fare_chain.inner_proofs import Proved
from fare_chain.ledger import Entry
from fare_chain.proof_words import in_words, to_json
from fare_chain.window_proofs import ProvedJourney, ProvedLine

ROOT = bytes(32)
WINDOW = WindowEntry(1_728_028_801, 1, 0, 9, 40, 20, 900, 300, ROOT, ROOT, ROOT, ())
PLAIN, _NO_SHARES = read_journey_leaf(b"\x01" + bytes(60) + b"\x01\x00" + bytes(66))


def proved(cleared):
    entry = Entry(EntryKind.WINDOW, 7, 0, ROOT, WINDOW.to_bytes())
    return Proved(Checkpoint("small.example/clearing", 9, ROOT), entry, window=WINDOW, cleared=cleared)


def test_a_journey_tells_its_discount_and_who_earned_what():
    journey = replace(
        PLAIN, host=4, issuer=1, fare_fen=270, nominal_fen=300, discount_fen=60, surcharge_fen=30, funder=3, commission_fen=3,
        fee_fen=1, legs=2, markers=1, exited_at_us=2**62,
    )  # fmt: skip
    shown = proved(ProvedJourney(journey, (Balance(1025, 200), Balance(1027, 70))))
    said = "\n".join(in_words(shown))
    for line in (
        "fare 270 fen, the rider pays 270 fen",
        "nominal 300 fen, discount 60 fen (paid by a third party), surcharge 30 fen",
        "beneficiary 4.1 earns 200 fen",
        "beneficiary 4.3 earns 70 fen",
        "commission 3 fen to the issuer, fee 1 fen to the scheme",
        "1970-01-01T00:00:00.000000Z",
        f"{2**62} us",
        "legs 2, markers 1",
    ):
        assert line in said
    told = json.loads(json.dumps(to_json(shown)))
    assert (told["kind"], told["shares"][1], told["journey"]["journey_id"]) == ("journey", {"owner": 1027, "fen": 70}, "00" * 16)


def test_a_line_inside_a_host_names_its_operator():
    said = "\n".join(in_words(proved(ProvedLine((Sum(2, 7, 4, 1027, 2, 90), Sum(2, 7, 4, 1027, 1, 10))))))
    assert "host 4 owes beneficiary 4.3 100 fen of fares of its own riders (journeys: 3)" in said
    assert "not shown" in said
