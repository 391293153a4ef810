"""Where processes may listen."""

import pytest

from fare_chain.errors import Conflict
from fare_chain.listening import check_address


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_a_process_listens_on_this_machine_without_asking(host):
    check_address(host, public=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "metro.example"])
def test_a_public_address_must_be_meant(host):
    with pytest.raises(Conflict, match="--public"):
        check_address(host, public=False)
    check_address(host, public=True)
