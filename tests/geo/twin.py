"""The plain twin of the index: every fence asked about every point, by GEOS and by PROJ.

Owns the brute force and the worlds it is tried on. Must not use the code it checks, but for the shapes themselves.
"""

from __future__ import annotations

import itertools

import numpy as np
import shapely
from pyproj import Geod

from geo.arrays import FloatArray, IntArray
from geo.index import FenceIndex
from geo.shape import Area, Circle, Corridor, Shape

WGS84 = Geod(ellps="WGS84")

#: Between two exact ways of measuring metres, answers may differ this near to the limit.
CIRCLE_SLACK_M = 1e-6
CORRIDOR_SLACK_M = 1e-3


def geometry(area: Area) -> shapely.Geometry:
    """The area as GEOS has it."""
    parts = [shapely.Polygon(p[0], p[1:]) for p in area.polygons]
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)


def line_distance_m(lines: tuple[FloatArray, ...], lat: float, lng: float) -> float:
    """Metres from a point to lines straight in (lng, lat): PROJ on ever finer samples."""
    best = np.inf
    for line in lines:
        for (x0, y0), (x1, y1) in itertools.pairwise(line):
            low, high = 0.0, 1.0
            for _ in range(9):
                t = np.linspace(low, high, 41)
                x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
                m = WGS84.inv(x, y, np.full(41, lng), np.full(41, lat))[2]
                k = int(np.argmin(m))
                best = min(best, float(m[k]))
                low, high = t[max(0, k - 2)], t[min(40, k + 2)]
    return best


def brute(shape: Shape, lat: FloatArray, lng: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(inside, sure) of each point: what the fence says, and whether that is beyond all rounding of the twin."""
    if isinstance(shape, Area):
        shapely.prepare(form := geometry(shape))
        inside = shapely.intersects_xy(form, lng, lat)
        mirrored = np.abs(lng) == 180.0
        inside |= mirrored & shapely.intersects_xy(form, -lng, lat)
        return inside, np.ones(lat.size, bool)
    if isinstance(shape, Circle):
        n = lat.size
        m = WGS84.inv(np.full(n, shape.lng_deg), np.full(n, shape.lat_deg), lng, lat)[2]
        return m <= shape.radius_m, np.abs(m - shape.radius_m) > CIRCLE_SLACK_M
    assert isinstance(shape, Corridor)
    m = np.array([line_distance_m(shape.lines, y, x) for y, x in zip(lat, lng, strict=True)])
    return m <= shape.buffer_m, np.abs(m - shape.buffer_m) > CORRIDOR_SLACK_M


def rows(offsets: IntArray, fences: IntArray) -> list[list[int]]:
    """The answer of `match` as one list a point."""
    return [fences[a:b].tolist() for a, b in itertools.pairwise(offsets)]


def differences(shapes: list[Shape], lat: FloatArray, lng: FloatArray) -> list[tuple[int, float, float, bool]]:
    """`differences_of` an index of these shapes."""
    return differences_of(FenceIndex.build(shapes), shapes, lat, lng)


def differences_of(
    index: FenceIndex, shapes: list[Shape], lat: FloatArray, lng: FloatArray
) -> list[tuple[int, float, float, bool]]:
    """(fence, lat, lng, what the index says) wherever index and twin differ; checks the form of the answer too."""
    offsets, fences = index.match(lat, lng)
    assert offsets[0] == 0
    assert offsets[-1] == fences.size
    assert all(row == sorted(set(row)) for row in rows(offsets, fences))
    point = np.repeat(np.arange(lat.size), np.diff(offsets))
    out = []
    for n, shape in enumerate(shapes):
        found = np.zeros(lat.size, bool)
        found[point[fences == n]] = True
        inside, sure = brute(shape, lat, lng)
        out += [(n, lat[k], lng[k], bool(found[k])) for k in np.flatnonzero((found != inside) & sure)]
    return out


def star(rng: np.random.Generator, lat: float, lng: float, radius_m: float, corners: int, hole: bool = False) -> Area:
    """A polygon of random corners round a point, perhaps with a hole."""
    turn = (np.arange(corners) + rng.uniform(-0.2, 0.2, corners)) * (2.0 * np.pi / corners)
    size = radius_m * rng.uniform(0.4, 1.3, corners)
    unit = np.stack([np.cos(turn) / np.cos(np.radians(lat)), np.sin(turn)], axis=1) * size[:, None] / 111_195.0

    def ring(scale: float) -> FloatArray:
        return np.vstack([unit, unit[:1]]) * scale + np.array([lng, lat])

    return Area(((ring(1.0), ring(0.4)[::-1].copy()) if hole else (ring(1.0),),))


def box(west: float, south: float, east: float, north: float) -> FloatArray:
    """A closed ring round a box."""
    return np.array([[west, south], [east, south], [east, north], [west, north], [west, south]], float)


def corners_of(shapes: list[Shape]) -> FloatArray:
    """float64[n, 2] of (lng, lat): all vertices."""
    chains = [r for s in shapes if isinstance(s, Area) for p in s.polygons for r in p]
    chains += [line for s in shapes if isinstance(s, Corridor) for line in s.lines]
    return np.concatenate(chains)


def hard_points(rng: np.random.Generator, shapes: list[Shape], most: int) -> tuple[FloatArray, FloatArray]:
    """(lat, lng) at and within one rounding of borders: corners, points on edges, each also a bit off."""
    chains = [r for s in shapes if isinstance(s, Area) for p in s.polygons for r in p]
    chains += [line for s in shapes if isinstance(s, Corridor) for line in s.lines]
    a = np.concatenate([c[:-1] for c in chains])
    b = np.concatenate([c[1:] for c in chains])
    if len(a) > most:
        pick = rng.choice(len(a), most, replace=False)
        a, b = a[pick], b[pick]
    on_edge = a + rng.random((len(a), 1)) * (b - a)
    base = np.concatenate([a, (a + b) / 2.0, on_edge])
    sets = [base, np.round(base, 7), np.round(base, 5)]
    for way in (-np.inf, np.inf):
        sets += [np.stack([np.nextafter(base[:, 0], way), base[:, 1]], axis=1)]
        sets += [np.stack([base[:, 0], np.nextafter(base[:, 1], way)], axis=1)]
    level = np.stack([rng.permutation(base[:, 0]), base[:, 1]], axis=1)
    points = np.concatenate([*sets, level])
    return np.clip(points[:, 1], -90.0, 90.0), np.clip(points[:, 0], -180.0, 180.0)


def sphere_points(rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
    """(lat, lng) evenly over the earth."""
    return np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, count))), rng.uniform(-180.0, 180.0, count)
