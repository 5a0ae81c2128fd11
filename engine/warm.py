"""Compile the engine's kernels ahead of their first use, the map's among them.

Owns the list of what is compiled beyond `geo/warm.py`. Must not print: who calls shows the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import numpy as np

from engine.batch import ring, work
from engine.joined import Joiner
from engine.layout import TOLD
from engine.lines import LineReader
from engine.ping_reader import PingReader
from engine.pings import located, with_own_names
from engine.rows import Rows, columns
from engine.scan import scan_body, scan_lines
from engine.settings import PingLimits
from engine.site import read_site
from engine.snapshot import restore, snapshot
from engine.step import Engine
from engine.told import Telling
from engine.told_lines import TransitionLines, write_lines
from engine.wire import Edited, Erased, encode_frame, read_frame
from engine.wire_check import fault_of
from geo import warm as geo_warm
from geo.kernel import is_cached
from geo.mistake import MistakesError

_SITE = {
    "fences/f.geojson": b'{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "f", "geometry": '
    b'{"type": "Point", "coordinates": [0, 0]}, "properties": {"radius_m": 9, "timezone": "UTC"}}]}',
    "beacons/z.yaml": b"- {id: z, beacons: ['gateway:b'], enter_rssi: -75, exit_rssi: -85, inside: f, timezone: UTC}",
}
_LINE = b'{"device": "d", "time": 0, "beacon": "gateway:a", "rssi": -60}'


def _presence() -> None:
    """Drive an engine through everything that it has kernels for."""
    site, mistakes = read_site(_SITE)
    if site is None:
        raise MistakesError(mistakes)
    engine = Engine(site, 0)
    none: list[None] = [None, None]
    fix = Rows(["d", "e"], [1, 1], [0.0, 0.0], [0.0, 9.0], [None, "u"], [*none], [*none], [*none], [*none], [*none],
               [*none])  # fmt: skip
    heard = Rows(["d", "d"], [2, 3], [nan, nan], [nan, nan], [*none], ["gateway:b"] * 2, [*none], [*none], [*none],
                 [-1.0, -1.0], [*none])  # fmt: skip
    one: list[None] = [None]
    taken = Rows(["d"], [4], [0.0], [0.0], ["u"], [*one], [*one], [*one], [*one], [*one], [*one])
    engine.step([columns([fix]), columns([heard])], 3)
    # a fix of one that hears beacons; it names a user, who takes along what was known by the device's name
    engine.step([columns([taken])], 4)
    engine.steps(Joiner().join([read_frame(encode_frame(3, [columns([fix])]))]))
    engine.sense.present((0,))
    engine = restore(snapshot(engine), site)
    engine.step([], 86_400_000)  # a day on: what is old is forgotten
    engine.step([Edited(site.version, _SITE), Erased("u"), Erased("d")], 86_400_000)


def _bodies() -> None:
    """Read a body in each form, make the pings one input, and check it as one that came from elsewhere."""
    reader = PingReader()
    for ndjson in (False, True):
        fault_of(with_own_names(located([reader.read(_LINE, ndjson=ndjson, now_ms=0, limits=PingLimits()).pings])))


def _lines_of_transitions() -> None:
    TransitionLines().of(Telling(np.zeros(0, TOLD), [], [], (), {}))


_STEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("the machine of presence", _presence),
    ("lines of recordings", lambda: LineReader().read(_LINE)),
    ("bodies of pings", _bodies),
    ("lines of transitions", _lines_of_transitions),
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
    """True if the largest kernels are on disk, compiled from these very sources: then none makes anybody wait."""
    return geo_warm.is_warm() and all(is_cached(k) for k in (work, ring, scan_lines, scan_body, write_lines))


def load_for_pings() -> None:
    """Load what every ping meets, so that the first one need not wait for it."""
    site, _ = read_site({})
    assert site is not None
    engine = Engine(site, 0)
    pings = located([PingReader().read(_LINE, ndjson=False, now_ms=0, limits=PingLimits()).pings])
    engine.step([pings], 0)
    with_own_names(pings)
