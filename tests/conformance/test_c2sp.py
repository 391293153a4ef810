"""Conformance with C2SP: fixed values for notes, cosignatures, tiles, proofs and policies, and the witness's table of statuses."""

import pytest

from fare_chain import note, policy, proofs, tiles, witness
from fare_chain.checkpoint import Checkpoint, read_checkpoint
from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import EMPTY_ROOT
from fare_chain.keys import SigningKey
from fare_chain.merkle import Frontier
from fare_chain.ml_dsa import MlDsaKey
from fare_chain.note import KeyType, NoteVerifier, read_vkey
from tests.conformance.c2sp_log import (
    CHECKPOINT,
    LEAVES,
    LOG,
    LOG_KEY,
    NOTE,
    ORIGIN,
    REQUESTS,
    ROOT,
    TIME_S,
    WITNESS,
    leaf_root,
    read_node,
    sha,
    submission,
    write_log,
)

ROOTS = {
    1: "cc0b0ed83dd5f0fe45c676f46c353b1d6d210a62ab1550d672d8b8cffde20b36",
    2: "322c66fb40988e6b5b263693438b17c74fc1fe0382ca44f4ac0655c98d4acb5a",
    3: "bbc959ef0f02341ebf8232145da5dade3748be4c8a758305adce4c0418cd88d6",
    4: "2ccbcf37d8d02535bdf2c346921ce8ef890ea08097f2e6f007ad0d634cfa7dbe",
    5: "21ff8854aa956c6ae5bddd7057ae8a74a5c234279b111f2bd83b8fd9d2db16cb",
    6: "009a5ed231616c5014016b52ca7d46f167030e8e530913f88ce02e8cb5fcb785",
    7: "f8f7cc50c5f224168f2b05cf8b815f0e722c70a256ec6f284eb7d9321f595194",
    255: "0bff6aa0f3f5a7706f58afeb7ad93706c3fd7999be26fcc1a0a59d2ad6de4910",
    256: "7e705ee25b2b60a3ac8c9ac1eef1879a6f29190cde78b00e92f242b777f75f46",
    257: "5d90f152212892f82a441175d0cd8b49e6fee77075b263d76b5ec3379b4d32d6",
    511: "7fe695511a5dc2421d6f903b2d0ee1b6398eea6057404ea333ae0f28b84d57af",
    512: "d8c1323243f147a793ec12227d3370fa26ef71e7067cdbcaad4c550b9bc42709",
    65_535: "1df946a02ae8ac825bc6d4ee1b0e0156ea7870ae1c9a0617d023e83a212c813e",
    65_536: "b34a8a157afbe818221a60b859aaad6fe7a50249259cfa902af1e07ec83d8b5c",
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
        *(LOG.to_vkey().replace("+bb4de0a3+", f"+{'bb4de0a3'[:at]}f{'bb4de0a3'[at + 1 :]}+") for at in range(8)),
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
        yield f"text-size-{name}", Checkpoint(ORIGIN, 0, ROOT).to_text().replace("\n0\n", f"\n{size}\n")
    for name, told in (("31-bytes", ROOT[:31]), ("33-bytes", ROOT + b"\0")):
        yield f"text-root-of-{name}", Checkpoint(ORIGIN, 70_000, told).to_text()
    for name, told in (("stray-bits", "hQW9="), ("no-padding", "hQW8"), ("two-paddings", "hQW8==")):
        yield f"text-root-{name}", CHECKPOINT.to_text().replace("hQW8=", told)
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
    if name.startswith("text-"):  # validly signed: the reader of the text must refuse it
        text = note.sign(text, ORIGIN, LOG_KEY)
    with pytest.raises((Malformed, Untrusted)):
        read_checkpoint(text, [LOG])


def test_lines_of_unknown_keys_are_passed_over():
    extra = "".join(note.NoteLine(f"unknown{at}.example", bytes([at] * 4), bytes(64)).to_text() for at in range(14))
    assert read_checkpoint(NOTE + extra, [LOG]) == CHECKPOINT


FILES = {
    "tile/0/000": (8192, "e524c6834a706965172f26a25852cd5703807a5562136788425e23713237c207"),
    "tile/0/273.p/112": (3584, "2c82cfd20617f415876cd3554b3686ec3c4a3a056a2f7f0f65ecedd3c30ee28b"),
    "tile/1/000": (8192, "cedc6be7cb7a440b7f45377f736a24b12bdfbc3354f343ab5098d2f3c0515c85"),
    "tile/1/001.p/17": (544, "8c5dae2bb882fa63629ab82fa847f47bd9365c7be3048823126fc87706c335ad"),
    "tile/2/000.p/1": (32, "18409b2bd87c149de612d6df339a0939c170500a06ce67feb2cca1d70657a41f"),
    "tile/entries/000": (2194, "d2b1410ad6ffe8baeedf9274bca4b570e44a26839908cd5c0f766539096dd5d3"),
    "tile/entries/273.p/112": (1232, "26ba3ea5551e7d8f0120af995b493a848583b5008ee884cf1f72535ff8c29346"),
}


def test_the_log_as_files_is_the_fixed_one(tmp_path):
    tiles_written = write_log(tmp_path)
    assert len(tiles_written) + 1 == 552  # and the checkpoint
    for path, (length, digest) in FILES.items():
        data = (tmp_path / path).read_bytes()
        assert (len(data), sha(data)) == (length, digest), path
    listed = [tiles.tile_path(*place) for place in tiles.tiles_of(70_000)]
    assert sorted(listed + [tiles.tile_path(None, *place) for place in tiles.bundles_of(70_000)]) == tiles_written


@pytest.mark.parametrize(
    ("size", "levels"),
    [
        (1, [(0, 1)]), (255, [(0, 255)]), (256, [(1, 0), (0, 1)]), (257, [(1, 1), (0, 1)]), (65_535, [(255, 255), (0, 255)]),
        (65_536, [(256, 0), (1, 0), (0, 1)]), (65_537, [(256, 1), (1, 0), (0, 1)]), (70_000, [(273, 112), (1, 17), (0, 1)]),
        (16_777_216, [(65_536, 0), (256, 0), (1, 0), (0, 1)]),
    ],
)  # fmt: skip
def test_tiles_of_a_size_by_level(size, levels):
    """(full tiles, width of the partial one or 0) of each level."""
    found = [[0, 0] for _level in levels]
    for level, _number, width in tiles.tiles_of(size):
        if width == tiles.TILE_WIDTH:
            found[level][0] += 1
        else:
            found[level][1] = width
    assert [tuple(level) for level in found] == levels


PATHS = {
    0: "000", 9: "009", 999: "999", 1000: "x001/000", 70_000: "x070/000", 4_096_000: "x004/x096/000",
    7_654_321: "x007/x654/321", 1_000_000_007: "x001/x000/x000/007",
}  # fmt: skip


@pytest.mark.parametrize("number", PATHS)
def test_paths_of_tiles(number):
    assert tiles.tile_path(0, number) == f"tile/0/{PATHS[number]}"
    assert tiles.read_tile_path(f"tile/0/{PATHS[number]}") == (0, number, tiles.TILE_WIDTH)


BUNDLE = tiles.write_bundle([b"tap-0", b"", b"tap-2"])


@pytest.mark.parametrize(
    ("data", "width"),
    [(BUNDLE[:-6], 3), (BUNDLE[:-1], 3), (BUNDLE, 2), (BUNDLE, 4), (BUNDLE + b"\0", 3), (BUNDLE + b"\0\0", 3), (b"", 1)],
    ids=["cut-length", "cut-entry", "one-more", "one-less", "trailing-byte", "trailing-entry", "empty"],
)
def test_bundles_to_refuse(data, width):
    assert tiles.read_bundle(BUNDLE, 3) == [b"tap-0", b"", b"tap-2"]
    with pytest.raises(Malformed):
        tiles.read_bundle(data, width)


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


def test_the_witness_answers_the_table_in_its_order():
    size, last_root = 0, EMPTY_ROOT
    for number, (body, length, digest, status, said) in enumerate(REQUESTS, start=1):
        assert len(body) == length, number
        assert sha(body) == digest, number
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
