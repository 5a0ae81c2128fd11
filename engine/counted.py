"""What became of the rows of each request of a batch that was worked.

Owns the counting. Must not know how rows are worked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.batch import DUPLICATE, LATE, Rows
from engine.kernel import kernel
from engine.layout import Array


@dataclass(slots=True)
class Counted:
    """As int64 arrays with one entry a request; late ones are accepted."""

    accepted: Array
    duplicate: Array
    late: Array


def counted(rows: Rows) -> Counted:
    """Of a batch that was worked."""
    counts = np.empty((3, rows.borders.size), np.int64)
    count_each(rows.code, rows.borders, counts)
    return Counted(*counts)


@kernel
def count_each(code: Array, borders: Array, counts: Array) -> None:
    """Fill `counts` with the accepted, duplicate and late rows of each request."""
    row = 0
    for request in range(borders.size):
        first, duplicate, late = row, 0, 0
        for k in range(row, borders[request]):
            duplicate += code[k] == DUPLICATE
            late += code[k] == LATE
        row = borders[request]
        counts[0, request] = row - first - duplicate
        counts[1, request], counts[2, request] = duplicate, late
