"""The windows of a small log, cleared again once, and a proof of each kind."""

import pytest

from fare_chain.log_reader import FolderLog
from tests.settlement.proving.proofs_of_a_log import cleared, one_of_each


@pytest.fixture(scope="session")
def log(exported_log):
    return FolderLog(exported_log)


@pytest.fixture(scope="session")
def windows(log):
    return cleared(log)


@pytest.fixture(scope="session")
def proofs(log, windows):
    """One proof of each kind, by name."""
    return one_of_each(log, windows)
