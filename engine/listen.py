"""The address that a process listens on, as it is written.

Owns its form, and whether other machines can reach it. Must not open it.
"""

from __future__ import annotations

import re
from ipaddress import ip_address


def parse_listen(text: str) -> tuple[str, int] | None:
    """Host and port of `127.0.0.1:8080` or `[::1]:8080`; port 0 lets the system choose.

    >>> parse_listen("[::1]:80"), parse_listen(":80"), parse_listen("localhost")
    (('::1', 80), None, None)
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > 65_535:
        return None
    return found[1] or found[2], int(found[3])


def is_loopback(host: str) -> bool:
    """True if only this machine can reach `host`.

    >>> is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
