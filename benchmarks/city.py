"""The benchmarks' world: a city of overlapping fences and points in it, drawn from a seed.

Tokyo's box (35.50-35.85 N, 139.45-139.95 E). Half the fences are 64-gons of 100-500 m, half star-shaped polygons of
8-60 vertices and 150-800 m, one in ten with a hole; most of both, and four fifths of the points, lie round 40 hubs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from shapely.geometry import Polygon

from geo.shape import Area

if TYPE_CHECKING:
    from collections.abc import Sequence

WEST, SOUTH, EAST, NORTH = 139.45, 35.50, 139.95, 35.85
HUBS = 40
_LAT_M = 110_940.0
_LNG_M = 90_800.0


@dataclass(frozen=True, slots=True)
class City:
    """Fences as shapely polygons and as our shapes, and a generator for what else is drawn."""

    polygons: tuple[Any, ...]
    shapes: tuple[Area, ...]
    rng: np.random.Generator
    hubs: Any

    def points(self, count: int) -> tuple[Any, Any]:
        """(lat, lng) of points, float64[count] each, four fifths of them round the hubs."""
        lat, lng = self.rng.uniform(SOUTH, NORTH, count), self.rng.uniform(WEST, EAST, count)
        near = self.rng.random(count) < 0.8
        hub = self.hubs[self.rng.integers(0, HUBS, count)]
        spread = self.rng.normal(0, 1500, (count, 2))
        lat = np.where(near, hub[:, 0] + spread[:, 0] / _LAT_M, lat)
        lng = np.where(near, hub[:, 1] + spread[:, 1] / _LNG_M, lng)
        return np.clip(lat, SOUTH, NORTH), np.clip(lng, WEST, EAST)


def city(fences: int, seed: int = 1) -> City:
    """A city of so many fences."""
    rng = np.random.default_rng(seed)
    hubs = np.column_stack([rng.uniform(SOUTH + 0.03, NORTH - 0.03, HUBS), rng.uniform(WEST + 0.03, EAST - 0.03, HUBS)])
    polygons = tuple(_fence(rng, hubs, n) for n in range(fences))
    return City(polygons, tuple(_shape(p) for p in polygons), rng, hubs)


def _fence(rng: np.random.Generator, hubs: Any, n: int) -> Any:
    hub = hubs[rng.integers(0, HUBS)]
    away = rng.normal(0, 2500, 2)
    lat, lng = hub[0] + away[0] / _LAT_M, hub[1] + away[1] / _LNG_M
    if n % 2:
        return Polygon(_ring(lat, lng, rng.uniform(100, 500), np.ones(64)))
    corners = int(rng.integers(8, 61))
    outer = _ring(lat, lng, rng.uniform(150, 800), rng.uniform(0.6, 1.0, corners))
    holes = [_ring(lat, lng, 60.0, np.ones(8))] if rng.random() < 0.1 else []
    return Polygon(outer, holes)


def _ring(lat: float, lng: float, radius_m: float, reach: Sequence[float] | Any) -> list[tuple[float, float]]:
    angles = 2 * math.pi * np.arange(len(reach)) / len(reach)
    return list(
        zip(
            lng + radius_m * reach * np.cos(angles) / _LNG_M,
            lat + radius_m * reach * np.sin(angles) / _LAT_M,
            strict=True,
        )
    )


def _shape(polygon: Any) -> Area:
    rings = [polygon.exterior, *polygon.interiors]
    return Area((tuple(np.ascontiguousarray(ring.coords) for ring in rings),))
