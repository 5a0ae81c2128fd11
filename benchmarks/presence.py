"""Who entered and who left, ping by ping: the sensing half of the fold beside the sets that people keep in a dict.

Both get the same batch of pings of a walking crowd and match it with our index; what follows is compared, transition by
transition. Detection is `instant`, since sets can do no more; our columns, ids and timers are all in the figure.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Side, Size
from benchmarks.city import city
from benchmarks.crowd import T0, Walk
from benchmarks.site import site_of
from engine.step import Engine
from engine.told import Transitions
from rules.facts import Kind

if TYPE_CHECKING:
    from contextlib import ExitStack

    from engine.site import Site

Move = tuple[str, str, str]
STEPS = 4
"""So many steps are compared: all first entries, then what changes on the way."""


def bench(size: Size, keep: ExitStack) -> Bench:
    """Everybody pings once a step."""
    world = city(size.fences)
    site = site_of(world.geojson(), "detection: {preset: instant}")
    ours = _Ours(site, Walk(city(size.fences), size.devices))
    theirs = _Sets(site, Walk(city(size.fences), size.devices))
    return Bench(
        "presence", f"who entered and left, {size.devices:,} devices", "pings",
        f"{world.said}; {size.devices:,} devices that walk 7 m a ping",
        Side("nearcast", size.devices, lambda: ours.step()[0], lambda: [ours.step()[1] for _ in range(STEPS)]),
        (
            Side(
                "sets in a dict", size.devices, lambda: theirs.step()[0],
                lambda: [theirs.step()[1] for _ in range(STEPS)],
                "our match, then for each device the set of fences now against the set before",
            ),
        ),
    )  # fmt: skip


class _Ours:
    def __init__(self, site: Site, walk: Walk) -> None:
        self._walk, self._sense = walk, Engine(site, T0).sense

    def step(self) -> tuple[float, set[Move]]:
        """One ping of everybody: the seconds it took, and who moved where."""
        batch, now_ms = self._walk.step()
        began = time.process_time()
        tellings, _ = self._sense.located(batch, now_ms, 0)
        made = list(Transitions(tellings))
        spent = time.process_time() - began
        return spent, {(t.device, t.place.id, t.kind.value) for t in made}


class _Sets:
    def __init__(self, site: Site, walk: Walk) -> None:
        self._walk, self._index = walk, site.index
        self._ids = [fence.place.id for fence in site.fences]
        self._inside: dict[str, set[int]] = {}

    def step(self) -> tuple[float, set[Move]]:
        """The same by hand."""
        batch, _ = self._walk.step()
        began = time.process_time()
        lat, lng, device = batch.column("lat"), batch.column("lng"), batch.column("device")
        offsets, fences = self._index.match(lat, lng)
        found, ends = fences.tolist(), offsets.tolist()
        moves = []
        for n, name in enumerate(device.tolist()):
            now = set(found[ends[n] : ends[n + 1]])
            before = self._inside.get(name)
            if before is None or now != before:
                was = before or set()
                moves += [(name, fence, Kind.ENTERED) for fence in now - was]
                moves += [(name, fence, Kind.EXITED) for fence in was - now]
                self._inside[name] = now
        spent = time.process_time() - began
        return spent, {(batch.strings[d], self._ids[f], kind.value) for d, f, kind in moves}
