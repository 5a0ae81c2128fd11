"""The borders of all fences: how far, and does a way cut them.

Owns the questions that presence asks where a circle of accuracy or a way counts, fence by fence. Must not know the
index (which answers "which fences" for a point) nor devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import AREA, CIRCLE, Columns, columns_of
from geo.cover import covers, signed_m
from geo.geodesic import ecef, inverse
from geo.kernel import kernel, maker
from geo.orient import segments_touch
from geo.segment import least_m, nearest, segment_m
from geo.shape import Shape
from geo.trig import sincos_deg


class Borders:
    """The fences in the order of `shapes`, asked by number."""

    def __init__(self, columns: Columns, row: IntArray) -> None:
        """`row` is where in the columns each fence is, by number."""
        self.columns = columns
        self.row = row

    @classmethod
    def build(cls, shapes: Sequence[Shape]) -> Borders:
        """Lay the shapes out in columns; milliseconds for thousands of fences."""
        return cls(columns_of(shapes), np.arange(len(shapes), dtype=np.int32))

    def signed_distance_m(self, fence: IntArray, lat_deg: FloatArray, lng_deg: FloatArray) -> FloatArray:
        """float64[k]: metres from point k to the border of fence `fence[k]`; negative inside, positive outside.

        The sign agrees with `FenceIndex.match`: inside or on the border is <= 0. Error: circles 20 nm; areas and
        corridors 1 mm up to 50 km from the border, beyond that at most 0.1 %. Within a corridor the depth
        is that below its nearest line, which is never more than the true one.

        >>> from geo.shape import Circle
        >>> borders = Borders.build([Circle(35.69, 139.7, 100.0)])
        >>> borders.signed_distance_m(np.array([0], np.int32), np.array([35.69]), np.array([139.7]))
        array([-100.])
        """
        return np.asarray(
            _signed(
                self.columns,
                self.row[np.asarray(fence, np.int64)],
                np.ascontiguousarray(lat_deg, np.float64),
                np.ascontiguousarray(lng_deg, np.float64),
            )
        )

    def cuts(self, fence: int, lat0_deg: float, lng0_deg: float, lat1_deg: float, lng1_deg: float) -> bool:
        """True if the straight way in (lng, lat), the short way round, touches the fence anywhere.

        Exact for areas; for circles and corridors to 1 mm on ways of up to 10 km.
        """
        row = int(self.row[fence])
        return bool(cuts(self.columns, row, float(lat0_deg), float(lng0_deg), float(lat1_deg), float(lng1_deg)))


@maker
def _signed(columns: Columns, fence: IntArray, lat: FloatArray, lng: FloatArray) -> FloatArray:
    out = np.empty(fence.shape[0])
    for k in range(fence.shape[0]):
        out[k] = signed_m(columns, fence[k], lat[k], lng[k])
    return out


@kernel
def cuts(columns: Columns, f: int, lat0: float, lng0: float, lat1: float, lng1: float) -> bool:
    """See `Borders.cuts`. Over the antimeridian the way is looked at twice, from either end's side."""
    if lng1 - lng0 > 180.0:
        return bool(
            _cuts_straight(columns, f, lat0, lng0 + 360.0, lat1, lng1)
            or _cuts_straight(columns, f, lat0, lng0, lat1, lng1 - 360.0)
        )
    if lng1 - lng0 < -180.0:
        return bool(
            _cuts_straight(columns, f, lat0, lng0, lat1, lng1 + 360.0)
            or _cuts_straight(columns, f, lat0, lng0 - 360.0, lat1, lng1)
        )
    return bool(_cuts_straight(columns, f, lat0, lng0, lat1, lng1))


@kernel
def _cuts_straight(columns: Columns, f: int, lat0: float, lng0: float, lat1: float, lng1: float) -> bool:
    if covers(columns, f, lat0, _home(lng0)) or covers(columns, f, lat1, _home(lng1)):
        return True
    if columns.kind[f] == CIRCLE:
        lat, lng = columns.disc[f, 0], columns.disc[f, 1]
        px, py, pz = columns.disc[f, 2], columns.disc[f, 3], columns.disc[f, 4]
        return bool(segment_m(lat, lng, px, py, pz, lng0, lat0, lng1, lat1) <= columns.size_m[f])
    is_line = columns.kind[f] != AREA
    _, cos_lat = sincos_deg(lat0)
    reach_m = columns.size_m[f] + inverse(lat0, lng0, lat1, lng1) if is_line else 0.0
    for e in range(columns.span[f, 0], columns.span[f, 2]):
        x0, y0, x1, y1 = columns.edges[e]
        if segments_touch(lng0, lat0, lng1, lat1, x0, y0, x1, y1):
            return True
        if (
            is_line
            and least_m(lat0, lng0, cos_lat, x0, y0, x1, y1) <= reach_m
            and _apart_m(lng0, lat0, lng1, lat1, x0, y0, x1, y1) <= columns.size_m[f]
        ):
            return True
    return False


@kernel
def _home(lng: float) -> float:
    """A longitude that was moved by a turn, back within +-180."""
    return lng - 360.0 if lng > 180.0 else lng + 360.0 if lng < -180.0 else lng


@kernel
def _apart_m(ax: float, ay: float, bx: float, by: float, cx: float, cy: float, dx: float, dy: float) -> float:
    """Metres between two segments that do not touch, on the ground.

    Straight in (lng, lat) is bent on the ground, so that the least may lie between ends: from the nearest of the four
    ends it is followed from one segment to the other and back.
    """
    best, s = math.inf, 0.0
    for k in range(2):
        x, y = (ax, ay) if k == 0 else (bx, by)
        px, py, pz = ecef(y, x)
        m = segment_m(y, x, px, py, pz, cx, cy, dx, dy)
        if m < best:
            best, s = m, float(k)
        x, y = (cx, cy) if k == 0 else (dx, dy)
        px, py, pz = ecef(y, x)
        m = segment_m(y, x, px, py, pz, ax, ay, bx, by)
        if m < best:
            best, s = m, nearest(y, x, px, py, pz, ax, ay, bx - ax, by - ay)
    for _ in range(8):
        x, y = ax + s * (bx - ax), ay + s * (by - ay)
        px, py, pz = ecef(y, x)
        best = min(best, segment_m(y, x, px, py, pz, cx, cy, dx, dy))
        t = nearest(y, x, px, py, pz, cx, cy, dx - cx, dy - cy)
        x, y = cx + t * (dx - cx), cy + t * (dy - cy)
        px, py, pz = ecef(y, x)
        s = nearest(y, x, px, py, pz, ax, ay, bx - ax, by - ay)
    return best
