"""Put questions to a judge that is a Python library: runs in the judges' own Python, where nothing of ours is installed.

ask_python.py JUDGE < questions    one JSON object a line; a JSON string a line back: "" accepted, else the judge's reason
"""

import json
import sys
from base64 import b64decode, b64encode
from types import SimpleNamespace


class Refused(Exception):
    """The judge said no without an exception of its own."""


def hold(verdict, said):
    if not verdict:
        raise Refused(said)


def unhex(question):
    """The question's hashes as bytes."""
    told = dict(question)
    for name in ("leaf", "entry", "root", "old_root"):
        if name in told:
            told[name] = bytes.fromhex(told[name])
    told["path"] = [bytes.fromhex(node) for node in question.get("path", ())]
    return SimpleNamespace(**told)


def aics_tlog(told):
    import aics_tlog as judge

    if told.ask == "inclusion":
        hold(judge.verify_inclusion(told.leaf, told.index, told.size, told.path, told.root), "inclusion")
    elif told.ask == "consistency":
        hold(judge.verify_consistency(told.old, told.size, told.old_root, told.root, told.path), "consistency")
    elif told.ask == "note":
        cosigners = [judge.parse_vkey(vkey) for vkey in told.cosigners]
        note, log = judge.parse_note(told.note.encode()), judge.parse_vkey(told.vkey)
        result = judge.verify_checkpoint(note, log, cosigners, len(cosigners))
        hold(result.ok, result.error)
    else:
        judge.audit_tiles(judge.FileSystemTileReader(told.folder), told.size, told.root)


def metamorphic_log(told):
    import metamorphic_log as judge

    if told.ask == "inclusion":
        judge.verify_inclusion(told.index, told.size, told.leaf, told.path, told.root)
    elif told.ask == "consistency":
        judge.verify_consistency(told.old, told.size, told.path, told.old_root, told.root)
    else:
        head = judge.checkpoint_verify(told.note, [told.vkey])
        hold((head.size, head.root) == (told.size, told.root), "another head")


def sigstore(told):
    from sigstore._internal import merkle
    from sigstore._internal.rekor.checkpoint import SignedCheckpoint

    if told.ask == "note":
        read = SignedCheckpoint.from_text(told.note).checkpoint
        hold((read.log_size, read.log_hash) == (told.size, told.root.hex()), "another head")
        return
    hold(told.index < told.size, "the library leaves index < size to its caller")
    proof = SimpleNamespace(log_index=told.index, tree_size=told.size, hashes=told.path, root_hash=told.root)
    merkle.verify_merkle_inclusion(SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=told.entry)))


def pymerkle(told):
    from pymerkle import InmemoryTree

    tree = InmemoryTree(algorithm="sha256")
    for entry in told.entries:
        tree.append_entry(b64decode(entry))
    hold(tree.get_state() == told.root, b64encode(tree.get_state()).decode())


JUDGES = {"aics-tlog": aics_tlog, "metamorphic-log": metamorphic_log, "sigstore": sigstore, "pymerkle": pymerkle}


def main():
    judge = JUDGES[sys.argv[1]]
    for line in sys.stdin:
        verdict = ""
        try:
            judge(unhex(json.loads(line)))
        except (ImportError, AttributeError, TypeError, KeyError):
            raise  # the question or the judge's interface is wrong: that is no verdict
        except Exception as refusal:  # noqa: BLE001  each judge has refusals of its own
            verdict = f"{type(refusal).__name__}: {refusal}"
        print(json.dumps(verdict))


main()
