"""Parts that rules have in common, as one object for all of them.

Owns finding them. Rules of one hand repeat each other: the same consent, windows, quiet hours, caps. The fewer objects
ten thousand rules are made of, the more of them stay in the processor's caches, and most of what an occasion costs
among so many is waiting for memory. Must not know what a part means.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any


def shared(part: Any, known: dict[str, Any]) -> Any:
    """The twin of a frozen part that was met before; else the part, made of such twins, and known from now on.

    >>> known = {}
    >>> shared(("a", ("b", 1)), known)[1] is shared((("b", 1), "c"), known)[0]
    True
    """
    if isinstance(part, dict):
        return {name: shared(below, known) for name, below in part.items()}  # it may change: each keeps its own
    # by their texts, since `1` and `true` are equal, and are not the same
    text = repr(part)
    if text not in known:
        known[text] = _made_of_twins(part, known)
    return known[text]


def _made_of_twins(part: Any, known: dict[str, Any]) -> Any:
    if isinstance(part, tuple):
        return tuple([shared(below, known) for below in part])
    if not is_dataclass(part) or isinstance(part, type):
        return part
    below = {field.name: getattr(part, field.name) for field in fields(part) if field.init}
    twins = {name: shared(value, known) for name, value in below.items() if value is not None}
    return replace(part, **twins)
