"""Which hosts are this machine: the only ones that may be talked to in clear text.

Keep out: connections.
"""

from __future__ import annotations

import ipaddress


def is_local(host: str) -> bool:
    """Whether a host is this machine: a socket's path, localhost, or an address of the loopback."""
    if host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
