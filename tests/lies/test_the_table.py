"""docs/lies.md says which lies are played, by whom they are caught and with which words: held to the stories themselves."""

import ast
import re
from pathlib import Path

from fare_chain.evidence import kind_name
from fare_chain.governance import EvidenceKind

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "lies.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")][1:]


def functions():
    """Every test of this folder by name, as it is written, its parameters included."""
    for file in HERE.glob("test_lying_*.py"), HERE.glob("test_broken_*.py"):
        for path in file:
            source = path.read_text()
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    decorators = [ast.get_source_segment(source, each) for each in node.decorator_list]
                    yield node.name, "\n".join([ast.get_source_segment(source, node), *decorators])


STORIES = dict(functions())
CONVICTING = {name for name, source in STORIES.items() if ".convicts(" in source}


def test_each_row_is_played_and_its_check_and_kind_are_asserted_there():
    assert len(ROWS) > 12
    for _lie, _who, check, kind, test in ROWS:
        words = re.fullmatch(r"`(.+)`", check)[1]
        assert words in STORIES[test], (test, words)
        assert f'"{kind}"' in STORIES[test], (test, kind)


def test_each_story_that_convicts_has_its_row():
    assert {test for *_row, test in ROWS} == CONVICTING


def test_each_kind_of_evidence_is_in_the_table_and_each_of_the_three_lies():
    assert {kind for *_row, kind, _test in ROWS} == {kind_name(kind) for kind in EvidenceKind}
    assert [name for row in ROWS for name in re.findall(r"\*\*(.+?)\*\*", row[0])] == ["the house", "a city", "a mirror"]
