"""Base45 of RFC 9285: bytes as the 45 characters that a QR symbol packs into five and a half bits each.

Two bytes become three characters, a last single byte becomes two, least significant first. There is one text for each run of
bytes: whatever else could be read as the same bytes is refused, so that a code cannot be shown in two spellings.
"""

import struct

from fare_chain.errors import Malformed

ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

_NO_DIGIT = 45
_DIGITS = bytes(ALPHABET.index(char) if char in ALPHABET else _NO_DIGIT for char in range(256))


def encode(data: bytes) -> str:
    """Write bytes as Base45 text: three characters for two bytes, two for a last single one."""
    digits = bytearray()
    for (pair,) in struct.iter_unpack(">H", data[: len(data) & ~1]):
        upper, first = divmod(pair, 45)
        third, second = divmod(upper, 45)
        digits += bytes((first, second, third))
    if len(data) % 2:
        second, first = divmod(data[-1], 45)
        digits += bytes((first, second))
    return bytes(ALPHABET[digit] for digit in digits).decode("ascii")


def decode(text: str) -> bytes:
    """Read Base45 text; Malformed names the first character or group that RFC 9285 does not allow."""
    digits = _digits(text)
    if len(digits) % 3 == 1:
        raise Malformed(f"Base45 text has {len(digits)} characters, expected a multiple of three, or two more: it is cut")
    whole = len(digits) // 3 * 3
    pairs = [a + 45 * b + 2025 * c for a, b, c in zip(digits[0:whole:3], digits[1:whole:3], digits[2:whole:3], strict=True)]
    if pairs and max(pairs) > 0xFFFF:
        group = next(number for number, pair in enumerate(pairs) if pair > 0xFFFF)
        raise Malformed(
            f"Base45 group {text[3 * group : 3 * group + 3]!r} is {pairs[group]}, expected at most 65535 (offset {3 * group})"
        )
    data = struct.pack(f">{len(pairs)}H", *pairs)
    return data + _last_byte(text, digits[whole:])


def _digits(text: str) -> bytes:
    """Each character's place in the alphabet."""
    # A character outside Latin-1 becomes "?", which is no digit either: offsets stay those of the text.
    digits = text.encode("latin-1", "replace").translate(_DIGITS)
    if _NO_DIGIT in digits:
        at = digits.index(_NO_DIGIT)
        raise Malformed(f"Base45 text has {text[at]!r}, expected one of {ALPHABET.decode('ascii')!r} (offset {at})")
    return digits


def _last_byte(text: str, digits: bytes) -> bytes:
    """The single byte that two last characters stand for; nothing where there are none."""
    if not digits:
        return b""
    value = digits[0] + 45 * digits[1]
    if value > 0xFF:
        raise Malformed(f"Base45 group {text[-2:]!r} is {value}, expected at most 255 (offset {len(text) - 2})")
    return bytes((value,))
