"""Compile the engine's kernels ahead of their first use, the map's among them.

Owns the list of what is compiled beyond `geo/warm.py`. Must not print: who calls shows the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.fast import sift
from engine.rows import Rows, columns
from engine.site import read_site
from engine.step import Engine
from geo import warm as geo_warm

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = "the fast path of a ping"


def warm(progress: Callable[[str, int, int], None]) -> None:
    """Compile everything, or load it from the cache; `progress` gets (what comes next, steps done, steps in all)."""

    def within(name: str, done: int, total: int) -> None:
        progress(name if done < total else _NAME, done, total + 1)

    geo_warm.warm(within)
    site, _ = read_site({})
    if site is not None:
        rows = Rows(["d"], [0], [0.0], [0.0], [None], [None], [None], [None], [None], [None], [None])
        Engine(site, 0).step([columns([rows])], 0)
    progress("done", 1, 1)


def is_warm() -> bool:
    """True if this process has compiled or loaded all kernels: then nothing will make a ping wait."""
    return bool(sift.signatures) and geo_warm.is_warm()
