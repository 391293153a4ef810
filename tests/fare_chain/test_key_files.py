import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain import key_files
from fare_chain.errors import Conflict, Malformed, Unknown, Untrusted
from fare_chain.keys import KeyUse, PublicKey, SigningKey

KEY = SigningKey(bytes([1]) * 32)
PUBLIC = PublicKey(2, KeyUse.ISSUER, KEY.public, 1_767_225_600_000_000, 1_798_761_600_000_000)
LINE = (
    "fare-chain-key/v1 owner=2 use=ISSUER from=2026-01-01T00:00:00Z to=2027-01-01T00:00:00Z "
    "ed25519=8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
)
YEAR_9999_US = 253_402_300_799_999_999


def test_a_pair_reads_back(tmp_path):
    key_files.write_key_pair(tmp_path / "keys", "hangzhou-issuer", KEY, PUBLIC)
    assert key_files.read_signing_key(tmp_path / "keys/hangzhou-issuer.key").seed == KEY.seed
    assert key_files.read_public_key(tmp_path / "keys/hangzhou-issuer.pub") == PUBLIC
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["hangzhou-issuer.key", "hangzhou-issuer.pub"]


def test_only_its_owner_can_read_a_private_key(tmp_path):
    before = os.umask(0)
    try:
        key_files.write_key_pair(tmp_path, "city", KEY, PUBLIC)
    finally:
        os.umask(before)
    assert (tmp_path / "city.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o666])
def test_a_private_key_that_others_can_reach_is_not_used(tmp_path, mode):
    key_files.write_key_pair(tmp_path, "city", KEY, PUBLIC)
    (tmp_path / "city.key").chmod(mode)
    with pytest.raises(Untrusted, match="chmod 600"):
        key_files.read_signing_key(tmp_path / "city.key")


@pytest.mark.parametrize("ending", ["key", "pub"])
def test_a_key_is_never_overwritten(tmp_path, ending):
    (tmp_path / f"city.{ending}").write_text("here first")
    with pytest.raises(Conflict, match="never overwritten"):
        key_files.write_key_pair(tmp_path, "city", KEY, PUBLIC)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(f"city.{ending}", "here first")]


@pytest.mark.parametrize("failing", [1, 2], ids=["the private file", "the public file"])
def test_a_disk_that_fails_leaves_no_half_pair(tmp_path, monkeypatch, failing):
    calls = []

    def fsync(_):
        calls.append(1)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        key_files.write_key_pair(tmp_path, "city", KEY, PUBLIC)
    assert list(tmp_path.iterdir()) == []


def test_both_files_and_their_folder_are_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    key_files.write_key_pair(tmp_path, "city", KEY, PUBLIC)
    assert synced == [tmp_path / "city.key", tmp_path / "city.pub", tmp_path]


@pytest.mark.parametrize("name", ["", "../city", "City", "a/b", "-x", ".hidden"])
def test_a_name_stays_inside_its_folder(tmp_path, name):
    with pytest.raises(Malformed, match="cannot be named"):
        key_files.write_key_pair(tmp_path, name, KEY, PUBLIC)


def test_a_pair_is_one_pair(tmp_path):
    with pytest.raises(Conflict, match="not that of its private key"):
        key_files.write_key_pair(tmp_path, "city", SigningKey(bytes(32)), PUBLIC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{KEY.seed.hex()}\n",
        f"# private\n{KEY.seed.hex()}",
        f"# private\n{KEY.seed.hex()}\n\n",
        f"# private\n{KEY.seed.hex()[:-1]}\n",
        f"# private\n{KEY.seed.hex()[:-1]}G\n",
        f"# private\n# twice\n{KEY.seed.hex()}\n",
        f"# privé\n{KEY.seed.hex()}\n",
    ],
)
def test_a_private_key_file_of_another_shape_is_malformed(tmp_path, text):
    (tmp_path / "city.key").write_text(text, encoding="utf-8")
    (tmp_path / "city.key").chmod(0o600)
    with pytest.raises(Malformed, match=r"city\.key"):
        key_files.read_signing_key(tmp_path / "city.key")


@pytest.mark.parametrize("read", [key_files.read_signing_key, key_files.read_public_key, key_files.read_public_folder])
def test_a_file_that_is_not_there_is_unknown(tmp_path, read):
    with pytest.raises(Unknown, match="missing"):
        read(tmp_path / "missing")


def test_a_public_key_is_one_readable_line(tmp_path):
    key_files.write_key_pair(tmp_path, "city", KEY, PUBLIC)
    assert (tmp_path / "city.pub").read_text() == LINE + "\n"


@given(
    owner=st.integers(0, 65535),
    use=st.sampled_from(KeyUse),
    public=st.binary(min_size=32, max_size=32),
    moments=st.lists(st.integers(-(10**15), YEAR_9999_US), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_every_public_key_reads_back_from_its_line(owner, use, public, moments):
    key = PublicKey(owner, use, public, *moments)
    assert key_files.parse_public_line(key_files.public_line(key)) == key


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("/v1", "/v2"),
        ("owner=2", "owner=02"),
        ("owner=2", "owner=65536"),
        ("owner=2", "owner=-2"),
        ("use=ISSUER", "use=issuer"),
        ("use=ISSUER", "use=CARD"),
        ("ISSUER from", "ISSUER  from"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00"),
        ("2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("8a88", "8A88"),
        ("6f5c", "6f5c "),
        ("6f5c", "6f5c\n"),
    ],
)
def test_any_other_spelling_of_a_public_key_is_malformed(tmp_path, found, instead):
    line = LINE.replace(found, instead)
    assert line != LINE
    with pytest.raises(Malformed):
        key_files.parse_public_line(line)
    (tmp_path / "city.pub").write_text(line + "\n")
    with pytest.raises(Malformed, match=r"city\.pub: "):
        key_files.read_public_key(tmp_path / "city.pub")


def test_a_cut_public_key_file_is_malformed(tmp_path):
    (tmp_path / "city.pub").write_text(LINE)
    with pytest.raises(Malformed, match="it is cut"):
        key_files.read_public_key(tmp_path / "city.pub")


def test_a_key_cannot_outlive_the_calendar(tmp_path):
    with pytest.raises(Malformed, match="year 9999"):
        key_files.write_key_pair(tmp_path, "city", KEY, replace(PUBLIC, not_after_us=YEAR_9999_US + 1))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_public_keys_is_a_ring(tmp_path):
    key_files.write_key_pair(tmp_path, "one", KEY, PUBLIC)
    other = SigningKey(bytes(32))
    key_files.write_key_pair(tmp_path, "two", other, PublicKey(3, KeyUse.BATCH, other.public, 0, 10))
    ring = key_files.read_public_folder(tmp_path)
    assert list(ring) == [PUBLIC, PublicKey(3, KeyUse.BATCH, other.public, 0, 10)]
    assert ring.find(owner=2, use=KeyUse.ISSUER, key_id=PUBLIC.key_id) == PUBLIC
