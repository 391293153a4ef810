"""The log of the fixed C2SP values: 70,000 entries `tap-<i>`, two Ed25519 keys, and fifteen submissions to a witness."""

import base64
import hashlib

from fare_chain import note, proofs
from fare_chain.checkpoint import Checkpoint
from fare_chain.hashing import leaf_hash
from fare_chain.keys import SigningKey
from fare_chain.merkle import root
from fare_chain.note import KeyType, NoteVerifier
from fare_chain.tiles import bundles_of, grow_tiles, tile_path, write_bundle

ORIGIN = "ledger.example/clearing"
LOG_KEY, WITNESS_KEY = SigningKey(bytes(range(32))), SigningKey(bytes(range(32, 64)))
LOG = NoteVerifier(ORIGIN, LOG_KEY.public)
WITNESS = NoteVerifier("city-a.example/witness", WITNESS_KEY.public, KeyType.COSIGNATURE)
TIME_S = 1_790_000_000
SIZE = 70_000
ENTRIES = [b"tap-%d" % at for at in range(SIZE)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def leaf_root(size):
    return root(LEAVES[:size])


def read_node(level, index):
    return root(LEAVES[index << level : (index + 1) << level])


def sha(data):
    return hashlib.sha256(data).hexdigest()


ROOT = leaf_root(SIZE)
CHECKPOINT = Checkpoint(ORIGIN, SIZE, ROOT)
NOTE = CHECKPOINT.sign(LOG_KEY) + note.cosign(CHECKPOINT.to_text(), WITNESS.name, WITNESS_KEY, TIME_S).to_text()


def signed(size):
    """The log's own checkpoint of that size."""
    return Checkpoint(ORIGIN, size, leaf_root(size)).sign(LOG_KEY)


def write_log(folder):
    """Write the log as static files: tiles, bundles, checkpoint, verifier key; the address of each tile and bundle."""
    tiles = {}
    for (level, number), row in grow_tiles(0, LEAVES, {}).items():
        tiles[tile_path(level, number, len(row) // 32)] = row
    for number, width in bundles_of(SIZE):
        tiles[tile_path(None, number, width)] = write_bundle(ENTRIES[number * 256 : number * 256 + width])
    for path, data in {**tiles, "checkpoint": NOTE.encode(), "log.vkey": f"{LOG.to_vkey()}\n".encode()}.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return sorted(tiles)


def submission(old, size, entries=LEAVES, proof=None, note_text=None):
    """One submission; the right proof unless another is given."""
    checkpoint = Checkpoint(ORIGIN, size, root(entries[:size]))
    told = checkpoint.sign(LOG_KEY) if note_text is None else note_text
    if proof is None:
        proof = proofs.prove_consistency(old=old, size=size, read_node=read_node) if 0 < old < size else []
    lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof), "", told]
    return "\n".join(lines).encode()


OTHERS = [leaf_hash(b"tap-%d!" % at) for at in range(1500)]
FIRST = proofs.prove_consistency(old=1500, size=1600, read_node=read_node)
REQUESTS = [
    (submission(0, 1000), 203, "9efa30b0d0e44a1474aa1fcb5e25160583e6f65a0169343a8412d67c6080cc72", 200, ""),
    (submission(1000, 1500), 611, "a8e37c8cee31b12381ae6df46179da365c14cc8ce2cc0a87301c03a83b173c35", 200, ""),
    (submission(1000, 1500), 611, "a8e37c8cee31b12381ae6df46179da365c14cc8ce2cc0a87301c03a83b173c35", 409, "1500\n"),
    (submission(1500, 1500), 206, "9a7e61b2da585236208cebb56f95db582b8867ce36803d68edb9118d5ecd61af", 200, ""),
    (submission(1500, 1600, proof=[bytes(32)]), 251, "8b98f807de5fa93ed091218a2c58beec5690e1042f2f1e38b3adc79e0038deaa", 422, ""),
    (submission(1500, 1600, proof=[]), 206, "ef14e0be677cf1267b6fc7ddfd7561662fe6a45cbbe6908fb5529243d871364c", 422, ""),
    (
        submission(1500, 1600, proof=[bytes([FIRST[0][0] ^ 1]) + FIRST[0][1:], *FIRST[1:]]),
        656,
        "f4142cc4d85e87cabaf0d7950a77b7bcb83283115951d8198d7cfed5f2c4a31c",
        422,
        "",
    ),
    (submission(1500, 1500, OTHERS), 206, "07c3084d4d7ba841b42715d6c9ce8653f2be6c6b9ff7e5017985c52f6baeb52d", 422, ""),
    (submission(1600, 1500), 206, "880c01c526559bf67cee1a9c0710c3425155649008f8534b1d4fa6bbd1e0e35c", 400, ""),
    (
        submission(0, 1000, note_text=signed(1000).replace(ORIGIN, "other.example/clearing", 1)),
        202,
        "6e490101ea50ed2fca3d7b35caba29f598af3edbf4c058aa1f8868d61b0887a1",
        404,
        "",
    ),
    (
        submission(1500, 1500, note_text=signed(1500).replace("\n1500\n", "\n1501\n")),
        206,
        "aa0076bfd3f952155c00892c9d9b7c607b3d36c035cec0a1f34bffd6e93e7717",
        403,
        "",
    ),
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
"""(body, its length, its SHA-256, status, what the answer says), in this order, to a witness that has seen nothing."""
