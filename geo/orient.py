"""On which side of a line a point lies, decided exactly, whatever the coordinates.

Owns the one predicate that all answers rest on. Must not know fences. The fast path is a determinant with Shewchuk's
static filter ("Adaptive precision floating-point arithmetic", 1997); what the filter cannot decide is added up without
any rounding, tails of differences included, so that points near Greenwich and the equator are right as well.

There is one exception, points some 1e-300 degrees from 0: their determinants are too small for doubles, and GEOS, by
which others judge, then goes by what underflow leaves. So does this, to be equal to it on every input there is.
"""

from __future__ import annotations

import numpy as np

from geo.arrays import FloatArray
from geo.kernel import kernel, maker

FILTER = 3.3306690738754716e-16
"""(3 + 16 eps) eps: a determinant beyond this share of its two products has the right sign."""

SPLIT = 134217729.0
"""2^27 + 1 halves a double into two parts whose products are exact (Dekker)."""

RAISE = 2.0**480
"""Lifts degrees so far that no product of two of them is lost below the smallest double, nor its rounding."""

TINIEST = 5e-324

UNDERFLOW = 1e-290
"""Determinants below this rest on products that lose digits, or vanish, at the lower end of doubles."""


@kernel
def orient(x0: float, y0: float, x1: float, y1: float, x: float, y: float) -> float:
    """A number with the sign of: (x, y) is left of (> 0), on (0), or right of (< 0) the line from (x0, y0) to (x1, y1).

    >>> orient(0.0, 0.0, 2.0, 2.0, 1.0, 1.0)
    0.0
    """
    left = (x1 - x0) * (y - y0)
    right = (y1 - y0) * (x - x0)
    det = left - right
    if abs(det) > FILTER * (abs(left) + abs(right)) and abs(det) > UNDERFLOW:
        return det
    exact = _orient_exact(x0, y0, x1, y1, x, y)
    if exact != 0.0 and abs(exact) < UNDERFLOW:
        return _orient_underflowing(x0, y0, x1, y1, x, y)
    return exact


@maker
def _orient_exact(x0: float, y0: float, x1: float, y1: float, x: float, y: float) -> float:
    """The leading part of the determinant, from an exact sum of its six products (x0 y0 cancels)."""
    x0, y0, x1, y1, x, y = x0 * RAISE, y0 * RAISE, x1 * RAISE, y1 * RAISE, x * RAISE, y * RAISE
    parts = np.zeros(13)
    size = _add_product(parts, 0, x1, y)
    size = _add_product(parts, size, -x1, y0)
    size = _add_product(parts, size, -x0, y)
    size = _add_product(parts, size, -y1, x)
    size = _add_product(parts, size, y1, x0)
    size = _add_product(parts, size, y0, x)
    for k in range(size - 1, -1, -1):
        if parts[k] != 0.0:
            # a determinant too small for a double keeps its sign
            lowered = parts[k] / RAISE / RAISE
            return float(lowered if lowered != 0.0 else np.copysign(TINIEST, parts[k]))
    return 0.0


@kernel
def _add_product(parts: FloatArray, size: int, a: float, b: float) -> int:
    """Add a * b to the expansion `parts[:size]` (rising magnitude, no overlap); returns the new size."""
    p = a * b
    t = SPLIT * a
    a_hi = t - (t - a)
    a_lo = a - a_hi
    t = SPLIT * b
    b_hi = t - (t - b)
    b_lo = b - b_hi
    low = a_lo * b_lo - (((p - a_hi * b_hi) - a_lo * b_hi) - a_hi * b_lo)
    return _grow(parts, _grow(parts, size, low), p)


@kernel
def _grow(parts: FloatArray, size: int, value: float) -> int:
    """Add one number to an expansion (Shewchuk's grow-expansion), exactly."""
    q = value
    for k in range(size):
        e = parts[k]
        s = q + e
        v = s - q
        parts[k] = (q - (s - v)) + (e - v)
        q = s
    parts[size] = q
    return size + 1


@kernel
def _orient_underflowing(x0: float, y0: float, x1: float, y1: float, x: float, y: float) -> float:
    """The sign as GEOS finds it: a plain determinant, and where that is in doubt one of double-doubles.

    The order of operations is part of the answer here: every product may vanish or not.
    """
    left = (x0 - x) * (y1 - y)
    right = (y0 - y) * (x1 - x)
    det = left - right
    if left == 0.0 or (left > 0.0) != (right > 0.0) or right == 0.0 or abs(det) >= 1e-15 * abs(left + right):
        return det
    ax, ay = _dd_difference(x1, x0), _dd_difference(y1, y0)
    bx, by = _dd_difference(x, x1), _dd_difference(y, y1)
    high, low = _dd_product(ay[0], ay[1], bx[0], bx[1])
    first = _dd_product(ax[0], ax[1], by[0], by[1])
    high, low = _dd_sum(first[0], first[1], -high, -low)
    return high if high != 0.0 else low


@kernel
def _dd_difference(a: float, b: float) -> tuple[float, float]:
    return _dd_sum(a, 0.0, -b, 0.0)


@kernel
def _dd_sum(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    """The sum of two double-doubles (Knuth's two-sum on both parts)."""
    high, low = a + b, a_low + b_low
    e, f = high - a, low - a_low
    s, t = high - e, low - f
    s = (b - e) + (a - s)
    t = (b_low - f) + (a_low - t)
    e = s + low
    sum_high = high + e
    e = t + (e + (high - sum_high))
    total = sum_high + e
    return total, e + (sum_high - total)


@kernel
def _dd_product(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    """The product of two double-doubles (Dekker)."""
    c = SPLIT * a
    a_hi = c - (c - a)
    a_lo = a - a_hi
    c = SPLIT * b
    b_hi = c - (c - b)
    b_lo = b - b_hi
    p = a * b
    e = ((((a_hi * b_hi - p) + a_hi * b_lo) + a_lo * b_hi) + a_lo * b_lo) + (a * b_low + a_low * b)
    total = p + e
    return total, e + (p - total)


@kernel
def segments_touch(ax: float, ay: float, bx: float, by: float, cx: float, cy: float, dx: float, dy: float) -> bool:
    """True if the closed segments a-b and c-d share a point."""
    if max(ax, bx) < min(cx, dx) or max(cx, dx) < min(ax, bx):
        return False
    if max(ay, by) < min(cy, dy) or max(cy, dy) < min(ay, by):
        return False
    c = orient(ax, ay, bx, by, cx, cy)
    d = orient(ax, ay, bx, by, dx, dy)
    if (c > 0.0 and d > 0.0) or (c < 0.0 and d < 0.0):
        return False
    a = orient(cx, cy, dx, dy, ax, ay)
    b = orient(cx, cy, dx, dy, bx, by)
    return not ((a > 0.0 and b > 0.0) or (a < 0.0 and b < 0.0))
