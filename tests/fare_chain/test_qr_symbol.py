import io
import re

import pytest
import zxingcpp
from PIL import Image

from fare_chain import qr_symbol, rider_code
from fare_chain.errors import Malformed
from fare_chain.keys import SigningKey
from fare_chain.rider_code import JourneyState

DEVICE = SigningKey(bytes([2]) * 32)
CREDENTIAL = rider_code.issue_credential(SigningKey(bytes([1]) * 32), 2, DEVICE.public, not_before_s=0, not_after_s=2**32 - 1)
SHORT = rider_code.issue(DEVICE, CREDENTIAL, 1_790_000_000_000_000, 7)
LONG = rider_code.issue(DEVICE, CREDENTIAL, 1_790_000_000_000_000, 7, JourneyState(1, 345, 1_789_999_000))
both_lengths = pytest.mark.parametrize("code", [SHORT, LONG], ids=["188", "196"])


def scanned(image):
    """What a decoder we did not write reads from an image: the code, the symbol's version and its level."""
    symbol = zxingcpp.read_barcode(image, formats=zxingcpp.BarcodeFormat.QRCode)
    return rider_code.from_symbol_text(symbol.text)


def image_of(modules):
    image = Image.new("L", (len(modules), len(modules)))
    image.putdata([0 if dark else 255 for row in modules for dark in row])
    return image.resize((4 * len(modules), 4 * len(modules)), Image.Resampling.NEAREST)


@both_lengths
@pytest.mark.parametrize("module_px", [3, 8])
def test_a_decoder_reads_the_same_code_from_the_png(code, module_px):
    image = Image.open(io.BytesIO(qr_symbol.png(rider_code.to_symbol_text(code), module_px=module_px)))
    assert image.size == (65 * module_px, 65 * module_px)
    assert scanned(image.convert("L")) == code


@both_lengths
def test_both_lengths_make_version_ten_with_a_border_of_four(code):
    modules = qr_symbol.modules(rider_code.to_symbol_text(code))
    assert len(modules) == 57 + 8
    assert not any(modules[3])
    assert not any(row[3] for row in modules)
    assert all(modules[4][4:11])


def test_the_svg_draws_the_same_modules():
    svg = qr_symbol.svg(rider_code.to_symbol_text(LONG))
    modules = [[False] * 65 for _ in range(65)]
    for x, y, width, back in re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", svg):
        assert width == back
        modules[int(y)][int(x) : int(x) + int(width)] = [True] * int(width)
    assert modules == qr_symbol.modules(rider_code.to_symbol_text(LONG))
    assert scanned(image_of(modules)) == LONG
    assert 'viewBox="0 0 65 65"' in svg


def test_the_terminal_shows_the_same_modules_in_its_own_colours():
    modules = []
    for line in qr_symbol.terminal(rider_code.to_symbol_text(LONG)).split("\n"):
        blocks = line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m")
        assert len(blocks) == 65 == len(line) - 13
        modules += [[block in "▀█" for block in blocks], [block in "▄█" for block in blocks]]
    assert modules[:65] == qr_symbol.modules(rider_code.to_symbol_text(LONG))
    assert not any(modules[65])
    assert scanned(image_of(modules[:65])) == LONG


@pytest.mark.parametrize("text", ["", "bb8", "票", "A" * 3392])
def test_text_that_no_symbol_holds_is_malformed(text):
    with pytest.raises(Malformed):
        qr_symbol.png(text)


def test_the_longest_text_still_makes_a_symbol():
    assert len(qr_symbol.modules("A" * qr_symbol.LONGEST_TEXT)) == 177 + 8
