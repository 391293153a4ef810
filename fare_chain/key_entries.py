"""Key entries on disk: NAME.entry beside NAME.pub, the 120 bytes with which a key joins the ledger, signed by itself.

A member makes it where its private key lies and sends it to the house: the house can register the key and never sign with it.
"""

from pathlib import Path

from fare_chain.errors import Malformed
from fare_chain.events import KeyEntry, read_key_entry
from fare_chain.key_files import write_key_pair
from fare_chain.keys import PublicKey, SigningKey


def write_member_key(private: Path, public: Path, name: str, key: SigningKey, described: PublicKey) -> None:
    """Write NAME.key and NAME.pub into `private`, and NAME.pub and NAME.entry into `public`, which may be handed around.

    Conflict where the key is there already. Died between: the pair is whole, and the public half can be copied by hand.
    """
    write_key_pair(private, name, key, described)
    public.mkdir(parents=True, exist_ok=True)
    if public != private:
        (public / f"{name}.pub").write_bytes((private / f"{name}.pub").read_bytes())
    (public / f"{name}.entry").write_bytes(KeyEntry.of(described, key).to_bytes())


def read_key_entries(folder: Path) -> list[KeyEntry]:
    """Every NAME.entry of a folder, by name, each with its proof of possession checked; Malformed names the file."""
    entries = []
    for path in sorted(folder.glob("*.entry")):
        try:
            entries.append(read_key_entry(path.read_bytes()))
        except Malformed as error:
            raise Malformed(f"{path}: {error}") from error
    return entries
