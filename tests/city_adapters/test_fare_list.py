"""Published lists as they come, compared with the fares of the packaged cities."""

import pytest

from city_adapters.catalogue import load_catalogue
from city_adapters.fare_list import check_fares, read_fare_list
from fare_chain.errors import Malformed

NOW_US = 1_795_000_000_000_000
"""A moment in November 2026."""


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


def check(catalogue, text, at_us=NOW_US):
    return check_fares(read_fare_list(text.encode()), catalogue.table, at_us)


def test_exact_near_and_far_fares_are_told_apart(catalogue):
    result = check(
        catalogue,
        "city,from_id,to_id,fare_yuan,as_of\n"
        "shanghai,SHA-huaqiao,SHA-anting,3,2026-08-20\n"
        "shanghai,SHA-xujiahui,SHA-huaqiao,8,2026-08-20\n"
        "shanghai,SHA-xujiahui,SHA-huaqiao,9,2026-08-20\n",
    )
    assert (result.total.checked, result.total.exact, result.total.within_one_yuan) == (3, 1, 2)
    near, far = result.total.mismatches
    assert (near.line, near.published_fen, near.ours_fen, near.distance_m) == (3, 800, 700, 45_218)
    assert (far.line, far.from_id, far.to_id) == (4, "SHA-xujiahui", "SHA-huaqiao")


def test_any_spelling_of_city_number_and_file_is_read(catalogue):
    text = (
        "\ufeffFare_Yuan,to_id, from_id ,CITY,remark\r\n"
        "3.0,SHA-anting,SHA-huaqiao,SHA,x\r\n"
        "3.00,SHA-huaqiao,SHA-anting,Shanghai,\r\n"
        '"3",sha-huaqiao,SHA-anting,sha\r\n'
        "\r\n"
        "3,SHA-huaqiao,SHA-anting,,\r\n"
    )
    result = check(catalogue, text)
    assert (result.total.checked, result.total.exact) == (4, 4)
    assert not result.unknown
    assert not result.unreadable


def test_rows_that_cannot_be_compared_do_not_stop_the_others(catalogue):
    result = check(
        catalogue,
        "city,from_id,to_id,fare_yuan\n"
        "shanghai,SHA-nowhere,SHA-anting,3\n"
        "atlantis,SHA-huaqiao,SHA-anting,3\n"
        "shanghai,SHA-huaqiao,SZV-huaqiao,3\n"
        "shanghai,SHA-huaqiao,SHA-anting,three\n"
        "shanghai,SHA-huaqiao,SHA-anting,-3\n"
        "shanghai,SHA-huaqiao\n"
        "suzhou,SZV-huaqiao,SZV-baihetan,1\n",
    )
    assert [problem.line for problem in result.unknown] == [2, 3, 4]
    assert [problem.line for problem in result.unreadable] == [5, 6, 7]
    assert "no station 'SHA-nowhere'" in result.unknown[0].message
    assert "fare_yuan is 'three'" in result.unreadable[0].message
    assert list(result.by_city) == ["suzhou"]


def test_the_sums_of_the_cities_are_the_total(catalogue):
    rows = "hangzhou,HGH-baiyang,HGH-dufucun,2\nnanjing,NKG-hunanluangongda,NKG-sanshanjie,9\nhangzhou,HGH-baiyang,HGH-yongfu,4\n"
    result = check(catalogue, "city,from_id,to_id,fare_yuan\n" + rows)
    assert {slug: (at.checked, at.exact) for slug, at in result.by_city.items()} == {"hangzhou": (2, 1), "nanjing": (1, 1)}
    assert (result.total.checked, result.total.exact) == (3, 2)


def test_a_moment_without_a_tariff_is_told_row_by_row(catalogue):
    result = check(catalogue, "city,from_id,to_id,fare_yuan\nshanghai,SHA-huaqiao,SHA-anting,3\n", at_us=0)
    assert "no tariff in force" in result.unknown[0].message


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "columns none; city, from_id, to_id, fare_yuan must be there"),
        (b"city,from_id,to_id\n", "fare_yuan must be there"),
        (b"city,\xff\n", "not UTF-8 at byte 5"),
    ],
)
def test_what_is_no_fare_list_is_refused(data, found):
    with pytest.raises(Malformed, match=found):
        read_fare_list(data)
