"""Distances on the WGS84 ellipsoid.

Owns the ellipsoid: earth-centred vectors, the exact geodesic between two points, the chord that stands for it nearby.
Must not know fences. The inverse solution iterates the longitude on the auxiliary sphere (Vincenty 1975) with the
series of Karney, "Algorithms for geodesics" (2013), to the sixth order: it agrees with geographiclib to 20 nm where it
converges, which is everywhere but within about 1 degree of antipodal. There the shortest way is found over the plane
that halves the globe between the two points, to 1 mm.
"""

from __future__ import annotations

import math

from geo.kernel import kernel
from geo.trig import RADIANS, lat_lng, sincos_deg

A_M = 6378137.0
F = 1.0 / 298.257223563
E2 = F * (2.0 - F)
B_M = A_M * (1.0 - F)
EP2 = E2 / (1.0 - E2)
CURVATURE_M_MIN = A_M * (1.0 - E2)
"""The smallest radius of curvature anywhere: along the meridian at the equator."""
CURVATURE_M_MAX = A_M / math.sqrt(1.0 - E2)
"""The largest: at the poles. A step of s metres turns a vector by between s / MAX and s / MIN radians (see `face`)."""

N = F / (2.0 - F)
A3 = (1.0, (N - 1) / 2, (3 * N * N - N - 2) / 8, (-N * N - 3 * N - 1) / 16, (-2 * N - 3) / 64, -3.0 / 128)
C31 = ((1 - N) / 4, (1 - N * N) / 8, (3 + 3 * N - N * N) / 64, (5 + 2 * N) / 128, 3.0 / 128)
C32 = ((2 - 3 * N + N * N) / 32, (3 - 2 * N - 3 * N * N) / 64, (3 + N) / 128, 5.0 / 256)
C33 = ((5 - 9 * N + 5 * N * N) / 192, (9 - 10 * N) / 384, 7.0 / 512)
C34 = ((7 - 14 * N) / 512, 7.0 / 512)
C35 = 21.0 / 2560


@kernel
def ecef(lat_deg: float, lng_deg: float) -> tuple[float, float, float]:
    """The point of the ellipsoid as an earth-centred vector in metres; each part is right to 2 nm."""
    sp, cp = sincos_deg(lat_deg)
    sl, cl = sincos_deg(lng_deg)
    n = A_M / math.sqrt(1.0 - E2 * sp * sp)
    return n * cp * cl, n * cp * sl, n * (1.0 - E2) * sp


@kernel
def inverse(lat0_deg: float, lng0_deg: float, lat1_deg: float, lng1_deg: float) -> float:
    """Metres of the shortest way on WGS84 between two points, in degrees; 20 nm, near antipodal 1 mm.

    >>> round(inverse(35.690921, 139.700258, 35.658034, 139.701636), 6)
    3651.042595
    """
    s = _inverse_or_nan(lat0_deg, lng0_deg, lat1_deg, lng1_deg)
    return s if s == s else _inverse_antipodal(lat0_deg, lng0_deg, lat1_deg, lng1_deg)


@kernel
def direct(lat_deg: float, lng_deg: float, azimuth_deg: float, length_m: float) -> tuple[float, float]:
    """(lat, lng) in degrees at the end of the geodesic of so many metres, clockwise from north: 1 mm up to 5,000 km.

    Vincenty's direct solution (1975).
    """
    sin_az, cos_az = sincos_deg(azimuth_deg)
    sp, cp = sincos_deg(lat_deg)
    h = math.hypot((1.0 - F) * sp, cp)
    sb, cb = (1.0 - F) * sp / h, cp / h
    sigma0 = math.atan2(sb, cb * cos_az)
    sa = cb * sin_az
    ca2 = 1.0 - sa * sa
    u2 = EP2 * ca2
    a = 1.0 + u2 / 16384.0 * (4096.0 + u2 * (-768.0 + u2 * (320.0 - 175.0 * u2)))
    b = u2 / 1024.0 * (256.0 + u2 * (-128.0 + u2 * (74.0 - 47.0 * u2)))
    start = length_m / (B_M * a)
    sigma = start
    for _ in range(8):
        s, c, m = math.sin(sigma), math.cos(sigma), math.cos(2.0 * sigma0 + sigma)
        more = c * (2.0 * m * m - 1.0) - b / 6.0 * m * (4.0 * s * s - 3.0) * (4.0 * m * m - 3.0)
        new = start + b * s * (m + 0.25 * b * more)
        step = new - sigma
        sigma = new
        if abs(step) < 1e-13:
            break
    s, c, m = math.sin(sigma), math.cos(sigma), math.cos(2.0 * sigma0 + sigma)
    lat = math.atan2(sb * c + cb * s * cos_az, (1.0 - F) * math.hypot(sa, sb * s - cb * c * cos_az))
    k = F / 16.0 * ca2 * (4.0 + F * (4.0 - 3.0 * ca2))
    turn = sigma + k * s * (m + k * c * (2.0 * m * m - 1.0))
    lng = math.atan2(s * sin_az, cb * c - sb * s * cos_az) - (1.0 - k) * F * sa * turn
    return lat / RADIANS, lng_deg + lng / RADIANS


@kernel
def _inverse_or_nan(lat0_deg: float, lng0_deg: float, lat1_deg: float, lng1_deg: float) -> float:
    """The auxiliary-sphere iteration; nan where it does not settle."""
    dlng = lng1_deg - lng0_deg
    dlng -= 360.0 * math.floor(dlng / 360.0 + 0.5)
    lam = abs(dlng) * RADIANS
    sp0, cp0 = sincos_deg(lat0_deg)
    sp1, cp1 = sincos_deg(lat1_deg)
    h0 = math.hypot((1.0 - F) * sp0, cp0)
    h1 = math.hypot((1.0 - F) * sp1, cp1)
    sb0, cb0, sb1, cb1 = (1.0 - F) * sp0 / h0, cp0 / h0, (1.0 - F) * sp1 / h1, cp1 / h1
    # sin(b1 - b0), from the difference of the latitudes: without cancellation for points close together
    sd, _ = sincos_deg(lat1_deg - lat0_deg)
    sdb = (1.0 - F) * sd / (h0 * h1)
    omega = lam
    for _ in range(40):
        so, co = math.sin(omega), math.cos(omega)
        half = math.sin(0.5 * omega)
        x = sdb + 2.0 * sb0 * cb1 * half * half
        y = cb1 * so
        ss = math.hypot(x, y)
        cs = sb0 * sb1 + cb0 * cb1 * co
        if ss == 0.0:
            return 0.0 if cs > 0.0 else math.nan
        sigma = math.atan2(ss, cs)
        sa0 = cb0 * cb1 * so / ss
        ca0sq = max(0.0, 1.0 - sa0 * sa0)
        sigma0 = math.atan2(sb0, cb0 * x / ss) if ca0sq > 0.0 else 0.0
        k2 = EP2 * ca0sq
        eps = k2 / (2.0 * (1.0 + math.sqrt(1.0 + k2)) + k2)
        new = lam + F * sa0 * _longitude_series(eps, sigma0, sigma0 + sigma, sigma)
        if abs(new - omega) < 1e-16 + 4e-16 * lam or new > math.pi:
            omega = new
            break
        omega = new
    else:
        return math.nan
    if omega > math.pi:
        return math.nan
    return B_M * _length_series(eps, sigma0, sigma0 + sigma, sigma)


@kernel
def _longitude_series(eps: float, s0: float, s1: float, sigma: float) -> float:
    """A3 (sigma + sum of C3l sin 2 l sigma), between two arcs: Karney's equations 23 to 25."""
    a = A3[0] + eps * (A3[1] + eps * (A3[2] + eps * (A3[3] + eps * (A3[4] + eps * A3[5]))))
    c1 = eps * (C31[0] + eps * (C31[1] + eps * (C31[2] + eps * (C31[3] + eps * C31[4]))))
    e2 = eps * eps
    c2 = e2 * (C32[0] + eps * (C32[1] + eps * (C32[2] + eps * C32[3])))
    c3 = e2 * eps * (C33[0] + eps * (C33[1] + eps * C33[2]))
    c4 = e2 * e2 * (C34[0] + eps * C34[1])
    c5 = e2 * e2 * eps * C35
    return a * (sigma + _sine_sum(c1, c2, c3, c4, c5, 0.0, s0, s1, sigma))


@kernel
def _length_series(eps: float, s0: float, s1: float, sigma: float) -> float:
    """A1 (sigma + sum of C1l sin 2 l sigma), between two arcs: Karney's equations 15 to 18."""
    e2 = eps * eps
    a = 1.0 + (e2 * (64.0 + e2 * (4.0 + e2)) / 256.0 + eps) / (1.0 - eps)
    c1 = eps * (-16.0 + e2 * (6.0 - e2)) / 32.0
    c2 = e2 * (-128.0 + e2 * (64.0 - 9.0 * e2)) / 2048.0
    c3 = e2 * eps * (-16.0 + 9.0 * e2) / 768.0
    c4 = e2 * e2 * (-5.0 + 3.0 * e2) / 512.0
    c5 = e2 * e2 * eps * -7.0 / 1280.0
    c6 = e2 * e2 * e2 * -7.0 / 2048.0
    return a * (sigma + _sine_sum(c1, c2, c3, c4, c5, c6, s0, s1, sigma))


@kernel
def _sine_sum(
    c1: float, c2: float, c3: float, c4: float, c5: float, c6: float, s0: float, s1: float, sigma: float
) -> float:
    """The sum of c_l (sin 2 l s1 - sin 2 l s0), each as 2 cos(l (s0 + s1)) sin(l sigma): exact for short arcs too."""
    m = s0 + s1
    t = c1 * math.cos(m) * math.sin(sigma)
    t += c2 * math.cos(2.0 * m) * math.sin(2.0 * sigma)
    t += c3 * math.cos(3.0 * m) * math.sin(3.0 * sigma)
    t += c4 * math.cos(4.0 * m) * math.sin(4.0 * sigma)
    t += c5 * math.cos(5.0 * m) * math.sin(5.0 * sigma)
    t += c6 * math.cos(6.0 * m) * math.sin(6.0 * sigma)
    return 2.0 * t


@kernel
def _inverse_antipodal(lat0_deg: float, lng0_deg: float, lat1_deg: float, lng1_deg: float) -> float:
    """Every way between the points crosses the plane through the centre across their chord: the least over it."""
    x0, y0, z0 = ecef(lat0_deg, lng0_deg)
    x1, y1, z1 = ecef(lat1_deg, lng1_deg)
    nx, ny, nz = x1 - x0, y1 - y0, z1 - z0
    r = math.sqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx / r, ny / r, nz / r
    ux, uy, uz = (-ny, nx, 0.0) if abs(nz) < 0.9 else (nz, 0.0, -nx)
    r = math.sqrt(ux * ux + uy * uy + uz * uz)
    ux, uy, uz = ux / r, uy / r, uz / r
    vx, vy, vz = ny * uz - nz * uy, nz * ux - nx * uz, nx * uy - ny * ux
    best, at, step = math.inf, 0.0, math.pi / 32.0
    for k in range(64):
        s = _via(lat0_deg, lng0_deg, lat1_deg, lng1_deg, ux, uy, uz, vx, vy, vz, k * step)
        if s < best:
            best, at = s, k * step
    while step > 1e-8:
        step *= 0.5
        for to in (at - step, at + step):
            s = _via(lat0_deg, lng0_deg, lat1_deg, lng1_deg, ux, uy, uz, vx, vy, vz, to)
            if s < best:
                best, at = s, to
                break
    return best


@kernel
def _via(
    lat0: float, lng0: float, lat1: float, lng1: float,
    ux: float, uy: float, uz: float, vx: float, vy: float, vz: float, t: float,
) -> float:  # fmt: skip
    """Metres over the point of the ellipsoid in the direction u cos t + v sin t."""
    c, s = math.cos(t), math.sin(t)
    x, y, z = ux * c + vx * s, uy * c + vy * s, uz * c + vz * s
    lat, lng = lat_lng(x, y, z / (1.0 - E2))
    return _inverse_or_nan(lat0, lng0, lat, lng) + _inverse_or_nan(lat, lng, lat1, lng1)


@kernel
def chord_m_bounds(radius_m: float) -> tuple[float, float]:
    """The straight (earth-centred) distances that are surely within, and surely beyond, `radius_m` along the ground.

    A geodesic bends no more than a circle of the smallest radius of curvature and no less than one of the largest, so
    its chord lies between theirs. The gap is 2 um for 100 m, 3 mm for 50 km, 3 m for 500 km: who falls into it is
    asked `inverse`.
    """
    low = 2.0 * CURVATURE_M_MIN * math.sin(radius_m / (2.0 * CURVATURE_M_MIN))
    high = 2.0 * CURVATURE_M_MAX * math.sin(radius_m / (2.0 * CURVATURE_M_MAX))
    # 1 um for the rounding of the vectors; the last term for the torsion of long geodesics
    slack = 1e-6 + radius_m * (radius_m / CURVATURE_M_MIN) ** 4 * 1e-7
    return max(0.0, low - slack), high + slack


@kernel
def arc_m(chord_m: float, lat_deg: float) -> float:
    """Metres along the ground for a chord of at most 20 km at `lat_deg`: 0.1 mm at 20 km, 2 nm at 500 m."""
    sp, _ = sincos_deg(lat_deg)
    w = 1.0 - E2 * sp * sp
    rr = A_M * A_M * (1.0 - E2) / (w * w)
    return chord_m * (1.0 + chord_m * chord_m / (24.0 * rr))
