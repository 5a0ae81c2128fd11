"""Compile the map's kernels ahead of their first use.

Owns the list of what is compiled. Compiled code is kept on disk beside the sources (numba's cache), so that this takes
half a minute once on a new machine and a second afterwards. Must not print: who calls shows the steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geo import border, lookup, paint, record
from geo.border import Borders
from geo.cell import cells_of
from geo.columns import columns_of
from geo.face import lattice
from geo.index import FenceIndex
from geo.kernel import is_cached
from geo.point import Point, distance_m
from geo.rings import is_plain_ring, polygon_fault
from geo.shape import Area, Circle, bounding_circle
from geo.swiftjson import plain_features

_SQUARE = Area(((np.array([[0.0, 0.0], [0.001, 0.0], [0.001, 0.001], [0.0, 0.001], [0.0, 0.0]]),),))
_LAT, _LNG = np.array([0.0005]), np.array([0.0005])


def _cells_of_fences() -> None:
    rows = np.arange(1, dtype=np.int32)
    paint.paint(columns_of([_SQUARE]), rows, np.zeros(1, np.int8), lattice(12).reshape(1, 4))


def _index() -> None:
    # twice as many tiles as a table has room for at first
    apart = [Circle(0.0, 0.05 * n, 1.0) for n in range(64)]
    FenceIndex.build([_SQUARE]).edited(np.array([0, *[-1] * len(apart)]), apart)


def _lookup() -> None:
    FenceIndex.build([_SQUARE]).match(_LAT, _LNG)


def _borders() -> None:
    borders = Borders.build([_SQUARE])
    borders.signed_distance_m(np.zeros(1, np.int32), _LAT, _LNG)
    borders.cuts(0, 0.0, 0.0, 0.001, 0.001)


def _circles() -> None:
    bounding_circle(_SQUARE)


def _distance() -> None:
    point = Point.from_lat_lng(lat_deg=0.0, lng_deg=0.0)
    distance_m(point, point)


def _cells() -> None:
    cells_of(_LAT, _LNG, 9)


def _fence_files() -> None:
    plain_features(b"{}")
    ((ring,),) = _SQUARE.polygons
    is_plain_ring(ring)
    polygon_fault((ring,))


_STEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("distances on the ellipsoid", _distance),
    ("columns of fences", lambda: columns_of([_SQUARE])),
    ("circles round fences", _circles),
    ("the cells of fences", _cells_of_fences),
    ("the fence index", _index),
    ("looking points up", _lookup),
    ("distances to borders", _borders),
    ("H3 cells of points", _cells),
    ("fence files", _fence_files),
)


def warm(progress: Callable[[str, int, int], None]) -> None:
    """Compile everything, or load it from the cache; `progress` gets (what comes next, steps done, steps in all)."""
    for done, (name, step) in enumerate(_STEPS):
        progress(name, done, len(_STEPS))
        step()
    progress("done", len(_STEPS), len(_STEPS))


def is_warm() -> bool:
    """True if the largest kernels are on disk, compiled from these very sources: then `warm` takes a second or two."""
    return all(is_cached(k) for k in (lookup.match, paint.paint, record._splice, border._signed, border.cuts))
