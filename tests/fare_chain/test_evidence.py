"""Evidence: each kind of liar is convicted by one file and a policy; nobody honest is, and nothing altered convicts."""

import shutil
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from fare_chain import evidence, note
from fare_chain.batch import CityTail, read_header, seal
from fare_chain.checkpoint import Checkpoint
from fare_chain.commands import add_to
from fare_chain.errors import FareChainError, Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind, read_window_entry
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind, Term
from fare_chain.hashing import leaf_hash, sha256
from fare_chain.keys import KeyUse, PublicKey
from fare_chain.ledger import Head, append, read_entry
from fare_chain.log_reader import FolderLog
from fare_chain.merkle import root
from fare_chain.proofs import prove_inclusion
from fare_chain.replayed_log import replay_under
from fare_chain.tap import TapKind
from fare_chain.tiles import bundles_of, read_bundle, tile_path, tiles_of, write_bundle
from simulators.small_cities import OPENING_US
from simulators.small_house import ORIGIN, SmallAdapter, SmallRider, small_key, small_ring
from tests.settlement.mirror.mirror_world import POLICY

LOG_KEY = small_key(0, KeyUse.LOG)
MIRROR, NAME = small_key(1, KeyUse.CLEARING), "alder.small.example/clearing"


def convicted(text, ring=None, fails_at=None):
    return check_evidence(evidence.read_evidence(text), POLICY, ring or small_ring(), fails_at)


def checkpoint_of(leaves):
    return Checkpoint(ORIGIN, len(leaves), root(leaves))


def cosigned(checkpoint, time_s=9):
    text = checkpoint.to_text()
    return (checkpoint.sign(LOG_KEY) + note.cosign(text, NAME, MIRROR, time_s).to_text()).encode()


ONE, OTHER = [leaf_hash(b"%d" % at) for at in range(9)], [leaf_hash(b"%d!" % at) for at in range(9)]


def test_a_house_and_a_mirror_that_sign_two_roots_of_one_size_are_convicted():
    text = evidence.two_of(EvidenceKind.FORK_SAME_SIZE, cosigned(checkpoint_of(ONE)), cosigned(checkpoint_of(OTHER)))
    found = convicted(text)
    assert (set(found.parties), found.member) == ({ORIGIN, "alder"}, 0)
    assert "two roots of size 9" in found.words


@pytest.mark.parametrize("other", [checkpoint_of(ONE), checkpoint_of(ONE[:5])], ids=["the-same", "a-smaller-one"])
def test_a_log_that_grows_is_no_fork(other):
    with pytest.raises(Untrusted, match="no fork"):
        convicted(evidence.two_of(EvidenceKind.FORK_SAME_SIZE, cosigned(checkpoint_of(ONE)), cosigned(other)))


def test_a_mirror_that_goes_back_is_convicted_and_one_that_goes_on_is_not():
    large, small = checkpoint_of(ONE), checkpoint_of(ONE[:4])
    found = convicted(evidence.two_of(EvidenceKind.ROLLBACK, cosigned(large, 100), cosigned(small, 101)))
    assert found.parties == ("alder",)
    for later in (99, 100):
        with pytest.raises(Untrusted):
            convicted(evidence.two_of(EvidenceKind.ROLLBACK, cosigned(large, 100), cosigned(small, later)))


def chained(payloads):
    """A small log: its entries, its checkpoint, and a proof item of each entry."""
    head, entries, leaves = append(Head(), 10, payloads)
    signed = Checkpoint(ORIGIN, head.size, head.root()).sign(LOG_KEY)

    def read_node(level, index):
        return root(leaves[index << level : (index + 1) << level])

    paths = [prove_inclusion(index=at, size=len(leaves), read_node=read_node) for at in range(len(leaves))]
    return [evidence.proof_item(read_entry(data), path, signed) for data, path in zip(entries, paths, strict=True)]


def batch_of(*riders, city=1):
    return SmallAdapter(city).seal([SmallRider(rider, 2).scan(city, 1, TapKind.ENTRY, OPENING_US + 10**6) for rider in riders])


def test_a_rewritten_entry_is_a_fork_at_any_size_and_breaks_the_receipt():
    batch, another = batch_of(1, 2), batch_of(3)
    told = chained([(EntryKind.BATCH, batch.signed_header), (EntryKind.WINDOW, b"w")])
    retold = chained([(EntryKind.BATCH, another.signed_header), (EntryKind.WINDOW, b"w"), (EntryKind.WINDOW, b"x")])
    for kind in (EvidenceKind.FORK_ANY_SIZE, EvidenceKind.BROKEN_RECEIPT):
        assert convicted(evidence.two_of(kind, told[0], retold[0])).parties == (ORIGIN,)
        with pytest.raises(Untrusted):
            convicted(evidence.two_of(kind, told[0], told[0]))
    with pytest.raises(Untrusted, match="indices"):
        convicted(evidence.two_of(EvidenceKind.FORK_ANY_SIZE, told[0], retold[1]))


def test_a_city_that_signs_two_batches_of_one_number_is_convicted():
    one, other = batch_of(1), batch_of(2)
    found = convicted(evidence.two_of(EvidenceKind.DOUBLE_BATCH, one.signed_header, other.signed_header))
    assert (found.parties, found.member) == (("city 1",), 1)
    with pytest.raises(Untrusted, match="sent twice"):
        convicted(evidence.two_of(EvidenceKind.DOUBLE_BATCH, one.signed_header, one.signed_header))
    forged = other.signed_header[:-1] + bytes([other.signed_header[-1] ^ 1])
    with pytest.raises(Untrusted):
        convicted(evidence.two_of(EvidenceKind.DOUBLE_BATCH, one.signed_header, forged))


def test_a_city_that_signs_a_false_root_is_convicted():
    batch = batch_of(1, 2)
    false = replace(batch.header, taps_root=bytes(32))
    header = false.to_bytes() + small_key(1, KeyUse.BATCH).sign(false.to_bytes())
    assert convicted(evidence.two_of(EvidenceKind.BAD_ROOT, header, batch.body)).member == 1
    for body, named in ((batch.body, "no lie"), (batch.body[:-1] + b"x", "anybody")):
        with pytest.raises((Untrusted, Malformed), match=named):
            convicted(evidence.two_of(EvidenceKind.BAD_ROOT, batch.signed_header, body))


def rider_evidence(spoil):
    """A city's batch of one tap whose code is spoilt before the city signs it."""
    shown, code = SmallRider(1, 2).scan(1, 1, TapKind.ENTRY, OPENING_US + 10**6)
    code = spoil(code)
    shown = replace(shown, code_digest=sha256(code))
    key = small_key(1, KeyUse.BATCH)
    key_id = PublicKey(1, KeyUse.BATCH, key.public, 0, 1).key_id
    batch = seal(shown.to_bytes(), [code], city=1, tail=CityTail(), key=key, key_id=key_id)
    _head, entries, _leaves = append(Head(), 10, [(EntryKind.BATCH, batch.signed_header)])
    return evidence.bad_rider_signature(0, entries[0], 0, batch.body, code)


def test_a_city_that_forges_a_tap_is_convicted_and_an_honest_one_is_not():
    found = convicted(rider_evidence(lambda code: code[:-1] + bytes([code[-1] ^ 1])))
    assert (found.member, found.index, found.tap) == (1, 0, 0)
    with pytest.raises(Untrusted, match="rider's own"):
        convicted(rider_evidence(lambda code: code))
    with pytest.raises((Unknown, Untrusted)):
        check_evidence(evidence.read_evidence(rider_evidence(lambda code: code)), POLICY)


def test_a_city_that_signs_two_terms_of_one_number_is_convicted():
    terms = [Term(1, size, bytes(32), LOG_KEY.public, sha256(ORIGIN.encode())) for size in (5, 6)]
    signed = [(term.to_bytes(), term.sign(MIRROR)) for term in terms]
    assert convicted(evidence.double_term(*signed)).parties == ("alder",)
    with pytest.raises(Untrusted, match="twice is no lie"):
        convicted(evidence.double_term(signed[0], signed[0]))
    with pytest.raises(Untrusted, match="signed both"):
        convicted(evidence.double_term(signed[0], (terms[1].to_bytes(), terms[1].sign(small_key(2, KeyUse.CLEARING)))))


@pytest.mark.parametrize(
    "text",
    ["", "fare-chain/evidence@v2\nkind rollback\n", "fare-chain/evidence@v1\nkind gossip\nitem note QQ==\n",
     "fare-chain/evidence@v1\nkind rollback\nitem note QQ==\n", "fare-chain/evidence@v1\nkind rollback\nitem note Q\n",
     "fare-chain/evidence@v1\nkind rollback\nitem note QQ==\nitem note QQ==\nitem key QQ==\n"],
)  # fmt: skip
def test_files_that_are_none_are_refused(text):
    with pytest.raises(Malformed):
        evidence.read_evidence(text)


def test_no_flipped_bit_of_a_conviction_convicts_somebody_else():
    honest = evidence.two_of(EvidenceKind.ROLLBACK, cosigned(checkpoint_of(ONE), 100), cosigned(checkpoint_of(ONE[:4]), 101))
    data = honest.encode()
    for at in range(0, len(data), 7):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            found = convicted(altered.decode())
        except (FareChainError, UnicodeDecodeError):
            continue
        assert found.parties == ("alder",)


def lying_log(honest, folder):
    """A copy of a log in which one window moves a fen: chained, hashed and signed anew, by a house with a straight face."""
    shutil.copytree(honest, folder)
    size = int((folder / "checkpoint").read_text().split("\n")[1])
    given = [
        data
        for number, width in bundles_of(size)
        for data in read_bundle((folder / tile_path(None, number, width)).read_bytes(), width)
    ]
    read = [read_entry(data) for data in given]
    lie = next(entry.index for entry in read if entry.kind is EntryKind.WINDOW and read_window_entry(entry.payload).journeys)
    last, entries, leaves = bytes(32), [], []
    for entry in read:
        payload = entry.payload
        if entry.index == lie:
            window = read_window_entry(payload)
            (first, fen), (second, other), *rest = window.positions
            payload = replace(window, positions=((first, fen + 1), (second, other - 1), *rest)).to_bytes()
        entries.append(replace(entry, prev_leaf=last, payload=payload).to_bytes())
        last = leaf_hash(entries[-1])
        leaves.append(last)
    for level, number, width in tiles_of(size):
        (folder / tile_path(level, number, width)).write_bytes(b"".join(leaves))
    for number, width in bundles_of(size):
        (folder / tile_path(None, number, width)).write_bytes(write_bundle(entries))
    signed = Checkpoint(ORIGIN, size, root(leaves)).sign(LOG_KEY)
    (folder / "checkpoint").write_text(signed)
    return lie, signed


def test_a_wrong_state_is_shown_by_the_log_itself_and_one_command(exported_log, tmp_path):
    lie, signed = lying_log(exported_log, tmp_path / "lying")
    app = typer.Typer()
    add_to(app)
    files = {"lie": evidence.wrong_state(signed, lie), "elsewhere": evidence.wrong_state(signed, lie - 1)}
    files["honest"] = evidence.wrong_state((exported_log / "checkpoint").read_text(), lie)
    (tmp_path / "policy").write_text(POLICY.to_text())
    said = {}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        log = exported_log if name == "honest" else tmp_path / "lying"
        asked = ["verify-evidence", str(tmp_path / name), "--policy", str(tmp_path / "policy"), "--log", str(log)]
        said[name] = CliRunner().invoke(app, asked)
    assert (said["lie"].exit_code, f"false entry {lie}" in said["lie"].output) == (0, True), said["lie"].output
    assert (said["elsewhere"].exit_code, said["honest"].exit_code) == (1, 1)
    assert "all of it holds" in said["honest"].output
    with pytest.raises(Unknown, match="--log"):
        convicted(files["lie"])


def test_the_entry_that_puts_it_on_record_names_the_file():
    text = evidence.two_of(EvidenceKind.DOUBLE_BATCH, batch_of(1).signed_header, batch_of(2).signed_header).encode()
    entry = evidence.entry_for(text, accused=1)
    assert (entry.kind, entry.accused, entry.file_bytes, entry.file_hash) == (EvidenceKind.DOUBLE_BATCH, 1, len(text), sha256(text))
    assert read_header(batch_of(1).signed_header).city == 1


def test_a_log_that_its_accuser_altered_convicts_no_house(exported_log, tmp_path):
    blamed, _signed = lying_log(exported_log, tmp_path / "altered")
    honest = (exported_log / "checkpoint").read_text()
    with pytest.raises(Untrusted, match="another than the one signed"):
        convicted(evidence.wrong_state(honest, blamed), fails_at=replay_under(FolderLog(tmp_path / "altered")))


@pytest.mark.parametrize("kind", ["tile", "body", "table"])
def test_what_an_accuser_spoils_beside_the_entries_convicts_no_house(exported_log, tmp_path, kind):
    folder = tmp_path / "altered"
    shutil.copytree(exported_log, folder)
    honest = (folder / "checkpoint").read_text()
    size = int(honest.split("\n")[1])
    spoilt = folder / tile_path(0, 0, size) if kind == "tile" else next((folder / kind).iterdir())
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"x")
    for index in range(size):
        with pytest.raises(FareChainError):
            convicted(evidence.wrong_state(honest, index), fails_at=replay_under(FolderLog(folder)))
