"""Seeded worlds for the exactness tests: random fences of every shape, walkers, and real traces."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import numpy as np
from shapely.geometry import LineString, Point, Polygon

from tests.exact.oracle import Fence

if TYPE_CHECKING:
    from collections.abc import Sequence

Box = tuple[float, float, float, float]  # west, south, east, north
TOKYO: Box = (139.65, 35.60, 139.85, 35.75)


def fences(count: int, rng: random.Random, box: Box = TOKYO, reach: tuple[float, float] = (40, 400)) -> list[Fence]:
    """Half star-shaped polygons, a third of them with a hole; a quarter circles, a quarter corridors."""
    return [_fence(f"f{n}", n, rng, box, reach) for n in range(count)]


def _fence(name: str, n: int, rng: random.Random, box: Box, reach: tuple[float, float]) -> Fence:
    lng, lat, size_m = rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3]), rng.uniform(*reach)
    to_lat = 1 / 110_574
    to_lng = 1 / (111_320 * math.cos(math.radians(lat)))
    if n % 4 == 2:
        return Fence(name, Point(round(lng, 7), round(lat, 7)), round(size_m, 2))
    if n % 4 == 3:
        way = [(lng, lat)]
        heading = rng.uniform(0, 6.28)
        for _ in range(rng.randrange(1, 6)):
            heading += rng.gauss(0, 0.6)
            step_m = rng.uniform(0.3, 1.5) * size_m
            way.append(
                (way[-1][0] + step_m * math.cos(heading) * to_lng, way[-1][1] + step_m * math.sin(heading) * to_lat)
            )
        return Fence(name, LineString([(round(x, 7), round(y, 7)) for x, y in way]), round(rng.uniform(5, 60), 1))
    corners = rng.randrange(3, 40)
    angles = [2 * math.pi * (k + rng.uniform(-0.3, 0.3)) / corners for k in range(corners)]

    def ring(scale: float, wild: float) -> list[tuple[float, float]]:
        return [
            (lng + size_m * scale * (r := rng.uniform(1 - wild, 1)) * math.cos(a) * to_lng,
             lat + size_m * scale * r * math.sin(a) * to_lat)
            for a in angles
        ]  # fmt: skip

    shape = Polygon(ring(1, 0.3), [ring(0.4, 0.0)] if n % 3 == 0 and corners > 5 else [])
    return Fence(name, shape if shape.is_valid and shape.area > 0 else Polygon(ring(1, 0.0)).convex_hull)


def walkers(
    count: int, steps: int, rng: random.Random, t0: int, box: Box = TOKYO, step_ms: int = 5000
) -> list[dict[str, Any]]:
    """Pings of people on foot, on bicycles and in cars, in order of time, with gaps, repeats and late copies."""
    pings = []
    for n in range(count):
        lng, lat, heading = rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3]), rng.uniform(0, 6.28)
        speed, time_ms = rng.choice([1.2, 1.4, 5.0, 14.0]), t0 + rng.randrange(step_ms)
        for _ in range(steps):
            heading += rng.gauss(0, 0.4)
            lat += speed * step_ms / 1000 * math.sin(heading) / 110_574
            lng += speed * step_ms / 1000 * math.cos(heading) / 90_000
            time_ms += step_ms if rng.random() > 0.01 else rng.randrange(5, 50) * 60_000
            pings.append(
                {"device": f"d{n}", "time": time_ms, "lat": round(lat, 7), "lng": round(lng, 7), "accuracy": 8.0}
            )
    pings.sort(key=lambda p: p["time"])
    for k in rng.sample(range(len(pings)), len(pings) // 100):
        pings.insert(min(len(pings), k + rng.randrange(1, 400)), dict(pings[k]))
    return pings


def round_trace(points: Sequence[tuple[int, float, float]], count: int, rng: random.Random) -> list[Fence]:
    """Fences thrown about a real trace of (time, lat, lng), so that its points meet them."""
    lat = np.array([p[1] for p in points])
    lng = np.array([p[2] for p in points])
    spread = 0.005
    made = []
    for n in range(count):
        k = rng.randrange(len(points))
        box = (lng[k] - spread, lat[k] - spread, lng[k] + spread, lat[k] + spread)
        made.append(_fence(f"f{n}", n, rng, box, (20, 600)))
    return made
