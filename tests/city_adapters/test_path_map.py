"""The picture of a ride: an SVG that parses, holds the paths, keeps its labels apart, and is the same each time."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_adapters.catalogue import load_catalogue
from city_adapters.map_labels import ANYTHING, NOTHING, Label, LabelBoard
from city_adapters.map_legend import Legend, LegendLine, LegendOperator, LegendPath, LegendPaths
from city_adapters.map_view import Frame, view_of
from city_adapters.path_map import MapLeg, MapPath, PathMap, draw

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn():
    catalogue = load_catalogue()
    networks = tuple(catalogue.city(slug).network for slug in ("shanghai", "suzhou"))
    legend = Legend(
        "光明路 → 花溪公园",
        'Guangming <Road> & "Huaxi" Park',
        ("5.00 yuan",),
        (LegendPaths("shanghai", (LegendPath("100.00 %", "1.267 km", (LegendLine("11号线", "#871C2A"),)),), ""),),
        (LegendOperator("上海", "Shanghai", "300 fen"),),
        (),
    )
    return PathMap(
        networks,
        (
            MapPath(75_000_000, (MapLeg("SHA-L11", 0, ("SHA-guangminglu", "SHA-huaqiao")),)),
            MapPath(
                25_000_000,
                (MapLeg("SHA-L11", 0, ("SHA-guangminglu", "SHA-huaqiao")), MapLeg("", -1, ("SHA-huaqiao", "SHA-anting"))),
            ),
        ),
        (("SHA-guangminglu", "SHA-huaqiao"), ("SZV-huaqiao", "SZV-huaxigongyuan")),
        "SHA-guangminglu",
        "SZV-huaxigongyuan",
        (("SHA-huaqiao", "SZV-huaqiao"),),
        legend,
    )


def test_the_picture_is_one_xml_document_without_scripts_or_addresses(drawn):
    text = draw(drawn)
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert {element.tag.removeprefix(SVG) for element in root.iter()}.isdisjoint({"script", "image", "a", "foreignObject", "style"})
    assert text.count("http") == 1, "the name of the format alone"
    assert "Guangming &lt;Road&gt; &amp; &quot;Huaxi&quot; Park" in text


def test_each_hop_is_as_wide_as_it_is_probable_and_a_walk_is_dashed(drawn):
    flows = {flow.get("data-line"): flow for flow in ET.fromstring(draw(drawn)).iter(f"{SVG}path") if flow.get("class") == "flow"}
    assert flows["SHA-L11"].get("data-parts") == "100000000"
    assert flows[""].get("data-parts") == "25000000"
    assert float(flows["SHA-L11"].get("stroke-width")) > float(flows[""].get("stroke-width"))
    assert flows[""].get("stroke-dasharray")


def test_both_ends_are_labelled_in_both_languages_and_the_border_is_marked(drawn):
    root = ET.fromstring(draw(drawn))
    labels = ["".join(text.itertext()) for text in root.iter(f"{SVG}text") if text.get("class") == "stop"]
    assert {"光明路Guangming Road", "花溪公园Huaxigongyuan", "花桥Huaqiao"} <= set(labels)
    assert sum(path.get("class") == "border" for path in root.iter(f"{SVG}path")) == 1
    assert sum(line.get("class") == "price-path" for line in root.iter(f"{SVG}polyline")) == 2


def test_the_same_ride_gives_the_same_bytes(drawn):
    assert draw(drawn) == draw(replace(drawn, networks=tuple(drawn.networks)))


def test_a_long_legend_makes_a_high_picture(drawn):
    many = replace(drawn.legend, operators=drawn.legend.operators * 20)
    high = ET.fromstring(draw(replace(drawn, legend=many)))
    assert float(high.get("height")) > 1200
    lowest = max(float(text.get("y")) for text in high.iter(f"{SVG}text") if text.get("y"))
    assert lowest < float(high.get("height"))


def test_a_colour_that_is_none_does_not_break_the_picture(drawn):
    network = drawn.networks[0]
    spoilt = replace(network, lines=(replace(network.lines[0], colour='red"/><script/>'), *network.lines[1:]))
    assert "script" not in draw(replace(drawn, networks=(spoilt, drawn.networks[1])))


BOARD = Frame(0, 0, 800, 600)
CROWDED = st.tuples(st.integers(350, 420), st.integers(270, 320))


@given(st.lists(CROWDED, min_size=20, max_size=25))
def test_optional_labels_never_cover_one_another_nor_leave_the_map(points):
    board = LabelBoard(BOARD, [], [])
    placed = [board.place(Label((float(x), float(y)), ("人民广场",), 12, 8, NOTHING)) for x, y in points]
    boxes = [label.box for label in placed if label is not None]
    assert 0 < len(boxes) < len(points), "the first one fits somewhere, and not all do"
    for at, one in enumerate(boxes):
        assert one.left >= 0
        assert one.left + one.width <= BOARD.width
        for other in boxes[at + 1 :]:
            apart = one.left + one.width <= other.left or other.left + other.width <= one.left
            assert apart or one.top + one.height <= other.top or other.top + other.height <= one.top


def test_a_label_that_must_be_shown_goes_round_what_is_there():
    point = (400.0, 300.0)
    board = LabelBoard(BOARD, [(point, (700.0, 300.0))], [])
    label = board.place(Label(point, ("北", "North"), 16, 12, ANYTHING))
    assert label is not None
    assert label.box.left < 400 or label.box.top > 300 or label.box.top + label.box.height < 300, "not on the line to the right"


def test_a_view_holds_all_its_stations_with_the_margin(drawn):
    frame = Frame(100, 50, 800, 600)
    stations = drawn.networks[1].stations
    view = view_of(stations, frame, margin=40)
    for x, y in map(view.place, stations):
        assert 139.9 <= x <= 860.1
        assert 89.9 <= y <= 610.1
