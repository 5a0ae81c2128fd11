"""The shapes of fences, as their authors drew them.

Owns the three kinds and the circle round each. Must not know files or the index. Edges are straight in longitude and
latitude (RFC 7946); metres are geodesic on WGS84.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geo.arrays import FloatArray
from geo.geodesic import CURVATURE_M_MAX, CURVATURE_M_MIN, inverse
from geo.kernel import kernel
from geo.trig import RADIANS, lat_lng

RADIUS_M_MAX = 5_000_000.0
"""Larger circles are refused: their geodesics come near the other side of the earth."""

BUFFER_M_MAX = 50_000.0
"""Wider corridors are refused: up to here the distance to a line is right to 1 mm."""


@dataclass(frozen=True, slots=True)
class Area:
    """Polygons with holes. Each ring is float64[n, 2] of (lng, lat), closed; the outer ring first."""

    polygons: tuple[tuple[FloatArray, ...], ...]


@dataclass(frozen=True, slots=True)
class Circle:
    """All points within `radius_m` of a point along the ground."""

    lat_deg: float
    lng_deg: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Corridor:
    """All points within `buffer_m` of the lines along the ground. Each line is float64[n, 2] of (lng, lat)."""

    lines: tuple[FloatArray, ...]
    buffer_m: float


Shape = Area | Circle | Corridor


def chains_of(shape: Shape) -> Sequence[FloatArray]:
    """The rings of an area or the lines of a corridor; none for a circle."""
    if isinstance(shape, Area):
        return [ring for polygon in shape.polygons for ring in polygon]
    return shape.lines if isinstance(shape, Corridor) else ()


def same_shape(one: Shape, other: Shape) -> bool:
    """True if two shapes are the same to the last bit.

    >>> same_shape(Circle(35.69, 139.7, 50.0), Circle(35.69, 139.7, 50.0))
    True
    """
    if one is other or isinstance(one, Circle) or isinstance(other, Circle):
        return one is other or one == other
    if isinstance(one, Area) != isinstance(other, Area):
        return False
    if isinstance(one, Corridor) and isinstance(other, Corridor) and one.buffer_m != other.buffer_m:
        return False
    if isinstance(one, Area) and isinstance(other, Area) and [*map(len, one.polygons)] != [*map(len, other.polygons)]:
        return False
    mine, others = chains_of(one), chains_of(other)
    return len(mine) == len(others) and all(a.tobytes() == b.tobytes() for a, b in zip(mine, others, strict=True))


def joined(chains: Sequence[FloatArray]) -> FloatArray:
    """float64[n, 4]: (lng0, lat0, lng1, lat1) of each edge of the chains, in their order."""
    if not chains:
        return np.empty((0, 4))
    points = np.concatenate(chains)
    edges = np.hstack([points[:-1], points[1:]])
    return np.delete(edges, np.cumsum([len(c) for c in chains])[:-1] - 1, axis=0)


def bounding_circle(shape: Shape) -> tuple[float, float, float]:
    """(lat_deg, lng_deg, radius_m) of a circle that holds the fence: what a phone can register.

    Exact for a circle; for the others its radius is within about 1 % of the least for fences up to 100 km.

    >>> bounding_circle(Circle(35.69, 139.7, 50.0))
    (35.69, 139.7, 50.0)
    """
    if isinstance(shape, Circle):
        return shape.lat_deg, shape.lng_deg, shape.radius_m
    lat, lng, radius_m = _circle_round(joined(chains_of(shape)))
    more = shape.buffer_m if isinstance(shape, Corridor) else 0.0
    return lat, lng, math.ceil((radius_m + more) * 1000.0) / 1000.0


def _circle_round(edges: FloatArray) -> tuple[float, float, float]:
    """A centre by Badoiu and Clarkson's steps towards the farthest point, and the radius that then holds all."""
    points = _unit(np.concatenate([edges[:, :2], edges[:, 2:]]))
    centre = (points.min(axis=0) + points.max(axis=0)) / 2.0
    for k in range(2, 400):
        off = points - centre
        centre = centre + off[np.argmax(np.einsum("ij,ij->i", off, off))] / k
    size = float(np.linalg.norm(centre))
    if size < 1e-9:
        return 0.0, 0.0, math.pi * CURVATURE_M_MAX
    lat, lng = lat_lng(*(float(c) for c in centre))
    return lat, lng, float(_reach_m(lat, lng, edges))


def _unit(lng_lat: FloatArray) -> FloatArray:
    lng, lat = np.radians(lng_lat).T
    return np.stack([np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)], axis=1)


@kernel
def _reach_m(lat_deg: float, lng_deg: float, edges: FloatArray) -> float:
    """Metres from a point that all edges lie within: the ends of short pieces, and how far a piece can bulge."""
    far = 0.0
    for e in range(edges.shape[0]):
        x0, y0, x1, y1 = edges[e]
        dx, dy = abs(x1 - x0), abs(y1 - y0)
        count = 1 + int(max(dx, dy) / 0.25)
        turn = dx / count * RADIANS
        bulge = 0.25 * turn * math.hypot(turn, dy / count * RADIANS) * CURVATURE_M_MIN
        for k in range(count + 1):
            t = k / count
            far = max(far, bulge + inverse(lat_deg, lng_deg, y0 + t * (y1 - y0), x0 + t * (x1 - x0)))
    return far
