"""A rider code's text as a QR symbol: PNG, SVG, or characters for a terminal.

Error correction level M, alphanumeric mode, a quiet border of four modules (ISO/IEC 18004). A rider code of either length makes
version 10, 57 modules a side.
"""

import io
from itertools import groupby

import qrcode
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.util import ALPHA_NUM, MODE_ALPHA_NUM, QRData

from fare_chain.errors import Malformed

BORDER_MODULES = 4
LONGEST_TEXT = 3391
"""What version 40 holds at level M."""

Modules = list[list[bool]]
"""A symbol with its border, row by row; True is dark."""

_BLACK_ON_WHITE, _AS_BEFORE = "\x1b[30;107m", "\x1b[0m"
_HALF_BLOCKS = {(False, False): " ", (False, True): "▄", (True, False): "▀", (True, True): "█"}


def modules(text: str) -> Modules:
    """Draw the smallest symbol that holds the text; Malformed for text that no symbol holds in alphanumeric mode."""
    data = text.encode("utf-8")
    if not 1 <= len(data) <= LONGEST_TEXT or set(data) - set(ALPHA_NUM):
        raise Malformed(f"{text[:40]!r} cannot be drawn: expected 1 to {LONGEST_TEXT} of the 45 characters of Base45")
    symbol = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=BORDER_MODULES)
    # One segment: left to itself, qrcode would cut out runs of digits, and the length would depend on the signature's bytes.
    symbol.add_data(QRData(data, mode=MODE_ALPHA_NUM))
    symbol.make(fit=True)
    return [[bool(module) for module in row] for row in symbol.get_matrix()]


def png(text: str, *, module_px: int = 8) -> bytes:
    """Draw the symbol as a black and white PNG image, `module_px` pixels to a module."""
    rows = modules(text)
    image = Image.new("1", (len(rows), len(rows)))
    image.putdata([0 if dark else 255 for row in rows for dark in row])
    side = len(rows) * module_px
    drawn = io.BytesIO()
    image.resize((side, side), Image.Resampling.NEAREST).save(drawn, format="PNG")
    return drawn.getvalue()


def svg(text: str) -> str:
    """Draw the symbol as one SVG element that scales to whatever holds it; one unit is one module."""
    rows = modules(text)
    bars = "".join(_bars(y, row) for y, row in enumerate(rows))
    side = len(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d="{bars}"/></svg>'
    )


def terminal(text: str) -> str:
    """Draw the symbol in half blocks, two rows to a line, black on white whatever the terminal's own colours are."""
    rows = modules(text)
    if len(rows) % 2:
        rows.append([False] * len(rows))
    lines = (
        "".join(_HALF_BLOCKS[pair] for pair in zip(*pair_of_rows, strict=True))
        for pair_of_rows in zip(rows[::2], rows[1::2], strict=True)
    )
    return "\n".join(f"{_BLACK_ON_WHITE}{line}{_AS_BEFORE}" for line in lines)


def _bars(y: int, row: list[bool]) -> str:
    """The dark runs of one row as path commands."""
    commands, x = [], 0
    for dark, run in groupby(row):
        width = len(list(run))
        if dark:
            commands.append(f"M{x} {y}h{width}v1h-{width}z")
        x += width
    return "".join(commands)
