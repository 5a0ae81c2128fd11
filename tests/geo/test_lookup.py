"""The order of a point's fences: few by a network, many by insertion."""

from __future__ import annotations

from itertools import product

import numpy as np

from geo.lookup import _sort_few, sort_tail
from geo.record import AT_ONCE


def test_few_are_sorted_whatever_their_order() -> None:
    """A network that sorts all rows of zeros and ones sorts all rows (Knuth, 5.3.4)."""
    for count in range(AT_ONCE + 1):
        for row in product((0, 1), repeat=count):
            out = np.arange(-30, -27 + AT_ONCE, dtype=np.int32)
            around = np.delete(out, range(3, 3 + count))
            out[3 : 3 + count] = row
            _sort_few(out, 3, count)
            assert out[3 : 3 + count].tolist() == sorted(row)
            assert np.delete(out, range(3, 3 + count)).tolist() == around.tolist()


def test_many_are_sorted_wherever_the_sorted_part_ends() -> None:
    rng = np.random.default_rng(1)
    for count in (2, 9, 17, 40, 300):
        for sorted_to in (0, 1, count // 2, count):
            row = rng.permutation(count).astype(np.int32)
            row[:sorted_to].sort()
            sort_tail(row, 0, sorted_to, count)
            assert row.tolist() == list(range(count))
