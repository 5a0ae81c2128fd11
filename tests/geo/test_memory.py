"""Unchecked reads and writes: what they give in kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from geo.kernel import kernel
from geo.memory import fetch, fetch_near, peek, poke


@kernel
def _turned(given: Any, out: Any) -> None:
    """The elements of `given` from its last to its first, one more each."""
    for k in range(len(given)):
        fetch(given, len(given) - 1)
        fetch_near(out, 0)
        poke(out, len(given) - 1 - k, peek(given, k) + 1)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint32, np.int64, np.float64])
def test_elements_are_those_of_the_array(kind: type) -> None:
    given, out = np.arange(40, dtype=kind), np.zeros(40, kind)
    _turned(given, out)
    assert out.tolist() == [n + 1 for n in range(39, -1, -1)]


def test_a_part_of_an_array_is_read_from_its_own_start() -> None:
    given, out = np.arange(40, dtype=np.int32), np.zeros(8, np.int32)
    _turned(given[16:24], out)
    assert out.tolist() == list(range(24, 16, -1))
