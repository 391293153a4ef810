"""Where a process may listen: on this machine alone, unless whoever starts it says that more is meant."""

import ipaddress

from fare_chain.errors import Conflict


def check_address(host: str, *, public: bool) -> None:
    """Conflict where other machines would reach `host` and nobody said so: nothing here speaks TLS."""
    name = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not public:
        raise Conflict(
            f"{host} can be reached from other machines, and nothing here speaks TLS: put a proxy before it and say --public"
        )
