"""The names of the array types that cross file borders. Owns nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]
ShortArray = NDArray[np.float32]
