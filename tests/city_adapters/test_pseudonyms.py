"""The issuer's daily pseudonyms: one key a day, kept while a journey is open, claimed over the cut, dropped for good."""

import itertools
import os
import stat
from datetime import date, datetime

import pytest

from city_adapters.pseudonyms import MAGIC, RECORD_BYTES, Pseudonyms, keeps_its_key
from city_adapters.service_day import ServiceDays
from fare_chain import rider_code
from fare_chain.errors import Conflict, Malformed, Overloaded, Untrusted
from fare_chain.keys import SigningKey
from fare_chain.rider_code import CodeReason, CodeRefused, medium_of

DAYS = ServiceDays("Asia/Shanghai", 3)
RIDE_US = 4 * 3_600_000_000
ANNA, BAO = bytes([1]) * 16, bytes([2]) * 16
ISSUER = SigningKey(bytes([9]) * 32)


def key(number):
    return SigningKey(bytes([number]) * 32)


def at(text):
    return int(datetime.fromisoformat(f"2026-11-{text}+08:00").timestamp()) * 1_000_000


def table(folder):
    return Pseudonyms(folder / "pseudonyms", DAYS, RIDE_US)


@pytest.fixture
def held(tmp_path):
    """Anna's two days, the cut between them at 3 in the morning, and Bao's first."""
    made = table(tmp_path)
    made.enrol(ANNA, key(1).public, at("24T08:00"))
    made.enrol(BAO, key(2).public, at("24T09:00"))
    made.enrol(ANNA, key(3).public, at("25T03:00"))
    return made


def test_a_rider_has_a_new_pseudonym_each_service_day_and_after_a_restart_too(held, tmp_path):
    for known in (held, table(tmp_path)):
        assert known.media_of(ANNA, date(2026, 11, 24)) == [medium_of(key(1).public)]
        assert known.media_of(ANNA, date(2026, 11, 25)) == [medium_of(key(3).public)]
        assert known.account_of(medium_of(key(2).public), at("24T10:00")) == BAO
        assert known.account_of(medium_of(key(3).public), at("25T02:59")) is None, "before it was taken it was nobody's"


def test_the_key_of_yesterday_is_good_until_a_ride_that_began_in_it_must_be_over(held):
    pseudonym = held.enrol(ANNA, key(1).public, at("24T23:00"))
    assert pseudonym.not_after_s * 1_000_000 == at("25T03:00") + RIDE_US
    assert held.account_of(pseudonym.medium, at("25T06:59")) == ANNA
    assert held.account_of(pseudonym.medium, at("25T07:00")) is None
    credential = rider_code.issue_credential(
        ISSUER, 1, key(1).public, not_before_s=pseudonym.not_before_s, not_after_s=pseudonym.not_after_s
    )
    code = rider_code.read(rider_code.issue(key(1), credential, at("25T06:59"), 1))
    rider_code.check_period(code, at("25T06:59"))
    with pytest.raises(CodeRefused) as refused:
        rider_code.check_period(code, at("25T07:00"))
    assert refused.value.reason is CodeReason.EXPIRED


def test_a_device_turns_to_a_new_key_at_the_cut_but_not_with_a_journey_open():
    made = at("24T23:50")
    assert keeps_its_key(DAYS, made, at("25T02:59"), inside=False)
    assert not keeps_its_key(DAYS, made, at("25T03:00"), inside=False)
    assert keeps_its_key(DAYS, made, at("25T03:10"), inside=True)


@pytest.mark.parametrize(("account", "moment"), [(BAO, "24T10:00"), (ANNA, "25T10:00"), (ANNA, "23T10:00")])
def test_a_key_serves_one_account_on_one_day(held, account, moment):
    with pytest.raises(Conflict, match="another account's or another day's"):
        held.enrol(account, key(1).public, at(moment))


def test_a_second_device_on_a_day_is_a_second_pseudonym_and_wrong_widths_are_refused(held):
    held.enrol(ANNA, key(7).public, at("24T12:00"))
    assert len(held.media_of(ANNA, date(2026, 11, 24))) == 2
    for account, public in ((b"Anna", key(8).public), (ANNA, b"short")):
        with pytest.raises(Malformed, match="an account has 16 bytes and a device key 32"):
            held.enrol(account, public, at("24T12:00"))


def test_a_claim_links_an_open_entry_to_a_later_journey_and_names_nobody(held):
    old, new = medium_of(key(1).public), medium_of(key(3).public)
    link = held.claim(old, at("24T23:50"), new, at("25T08:00"), ISSUER)
    assert link.is_signed_by(ISSUER.public)
    assert not link.is_signed_by(key(1).public)
    assert not type(link)(new, old, link.signature).is_signed_by(ISSUER.public)
    assert ANNA not in link.entered_as + link.went_on_as + link.signature


@pytest.mark.parametrize(
    ("old", "new"), [(1, 2), (2, 3), (1, 8), (8, 8)], ids=["another's", "the other way", "unknown", "both unknown"]
)
def test_a_claim_for_somebody_else_is_refused(held, old, new):
    with pytest.raises(Untrusted, match="not known as one rider's"):
        held.claim(medium_of(key(old).public), at("24T23:50"), medium_of(key(new).public), at("25T08:00"), ISSUER)


def test_what_is_dropped_is_nobodys_again_and_stays_so(held, tmp_path):
    assert held.drop_before(date(2026, 11, 25)) == [date(2026, 11, 24)]
    assert held.drop_before(date(2026, 11, 25)) == []
    assert held.forget([medium_of(key(3).public), bytes(16)]) == 1
    for known in (held, table(tmp_path)):
        for number, moment in ((1, "24T10:00"), (2, "24T10:00"), (3, "25T10:00")):
            assert known.account_of(medium_of(key(number).public), at(moment)) is None
    left = b"".join(path.read_bytes() for path in (tmp_path / "pseudonyms").iterdir())
    assert left == MAGIC
    with pytest.raises(Untrusted):
        held.claim(medium_of(key(1).public), at("24T23:50"), medium_of(key(3).public), at("25T08:00"), ISSUER)


def test_others_can_read_none_of_it(held, tmp_path):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pseudonyms").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "pseudonyms").stat().st_mode) == 0o700


@pytest.mark.parametrize("cut", [*range(1, RECORD_BYTES), RECORD_BYTES + 3])
def test_a_record_that_was_not_finished_is_cut_off_and_asked_for_again(held, tmp_path, cut):
    path = tmp_path / "pseudonyms" / "2026-11-24.pseudonyms"
    path.write_bytes(path.read_bytes()[:-cut])
    again = table(tmp_path)
    again.enrol(BAO, key(2).public, at("24T09:00"))
    again.enrol(ANNA, key(1).public, at("24T08:00"))
    third = table(tmp_path)
    assert third.account_of(medium_of(key(2).public), at("24T10:00")) == BAO
    assert third.account_of(medium_of(key(1).public), at("24T10:00")) == ANNA


def test_a_changed_record_in_the_middle_is_no_torn_end(held, tmp_path):
    held.enrol(BAO, key(5).public, at("24T09:30"))
    path = tmp_path / "pseudonyms" / "2026-11-24.pseudonyms"
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(Malformed, match="the record at offset 8 was changed and others follow it"):
        table(tmp_path)
    path.write_bytes(b"something else")
    with pytest.raises(Malformed, match="another file"):
        table(tmp_path)


class Death(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("call", "dies_at"), [("write", 0), ("fsync", 0), ("fsync", 1), ("fsync", 2), ("fsync", 3), ("replace", 0), ("unlink", 0)]
)
def test_dead_at_any_durable_step_the_next_start_goes_on(tmp_path, monkeypatch, call, dies_at, before):
    def work(known):
        known.enrol(ANNA, key(1).public, at("24T08:00"))
        known.enrol(BAO, key(2).public, at("25T08:00"))
        known.forget([medium_of(key(2).public)])
        known.drop_before(date(2026, 11, 25))

    counted = itertools.count()
    place = os if call in ("write", "fsync") else type(tmp_path)
    real = getattr(place, call)

    def dies(*given, **named):
        if next(counted) != dies_at:
            return real(*given, **named)
        if not before:
            real(*given, **named)
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(place, call, dies)
        with pytest.raises(Death):
            work(table(tmp_path))
    work(table(tmp_path))
    again = table(tmp_path)
    assert again.account_of(medium_of(key(1).public), at("24T09:00")) is None
    assert again.account_of(medium_of(key(2).public), at("25T09:00")) is None
    assert [path.name for path in (tmp_path / "pseudonyms").iterdir()] == ["2026-11-25.pseudonyms"]


def test_what_a_death_left_beside_a_days_file_names_nobody_after_the_next_start(held, tmp_path):
    path = tmp_path / "pseudonyms" / "2026-11-24.pseudonyms"
    path.with_name(f"{path.name}.partial").write_bytes(path.read_bytes())
    table(tmp_path).drop_before(date(2026, 12, 1))
    assert list((tmp_path / "pseudonyms").iterdir()) == []


def test_a_disk_that_takes_no_more_leaves_no_half_record(held, tmp_path, monkeypatch):
    path = tmp_path / "pseudonyms" / "2026-11-24.pseudonyms"
    whole, real = path.read_bytes(), os.write

    def full(descriptor, data):
        real(descriptor, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Overloaded, match="no key was attested"):
            held.enrol(BAO, key(6).public, at("24T10:00"))
    assert path.read_bytes() == whole
    assert held.account_of(medium_of(key(6).public), at("24T11:00")) is None
