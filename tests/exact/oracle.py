"""An independent reckoning of who enters and leaves what: brute force over shapely and pyproj.

Shares no code with the product. Polygons by GEOS (`intersects`, the border included), circles by Karney's inverse,
corridors by a golden section along each segment. Transitions are those of `preset: instant`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import Geod
from shapely.geometry import LineString, Point, mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GEOD = Geod(ellps="WGS84")
SILENCE_MS = 30 * 60_000
_GOLDEN = (5**0.5 - 1) / 2
Moves = set[tuple[str, str, str, int]]


@dataclass(frozen=True)
class Fence:
    """A fence of the oracle: a polygon, or a line or point with a reach in metres."""

    id: str
    shape: Any
    reach_m: float = 0.0

    def feature(self) -> dict[str, Any]:
        """The fence as the site's GeoJSON has it."""
        properties: dict[str, Any] = {"timezone": "UTC"}
        if isinstance(self.shape, Point):
            properties["radius_m"] = self.reach_m
        elif isinstance(self.shape, LineString):
            properties["buffer_m"] = self.reach_m
        return {"type": "Feature", "id": self.id, "geometry": mapping(self.shape), "properties": properties}


def inside(lng: Any, lat: Any, fences: Sequence[Fence]) -> list[set[str]]:
    """The ids of the fences that each point is in."""
    found: list[set[str]] = [set() for _ in lng]
    flat = [f for f in fences if f.reach_m == 0.0]
    points = shapely.points(lng, lat)
    if flat:
        tree = shapely.STRtree([f.shape for f in flat])
        for point, fence in zip(*tree.query(points, predicate="intersects"), strict=True):
            found[point].add(flat[fence].id)
    reaching = [f for f in fences if f.reach_m > 0.0]
    if reaching:
        boxes = shapely.box(*np.array([_box(f) for f in reaching]).T)
        tree = shapely.STRtree(boxes)
        near, which = tree.query(points, predicate="intersects")
        for number, fence in enumerate(reaching):
            at = near[which == number]
            if len(at):
                distance = _distance_m(fence.shape, lng[at], lat[at])
                for point in at[distance <= fence.reach_m]:
                    found[point].add(fence.id)
    return found


def _box(fence: Fence) -> tuple[float, float, float, float]:
    """A box that surely holds a reaching fence."""
    west, south, east, north = fence.shape.bounds
    lat_deg = fence.reach_m / 110_000
    lng_deg = fence.reach_m / (110_000 * np.cos(np.radians(max(abs(south), abs(north)) + lat_deg)))
    return west - lng_deg, south - lat_deg, east + lng_deg, north + lat_deg


def _distance_m(shape: Any, lng: Any, lat: Any) -> Any:
    if isinstance(shape, Point):
        return GEOD.inv(lng, lat, np.full(len(lng), shape.x), np.full(len(lng), shape.y))[2]
    corners = np.array(shape.coords)
    return np.min([_to_segment_m(a, b, lng, lat) for a, b in itertools.pairwise(corners)], axis=0)


def _to_segment_m(a: Any, b: Any, lng: Any, lat: Any) -> Any:
    """The least geodesic distance to a segment that is straight in longitude and latitude."""

    def measured(t: Any) -> Any:
        return GEOD.inv(lng, lat, a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]))[2]

    low, high = np.zeros(len(lng)), np.ones(len(lng))
    for _ in range(60):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        nearer = measured(left) < measured(right)
        high, low = np.where(nearer, right, high), np.where(nearer, low, left)
    return np.minimum(measured((low + high) / 2), np.minimum(measured(np.zeros(len(lng))), measured(np.ones(len(lng)))))


def transitions(pings: Iterable[dict[str, Any]], fences: Sequence[Fence]) -> Moves:
    """(device, place, kind, time in ms) of each transition, in the order of the recording's lines."""
    listed = list(pings)
    lng, lat = (np.array([p[k] for p in listed], float) for k in ("lng", "lat"))
    sets = inside(lng, lat, fences)
    moves: Moves = set()
    present: dict[str, set[str]] = {}
    last: dict[str, int] = {}
    for ping, now_in in zip(listed, sets, strict=True):
        device, time_ms = ping["device"], ping["time"]
        if device in last and time_ms <= last[device]:
            continue
        before = present.get(device, set())
        if device in last and time_ms - last[device] >= SILENCE_MS:
            moves |= {(device, place, "exited", last[device] + SILENCE_MS) for place in before}
            before = set()
        moves |= {(device, place, "entered", time_ms) for place in now_in - before}
        moves |= {(device, place, "exited", time_ms) for place in before - now_in}
        present[device], last[device] = now_in, time_ms
    end_ms = max(last.values(), default=0)
    for device, places in present.items():
        if end_ms - last[device] >= SILENCE_MS:
            moves |= {(device, place, "exited", last[device] + SILENCE_MS) for place in places}
    return moves
