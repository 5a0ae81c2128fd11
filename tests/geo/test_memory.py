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


_PLACE = np.dtype([("at_ms", np.int64), ("fence", np.int32), ("kind", np.uint8)], align=True)


@kernel
def _asked(records: Any, rows: Any) -> int:
    """The sum of one field, each record and row asked for before."""
    total = 0
    for k in range(len(records)):
        fetch(records, k)
        fetch_near(rows, 4 * k)
        total += records[k].fence + rows[k, 0]
    return total


def test_records_and_rows_are_asked_for_and_stay_as_they_are() -> None:
    records, rows = np.zeros(5, _PLACE), np.arange(20).reshape(5, 4)
    records["fence"] = np.arange(5)
    assert _asked(records, rows) == 10 + 40
    assert records["fence"].tolist() == [0, 1, 2, 3, 4]
