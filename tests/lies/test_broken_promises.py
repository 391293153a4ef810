"""A house takes a batch, gives its receipt, and drops it: the city that kept the receipt proves what it was promised."""

import shutil

import pytest

from city_adapters.kept_receipts import KeptReceipts, read_receipts, receipt_files
from fare_chain.contradictions import SignedLog
from fare_chain.events import EntryKind
from fare_chain.log_reader import FolderLog
from fare_chain.tiles import write_bundle
from simulators.adversary.house import LyingHouse
from simulators.small_house import ORIGIN
from tests.lies.liars import COSIGNING, run, told
from tests.settlement.mirror.mirror_world import POLICY


@pytest.fixture
def kept(exported_log, tmp_path):
    """A spool that kept the receipt of every batch, as the log's own checkpoint gives it."""
    (tmp_path / "policy").write_text(POLICY.to_text())
    log = SignedLog.of(FolderLog(exported_log), POLICY)
    receipts = KeptReceipts(tmp_path)
    for seq, at in enumerate(told(exported_log).places(EntryKind.BATCH)):
        receipts.add(seq, log.proof(at).decode())
    receipts.close()
    return receipts


def check(folder, log, *more):
    return run(folder, "check-receipts", folder, "--log", log, "--policy", "policy", "--evidence", "found", *more)


def test_a_dropped_batch_breaks_its_receipt_and_the_city_writes_what_convicts_the_house(kept, exported_log, tmp_path, judge):
    at, log = LyingHouse(told(exported_log, COSIGNING)).drops_a_batch()
    code, said = check(tmp_path, log.export(tmp_path / "shown"))
    broken = sorted((tmp_path / "found").glob("*.evidence"))
    assert (code, f"{len(broken)} BROKEN" in said) == (1, True), said
    assert any(f"receipt for entry {at} " in judge.hears(file)[1]["words"] for file in broken)
    assert judge.convicts(broken[-1], "broken-receipt", {ORIGIN})
    code, said = run(tmp_path, "verify", tmp_path / "shown", "--policy", "policy")
    assert (code, "verified: " in said) == (0, True), "nothing inside that log contradicts anything: the receipt alone tells"


def test_promises_that_were_kept_convict_nobody_nor_does_an_older_copy_of_the_log(kept, exported_log, tmp_path):
    code, said = check(tmp_path, exported_log)
    assert (code, "12 honoured" in said) == (0, True), said
    code, said = check(tmp_path, told(exported_log).cut(20).export(tmp_path / "older"))
    assert (code, "12 beyond the log given" in said) == (0, True), said
    assert not (tmp_path / "found").exists()


def test_a_log_whose_entries_do_not_lead_to_its_signed_root_is_refused_and_convicts_nobody(kept, exported_log, tmp_path):
    folder = tmp_path / "spoilt"
    shutil.copytree(exported_log, folder)
    bundle = next(path for path in (folder / "tile" / "entries").rglob("*") if path.is_file())
    data, at = bundle.read_bytes(), told(exported_log).places(EntryKind.BATCH)[0]
    payload = told(exported_log).entries[at].payload
    bundle.write_bytes(data.replace(payload, payload[:-1] + bytes([payload[-1] ^ 1])))
    code, said = check(tmp_path, folder)
    assert (code, "does not lead to the root" in said, (tmp_path / "found").exists()) == (1, True, False), said


def test_the_promised_entries_shown_beside_another_tree_honour_nothing(kept, exported_log, tmp_path):
    _at, log = LyingHouse(told(exported_log)).drops_a_batch()
    folder = log.export(tmp_path / "shown")
    bundle = next(path for path in (folder / "tile" / "entries").rglob("*") if path.is_file())
    entries = [*told(exported_log).frames()[1], *log.frames()[1]][: len(log.entries)]
    bundle.write_bytes(write_bundle(entries))
    code, said = check(tmp_path, folder)
    assert (code, "does not lead to the root" in said, "honoured" in said) == (1, True, False), said


def test_files_of_receipts_that_a_final_checkpoint_honours_can_go_but_the_last(kept, exported_log, tmp_path):
    final = told(exported_log, COSIGNING).export(tmp_path / "final")
    later = KeptReceipts(tmp_path)
    later.add(99, next(read_receipts(receipt_files(tmp_path)[0])))
    later.close()
    assert check(tmp_path, exported_log, "--let-go")[0] == 0
    assert len(receipt_files(tmp_path)) == 2, "provisional is not enough"
    assert check(tmp_path, final, "--let-go")[0] == 0
    assert [path.stem for path in receipt_files(tmp_path)] == ["000000000099"]


def test_a_torn_receipt_counts_for_nothing(kept, tmp_path):
    (file,) = receipt_files(tmp_path)
    whole = list(read_receipts(file))
    file.write_bytes(file.read_bytes()[:-3])
    assert list(read_receipts(file)) == whole[:-1]
