"""How far a point is from a piece of border: a segment straight in longitude and latitude, on WGS84.

Owns the distance to one segment. Must not know fences.
"""

from __future__ import annotations

import math

from geo.geodesic import A_M, CURVATURE_M_MIN, E2, arc_m, ecef, inverse
from geo.kernel import kernel
from geo.trig import RADIANS, sincos_deg

PIECE_DEG = 1.0
"""Longer segments are searched in pieces: a piece must be nearly straight on the ground for the search to settle."""

NEAR_M = 20_000.0
"""Up to here the chord gives the distance to 0.1 mm; beyond, the geodesic itself is solved."""


@kernel
def lng_gap_deg(lng_deg: float, low_deg: float, high_deg: float) -> float:
    """Degrees of longitude from a point to [low, high], the short way round; 0 within."""
    gap = max(low_deg - lng_deg, lng_deg - high_deg)
    if gap <= 0.0:
        return 0.0
    return max(0.0, min(gap, low_deg - lng_deg + 360.0, lng_deg + 360.0 - high_deg))


@kernel
def least_m(lat_deg: float, lng_deg: float, cos_lat: float, x0: float, y0: float, x1: float, y1: float) -> float:
    """Metres that the segment is away at least: cheap, never more than the distance, 0 for a point in its box.

    A meridian `gap` away is asin(cos(lat) sin(gap)) off on the sphere, which is at least cos(lat) sin(gap); the
    ellipsoid is nowhere shorter than the sphere of the smallest radius of curvature.
    """
    up = max(0.0, min(y0, y1) - lat_deg, lat_deg - max(y0, y1)) * RADIANS
    gap = min(lng_gap_deg(lng_deg, min(x0, x1), max(x0, x1)) * RADIANS, 0.5 * math.pi)
    aside = cos_lat * gap * (1.0 - gap * gap * (1.0 / 6.0))
    return CURVATURE_M_MIN * max(up, aside)


@kernel
def least_chord2(least: float) -> float:
    """The squared straight distance that `least` metres along the ground mean at least (sin x >= x - x^3 / 6)."""
    chord = least - least * least * least / (24.0 * CURVATURE_M_MIN * CURVATURE_M_MIN)
    return chord * chord


@kernel
def nearest_point(
    lat_deg: float, lng_deg: float, px: float, py: float, pz: float,
    x0: float, y0: float, x1: float, y1: float,
) -> tuple[float, float, float]:  # fmt: skip
    """(squared straight distance, lat, lng) of the point of the segment (x0, y0)-(x1, y1) that is nearest.

    The segment is in (lng, lat) degrees; (px, py, pz) is the point's `ecef`. Nearest is right to 0.2 mm as long as the
    distance is small against the radius at which the segment bends on the ground, earth radius / tan(lat).
    """
    count = 1 + int(max(abs(x1 - x0), abs(y1 - y0)) / PIECE_DEG)
    best, best_lat, best_lng = math.inf, y0, x0
    for k in range(count):
        a, b = k / count, (k + 1) / count
        t = nearest(
            lat_deg, lng_deg, px, py, pz,
            x0 + a * (x1 - x0), y0 + a * (y1 - y0), (b - a) * (x1 - x0), (b - a) * (y1 - y0),
        )  # fmt: skip
        t = min(a + t * (b - a), 1.0)
        lat, lng = y0 + t * (y1 - y0), x0 + t * (x1 - x0)
        ex, ey, ez = ecef(lat, lng)
        d2 = (px - ex) ** 2 + (py - ey) ** 2 + (pz - ez) ** 2
        if d2 < best:
            best, best_lat, best_lng = d2, lat, lng
    return best, best_lat, best_lng


@kernel
def ground_m(d2: float, lat_deg: float, lng_deg: float, to_lat: float, to_lng: float) -> float:
    """Metres along the ground between two points whose squared straight distance is `d2`."""
    if d2 > NEAR_M * NEAR_M:
        return inverse(lat_deg, lng_deg, to_lat, to_lng)
    return arc_m(math.sqrt(d2), lat_deg)


@kernel
def segment_m(
    lat_deg: float, lng_deg: float, px: float, py: float, pz: float,
    x0: float, y0: float, x1: float, y1: float,
) -> float:  # fmt: skip
    """Metres from a point to a segment: see `nearest_point`."""
    d2, lat, lng = nearest_point(lat_deg, lng_deg, px, py, pz, x0, y0, x1, y1)
    return ground_m(d2, lat_deg, lng_deg, lat, lng)


@kernel
def nearest(
    lat_deg: float, lng_deg: float, px: float, py: float, pz: float,
    x0: float, y0: float, dx: float, dy: float,
) -> float:  # fmt: skip
    """The share t of the way from (x0, y0) by (dx, dy) that is nearest: Gauss-Newton on the straight distance."""
    _, cos_lat = sincos_deg(lat_deg)
    off = lng_deg - x0
    off -= 360.0 * math.floor(off / 360.0 + 0.5)
    c2 = cos_lat * cos_lat
    size = dx * dx * c2 + dy * dy
    t = 0.0 if size == 0.0 else min(1.0, max(0.0, (off * dx * c2 + (lat_deg - y0) * dy) / size))
    ux, uy = dx * RADIANS, dy * RADIANS
    for _ in range(20):
        sp, cp = sincos_deg(y0 + t * dy)
        sl, cl = sincos_deg(x0 + t * dx)
        w = 1.0 - E2 * sp * sp
        n = A_M / math.sqrt(w)
        m = n * (1.0 - E2) / w
        rx, ry, rz = px - n * cp * cl, py - n * cp * sl, pz - n * (1.0 - E2) * sp
        gx = -m * sp * cl * uy - n * cp * sl * ux
        gy = -m * sp * sl * uy + n * cp * cl * ux
        gz = m * cp * uy
        length2 = gx * gx + gy * gy + gz * gz
        if length2 == 0.0:
            return t
        new = min(1.0, max(0.0, t + (rx * gx + ry * gy + rz * gz) / length2))
        step = new - t
        t = new
        if step * step * length2 < 1e-10:
            break
    return t
