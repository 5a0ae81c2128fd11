"""The site as the sensing stage sees it: places by number, and what each of them asks for.

Owns the numbering: fences first, in the order of the site, then beacon zones. Must not know any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.fast import NO_BOXES
from geo.shape import bounding_circle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.beacons import Zone
    from engine.detection import Detection
    from engine.site import Site
    from geo.border import Borders
    from geo.index import FenceIndex
    from geo.shape import Shape
    from rules.place import Place

#: No degree of latitude, and none of longitude at the equator, is shorter.
_DEGREE_M = 110_500.0


@dataclass(frozen=True, slots=True)
class View:
    """What presence needs of a site, by place number.

    `detections` has one entry a fence, `dwells` (the `for` times that rules ask for, ascending, in ms) one a place.
    `crossings` are the fences that a rule asks `crossed` of, `boxes` the boxes round them (lng lat lng lat),
    `crossing_accuracy_m` the worst accuracy that any of them takes, `holds[z]` the fence that zone number z is inside
    of, or -1.
    """

    places: tuple[Place, ...]
    detections: tuple[Detection, ...]
    zones: tuple[Zone, ...]
    dwells: tuple[tuple[int, ...], ...]
    holds: tuple[int, ...]
    crossings: tuple[int, ...]
    boxes: Any
    accuracy_max_m: float
    crossing_accuracy_m: float
    max_silence_ms: int
    index: FenceIndex
    borders: Borders
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
    crossings = tuple(n for n, f in enumerate(fences) if rules.crossing_wanted(f.place))
    boxes = np.array([_box(fences[n].shape) for n in crossings]) if crossings else NO_BOXES
    counted = [f.detection.max_accuracy_m for f in fences if not f.detection.instant]
    return View(
        places=places,
        detections=tuple(f.detection for f in fences),
        zones=tuple(zones),
        dwells=tuple(rules.dwell_durations(place) for place in places),
        holds=tuple(number.get(z.inside, -1) if z.inside else -1 for z in zones),
        crossings=crossings,
        boxes=boxes,
        accuracy_max_m=min(counted, default=float("inf")),
        crossing_accuracy_m=max((fences[n].detection.usable_m for n in crossings), default=0.0),
        max_silence_ms=site.settings.detection.max_silence_ms,
        index=site.index,
        borders=site.borders,
        heard=HeardBy(zones),
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
