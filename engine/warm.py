"""Compile the engine's kernels ahead of their first use, the map's among them.

Owns the list of what is compiled beyond `geo/warm.py`. Must not print: who calls shows the steps.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.fast import sift
from engine.lines import LineReader
from engine.rows import Rows, columns
from engine.scan import scan
from engine.site import read_site
from engine.step import Engine
from geo import warm as geo_warm

_LINE = b'{"device": "d", "time": 0, "beacon": "gateway:a", "rssi": -60}'


def _ping() -> None:
    site, _ = read_site({})
    if site is not None:
        rows = Rows(["d"], [0], [0.0], [0.0], [None], [None], [None], [None], [None], [None], [None])
        Engine(site, 0).step([columns([rows])], 0)


_STEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("the fast path of a ping", _ping),
    ("lines of recordings", lambda: LineReader().read(_LINE)),
)


def warm(progress: Callable[[str, int, int], None]) -> None:
    """Compile everything, or load it from the cache; `progress` gets (what comes next, steps done, steps in all)."""

    before = 0

    def within(name: str, done: int, total: int) -> None:
        nonlocal before
        before = total
        if done < total:
            progress(name, done, total + len(_STEPS))

    geo_warm.warm(within)
    for done, (name, step) in enumerate(_STEPS, before):
        progress(name, done, before + len(_STEPS))
        step()
    progress("done", before + len(_STEPS), before + len(_STEPS))


def is_warm() -> bool:
    """True if this process has compiled or loaded all kernels: then nothing will make a ping wait."""
    return bool(sift.signatures and scan.signatures) and geo_warm.is_warm()
