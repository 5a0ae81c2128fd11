"""The order of a point's fences: few by a network, many by insertion."""

from __future__ import annotations

from itertools import product

import numpy as np

from geo.arrays import IntArray
from geo.kernel import kernel
from geo.lookup import sort_tail
from geo.network import WORDS, sort_few


@kernel
def _sort(source: IntArray, at: int, count: int, out: IntArray, to: int) -> None:
    sort_few(source, at, count, out, to)


def test_few_are_sorted_whatever_their_order() -> None:
    """A network that sorts all rows of zeros and ones sorts all rows (Knuth, 5.3.4)."""
    for count in range(WORDS + 1):
        for row in product((0, 1), repeat=count):
            source, out = np.arange(-30, -27 + WORDS, dtype=np.int32), np.full(2 + WORDS, 7, np.int32)
            source[3 : 3 + count] = row
            _sort(source, 3, count, out, 2)
            assert out.tolist() == [7, 7, *sorted(row), *source[3 + count :].tolist()]


def test_many_are_sorted_wherever_the_sorted_part_ends() -> None:
    rng = np.random.default_rng(1)
    for count in (2, 9, 17, 40, 300):
        for sorted_to in (0, 1, count // 2, count):
            row = rng.permutation(count).astype(np.int32)
            row[:sorted_to].sort()
            sort_tail(row, 0, sorted_to, count)
            assert row.tolist() == list(range(count))
