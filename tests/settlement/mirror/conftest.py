"""A mirror's files are closed when its test is over."""

import pytest

from tests.settlement.mirror.mirror_world import OPENED


@pytest.fixture(autouse=True)
def closing():
    """Close what was opened."""
    yield
    while OPENED:
        OPENED.pop().close()
