"""The keys of decisions and of their actions.

Owns the recipe, which anyone can repeat with SHA-256 alone. Must not know what an occasion's id is made of.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct
from typing import Final

_LENGTH: Final = Struct(">I").pack


def h(*parts: str) -> str:
    """The first 16 bytes, in hex, of SHA-256 over the parts: each in UTF-8, its length before it (4 bytes, big-endian).

    >>> h("ab", "c") == h("a", "bc")
    False
    >>> len(h("x"))
    32
    """
    encoded = [part.encode() for part in parts]
    return sha256(b"".join([_LENGTH(len(part)) + part for part in encoded])).hexdigest()[:32]


def decision_key(rule: str, user: str, occasion: str) -> str:
    """The key of one rule's decision for one user on one occasion.

    >>> decision_key("r", "u", "o") == h("r", "u", "o")
    True
    """
    # as `h`, without its loop: there is one for each candidate of each occasion
    a, b, c = rule.encode(), user.encode(), occasion.encode()
    return sha256(_LENGTH(len(a)) + a + _LENGTH(len(b)) + b + _LENGTH(len(c)) + c).hexdigest()[:32]


def action_key(decision_key: str, n: int) -> str:
    """The key of the delivery that the n-th action of a decision makes. `n` counts from 0.

    >>> action_key("k", 0) == h("k", "0")
    True
    """
    return h(decision_key, str(n))
