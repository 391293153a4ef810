"""A city's receipts: kept in files of a fixed number, the oldest of too many let go, a torn tail passed over."""

import pytest

from city_adapters import kept_receipts
from city_adapters.kept_receipts import KeptReceipts, read_receipts, receipt_files


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(kept_receipts, "RECEIPTS_A_FILE", 3)
    monkeypatch.setattr(kept_receipts, "MOST_FILES", 4)


def all_of(spool):
    return [receipt for path in receipt_files(spool) for receipt in read_receipts(path)]


def test_receipts_come_back_in_their_order_over_files_and_processes(tmp_path, small_files):
    for begin in (0, 5):
        kept = KeptReceipts(tmp_path)
        for seq in range(begin, begin + 5):
            kept.add(seq, f"receipt {seq}")
        kept.close()
    assert all_of(tmp_path) == [f"receipt {seq}" for seq in range(10)]
    assert [path.stem[-2:] for path in receipt_files(tmp_path)] == ["00", "03", "05", "08"]


def test_no_more_files_than_agreed_are_kept_and_the_oldest_go(tmp_path, small_files):
    kept = KeptReceipts(tmp_path)
    for seq in range(20):
        kept.add(seq, f"receipt {seq}")
    kept.close()
    assert len(receipt_files(tmp_path)) == 4
    assert all_of(tmp_path) == [f"receipt {seq}" for seq in range(9, 20)]


def test_a_receipt_is_there_as_soon_as_it_is_added_and_a_spoilt_one_ends_its_file(tmp_path):
    kept = KeptReceipts(tmp_path)
    kept.add(0, "one")
    kept.add(1, "other")
    assert all_of(tmp_path) == ["one", "other"]
    kept.close()
    (file,) = receipt_files(tmp_path)
    data = file.read_bytes()
    file.write_bytes(data[:-1] + b"x")
    assert all_of(tmp_path) == ["one"]
