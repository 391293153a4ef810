"""The nine cities that come with the program, and catalogues that contradict themselves."""

import shutil

import pytest

from city_adapters.catalogue import PACKAGED, load_catalogue
from city_adapters.findings import MalformedFolder
from city_adapters.worked_examples import differing_examples
from fare_chain.errors import Unknown


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


@pytest.fixture
def home(testville, second_city):
    folder = testville.parent.parent
    shutil.copytree(PACKAGED / "agreements", folder / "agreements")
    agreement = folder / "agreements" / "scheme-2015-01-01.toml"
    lines = agreement.read_text(encoding="utf-8").splitlines()
    agreement.write_text(
        "\n".join('members = ["TST", "OTH"]' if line.startswith("members") else line for line in lines), encoding="utf-8"
    )
    return folder


def test_the_nine_cities_stand_by_number(catalogue):
    assert [(city.number, city.code) for city in catalogue.cities] == list(
        enumerate(["SHA", "HGH", "NGB", "WNZ", "HFE", "NKG", "SZV", "WUX", "XUZ"], 1)
    )
    assert sum(len(city.stations) for city in catalogue.cities) == 1696


def test_a_city_is_found_by_slug_or_code_in_any_case(catalogue):
    assert catalogue.city("Shanghai") is catalogue.city("sha") is catalogue.cities[0]
    with pytest.raises(Unknown, match=r"no city 'atlantis'; there are shanghai \(SHA\)"):
        catalogue.city("atlantis")


def test_a_station_is_found_with_its_city(catalogue):
    city, station = catalogue.station("SZV-huaqiao")
    assert (city.slug, station.name_zh) == ("suzhou", "花桥")
    for unknown in ("SZV-nowhere", "XXX-huaqiao", "huaqiao", ""):
        with pytest.raises(Unknown):
            catalogue.station(unknown)


def test_every_worked_example_holds(catalogue):
    for city in catalogue.cities:
        assert len(city.examples) >= 5
        assert differing_examples(city, catalogue.table(city.code)) == []


def test_placeholders_and_guesses_are_named(catalogue):
    for code in ("XUZ", "WNZ"):
        city = catalogue.city(code)
        assert "placeholder" in city.tariffs[0].name
        assert any("placeholder" in remark for remark in city.unconfirmed)
    assert any("hearing" in remark for remark in catalogue.city("HFE").unconfirmed)
    for code in ("NGB", "WUX", "HFE", "XUZ", "WNZ"):
        assert "charge 'metro' is unconfirmed" in catalogue.city(code).unconfirmed
    for code in ("SHA", "HGH", "NKG", "SZV"):
        assert "charge 'metro' is unconfirmed" not in catalogue.city(code).unconfirmed


def test_the_one_joint_between_cities_is_told_by_both(catalogue):
    joints = [
        (change.from_id, change.to_id)
        for city in catalogue.cities
        for change in city.network.transfers
        if change.kind == "between cities"
    ]
    assert joints == [("SHA-huaqiao", "SZV-huaqiao"), ("SZV-huaqiao", "SHA-huaqiao")]


def test_the_passage_is_for_riders_of_the_two_cities_it_joins(catalogue):
    shanghai, suzhou = catalogue.city("SHA"), catalogue.city("SZV")
    both = frozenset({shanghai.number, suzhou.number})
    assert catalogue.passages(shanghai) == {shanghai.network.station("SHA-huaqiao").number: both}
    assert catalogue.passages(suzhou) == {suzhou.network.station("SZV-huaqiao").number: both}
    assert catalogue.passages(catalogue.city("HGH")) == {}


def test_a_catalogue_of_other_cities_loads(home):
    assert [city.slug for city in load_catalogue(home).cities] == ["testville", "otherville"]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [("number = 78", "number = 77", "two cities have one number"), ('code = "OTH"', 'code = "TST"', "error")],
)
def test_two_cities_under_one_name_are_refused(home, second_city, old, new, found):
    path = second_city / "city.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(MalformedFolder, match=found):
        load_catalogue(home)


def test_a_member_without_a_folder_is_refused(home, second_city):
    shutil.rmtree(second_city)
    with pytest.raises(MalformedFolder, match="the member OTH has no folder"):
        load_catalogue(home)


def test_a_joint_that_only_one_city_tells_is_refused(home, testville):
    with (testville / "transfers.csv").open("a", encoding="utf-8") as file:
        file.write("TST-a,OTH-a,TST-T1,OTH-T1,between cities,no,30,high,2026-01-01\n")
    with pytest.raises(MalformedFolder, match="TST-a - OTH-a is not told by the other city"):
        load_catalogue(home)


def test_a_folder_without_a_city_is_refused(tmp_path):
    with pytest.raises(MalformedFolder, match="no city was found"):
        load_catalogue(tmp_path)
