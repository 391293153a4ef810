"""docs/formats/evidence.md lists every kind with its items, as files have them."""

import re
from pathlib import Path

import pytest

from fare_chain import evidence
from fare_chain.governance import EvidenceKind

PAGE = (Path(__file__).parents[2] / "docs" / "formats" / "evidence.md").read_text()
LISTED = dict(re.findall(r"^\| ([a-z-]+) \| ([^|]+) \|", PAGE, re.MULTILINE))


def test_every_kind_is_listed_with_its_items():
    told = {kind: tuple(item.split()[0] for item in items.split(",")) for kind, items in LISTED.items() if kind != "kind"}
    assert told == {evidence.kind_name(kind): names for kind, names in evidence.ITEMS.items()}


@pytest.mark.parametrize("kind", EvidenceKind)
def test_a_file_as_the_page_spells_it_is_read(kind):
    items = LISTED[evidence.kind_name(kind)].split(",")
    text = "".join(
        [
            "fare-chain/evidence@v1\n",
            f"kind {evidence.kind_name(kind)}\n",
            *(f"item {item.split()[0]} QQ==\n" for item in items),
        ]
    )
    read = evidence.read_evidence(text)
    assert (read.kind, read.own()) == (kind, [b"A"] * len(items))
    assert evidence.write_evidence(read.kind, read.items) == text
