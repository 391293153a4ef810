"""Tables whose bytes are well formed and say what cannot be: refused by name, whoever wrote them."""

from dataclasses import replace

import numpy as np
import pytest

from city_adapters.catalogue import load_catalogue
from city_adapters.city_files import load_city
from city_adapters.table_compiler import compile_agreement, compile_city
from city_adapters.table_packing import pack_agreement, pack_city, unpack_agreement, unpack_city
from city_adapters.tables import Border, Calendar, Concession, GateArea, Period, RideTerms, Walk
from fare_chain.errors import Malformed


@pytest.fixture
def table(testville):
    return compile_city(load_city(testville))


def version(table, **fields):
    return replace(table, versions=(replace(table.versions[0], **fields),))


def areas(table, *gate_areas):
    """The table with these gate areas, their rows as those of the stations."""
    first, more = table.versions[0], len(gate_areas)
    rows = [*range(len(table.station_ids)), *[0] * more]
    both = np.ix_(rows, rows)
    fitted = replace(first, fare_fen=first.fare_fen[both], distance_m=first.distance_m[both], weights=first.weights[0][both][None])
    return replace(table, versions=(fitted,), gate_areas=gate_areas)


DAYS = ((20_000, 0), (20_001, 2))
BAD = {
    "a gate area at no station": (lambda t: areas(t, GateArea(99, 1, 2, "X")), "name a station that is not there"),
    "gates that end before they begin": (lambda t: areas(t, GateArea(0, 2, 1, "X")), "gate areas.* overlap, or end before"),
    "gates in two areas": (lambda t: areas(t, GateArea(0, 1, 5, "X"), GateArea(1, 5, 9, "Y")), "gate areas.* overlap"),
    "a walk to no station": (lambda t: replace(t, walks=(Walk(0, 99, 1),)), "name a station that is not there"),
    "a walk without a limit": (lambda t: replace(t, walks=(Walk(0, 1, 0),)), "no time limit"),
    "a walk told twice": (lambda t: replace(t, walks=(Walk(0, 1, 5), Walk(0, 1, 6))), "stand there twice"),
    "a border at no station": (lambda t: replace(t, borders=(Border(99, "OTH-a", 5),)), "name a station that is not there"),
    "a border without a limit": (lambda t: replace(t, borders=(Border(0, "OTH-a", 0),)), "no time limit"),
    "days out of order": (lambda t: replace(t, calendar=Calendar(0, 0, DAYS[::-1])), "days out of order"),
    "a day of no type": (lambda t: replace(t, calendar=Calendar(0, 0, ((1, 3),))), "of an unknown type"),
    "a day off by more than a day": (lambda t: replace(t, calendar=Calendar(90_000, 0, ())), "more than a day off"),
    "marker weights that are not there": (lambda t: version(t, marker_set=1), "marker weights that is not there"),
    "marker weights that are the model's": (lambda t: version(t, marker_set=0), "marker weights that is not there"),
    "a period without weights": (lambda t: version(t, periods=(Period(1, 0, 60, 1),)), "weights are not there"),
    "a period of no day": (lambda t: version(t, periods=(Period(0, 0, 60, 0),)), "no day or no hour"),
    "a period of no hour": (lambda t: version(t, periods=(Period(1, 60, 60, 0),)), "no day or no hour"),
    "a concession after midnight": (lambda t: version(t, concessions=(Concession(1, 0, 5, 1, 7, 0, 1441),)), "no day or no hour"),
    "a concession beyond the fare": (lambda t: version(t, concessions=(Concession(1, 0, 1_000_001, 1),)), "beyond the whole fare"),
    "a concession for nobody": (lambda t: version(t, concessions=(Concession(0, 0, 5, 1),)), "for nobody"),
    "a concession of no funder": (lambda t: version(t, concessions=(Concession(1, 0, 5, 4),)), "funded by nobody known"),
    "a surcharge below nothing": (lambda t: version(t, terms=RideTerms(surcharge_fen=-1)), "negative terms"),
    "an overstay of no rule": (lambda t: version(t, terms=RideTerms(beyond=4)), "an unknown rule"),
    "a fare that nobody earned": (lambda t: version(t, weights=np.zeros_like(t.versions[0].weights)), "that nobody earned"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_table_that_says_what_cannot_be_is_refused(table, name):
    spoil, found = BAD[name]
    with pytest.raises(Malformed, match=found):
        unpack_city(pack_city(spoil(table)))


def test_the_helpers_of_these_tests_spoil_nothing_themselves(table):
    for good in (table, version(table), areas(table, GateArea(0, 1, 5, "X"), GateArea(1, 6, 9, "Y"))):
        assert pack_city(unpack_city(pack_city(good))) == pack_city(good)


@pytest.mark.parametrize(("at", "value"), [((0, 1), 2), ((1, 0), -1), ((3, 3), 0)])
def test_an_agreement_grants_discounts_or_does_not(at, value):
    catalogue = load_catalogue()
    agreement = compile_agreement(catalogue.agreements[0], catalogue.member_numbers)
    earn = agreement.visitors_earn.copy()
    earn[at] = value
    with pytest.raises(Malformed, match="visitors' discounts"):
        unpack_agreement(pack_agreement(replace(agreement, visitors_earn=earn)))
