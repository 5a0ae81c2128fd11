"""The fence index: which fences is each point in.

Owns the one question of the hot path, and its answer's exactness: the same set of fences, for every point, as an exact
test of all of them. Must not know devices. Cells of H3's lattice hold the fences that cover them and the clipped
borders of those that may (`paint`, `record`); a point looks up one cell a level (`lookup`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.border import Borders
from geo.columns import columns_of
from geo.decide import Tables
from geo.lookup import match
from geo.paint import paint
from geo.record import write_records
from geo.shape import Shape

PAINTING, WRITING = 0.25, 0.75
"""The shares of the work, for the progress that is told."""


class FenceIndex:
    """An immutable index over fences numbered by their place in the sequence it was built from."""

    def __init__(self, tables: Tables, resolutions: tuple[int, ...]) -> None:
        self._tables = tables
        self.size = tables.columns.kind.size
        self.resolutions = resolutions
        """The H3 resolutions at which points are looked up."""

    @classmethod
    def build(cls, shapes: Sequence[Shape], *, progress: Callable[[int, int], None] | None = None) -> FenceIndex:
        """Build the index of `shapes`; `progress` is told (fences done, fences in all) now and then.

        10,000 city fences take about 3 s and 240 MB, 1,000 a quarter of a second and 30 MB.

        >>> from geo.shape import Circle
        >>> index = FenceIndex.build([Circle(35.69, 139.7, 100.0), Circle(35.69, 139.7, 500.0)])
        >>> offsets, fences = index.match(np.array([35.69, 35.692]), np.array([139.7, 139.7]))
        >>> offsets.tolist(), fences.tolist()
        ([0, 2, 3], [0, 1, 1])
        """
        columns = columns_of(shapes)
        total = len(shapes)
        tell = progress or _silent
        painted = paint(columns, lambda done: tell(int(PAINTING * done), total))
        slots, arena = write_records(
            columns, painted, lambda share: tell(int((PAINTING + WRITING * share) * total), total)
        )
        tell(total, total)
        tables = Tables(
            painted.lattices, painted.table, slots,
            arena, arena.view(np.int32), arena.view(np.float32), arena.view(np.float64), columns,
        )  # fmt: skip
        return cls(tables, painted.resolutions)

    def match(self, lat_deg: FloatArray, lng_deg: FloatArray) -> tuple[IntArray, IntArray]:
        """(offsets int64[n + 1], fences int32[m]) of n points in degrees; the fences of a point ascend.

        Latitudes are within +-90, longitudes within +-180; who calls has refused all else.
        """
        return match(self._tables, np.ascontiguousarray(lat_deg, np.float64), np.ascontiguousarray(lng_deg, np.float64))

    @property
    def borders(self) -> Borders:
        """The borders of the same fences, on the same columns: what `Borders.build` makes anew."""
        return Borders(self._tables.columns)

    @property
    def memory_bytes(self) -> int:
        """What the index holds, its columns included."""
        arrays = [*self._tables[:4], *self._tables.columns]
        return sum(int(a.nbytes) for a in arrays)


def _silent(done: int, total: int) -> None:
    pass
