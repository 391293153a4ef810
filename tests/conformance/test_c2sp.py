"""Conformance with C2SP: fixed values for notes, cosignatures, tiles, proofs and policies, and the witness's table of statuses."""

import base64
import hashlib

import pytest

from fare_chain import note, policy, proofs, tiles, witness
from fare_chain.checkpoint import Checkpoint, read_checkpoint
from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import EMPTY_ROOT, leaf_hash
from fare_chain.keys import SigningKey
from fare_chain.merkle import Frontier, root
from fare_chain.ml_dsa import MlDsaKey
from fare_chain.note import KeyType, NoteVerifier, read_vkey

ORIGIN = "ledger.example/clearing"
LOG_KEY, WITNESS_KEY = SigningKey(bytes(range(32))), SigningKey(bytes(range(32, 64)))
LOG = NoteVerifier(ORIGIN, LOG_KEY.public)
WITNESS = NoteVerifier("city-a.example/witness", WITNESS_KEY.public, KeyType.COSIGNATURE)
TIME_S = 1_790_000_000
LEAVES = [leaf_hash(b"tap-%d" % at) for at in range(70_000)]


def leaf_root(size):
    return root(LEAVES[:size])


ROOT = leaf_root(70_000)
CHECKPOINT = Checkpoint(ORIGIN, 70_000, ROOT)
NOTE = CHECKPOINT.sign(LOG_KEY) + note.cosign(CHECKPOINT.to_text(), WITNESS.name, WITNESS_KEY, TIME_S).to_text()


def read_node(level, index):
    return root(LEAVES[index << level : (index + 1) << level])


def sha(data):
    return hashlib.sha256(data).hexdigest()


ROOTS = {
    1: "cc0b0ed83dd5f0fe45c676f46c353b1d6d210a62ab1550d672d8b8cffde20b36",
    7: "f8f7cc50c5f224168f2b05cf8b815f0e722c70a256ec6f284eb7d9321f595194",
    255: "0bff6aa0f3f5a7706f58afeb7ad93706c3fd7999be26fcc1a0a59d2ad6de4910",
    256: "7e705ee25b2b60a3ac8c9ac1eef1879a6f29190cde78b00e92f242b777f75f46",
    257: "5d90f152212892f82a441175d0cd8b49e6fee77075b263d76b5ec3379b4d32d6",
    65_537: "4015218df09afcd50ba9711c8c99a77201e13f615e4091993ca82d81e52933de",
    70_000: "09a92f54ba89095e223d047b4fbefef988abf9bca20ebb44ed6717d52ca1416f",
}


@pytest.mark.parametrize("size", ROOTS)
def test_roots(size):
    assert leaf_root(size).hex() == Frontier().append(LEAVES[:size]).root().hex() == ROOTS[size]


def test_key_ids_and_verifier_keys():
    assert LOG.to_vkey() == "ledger.example/clearing+bb4de0a3+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    assert WITNESS.to_vkey() == "city-a.example/witness+ed5b3105+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
    assert NoteVerifier("city-a.example/mirror", MlDsaKey(bytes(range(32))).public, KeyType.ML_DSA_44).key_id.hex() == "7aea9c98"
    assert read_vkey(LOG.to_vkey()) == LOG
    assert read_vkey(WITNESS.to_vkey()) == WITNESS


@pytest.mark.parametrize(
    "vkey",
    [
        "ledger.example/clearing+2e7e363b+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4AA==",
        "ledger.example/clearing+608b4651+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTE=",
        "ledger.example/clearing+164fec25+ZQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        LOG.to_vkey()[1:],
        LOG.to_vkey()[:-1],
        LOG.to_vkey().replace("+bb", "+bc"),
        LOG.to_vkey().replace("ledger", "led ger"),
        "+bb4de0a3+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
    ],
)
def test_verifier_keys_to_refuse(vkey):
    with pytest.raises(Malformed):
        read_vkey(vkey)


def test_the_checkpoint_with_its_cosignature_is_the_fixed_one():
    assert (len(NOTE.encode()), sha(NOTE.encode())) == (329, "6ef53839473b3f4d33a63909c54e5769433a4a85005cedf31e58ca043b06f0e1")
    assert len(note.read_note(NOTE).signed_by([LOG, WITNESS])) == 2


def test_an_ml_dsa_cosignature_signs_the_fixed_message():
    key, name = MlDsaKey(bytes(range(32))), "city-a.example/mirror"
    message = note.subtree_message(CHECKPOINT.to_text(), name, TIME_S)
    assert (len(message), message[:12], message[-32:]) == (114, b"subtree/v1\n\0", ROOT)
    line = note.cosign_ml_dsa(CHECKPOINT.to_text(), name, key, TIME_S)
    verifier = NoteVerifier(name, key.public, KeyType.ML_DSA_44)
    assert len(note.read_note(NOTE + line.to_text()).signed_by([LOG, verifier])) == 2
    with pytest.raises(Untrusted):
        note.read_note(NOTE.replace("70000", "70001") + line.to_text()).signed_by([verifier])


def tampered_notes():
    yield "bit-in-text", NOTE.replace("70000", "70001")
    yield "no-final-newline", NOTE[:-1]
    yield "crlf", NOTE.replace("\n", "\r\n")
    yield "control-byte", NOTE.replace("70000", "7\x010000")
    for name, size in (("zero", "070000"), ("sign", "+70000"), ("space", " 70000"), ("digits", "７0000")):
        yield f"size-{name}", Checkpoint(ORIGIN, 0, ROOT).to_text().replace("\n0\n", f"\n{size}\n")
    yield "base64-url", NOTE.replace("Yir+by", "Yir-by")
    yield "base64-no-padding", NOTE.replace("hQW8=\n", "hQW8\n")
    yield (
        "log-blob-as-cosignature",
        NOTE.replace("city-a.example/witness 7VsxBQ", "city-a.example/witness u03go4").replace(ORIGIN, "x", 1),
    )
    yield "cosignature-alone", f"{CHECKPOINT.to_text()}\n{NOTE.splitlines()[-1]}\n"
    yield "empty-extension", NOTE.replace("hQW8=\n\n", "hQW8=\n\n\n")


@pytest.mark.parametrize(("name", "text"), list(tampered_notes()), ids=[name for name, _text in tampered_notes()])
def test_notes_to_refuse(name, text):
    if name.startswith("size-"):
        text = note.sign(text, ORIGIN, LOG_KEY)
    with pytest.raises((Malformed, Untrusted)):
        read_checkpoint(text, [LOG])


def test_lines_of_unknown_keys_are_passed_over():
    extra = "".join(note.NoteLine(f"unknown{at}.example", bytes([at] * 4), bytes(64)).to_text() for at in range(14))
    assert read_checkpoint(NOTE + extra, [LOG]) == CHECKPOINT


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        ((0, 0, 256), "e524c6834a706965172f26a25852cd5703807a5562136788425e23713237c207"),
        ((0, 273, 112), "2c82cfd20617f415876cd3554b3686ec3c4a3a056a2f7f0f65ecedd3c30ee28b"),
        ((1, 0, 256), "cedc6be7cb7a440b7f45377f736a24b12bdfbc3354f343ab5098d2f3c0515c85"),
        ((1, 1, 17), "8c5dae2bb882fa63629ab82fa847f47bd9365c7be3048823126fc87706c335ad"),
        ((2, 0, 1), "18409b2bd87c149de612d6df339a0939c170500a06ce67feb2cca1d70657a41f"),
    ],
)
def test_tiles(path, digest):
    level, number, width = path
    hashes = [read_node(8 * level, number * 256 + at) for at in range(width)]
    assert sha(b"".join(hashes)) == digest
    assert path in set(tiles.tiles_of(70_000))


def test_bundles_and_paths():
    entries = [b"tap-%d" % at for at in range(256)]
    assert sha(tiles.write_bundle(entries)) == "d2b1410ad6ffe8baeedf9274bca4b570e44a26839908cd5c0f766539096dd5d3"
    for number, told in {
        0: "000",
        999: "999",
        1000: "x001/000",
        7_654_321: "x007/x654/321",
        1_000_000_007: "x001/x000/x000/007",
    }.items():
        assert tiles.tile_path(0, number) == f"tile/0/{told}"
    assert len(list(tiles.tiles_of(70_000))) + len(list(tiles.bundles_of(70_000))) + 1 == 552


@pytest.mark.parametrize(
    "path",
    ["tile/64/000", "tile/-1/000", "tile/00/000", "tile/word/000", "tile/0/00", "tile/0/0000", "tile/0/001/000", "tile/0/x001",
     "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p",
     "tile/0/x018/x446/x744/x073/x709/x551/616"],
)  # fmt: skip
def test_paths_to_refuse(path):
    with pytest.raises(Malformed):
        tiles.read_tile_path(path)


def test_a_proof_file_is_the_fixed_one():
    path = proofs.prove_inclusion(index=4242, size=70_000, read_node=read_node)
    text = proofs.ProofFile(4242, tuple(path), NOTE).to_text()
    assert len(text.encode()) == 1_129
    assert sha(text.encode()) == "ace687a09a4bddf41966c781a776877dc4437ddaab9fcf71b8da6e499a96e023"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("@v1", "@v2"),
        lambda text: text.replace("index 4242", "extra !!\nindex 4242"),
        lambda text: text.replace("index 4242\n", ""),
        lambda text: text.replace("index 4242", "index -1"),
        lambda text: text.replace("index 4242", "index 04242"),
        lambda text: text.replace("=\n", "\n", 1),
        lambda text: text.replace("\n\n", "\n", 1),
        lambda text: text.replace("index 4242", "extra QQ==\nextra QQ==\nindex 4242"),
    ],
)
def test_proof_files_to_refuse(change):
    path = proofs.prove_inclusion(index=4242, size=70_000, read_node=read_node)
    text = change(proofs.ProofFile(4242, tuple(path), CHECKPOINT.sign(LOG_KEY)).to_text())
    with pytest.raises(Malformed):
        proofs.read_proof_file(text)


def submission(old, size, entries=LEAVES, proof=None, note_text=None):
    """One submission; the right proof unless another is given."""
    checkpoint = Checkpoint(ORIGIN, size, root(entries[:size]))
    told = checkpoint.sign(LOG_KEY) if note_text is None else note_text
    if proof is None:
        proof = proofs.prove_consistency(old=old, size=size, read_node=read_node) if 0 < old < size else []
    lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof), "", told]
    return "\n".join(lines).encode()


def signed(size):
    return Checkpoint(ORIGIN, size, leaf_root(size)).sign(LOG_KEY)


OTHERS = [leaf_hash(b"tap-%d!" % at) for at in range(1500)]
FIRST = proofs.prove_consistency(old=1500, size=1600, read_node=read_node)
REQUESTS = [
    (submission(0, 1000), 203, "9efa30b0d0e44a1474aa1fcb5e25160583e6f65a0169343a8412d67c6080cc72", 200, ""),
    (submission(1000, 1500), 611, "a8e37c8cee31b12381ae6df46179da365c14cc8ce2cc0a87301c03a83b173c35", 200, ""),
    (submission(1000, 1500), 611, "a8e37c8cee31b12381ae6df46179da365c14cc8ce2cc0a87301c03a83b173c35", 409, "1500\n"),
    (submission(1500, 1500), 206, "9a7e61b2da585236208cebb56f95db582b8867ce36803d68edb9118d5ecd61af", 200, ""),
    (submission(1500, 1600, proof=[bytes(32)]), 251, "8b98f807de5fa93ed091218a2c58beec5690e1042f2f1e38b3adc79e0038deaa", 422, ""),
    (submission(1500, 1600, proof=[]), 206, "ef14e0be677cf1267b6fc7ddfd7561662fe6a45cbbe6908fb5529243d871364c", 422, ""),
    (submission(1500, 1600, proof=[bytes([FIRST[0][0] ^ 1]) + FIRST[0][1:], *FIRST[1:]]), 656, None, 422, ""),
    (submission(1500, 1500, OTHERS), 206, "07c3084d4d7ba841b42715d6c9ce8653f2be6c6b9ff7e5017985c52f6baeb52d", 422, ""),
    (submission(1600, 1500), 206, "880c01c526559bf67cee1a9c0710c3425155649008f8534b1d4fa6bbd1e0e35c", 400, ""),
    (submission(0, 1000, note_text=signed(1000).replace(ORIGIN, "other.example/clearing", 1)), 202, None, 404, ""),
    (submission(1500, 1500, note_text=signed(1500).replace("\n1500\n", "\n1501\n")), 206, None, 403, ""),
    (b"old x" + submission(1500, 1500)[8:], 203, "5351581b66118c643aeb6ddb4281e2aa59c1b95d69aebc82d4b8367e984b1d43", 400, ""),
    (b"old 0" + submission(1500, 1600)[4:], 657, "59139424c6b5f1a7e030de6807209e32f9c3d38c4abdcd333a561de68cccc966", 400, ""),
    (
        submission(0, 1600, proof=[bytes(32)]),
        248,
        "4588f031cc9ba7d31aee99c7a88c6be00ab2410ac80d59bc188c138f3c519aa4",
        409,
        "1500\n",
    ),
    (submission(1500, 1600), 656, "212d226dfa0e692b2885809260cee944de143d80252b349f7dab4933cf993df0", 200, ""),
]


def test_the_witness_answers_the_table_in_its_order():
    size, last_root = 0, EMPTY_ROOT
    for number, (body, length, digest, status, said) in enumerate(REQUESTS, start=1):
        assert len(body) == length, number
        assert digest is None or sha(body) == digest, number
        answer = witness.judge(body, [LOG], size, last_root)
        if isinstance(answer, witness.Refused):
            assert (answer.status, said in answer.body) == (status, True), (number, answer)
            assert (answer.content_type == witness.SIZE_TYPE) == (status == 409)
        else:
            assert status == 200, (number, answer)
            size, last_root = answer.size, answer.root
    assert size == 1600


def test_a_proof_from_nothing_is_refused():
    answer = witness.judge(submission(0, 1000, proof=[bytes(32)]), [LOG], 0, EMPTY_ROOT)
    assert answer.status == 422


KEYS = {name: f"{name}.example+" for name in "abc"}
A, B, C = (
    NoteVerifier(f"{name}.example/w", SigningKey(name.encode() * 32).public, KeyType.COSIGNATURE).to_vkey() for name in "abc"
)
HEAD = f"log {LOG.to_vkey()}\nwitness a {A}\nwitness b {B} http://b\nwitness c {C}\n"


@pytest.mark.parametrize(
    "rest",
    ["quorum a\n", "quorum none\n", "group g 2 a b\nquorum g\n", "group g any a b # x\n\n\tgroup  h\t all g c\nquorum h\n"],
)
def test_policies_to_accept(rest):
    read = policy.read_policy(HEAD + rest)
    assert policy.read_policy(read.to_text()) == read


@pytest.mark.parametrize(
    "text",
    [
        HEAD, HEAD + "quorum a\nquorum b\n", HEAD + "quorum x\n", HEAD + "group g 1 x\nquorum g\n",
        HEAD + f"witness a {A}\nquorum a\n", HEAD + "group a 1 b\nquorum b\n", HEAD + "group g 1 none\nquorum g\n",
        HEAD + "group g 0 a\nquorum g\n", HEAD + "group g -1 a\nquorum g\n", HEAD + "group g 3 a b\nquorum g\n",
        HEAD + "group g any\nquorum g\n", HEAD + "group g 1 a a\nquorum g\n", HEAD + "group g 1 a\ngroup h 1 a\nquorum g\n",
        HEAD + f"witness d {A.replace('a.example', 'a.example')}\nquorum a\n", f"log {LOG.to_vkey()}\n" + HEAD + "quorum a\n",
        HEAD + "group none 1 a\nquorum none\n", HEAD + "nonsense\nquorum a\n",
    ],
)  # fmt: skip
def test_policies_to_refuse(text):
    with pytest.raises(Malformed):
        policy.read_policy(text)
