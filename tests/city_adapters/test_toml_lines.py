"""The line of every key of a TOML text, against texts whose lines are known."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_adapters.catalogue import PACKAGED
from city_adapters.toml_lines import line_of, lines_of_paths

TEXT = '''# a comment with a [bracket]
name = "a # no comment"
long = """
first = 1
""two quotes""
"""
plain = \'\'\'
[not.a.table]\'\'\'

[[charge]] # "said"
"160 km/h" = 45
bands = [
  { up_to_m = 1, fare_fen = 2 }, # }
  { up_to_m = 3,
    fare_fen = 4 }, ]
[charge.rates]
fast = 1
[[charge]]
name = 'C:\\'
dotted . key = [[1, 2],
  [3]]
[charge.rates]
"q\\u0041\\"" = 2
day = 2026-01-01 07:00:00
'''


def every_path(value, path=""):
    if isinstance(value, dict):
        inside = [(f"{path}.{name}" if path else name, item) for name, item in value.items()]
    elif isinstance(value, list):
        inside = [(f"{path}[{at}]", item) for at, item in enumerate(value)]
    else:
        inside = []
    for name, item in inside:
        yield name
        yield from every_path(item, name)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("name", 2),
        ("long", 3),
        ("plain", 7),
        ("charge", 10),
        ("charge[0]", 10),
        ("charge[0].160 km/h", 11),
        ("charge[0].bands", 12),
        ("charge[0].bands[0].fare_fen", 13),
        ("charge[0].bands[1].up_to_m", 14),
        ("charge[0].bands[1].fare_fen", 15),
        ("charge[0].rates", 16),
        ("charge[1]", 18),
        ("charge[1].dotted.key[0][1]", 20),
        ("charge[1].dotted.key[1][0]", 21),
        ("charge[1].rates", 22),
        ('charge[1].rates.qA"', 23),
        ("charge[1].rates.day", 24),
    ],
)
def test_each_key_and_table_has_its_line(path, line):
    assert lines_of_paths(TEXT)[path] == line


def test_what_is_missing_has_the_line_of_the_table_around_it():
    lines = lines_of_paths(TEXT)
    assert line_of(lines, "charge[1].rates.slow") == 22
    assert line_of(lines, "charge[0].bands[0].step") == 13
    assert line_of(lines, "nothing") == line_of({}, "a.b[0]") == 1


def test_windows_line_ends_count_once():
    assert lines_of_paths("a = 1\r\n\r\nb = 2\r\n") == {"a": 1, "b": 3}


@pytest.mark.parametrize("path", sorted(PACKAGED.glob("**/*.toml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_path_of_the_packaged_files_is_found(path):
    text = path.read_text(encoding="utf-8")
    assert set(lines_of_paths(text)) == set(every_path(tomllib.loads(text)))


NAMES = st.sampled_from(["a", "b-1", "C_2", '"x y"', '"7.5"', "'it s'", '"\\"[#"'])
SCALARS = st.sampled_from(["1", "-2.5", "true", '"s"', '"# ] } , ="', "'\\'", "2026-01-01", '"""\nx = 1\n"""', "'''\n[t]\n'''"])
GAPS = st.sampled_from([" ", "\n", " # ] note\n", "\n\n"])
INLINE = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(st.tuples(GAPS, inner), max_size=3).map(lambda items: "[" + ",".join(gap + text for gap, text in items) + "\n]"),
        st.dictionaries(NAMES, inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"{name} = {text}" for name, text in items.items()) + " }"
        ),
    ),
    max_leaves=8,
)


@st.composite
def documents(draw):
    """A TOML text made of tables, lists of tables and keys, with comments and empty lines between."""
    parts = []
    for place in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from([f"[t{place}]", f"[ t{place} . 'in ner' ]", "[[many]]", f"[[t{place}.deep]]", "[many.x]"]))
        if place or not name.startswith("[many.x"):
            parts.append(name)
        keys = draw(st.dictionaries(NAMES, INLINE, max_size=3))
        parts += [f"{key} = {value}{draw(st.sampled_from(['', ' # = [', chr(10)]))}" for key, value in keys.items()]
    return "\n".join(parts) + "\n"


@given(documents())
def test_the_paths_are_those_that_tomllib_reads(text):
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(lines_of_paths(text)) == set(every_path(read))


@given(documents(), st.data())
def test_a_marked_value_stands_on_the_line_of_its_mark(text, data):
    try:
        paths = [path for path, value in leaves(tomllib.loads(text)) if value == 1]
        places = [at for at in range(len(text)) if marked(text, at)]
    except tomllib.TOMLDecodeError:
        return
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    changed = tomllib.loads(text[:place] + "777" + text[place + 1 :])
    (path,) = (path for path, value in leaves(changed) if value == 777)
    assert path in paths
    assert lines_of_paths(text)[path] == text.count("\n", 0, place) + 1


def leaves(value, path=""):
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            inside = f"{path}[{name}]" if isinstance(value, list) else f"{path}.{name}" if path else name
            yield from leaves(item, inside)
    else:
        yield path, value


def marked(text, at):
    """Whether a value 1 stands there: replaced by another number it is still TOML, and that number is read."""
    if text[at] != "1":
        return False
    try:
        return any(value == 777 for _, value in leaves(tomllib.loads(text[:at] + "777" + text[at + 1 :])))
    except tomllib.TOMLDecodeError:
        return False
