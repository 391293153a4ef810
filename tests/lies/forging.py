"""Forge a signed artefact behind its spelling: one bit of what is in it, written again as if it were whole."""

import base64
from dataclasses import replace

from fare_chain.errors import FareChainError
from fare_chain.note import read_note
from fare_chain.proofs import decode_base64, read_proof_file

WHERE = ("root", "signature", "extra", "path", "bytes")
"""What is forged: a checkpoint's root, a signature, the entry in a proof, its path, or any byte of what is no text."""


def flipped(data, at):
    """Bytes with one bit changed; none of none."""
    place = at % max(len(data), 1)
    return data[:place] + bytes([data[place] ^ 1 << at % 8]) + data[place + 1 :] if data else data


def forged(item, where, at):
    """An item with one bit of that part changed; as it was where it has no such part."""
    try:
        text = item.decode()
    except UnicodeDecodeError:
        return flipped(item, at)
    if text.startswith("c2sp.org/tlog-proof"):
        read = read_proof_file(text)
        if where == "extra":
            return replace(read, extra=flipped(read.extra, at)).to_text().encode()
        if where == "path" and read.path:
            place = at % len(read.path)
            path = (*read.path[:place], flipped(read.path[place], at), *read.path[place + 1 :])
            return replace(read, path=path).to_text().encode()
        return replace(read, checkpoint=_note(read.checkpoint, where, at)).to_text().encode()
    try:
        return _note(text, where, at).encode()
    except FareChainError:
        return flipped(item, at)


def _note(text, where, at):
    note = read_note(text)
    if where == "root":
        origin, size, root, _end = note.text.split("\n")
        told = base64.b64encode(flipped(decode_base64(root, "root"), at)).decode()
        return replace(note, text=f"{origin}\n{size}\n{told}\n").to_text()
    place = at % len(note.lines)
    line = note.lines[place]
    spoilt = replace(line, signature=flipped(line.signature, at))
    return replace(note, lines=(*note.lines[:place], spoilt, *note.lines[place + 1 :])).to_text()
