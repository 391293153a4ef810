import pytest

from city_adapters.batching import due_at_us
from fare_chain.batch import MOST_TAPS

SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("taps", "room", "after_us"),
    [
        (1, True, 250_000),
        (63, True, 250_000),
        (64, True, 50_000),
        (4095, True, 50_000),
        (4096, True, 0),
        (1, False, 10_000_000),
        (4095, False, 10_000_000),
        (4096, False, 0),
    ],
    ids=["quiet", "quiet-still", "busy", "almost-full", "full", "behind", "behind-almost-full", "behind-full"],
)
def test_a_batch_is_due_by_its_size_its_age_and_the_room_of_the_uplink(taps, room, after_us):
    assert due_at_us(taps=taps, oldest_us=SECOND_US, room=room) == SECOND_US + after_us


def test_no_batch_is_due_later_for_holding_more_taps():
    for room in (True, False):
        moments = [due_at_us(taps=taps, oldest_us=0, room=room) for taps in range(1, MOST_TAPS + 1)]
        assert moments == sorted(moments, reverse=True)


def test_an_outage_of_two_hours_comes_back_in_hundreds_of_batches():
    sealed = 7200 * SECOND_US // due_at_us(taps=1, oldest_us=0, room=False)
    assert sealed <= 1000
