"""Keys of a demo: made once, each holder's apart, readable by their owner only."""

import stat

import pytest

from city_adapters.catalogue import load_catalogue
from fare_chain.errors import Unknown
from fare_chain.key_entries import read_key_entries
from fare_chain.key_files import read_public_folder, read_signing_key
from fare_chain.keys import KeyUse
from simulators.members import issuer_keys, key_names, make_missing_keys

NOW_US = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def cities():
    return load_catalogue().cities


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "keys", tmp_path / "members"


def test_every_member_gets_its_keys_and_hands_out_the_public_halves(folders, cities):
    made = make_missing_keys(*folders, key_names(cities), now_us=NOW_US)
    assert made == 3 + 5 * len(cities) == len(read_key_entries(folders[1]))
    ring = read_public_folder(folders[1])
    assert {(key.owner, key.use) for key in ring} == {(0, KeyUse.LOG), (0, KeyUse.ACCESS), (0, KeyUse.REPORT)} | {
        (city.number, use) for city in cities for use in KeyUse if use not in (KeyUse.LOG, KeyUse.REPORT)
    }
    assert all(key.is_valid_at(NOW_US) for key in ring)
    assert issuer_keys(folders[0], cities).keys() == {city.number for city in cities}


def test_private_keys_lie_in_their_holders_folder_and_are_closed_to_others(folders, cities):
    make_missing_keys(*folders, key_names(cities), now_us=NOW_US)
    paths = sorted(folders[0].rglob("*.key"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in paths} == {0o700}
    assert {path.name.removesuffix(".key") for path in folders[0].glob("ningbo/*.key")} == {
        f"ningbo-{use}" for use in ("batch", "issuer", "witness", "clearing", "access")
    }
    assert not list(folders[1].rglob("*.key"))


def test_keys_that_are_there_stay_and_only_missing_ones_are_made(folders, cities):
    make_missing_keys(*folders, key_names(cities[:2]), now_us=NOW_US)
    before = {path: path.read_bytes() for path in folders[0].rglob("*.key")}
    assert make_missing_keys(*folders, key_names(cities[:3]), now_us=NOW_US + 1) == 5
    assert before.items() <= {path: path.read_bytes() for path in folders[0].rglob("*.key")}.items()
    assert make_missing_keys(*folders, key_names(cities[:3]), now_us=NOW_US) == 0


def test_a_key_that_was_never_handed_out_is_made_anew(folders, cities):
    private, public = folders
    make_missing_keys(private, public, key_names(cities[:1]), now_us=NOW_US)
    (public / "house-log.entry").unlink()
    before = read_signing_key(private / "house" / "house-log.key").public
    assert make_missing_keys(private, public, key_names(cities[:1]), now_us=NOW_US) == 1
    after = read_signing_key(private / "house" / "house-log.key").public
    assert after != before
    assert after in {key.public for key in read_public_folder(public)}


def test_a_city_without_an_issuer_key_is_named(folders, cities):
    with pytest.raises(Unknown, match=f"{cities[0].slug}-issuer"):
        issuer_keys(folders[0], cities[:1])
