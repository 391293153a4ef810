"""The judge of every story."""

import pytest

from tests.lies.liars import Judge
from tests.settlement.mirror.mirror_world import OPENED


@pytest.fixture
def judge(tmp_path):
    """An empty folder with the policy in it."""
    return Judge(tmp_path / "judge")


@pytest.fixture(autouse=True)
def closing():
    """Close the mirrors that a story opened."""
    yield
    while OPENED:
        OPENED.pop().close()
