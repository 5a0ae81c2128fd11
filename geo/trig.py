"""Sines and cosines of degrees, without libm: short polynomials that the compiler can inline into any loop.

Owns the angles of the map. Error: at most 2e-16 for |x| <= 360 degrees; exact at multiples of 90.
"""

from __future__ import annotations

import math

import numpy as np

from geo.kernel import kernel

RADIANS = math.pi / 180.0


@kernel
def sincos_deg(x: float) -> tuple[float, float]:
    """(sin, cos) of `x` degrees: the quarter turns are taken off exactly, the rest is a Taylor series on +-45 degrees.

    Without branches, so that loops over it become vector code.

    >>> sincos_deg(-180.0)
    (-0.0, -1.0)
    """
    q = np.floor(x * (1.0 / 90.0) + 0.5)
    r = (x - q * 90.0) * RADIANS
    z = r * r
    s = z * (-1.0 / 1307674368000.0 + z * (1.0 / 355687428096000.0))
    s = z * (-1.0 / 39916800.0 + z * (1.0 / 6227020800.0) + z * s)
    s = z * (-1.0 / 5040.0 + z * (1.0 / 362880.0) + z * s)
    s = r + r * (z * (-1.0 / 6.0 + z * (1.0 / 120.0) + z * s))
    c = z * (-1.0 / 87178291200.0 + z * (1.0 / 20922789888000.0))
    c = z * (-1.0 / 3628800.0 + z * (1.0 / 479001600.0) + z * c)
    c = z * (-1.0 / 720.0 + z * (1.0 / 40320.0) + z * c)
    c = 1.0 + z * (-0.5 + z * (1.0 / 24.0) + z * c)
    quarter = q - 4.0 * np.floor(q * 0.25)
    swap = (quarter == 1.0) | (quarter == 3.0)
    sine = c if swap else s
    cosine = s if swap else c
    sine = -sine if quarter >= 2.0 else sine
    cosine = -cosine if (quarter == 1.0) | (quarter == 2.0) else cosine
    return sine, cosine


@kernel
def unit_vector(lat_deg: float, lng_deg: float) -> tuple[float, float, float]:
    """The point of the unit sphere at `lat_deg`, `lng_deg`: H3's view of the earth."""
    sp, cp = sincos_deg(lat_deg)
    sl, cl = sincos_deg(lng_deg)
    return cp * cl, cp * sl, sp


@kernel
def lat_lng(x: float, y: float, z: float) -> tuple[float, float]:
    """(lat_deg, lng_deg) of a vector of any length."""
    return math.atan2(z, math.hypot(x, y)) / RADIANS, math.atan2(y, x) / RADIANS
