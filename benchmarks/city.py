"""The benchmarks' worlds: cities of overlapping fences and points in them, drawn from a seed.

Owns the data that everything is measured on, and its description. Two worlds: `city`, with hubs as a real one has, for
matching; and `stars`, the world that Tile38 was measured on, for the whole process.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from shapely.geometry import Polygon, mapping

from geo.shape import Area

if TYPE_CHECKING:
    from collections.abc import Sequence

WEST, SOUTH, EAST, NORTH = 139.45, 35.50, 139.95, 35.85
HUBS = 40
LAT_M = 110_940.0
LNG_M = 90_800.0
"""Metres a degree, near enough to draw fences by."""

#: The box of `stars`: west, south, east, north.
STARS = (139.55, 35.55, 139.90, 35.85)


@dataclass(frozen=True, slots=True)
class City:
    """Fences as shapely polygons and as our shapes, and a generator for what else is drawn."""

    polygons: tuple[Any, ...]
    shapes: tuple[Area, ...]
    rng: np.random.Generator
    hubs: Any
    box: tuple[float, float, float, float]
    said: str
    """The data in one sentence, its seed included."""

    def points(self, count: int) -> tuple[Any, Any]:
        """(lat, lng) of points, float64[count] each: uniform, or where there are hubs four fifths of them there."""
        west, south, east, north = self.box
        lat, lng = self.rng.uniform(south, north, count), self.rng.uniform(west, east, count)
        if not len(self.hubs):
            return lat, lng
        near = self.rng.random(count) < 0.8
        hub = self.hubs[self.rng.integers(0, len(self.hubs), count)]
        spread = self.rng.normal(0, 1500, (count, 2))
        lat = np.where(near, hub[:, 0] + spread[:, 0] / LAT_M, lat)
        lng = np.where(near, hub[:, 1] + spread[:, 1] / LNG_M, lng)
        return np.clip(lat, south, north), np.clip(lng, west, east)

    def geojson(self, tagged: int = 100, **properties: Any) -> bytes:
        """The fences as a site's file: `f0`, `f1`, ...; one in `tagged` is tagged `watched`."""
        features = [
            {
                "type": "Feature", "id": f"f{n}", "geometry": mapping(polygon),
                "properties": {"timezone": "Asia/Tokyo", "tags": ["watched"] if n % tagged == 0 else []} | properties,
            }
            for n, polygon in enumerate(self.polygons)
        ]  # fmt: skip
        return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def city(fences: int, seed: int = 1) -> City:
    """Tokyo's box. Half the fences 64-gons, half stars, most of them round hubs."""
    polygons, shapes, hubs, state = _drawn(fences, seed)
    rng = np.random.default_rng()
    rng.bit_generator.state = state
    said = (
        f"seed {seed}; {fences:,} fences in 35.50 to 35.85 N, 139.45 to 139.95 E round {HUBS} hubs: half 64-gons of "
        "100 to 500 m, half stars of 8 to 60 vertices and 150 to 800 m, one in twenty with a hole; four fifths of the "
        "points round the hubs too"
    )
    return City(polygons, shapes, rng, hubs, (WEST, SOUTH, EAST, NORTH), said)


@lru_cache(maxsize=4)
def _drawn(fences: int, seed: int) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    hubs = np.column_stack([rng.uniform(SOUTH + 0.03, NORTH - 0.03, HUBS), rng.uniform(WEST + 0.03, EAST - 0.03, HUBS)])
    polygons = tuple(_fence(rng, hubs, n) for n in range(fences))
    return polygons, tuple(_shape(p) for p in polygons), hubs, rng.bit_generator.state


def stars(fences: int, vertices: int = 24, seed: int = 1, spread: float = 1.0) -> City:
    """Stars of 100 to 400 m, uniform in a box; `spread` is the box's size, 1 being some 32 by 33 km."""
    west, south, east, north = STARS
    east, north = west + spread * (east - west), south + spread * (north - south)
    rng = np.random.default_rng(seed)
    polygons = []
    for lat, lng, radius_m in zip(
        rng.uniform(south, north, fences), rng.uniform(west, east, fences), rng.uniform(100, 400, fences), strict=True
    ):
        polygons.append(Polygon(_ring(lat, lng, radius_m, rng.uniform(0.5, 1.0, vertices))))
    said = (
        f"seed {seed}; {fences:,} stars of {vertices} vertices and 100 to 400 m, and the points, uniform in "
        f"{south:.2f} to {north:.2f} N, {west:.2f} to {east:.2f} E"
    )
    return City(
        tuple(polygons), tuple(_shape(p) for p in polygons), rng, np.empty((0, 2)), (west, south, east, north), said
    )


def _fence(rng: np.random.Generator, hubs: Any, n: int) -> Any:
    hub = hubs[rng.integers(0, HUBS)]
    away = rng.normal(0, 2500, 2)
    lat, lng = hub[0] + away[0] / LAT_M, hub[1] + away[1] / LNG_M
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
            lng + radius_m * reach * np.cos(angles) / LNG_M,
            lat + radius_m * reach * np.sin(angles) / LAT_M,
            strict=True,
        )
    )


def _shape(polygon: Any) -> Area:
    rings = [polygon.exterior, *polygon.interiors]
    return Area((tuple(np.ascontiguousarray(ring.coords) for ring in rings),))
