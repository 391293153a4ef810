"""The judge of every story."""

import pytest

from tests.lies.liars import Judge


@pytest.fixture
def judge(tmp_path):
    """An empty folder with the policy in it."""
    return Judge(tmp_path / "judge")
