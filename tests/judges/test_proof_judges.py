"""Judges of proofs and notes: what our prover makes at random places they accept, and every bent proof they refuse."""

import random
from base64 import b64encode

import pytest

from fare_chain.proofs import prove_consistency, prove_inclusion
from tests.conformance.bent_proofs import CONSISTENCIES, INCLUSIONS
from tests.conformance.c2sp_log import CHECKPOINT, ENTRIES, LEAVES, LOG, NOTE, ROOT, SIZE, WITNESS_KEY, leaf_root, read_node, signed
from tests.judges import judging

LARGEST = 5000
BOTH = ["sumdb", "aics-tlog", "metamorphic-log"]
"""Judges of inclusion and consistency."""


def inclusion(leaf, path, index, size, root):
    return {"ask": "inclusion", "leaf": leaf.hex(), "path": hexes(path), "index": index, "size": size, "root": root.hex()}


def consistency(path, old, old_root, size, root):
    told = {"old": old, "old_root": old_root.hex(), "size": size, "root": root.hex()}
    return {"ask": "consistency", "path": hexes(path), **told}


def hexes(path):
    return [node.hex() for node in path]


def right_proofs():
    """Proofs of our prover at places drawn once for all."""
    drawn = random.Random(6962)
    for _number in range(200):
        size = drawn.randint(1, LARGEST)
        index, old = drawn.randrange(size), drawn.randint(1, size)
        path = prove_inclusion(index=index, size=size, read_node=read_node)
        yield inclusion(LEAVES[index], path, index, size, leaf_root(size))
        path = prove_consistency(old=old, size=size, read_node=read_node)
        yield consistency(path, old, leaf_root(old), size, leaf_root(size))


@pytest.fixture
def verdicts(request):
    """Ask one judge of proofs by its name."""

    def ask(judge, questions):
        if judge == "sumdb":
            return judging.ask([request.getfixturevalue("sumdb"), "proofs"], questions)
        return judging.ask_python(judge, questions)

    return ask


@pytest.mark.parametrize("judge", BOTH)
def test_right_proofs_are_accepted(verdicts, judge):
    assert set(verdicts(judge, list(right_proofs()))) == {""}


@pytest.mark.parametrize("judge", BOTH)
def test_bent_proofs_are_refused(verdicts, judge):
    names = [*INCLUSIONS, *CONSISTENCIES]
    questions = [inclusion(*probe) for probe in INCLUSIONS.values()] + [consistency(*probe) for probe in CONSISTENCIES.values()]
    accepted = [name for name, verdict in zip(names, verdicts(judge, questions), strict=True) if verdict == ""]
    assert accepted == []


def entry_proofs():
    """Right inclusion proofs with the entry and a checkpoint, as sigstore's clients read them."""
    for index, size in ((0, 1), (3, 7), (255, 256), (1234, 1500), (4242, SIZE), (SIZE - 1, SIZE)):
        path = prove_inclusion(index=index, size=size, read_node=read_node)
        told = inclusion(LEAVES[index], path, index, size, leaf_root(size))
        yield {**told, "entry": ENTRIES[index].hex(), "note": NOTE if size == SIZE else signed(size), "vkey": LOG.to_vkey()}


def bent_entries():
    """What a client of sigstore's must refuse, by name."""
    told = [*entry_proofs()][4]
    node = bytes.fromhex(told["path"][0])
    yield "another index", {**told, "index": 4243}
    yield "index at the size", {**told, "index": SIZE}
    yield "another entry", {**told, "entry": b"tap-4243".hex()}
    yield "a bit of the path", {**told, "path": [bytes([node[0] ^ 1, *node[1:]]).hex(), *told["path"][1:]]}
    yield "a short path", {**told, "path": told["path"][:-1]}
    yield "a long path", {**told, "path": [*told["path"], told["path"][0]]}


def test_sigstore_reads_checkpoints_and_proofs():
    entries = list(entry_proofs())
    assert judging.ask_python("sigstore", [*entries, *({**told, "ask": "note"} for told in entries)]) == [""] * 2 * len(entries)


def test_sigstore_refuses_what_is_bent():
    names, questions = zip(*bent_entries(), strict=True)
    notes = [{**questions[0], "ask": "note", "note": told} for told in (NOTE.replace("70000", "70001"), NOTE[:-1])]
    said = judging.ask_python("sigstore", [*questions, *notes])
    assert [name for name, verdict in zip([*names, "size", "no end"], said, strict=True) if verdict == ""] == []


def node_judge():
    judging.need("@sigstore/verify", judging.NODE_JUDGE)
    return ["node", judging.HERE / "ask_sigstore.js", judging.NODE_JUDGE]


def test_sigstore_verify_of_npm_accepts_signed_inclusions():
    questions = list(entry_proofs())
    assert judging.ask(node_judge(), questions) == [""] * len(questions)


def test_sigstore_verify_of_npm_refuses_what_is_bent():
    told = [*entry_proofs()][4]
    bent = [
        *bent_entries(),
        ("another size", {**told, "note": NOTE.replace("70000", "70001")}),
        ("a root that was not signed", {**told, "note": NOTE.replace("CakvVLqJ", "CakvVLqK")}),
        ("signed with another key", {**told, "note": CHECKPOINT.sign(WITNESS_KEY)}),
    ]
    said = judging.ask(node_judge(), [question for _name, question in bent])
    assert [name for (name, _question), verdict in zip(bent, said, strict=True) if verdict == ""] == []


def test_metamorphic_log_opens_the_checkpoint():
    told = {"ask": "note", "note": NOTE, "vkey": LOG.to_vkey(), "size": SIZE, "root": ROOT.hex()}
    bent = [{**told, "note": NOTE.replace("70000", "70001")}, {**told, "note": NOTE.replace("CakvVLqJ", "CakvVLqK")}]
    said = judging.ask_python("metamorphic-log", [told, *bent])
    assert [verdict == "" for verdict in said] == [True, False, False]


@pytest.mark.parametrize("size", [1, 2, 7, 257, 1000])
def test_pymerkle_has_the_same_roots(size):
    entries, tree_root = [b64encode(entry).decode() for entry in ENTRIES[:size]], leaf_root(size).hex()
    asked = [{"entries": entries, "root": tree_root}, {"entries": [*entries[:-1], "eA=="], "root": tree_root}]
    assert [verdict == "" for verdict in judging.ask_python("pymerkle", asked)] == [True, False]
