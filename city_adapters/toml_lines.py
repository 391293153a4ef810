"""On which line of a TOML text each key and table stands: what `tomllib` reads without saying where.

A path is written as findings write it: `charge[0].bands[1].fare_fen`. The text has to be TOML already; what is not is refused
by `tomllib` first, so this room only follows the text and judges nothing.
"""

from collections.abc import Iterator, Mapping

BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
QUOTES = ('"""', "'''", '"', "'")
ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\", "e": "\x1b"}
LETTERS_OF_CODE = {"x": 2, "u": 4, "U": 8}


def lines_of_paths(text: str) -> dict[str, int]:
    """Find the first line, from 1, of every key, table and element of a TOML text."""
    walk = _Walk(text)
    walk.document()
    return walk.lines


def line_of(lines: Mapping[str, int], path: str) -> int:
    """Find the line of a path, or of the nearest table around it that is there; 1 where none is."""
    while path not in lines:
        cut = max(path.rfind("."), path.rfind("["))
        if cut < 0:
            return 1
        path = path[:cut]
    return lines[path]


class _Walk:
    """A place in the text that moves on, and the lines found so far."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.line = 1
        self.counted = 0
        self.lines: dict[str, int] = {}
        self.elements: dict[str, int] = {}  # how many tables [[so named]] there are

    def document(self) -> None:
        """Walk through all tables and their keys."""
        table = ""
        while self._skip("\n"):
            if self._next("["):
                many = self._next("[")
                table = self._table([*self._key()], many=many)
                self._expect("]]" if many else "]")
            else:
                self._pair(table)

    def _table(self, key: list[str], *, many: bool) -> str:
        """Name the table of a header; of a list of tables a part of the name means its last table."""
        path = ""
        for place, part in enumerate(key):
            path = _inside(path, part)
            self._note(path)
            if many and place == len(key) - 1:
                self.elements[path] = self.elements.get(path, 0) + 1
            if path in self.elements:
                path = f"{path}[{self.elements[path] - 1}]"
                self._note(path)
        return path

    def _pair(self, table: str) -> None:
        """Walk through `key = value`, the key perhaps dotted."""
        path = table
        for part in self._key():
            path = _inside(path, part)
            self._note(path)
        self._expect("=")
        self._value(path)

    def _key(self) -> Iterator[str]:
        yield self._name()
        while self._skip() and self._next("."):
            yield self._name()

    def _name(self) -> str:
        self._skip()
        if self.text[self.at] in "\"'":
            return self._string()
        begin = self.at
        while self.at < len(self.text) and self.text[self.at] in BARE:
            self.at += 1
        return self.text[begin : self.at]

    def _value(self, path: str) -> None:
        self._skip()
        if self._next("["):
            place = 0
            while self._skip("\n,") and not self._next("]"):
                self._note(f"{path}[{place}]")
                self._value(f"{path}[{place}]")
                place += 1
        elif self._next("{"):
            while self._skip("\n,") and not self._next("}"):
                self._pair(path)
        elif self.text[self.at] in "\"'":
            self._string()
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}#\n":
                self.at += 1

    def _string(self) -> str:
        """Walk through a string and read it: keys may be quoted, and then mean what they say."""
        quote = next(quote for quote in QUOTES if self._next(quote))
        letters = []
        while not self.text.startswith(quote, self.at):
            letters.append(self._escape() if quote[0] == '"' and self._next("\\") else self.text[self.at])
            self.at += 1
        self.at += len(quote)
        while len(quote) == 3 and self._next(quote[0]):  # """two quotes may stand before the end"""""
            letters.append(quote[0])
        return "".join(letters)

    def _escape(self) -> str:
        """Read what follows a backslash, up to its last letter."""
        letter = self.text[self.at]
        digits = LETTERS_OF_CODE.get(letter, 0)
        self.at += digits
        return chr(int(self.text[self.at - digits + 1 : self.at + 1], 16)) if digits else ESCAPED.get(letter, "")

    def _note(self, path: str) -> None:
        """Keep the line of a path where it is met first."""
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        self.lines.setdefault(path, self.line)

    def _skip(self, also: str = "") -> bool:
        """Pass blanks, comments and `also`; whether anything is left."""
        while self.at < len(self.text):
            if self.text[self.at] == "#" and also:
                end = self.text.find("\n", self.at)
                self.at = end if end >= 0 else len(self.text)
            elif self.text[self.at] in " \t" + also:
                self.at += 1
            else:
                return True
        return False

    def _next(self, mark: str) -> bool:
        """Pass a mark if it comes next."""
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) * found
        return found

    def _expect(self, mark: str) -> None:
        self._skip()
        passed = self._next(mark)
        assert passed, f"tomllib read this text, yet {mark!r} is not at {self.at}"


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
