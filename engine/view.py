"""The site as the sensing stage sees it: places by number, and what each of them asks for.

Owns the numbering: fences first, in the order of the site, then beacon zones. Must not know any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.layout import FENCE, NEVER, Array, Asks
from geo.reach import outlines_of
from geo.shape import bounding_circle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.beacons import Zone
    from engine.detection import Detection
    from engine.site import Site
    from geo.index import FenceIndex
    from geo.shape import Shape
    from rules.place import Place

#: No degree of latitude, and none of longitude at the equator, is shorter.
_DEGREE_M = 110_500.0


@dataclass(frozen=True, slots=True)
class View:
    """What presence needs of a site, by place number.

    `asks` is what each fence asks, as the kernels read it; `detections` the same as settings. `dwells` (the `for` times
    that rules ask for, ascending, in ms) has one entry a place. `rank[n]` is the rank of place n by id, `holds[z]` the
    fence that zone number z is inside of, or -1.
    """

    places: tuple[Place, ...]
    rank: Array
    asks: Asks
    detections: tuple[Detection, ...]
    zones: tuple[Zone, ...]
    dwells: tuple[tuple[int, ...], ...]
    holds: tuple[int, ...]
    max_silence_ms: int
    index: FenceIndex
    heard: HeardBy

    @property
    def fence_count(self) -> int:
        """Place numbers below this are fences."""
        return len(self.detections)


class HeardBy:
    """Which zones a beacon belongs to: whole ids by table, patterns with `*` by their fixed parts."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._exact: dict[str, list[int]] = {}
        self._patterns: list[tuple[tuple[str, ...], int]] = []
        self._known: dict[str, tuple[int, ...]] = {}
        for number, zone in enumerate(zones):
            for beacon in zone.beacons:
                if "*" in beacon:
                    self._patterns.append((tuple(beacon.split(":")), number))
                else:
                    self._exact.setdefault(beacon, []).append(number)

    def zones(self, beacon: str) -> tuple[int, ...]:
        """The numbers of the zones that this beacon belongs to, ascending."""
        known = self._known.get(beacon)
        if known is None:
            parts = beacon.split(":")
            found = set(self._exact.get(beacon, ()))
            found.update(z for pattern, z in self._patterns if _fits(pattern, parts))
            known = tuple(sorted(found))
            if len(self._known) < 100_000:  # ids come from outside: the memory they take is bounded
                self._known[beacon] = known
        return known


def _fits(pattern: tuple[str, ...], parts: list[str]) -> bool:
    if len(pattern) > len(parts):
        return False
    if len(pattern) < len(parts) and pattern[-1] != "*":
        return False
    return all(p in ("*", part) for p, part in zip(pattern, parts, strict=False))


def view_of(site: Site) -> View:
    """Number the places of a site and gather what its rules ask of each."""
    fences, zones, rules = site.fences, site.zones, site.rules
    places = tuple(f.place for f in fences) + tuple(z.place for z in zones)
    number = {place.id: n for n, place in enumerate(places)}
    dwells = tuple(rules.dwell_durations(place) for place in places)
    return View(
        places=places,
        rank=rank_of(places),
        asks=_asks(site, dwells),
        detections=tuple(f.detection for f in fences),
        zones=tuple(zones),
        dwells=dwells,
        holds=tuple(number.get(z.inside, -1) if z.inside else -1 for z in zones),
        max_silence_ms=site.settings.detection.max_silence_ms,
        index=site.index,
        heard=HeardBy(zones),
    )


def rank_of(places: Sequence[Place]) -> Array:
    """The rank of each place by id, as int64."""
    rank = np.empty(len(places), np.int64)
    rank[sorted(range(len(places)), key=lambda n: places[n].id)] = np.arange(len(places))
    return rank


def _asks(site: Site, dwells: Sequence[tuple[int, ...]]) -> Asks:
    """What the fences ask of presence, as records."""
    fences = site.fences
    records = np.zeros(len(fences), FENCE)
    borders = site.borders
    outlines = np.stack(outlines_of(borders.columns, borders.row), axis=1).tolist()
    end = 0
    for n, fence in enumerate(fences):
        d = fence.detection
        first, end = end, end + len(dwells[n])
        records[n] = (
            d.exit_after_ms, d.silence_ms, d.max_silence_ms, d.usable_m, first, end, borders.row[n],
            d.enter_fixes, d.exit_fixes, d.instant, *outlines[n],
        )  # fmt: skip
    silences = set(records["silence_ms"].tolist())
    crossings = [n for n, f in enumerate(fences) if site.rules.crossing_wanted(f.place)]
    return Asks(
        fences=records,
        dwells=np.array([ms for n in range(len(fences)) for ms in dwells[n]], np.int64),
        dwells_most=max(map(len, dwells), default=0),
        accuracy_max_m=float(records["accuracy"].min(initial=math.inf)),
        silence_ms=silences.pop() if len(silences) == 1 else NEVER,
        crossings=np.array(crossings, np.int32),
        boxes=np.array([_box(fences[n].shape) for n in crossings]).reshape(-1, 4),
        crossing_accuracy_m=float(records["accuracy"][crossings].max(initial=0.0)),
        borders=borders.columns,
    )


def _box(shape: Shape) -> tuple[float, float, float, float]:
    """A box (lng lat lng lat) that surely holds a fence; one that meets a pole or the antimeridian goes all round."""
    lat, lng, radius_m = bounding_circle(shape)
    lat_deg = radius_m / _DEGREE_M
    south, north = lat - lat_deg, lat + lat_deg
    if south <= -90.0 or north >= 90.0:
        return -180.0, south, 180.0, north
    lng_deg = lat_deg / math.cos(math.radians(max(abs(south), abs(north))))
    if lng - lng_deg < -180.0 or lng + lng_deg > 180.0:
        return -180.0, south, 180.0, north
    return lng - lng_deg, south, lng + lng_deg, north
