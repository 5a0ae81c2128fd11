"""The names of the array types that cross file borders, and where in memory large arrays begin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]
ShortArray = NDArray[np.float32]

LINE_BYTES = 64
"""A line of the processor's cache."""

LARGE_PAGE_BYTES = 1 << 21
"""A large page of memory: where the system gives such, reads that are far from each other find their places sooner.
numpy asks for them where an array has 4 MB or more; only what fills a whole one gets it."""


def aligned(count: int, dtype: DTypeLike) -> NDArray[Any]:
    """dtype[count], not filled, that starts with a line of the cache; if it is long, with a large page."""
    size = count * np.dtype(dtype).itemsize
    step = LARGE_PAGE_BYTES if size >= LARGE_PAGE_BYTES else LINE_BYTES
    raw = np.empty(size + step, np.uint8)
    skip = -raw.ctypes.data % step
    return raw[skip : skip + size].view(dtype)
