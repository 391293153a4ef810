"""Small feeds become folders that load and lint without an error."""

import csv
from datetime import date
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city_adapters.city_files import lint, load_city
from city_adapters.findings import errors
from city_adapters.gtfs.city_import import Asked, import_feed
from city_adapters.table_compiler import compile_city
from tests.city_adapters.gtfs_feeds import NAMES, STEP_KM, TRIPS, feed, position, stop_times, stops

ASKED = Asked(10, "RVM", "rivermouth", "河口", "Rivermouth")
IDS = {place: f"RVM-{name.lower().replace(' ', '-')}" for place, name in NAMES.items()}


@pytest.fixture
def city_of(tmp_path):
    """Import a feed, write its folder, load and lint it."""

    def city_of(files, asked=ASKED):
        imported = import_feed(files, asked)
        assert imported.files, "\n".join(map(str, imported.findings))
        return written(imported, tmp_path / asked.slug), imported

    return city_of


def written(imported, folder):
    folder.mkdir(exist_ok=True)
    for name, text in imported.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert errors(lint(folder)) == ()
    return load_city(folder)


def links_of(city):
    return {(link.line_id, *sorted((link.from_id, link.to_id))): link.distance_m for link in city.network.links}


def messages(imported):
    return [str(finding) for finding in imported.findings]


def linked(line, pair):
    return (line, *sorted(IDS[place] for place in pair))


EXPECTED = {
    **{linked("RVM-Lred", pair): round(STEP_KM[pair] * 1000) for pair in ("AB", "BC", "CD", "CE")},
    **{linked("RVM-Lblue", pair): round(STEP_KM[pair] * 1000) for pair in ("BF", "FG", "CG", "BC")},
}


def test_stations_lines_links_and_transfers_come_over(city_of):
    city, imported = city_of(feed())
    assert [station.station_id for station in city.stations] == sorted(IDS.values())
    assert (city.stations[0].lon_e3, city.stations[0].lat_e3) == (121_000, 31_000)
    assert [(line.line_id, line.name_en, line.kind, line.colour, line.operator) for line in city.network.lines] == [
        ("RVM-Lred", "Red", "metro", "#FF0000", 1),
        ("RVM-Lblue", "Blue", "metro", "#0000FF", 1),
    ]
    assert links_of(city) == EXPECTED
    assert {(change.from_id, change.from_line, change.to_line, change.kind) for change in city.network.transfers} == {
        (IDS["B"], "RVM-Lred", "RVM-Lblue", "same station"),
        (IDS["C"], "RVM-Lred", "RVM-Lblue", "same station"),
    }
    assert [operator.name_en for operator in city.operators] == ["Rivermouth Metro"]
    assert imported.counts == {
        "stations": 7, "lines": 2, "links": 8, "transfers": 2, "operators": 1, "examples": 0, "overrides": 0,
    }  # fmt: skip


def test_the_same_feed_gives_the_same_bytes_whatever_the_order_of_its_stops(city_of):
    first = import_feed(feed(), ASKED)
    assert import_feed(feed(), ASKED).files == first.files
    head, *rows = stops().splitlines()
    turned = import_feed(feed(stops="\n".join([head, *reversed(rows)]) + "\n"), ASKED)
    assert turned.files == first.files


@pytest.mark.parametrize(
    ("unit", "name"), [(1.0, "kilometres"), (1000.0, "metres"), (1 / 1.609344, "miles"), (1 / 0.0003048, "feet")]
)
def test_the_unit_of_the_measure_is_found_beside_straight_lines(city_of, unit, name):
    city, imported = city_of(feed(stop_times=stop_times(unit=unit)))
    assert links_of(city) == EXPECTED
    assert f"stop_times.txt:1: note: shape_dist_traveled is taken to be in {name}; nothing to do" in messages(imported)


def test_a_measure_of_no_unit_is_not_believed(city_of):
    city, imported = city_of(feed(stop_times=stop_times(unit=37.0)))
    assert any("no unit is like that, and it is not used" in found for found in messages(imported))
    assert {link.provenance.confidence for link in city.network.links} == {"low"}


def test_without_measure_and_shape_a_link_is_a_fifth_longer_than_the_straight_line(city_of):
    city, imported = city_of(feed(stop_times=stop_times(measured=False)))
    assert links_of(city)[linked("RVM-Lred", "AB")] == pytest.approx(1.2 * 953.2, abs=2)
    assert {link.provenance.confidence for link in city.network.links} == {"low"}
    assert any("8 of 8 links have neither measure nor shape" in found for found in messages(imported))


def test_a_drawn_line_gives_the_metres_where_there_is_no_measure(city_of):
    """Between B and F the track goes round by the west: 953 m out, 1112 m up, 953 m back."""
    points = [position("B"), (position("A")[0], position("B")[1]), (position("A")[0], position("F")[1]), position("F")]
    points += [position("G"), position("C"), position("B")]
    shapes = "shape_id,shape_pt_lon,shape_pt_lat,shape_pt_sequence\n"
    shapes += "".join(f"loop,{lon},{lat},{at}\n" for at, (lon, lat) in enumerate(points))
    trips = feed()["trips.txt"].decode().replace("blue-1,", "blue-1,loop")
    times = stop_times({name: trip for name, trip in TRIPS.items() if name != "blue-1"})
    times += stop_times({"blue-1": TRIPS["blue-1"]}, measured=False).partition("\n")[2]
    city, _ = city_of(feed(trips=trips, shapes=shapes, stop_times=times))
    links = links_of(city)
    assert links[linked("RVM-Lblue", "BF")] == pytest.approx(953.1 + 1112 + 953.0, abs=3)
    assert links[linked("RVM-Lblue", "BC")] == pytest.approx(953.1, abs=2), "the loop passes B twice"
    assert {link.provenance.confidence for link in city.network.links} == {"medium"}


def test_a_trip_that_runs_past_a_station_makes_no_link_of_its_own(city_of):
    rows = feed()["trips.txt"].decode() + "R,s,red-4,\n"
    times = stop_times() + "red-4,A1,0,0\nred-4,C1,1,2.3\nred-4,D1,2,3.6\n"
    city, imported = city_of(feed(trips=rows, stop_times=times))
    assert links_of(city) == EXPECTED
    assert any("trips run past stations" in found for found in messages(imported))


def test_a_short_run_of_a_loop_does_not_take_away_the_link_that_closes_it(city_of):
    rows = feed()["trips.txt"].decode() + "B,s,blue-2,\n"
    times = stop_times() + "".join(f"blue-2,{place}1,{at},\n" for at, place in enumerate("BFGC"))
    city, _ = city_of(feed(trips=rows, stop_times=times))
    assert links_of(city) == EXPECTED


def test_a_pass_without_boarding_or_alighting_is_no_stop(city_of):
    times = stop_times().replace("shape_dist_traveled", "shape_dist_traveled,pickup_type,drop_off_type")
    head, *rows = times.splitlines()
    ends = [row + (",1,1" if row.startswith(("red-1,B", "red-2,B", "red-3,B")) else ",0,0") for row in rows]
    city, _ = city_of(feed(stop_times="\n".join([head, *ends]) + "\n"))
    assert links_of(city)[linked("RVM-Lred", "AC")] == 2300


def test_stops_without_a_parent_are_taken_together_by_name_nearby(city_of):
    rows = [row for row in stops().splitlines() if ",1,," not in row]
    loose = [row.replace(" platform 1", "").replace(" platform 2", "") for row in rows]
    loose = [",".join([*fields[:5], "", *fields[6:]]) for fields in (row.split(",") for row in loose[1:])]
    city, imported = city_of(feed(stops="\n".join([rows[0], *loose]) + "\n"))
    assert len(city.stations) == 7
    assert links_of(city) == EXPECTED
    assert any("(7 rows, this is the first)" in found and "taken to a stop of its name" in found for found in messages(imported))


def test_names_come_in_both_languages_where_the_feed_translates_them(city_of):
    translations = "table_name,field_name,language,translation,record_id,field_value\n"
    translations += "stops,stop_name,zh-Hans,船锚,A,\nstops,stop_name,zh,桥,,Bridge\nroutes,route_short_name,zh,红线,R,\n"
    city, _ = city_of(feed(translations=translations))
    assert [(one.name_zh, one.name_en, one.name_en_confidence) for one in city.stations[:3]] == [
        ("船锚", "Anchor", "medium"), ("桥", "Bridge", "medium"), ("Castle", "Castle", "medium"),
    ]  # fmt: skip
    assert city.network.lines[0].name_zh == "红线"


def test_a_name_that_ascii_cannot_tell_gives_the_id_of_its_stop(city_of):
    texts = {name: feed()[f"{name}.txt"].decode().replace(",en", ",zh") for name in ("agency", "feed_info")}
    city, _ = city_of(feed(stops=stops().replace("Anchor,", "船锚,").replace("Dock,", "Bridge,"), **texts))
    station = city.network.station("RVM-a")
    assert (station.name_zh, station.name_en, station.name_en_confidence) == ("船锚", "船锚", "unconfirmed")
    assert {"RVM-bridge", "RVM-bridge-2"} <= {one.station_id for one in city.stations}


def test_only_the_routes_that_were_asked_for_become_lines(city_of):
    routes = feed()["routes.txt"].decode() + "T,OTHER,T1,Tram,0,\nX,RM,X1,Bus,3,\n"
    imported = import_feed(feed(routes=routes), ASKED)
    assert "routes.txt:5: note: route_type 3 has no gates and is left out; nothing to do" in messages(imported)
    narrow = import_feed(feed(routes=routes), Asked(10, "RVM", "rivermouth", "河口", "Rivermouth", agency="RM", route_types=(401,)))
    assert narrow.counts["lines"] == 1
    assert "routes.txt:4: note: the route is not of agency RM and is left out; nothing to do" in messages(narrow)


def test_a_route_that_nothing_joins_is_left_out_and_said(city_of):
    routes = feed()["routes.txt"].decode() + "I,RM,Island,,2,\n"
    trips = feed()["trips.txt"].decode() + "I,s,isle,\n"
    isle = "P,Pier,31.2,121.2,0,,\nQ,Quay,31.2,121.21,0,,\n"
    files = feed(routes=routes, trips=trips, stops=stops() + isle, stop_times=stop_times() + "isle,P,1,\nisle,Q,2,\n")
    city, imported = city_of(files)
    assert [line.line_id for line in city.network.lines] == ["RVM-Lred", "RVM-Lblue"]
    assert any(
        found.startswith("routes.txt:4: warning: the route is joined to the largest network by no") for found in messages(imported)
    )
    walk = "from_stop_id,to_stop_id,transfer_type\nE,P,0\nP,E,0\nA,B,0\n"
    city, imported = city_of({**files, "transfers.txt": walk.encode()})
    walks = [change for change in city.network.transfers if change.kind == "exit and re-enter"]
    assert {(change.from_id, change.to_id, change.joins_fares) for change in walks} == {
        ("RVM-east-gate", "RVM-pier", True), ("RVM-anchor", "RVM-bridge", False),
    }  # fmt: skip


def test_a_route_in_two_pieces_becomes_two_lines(city_of):
    times = stop_times({**TRIPS, "red-1": ("R", "AB"), "red-2": ("R", "CD"), "red-3": ("R", "CE")})
    city, imported = city_of(feed(stop_times=times))
    assert [line.line_id for line in city.network.lines] == ["RVM-Lred", "RVM-Lred-2", "RVM-Lblue"]
    assert any("the route is in 2 pieces" in found for found in messages(imported))


def test_a_byte_order_mark_windows_lines_quotes_and_further_columns_are_read(city_of):
    dressed = {name: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n") for name, data in feed().items()}
    dressed["stops.txt"] = dressed["stops.txt"].replace(b"A,Anchor,", b'A,"Anchor, ""Old""",').replace(b"zone_id", b"zone_id,more")
    dressed["stops.txt"] = b"\r\n".join(
        line + b"," if at and line else line for at, line in enumerate(dressed["stops.txt"].split(b"\r\n"))
    )
    city, _ = city_of(dressed)
    assert city.stations[0].name_en == 'Anchor, "Old"'
    assert city.stations[0].station_id == "RVM-anchor-old"


def test_a_broken_row_is_said_and_passed_over(city_of):
    broken = stop_times() + "red-1,A1\nred-1,A1,x,0\nred-1,nowhere,7,0\n"
    city, imported = city_of(feed(stop_times=broken))
    assert links_of(city) == EXPECTED
    assert [found.partition(":")[2].partition(";")[0] for found in messages(imported) if "passed over" in found] == [
        "19: warning: the row has too few or too many fields and is passed over",
        "20: warning: the call has no order or an unknown stop_id and is passed over (2 rows, this is the first)",
    ]


@pytest.mark.parametrize("name", ["agency", "stops", "routes", "trips", "stop_times"])
def test_a_missing_file_is_an_error_and_nothing_is_built(name):
    imported = import_feed(feed(**{name: None}), ASKED)
    assert imported.files == {}
    assert f"{name}.txt: error: is missing; take a feed that has it: without it there is no network" in messages(imported)


def test_a_missing_column_is_an_error():
    imported = import_feed(feed(routes="route_id,agency_id\nR,RM\n"), ASKED)
    assert imported.files == {}
    assert "routes.txt:1: error: has no column route_type; take a feed that has it" in messages(imported)


def test_the_day_is_the_feeds_own_or_the_one_that_was_given(city_of):
    city, _ = city_of(feed())
    assert city.tariffs[0].file == "tariff-2026-03-01.toml"
    assert any("--as-of" in found for found in messages(import_feed(feed(feed_info=None), ASKED)))
    given = Asked(10, "RVM", "rivermouth", "河口", "Rivermouth", as_of=date(2025, 5, 5))
    assert "tariff-2025-05-05.toml" in import_feed(feed(feed_info=None), given).files


@pytest.mark.parametrize(
    ("zone", "stands_in", "found"),
    [
        ("Asia/Tokyo", "Asia/Tokyo", ""),
        ("America/New_York", "Etc/GMT+5", "America/New_York moves its clocks"),
        ("Europe/Berlin", "Etc/GMT-1", "Europe/Berlin moves its clocks"),
        ("Moon/Crater", "UTC", "agency_timezone 'Moon/Crater' is unknown"),
    ],
)
def test_a_zone_that_a_folder_cannot_say_has_one_that_stands_in(city_of, zone, stands_in, found):
    agency = feed()["agency.txt"].decode().replace("Asia/Shanghai", zone)
    city, imported = city_of(feed(agency=agency))
    assert city.days.time_zone == stands_in
    told = [line.removeprefix("agency.txt:2: warning: ") for line in messages(imported) if line.startswith("agency.txt")]
    assert [line[: len(found)] for line in told] == [found] * bool(found)


def test_what_is_not_looked_at_is_named():
    found = messages(import_feed({**feed(), "pathways.txt": b"", "calendar.txt": b""}, ASKED))
    assert "calendar.txt: note: is not looked at; nothing to do" in found
    assert "pathways.txt: note: is not looked at; nothing to do" in found


def test_a_feed_on_the_other_half_of_the_world_lints_too(city_of):
    there = stops().replace(",31.", ",-0.").replace(",121.", ",-0.")
    city, _ = city_of(feed(stops=there, stop_times=stop_times(measured=False)))
    assert (city.stations[0].lon_e3, city.stations[0].lat_e3) == (0, 0)
    assert min(station.lon_e3 for station in city.stations) == -30


@st.composite
def line_networks(draw):
    """Stations on a grid, and lines that walk over them: each a shape with its stops, metres from the shape alone."""
    count = draw(st.integers(2, 9))
    cells = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=count, max_size=count, unique=True))
    lines, joined = [], [0]
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.sampled_from(joined))
        rest = draw(st.permutations([at for at in range(count) if at != begin]))
        walk = [begin, *rest[: draw(st.integers(1, count - 1))]]
        joined += walk
        lines.append((walk, [draw(st.integers(0, 3)) for _ in walk[1:]]))
    return cells, lines


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(network=line_networks(), measured=st.booleans())
def test_distances_after_the_import_are_those_of_the_shapes(tmp_path_factory, network, measured):
    """Every step runs straight, or with a bend aside; the truth is a graph of its own, measured point by point."""
    cells, lines = network
    places = [(121 + x / 50, 31 + y / 50) for x, y in cells]
    files, truth = drawn_feed(places, lines, measured=measured)
    imported = import_feed(files, ASKED)
    city = written(imported, tmp_path_factory.mktemp("feed") / "rivermouth")
    table = compile_city(city)
    row_of = {station.name_en: row for row, station in enumerate(city.stations)}
    served = {place for walk, _ in lines for place in walk}
    assert set(row_of) == {f"Stop {place}" for place in served}
    for one, reached in nx.all_pairs_dijkstra_path_length(truth, weight="metres"):
        for other, metres in reached.items():
            ours = table.versions[0].distance_m[row_of[f"Stop {one}"], row_of[f"Stop {other}"]]
            assert ours == pytest.approx(metres, abs=2 + 0.001 * metres)


def drawn_feed(places, lines, *, measured):
    truth = nx.Graph()
    shapes, times, trips, routes = [], [], [], []
    for at, (walk, bends) in enumerate(lines):
        routes.append(f"{at},RM,{at},,1,")
        trips.append(f"{at},s,t{at},s{at}")
        points, metres = [places[walk[0]]], [0.0]
        for (here, there), bend in zip(pairwise(walk), bends, strict=True):
            (x, y), (u, v) = places[here], places[there]
            if bend:
                points.append(((x + u) / 2 + (v - y) * bend / 20, (y + v) / 2 - (u - x) * bend / 20))
                metres.append(metres[-1] + apart(points[-2], points[-1]))
            points.append((u, v))
            metres.append(metres[-1] + apart(points[-2], points[-1]))
            step = metres[-1] - times_last(times, at)
            times.append((at, there, metres[-1]))
            known = truth.get_edge_data(here, there, {"metres": step})["metres"]
            truth.add_edge(here, there, metres=min(known, step))
        shapes += [f"s{at},{lon:.9f},{lat:.9f},{place}" for place, (lon, lat) in enumerate(points)]
    calls = []
    for at, (walk, _) in enumerate(lines):
        ends = [0.0, *(metres for line, _, metres in times if line == at)]
        calls += [f"t{at},p{place},{seq},{ends[seq] if measured else ''}" for seq, place in enumerate(walk)]
    files = feed(
        stops="stop_id,stop_name,stop_lat,stop_lon\n"
        + "".join(f"p{at},Stop {at},{lat:.9f},{lon:.9f}\n" for at, (lon, lat) in enumerate(places)),
        routes="route_id,agency_id,route_short_name,route_long_name,route_type,route_color\n" + "\n".join(routes) + "\n",
        trips="route_id,service_id,trip_id,shape_id\n" + "\n".join(trips) + "\n",
        stop_times="trip_id,stop_id,stop_sequence,shape_dist_traveled\n" + "\n".join(calls) + "\n",
        shapes="shape_id,shape_pt_lon,shape_pt_lat,shape_pt_sequence\n" + "\n".join(shapes) + "\n",
    )
    return files, truth


def times_last(times, line):
    return next((metres for at, _, metres in reversed(times) if at == line), 0.0)


def apart(one, other):
    """Great-circle metres, by another formula than the import's."""
    lon, lat, u, v = map(radians, (*one, *other))
    half = sin((v - lat) / 2) ** 2 + cos(lat) * cos(v) * sin((u - lon) / 2) ** 2
    return 2 * 6_371_008.8 * asin(sqrt(half))


def test_the_rows_of_the_written_files_are_csv_with_the_folders_columns():
    for name, text in import_feed(feed(), ASKED).files.items():
        if name.endswith(".csv"):
            rows = list(csv.reader(text.splitlines()))
            assert {len(row) for row in rows} == {len(rows[0])}


WHOLE = feed(
    feed_info="feed_publisher_name,feed_lang,feed_start_date\nRM,en,20260301\n",
    transfers="from_stop_id,to_stop_id,transfer_type\nE,A,0\nA,G,2\n",
    translations="table_name,field_name,language,translation,record_id\nstops,stop_name,zh,船锚,A\n",
    fare_products="fare_product_id,amount,currency\nbase,2,CNY\nfar,3.50,CNY\n",
    areas="area_id\nwest\neast\n",
    stop_areas="area_id,stop_id\nwest,A\nwest,B\neast,D\n",
    fare_leg_rules="network_id,from_area_id,to_area_id,fare_product_id\n,,,base\n,west,east,far\n,east,west,far\n",
)
ODD = ["", "x", "-1", "0", "7", "1e999", "nan", "99999999999", "A", "A1", "R", "3", "中文", '"', "a\tb", "20261301", "#", "east"]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_feed_with_odd_fields_is_refused_or_gives_a_folder_without_an_error(tmp_path_factory, data):
    files = dict(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(files)))
        rows = [line.split(",") for line in files[name].decode().splitlines()]
        row = data.draw(st.sampled_from(rows[1:]))
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(st.sampled_from(ODD))
        files[name] = "".join(",".join(row) + "\n" for row in rows).encode()
    imported = import_feed(files, ASKED)
    if imported.files:
        written(imported, tmp_path_factory.mktemp("feed") / "rivermouth")
    else:
        assert errors(imported.findings)
