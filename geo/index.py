"""The fence index: which fences is each point in.

Owns the one question of the hot path, its answer's exactness (the same set of fences, for every point, as an exact test
of all of them) and the change from one version of a map to the next. Must not know devices. Cells of H3's lattice hold
the fences that cover them and the border of those that may (`paint`, `record`); a point looks up one cell (`lookup`),
and coarser ones where its tile does not know what they say (`above`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from geo.above import LATTICES, settled_above
from geo.arrays import FloatArray, IntArray
from geo.border import Borders
from geo.columns import EMPTY, Columns, Filled, appended
from geo.levels import cells_of, finest_of, resolutions_of
from geo.lookup import Tables, match
from geo.paint import paint
from geo.record import Cells
from geo.shape import Shape
from geo.tiles import TILE_CELLS

CELLS_AT_ONCE = 1_000_000
"""About so many cells are painted before they are spliced in: it bounds the memory that a build takes beside."""

WORN = 2
"""An index that edits have made so many times as long as its build was is best built anew."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a map.

    A row of `columns` is given to a fence for ever; `row` is where each fence is, by number, `painted_at` at which
    resolution each row is painted, `resolutions` are those in use, descending. `filled`, and what the cells share, is
    common to all versions from one build.
    """

    columns: Columns
    filled: Filled
    cells: Cells
    finest: int
    resolutions: tuple[int, ...]
    painted_at: IntArray
    row: IntArray
    built: int


class FenceIndex:
    """An immutable index over fences numbered by their place in the sequence it was built from."""

    def __init__(self, version: Version) -> None:
        self.size = len(version.row)
        self.resolutions = version.resolutions
        """The H3 resolutions at which points are looked up."""
        self._stand_on(version)

    def _stand_on(self, version: Version) -> None:
        self.version = version
        arena = version.cells.arena
        plain = bool((version.row == np.arange(self.size)).all())
        self._tables = Tables(
            np.array(version.resolutions, np.int64), LATTICES, version.cells.table, version.cells.slots, arena,
            np.empty(0, np.int32) if plain else _numbers(version.row, version.filled.fences), version.columns,
        )  # fmt: skip

    @classmethod
    def build(cls, shapes: Sequence[Shape], *, progress: Callable[[int, int], None] | None = None) -> FenceIndex:
        """Build the index of `shapes`; `progress` is told (fences done, fences in all) now and then.

        10,000 city fences take some 2 s of a processor and 150 MB; a million 50 s and 2.6 GB, with coarser cells.

        >>> from geo.shape import Circle
        >>> index = FenceIndex.build([Circle(35.69, 139.7, 100.0), Circle(35.69, 139.7, 500.0)])
        >>> offsets, fences = index.match(np.array([35.69, 35.692]), np.array([139.7, 139.7]))
        >>> offsets.tolist(), fences.tolist()
        ([0, 2, 3], [0, 1, 1])
        """
        filled, count = Filled(), len(shapes)
        columns = appended(EMPTY, filled, shapes)
        finest, size = finest_of(columns, count)
        painted_at = resolutions_of(columns, 0, count, finest).astype(np.int8)
        row = np.arange(count, dtype=np.int32)
        cells, done = Cells.none(size), 0
        for rows in _in_parts(columns, count, painted_at):
            painted = paint(columns, rows, painted_at, LATTICES)
            cells = cells.spliced(painted, row, np.zeros(count, np.int8), own=True)
            done += len(rows)
            if progress is not None:
                progress(done, count)
        used = _descending(painted_at)
        cells = settled_above(cells, used, row, None)
        return cls(Version(columns, filled, cells, finest, used, painted_at, row, cells.written.words))

    def edited(self, kept: IntArray, shapes: Sequence[Shape]) -> FenceIndex:
        """The index of other fences, of which most are the same: in a few ms for a few, however many there are.

        `kept[n]` is the number that fence n has here, or -1 for a new one; new ones are `shapes`, in their order. Those
        kept come in the same order as here. This index goes on as it is, in other threads too. Only one thread at a
        time may edit indexes that come from one build.

        >>> from geo.shape import Circle
        >>> index = FenceIndex.build([Circle(35.69, 139.7, 100.0), Circle(35.69, 139.7, 500.0)])
        >>> newer = index.edited(np.array([1, -1]), [Circle(35.692, 139.7, 50.0)])
        >>> newer.match(np.array([35.69, 35.692]), np.array([139.7, 139.7]))[1].tolist()
        [0, 0, 1]
        """
        old = self.version
        kept = np.asarray(kept, np.int64)
        is_new, first = kept < 0, old.filled.fences
        if int(is_new.sum()) != len(shapes) or (np.diff(kept[~is_new]) <= 0).any():
            raise ValueError("fences that are kept must keep their order, and all others must come with a shape")
        columns = appended(old.columns, old.filled, shapes)
        rows = old.filled.fences
        row = np.empty(len(kept), np.int32)
        row[~is_new], row[is_new] = old.row[kept[~is_new]], np.arange(first, rows)
        gone = np.zeros(rows, np.int8)
        gone[old.row], gone[row] = 1, 0
        painted_at = np.zeros(rows, np.int8)
        painted_at[: len(old.painted_at)] = old.painted_at
        painted_at[first:] = resolutions_of(columns, first, rows, old.finest)
        used = _descending(np.concatenate([painted_at[first:], np.array(old.resolutions, np.int8)]))
        painting = np.concatenate([np.flatnonzero(gone), np.arange(first, rows)]).astype(np.int32)
        painted, numbers = paint(columns, painting, painted_at, LATTICES), _numbers(row, rows)
        cells = settled_above(old.cells.spliced(painted, numbers, gone), used, numbers, painted.tile_keys)
        return FenceIndex(Version(columns, old.filled, cells, old.finest, used, painted_at, row, old.built))

    def match(self, lat_deg: FloatArray, lng_deg: FloatArray) -> tuple[IntArray, IntArray]:
        """(offsets int64[n + 1], fences int32[m]) of n points in degrees; the fences of a point ascend.

        Latitudes are within +-90, longitudes within +-180; who calls has refused all else. A call costs 5 us, and then
        some 0.03 us a point: whoever has many asks once. So does the engine, which asks for a batch of pings at a time;
        it asks for one point only where a single ping is posted.
        """
        return match(self._tables, np.ascontiguousarray(lat_deg, np.float64), np.ascontiguousarray(lng_deg, np.float64))

    def settle(self) -> None:
        """Move the cells into memory of the process's own, should they lie in the pages of a file.

        Lookups are a tenth faster there. They go on meanwhile, in other threads; nobody may edit the index.
        """
        self._stand_on(replace(self.version, cells=self.version.cells.copied()))

    @property
    def borders(self) -> Borders:
        """The borders of the same fences."""
        version = self.version
        return Borders(version.columns, version.row)

    @property
    def is_worn(self) -> bool:
        """True if edits have left so much behind that the index is best built anew."""
        version = self.version
        too_long = version.cells.written.words > WORN * version.built + 1_000_000
        return too_long or version.filled.fences > WORN * self.size + 10_000

    @property
    def memory_bytes(self) -> int:
        """What the index holds, its columns included."""
        filled, cells = self.version.filled, self.version.cells
        rows = {"edges": filled.edges, "sketch": filled.edges, "boxes": filled.boxes}
        columns = self.version.columns._asdict().items()
        by_row = sum(a.nbytes // max(1, len(a)) * rows.get(name, filled.fences) for name, a in columns)
        return cells.table.nbytes + 4 * TILE_CELLS * cells.written.tiles + 4 * cells.written.words + int(by_row)


def _descending(resolutions: IntArray) -> tuple[int, ...]:
    """Each resolution once."""
    return tuple(int(r) for r in np.unique(resolutions)[::-1])


def _numbers(row: IntArray, rows: int) -> IntArray:
    """int32[rows]: the number of each row's fence, -1 for rows of none."""
    out = np.full(rows, -1, np.int32)
    out[row] = np.arange(len(row))
    return out


def _in_parts(columns: Columns, count: int, wanted: IntArray) -> Iterator[IntArray]:
    """The rows, in parts of about CELLS_AT_ONCE cells; neighbours come together, ascending within a part."""
    if count == 0:
        return
    cells = cells_of(columns, 0, count, wanted)
    parts = int(cells.sum() // CELLS_AT_ONCE) + 1
    if parts == 1:
        yield np.arange(count, dtype=np.int32)
        return
    order = np.argsort(_along_z(columns.cap[:count]), kind="stable")
    part = (np.cumsum(cells[order]) / cells.sum() * parts).astype(np.int64)
    for rows in np.split(order, np.flatnonzero(np.diff(part)) + 1):
        yield np.sort(rows).astype(np.int32)


def _along_z(cap: FloatArray) -> IntArray:
    """A place on a curve through the latitudes and longitudes of caps, along which neighbours mostly are neighbours."""
    lat, lng = np.arcsin(np.clip(cap[:, 2], -1.0, 1.0)), np.arctan2(cap[:, 1], cap[:, 0])
    place = np.zeros(len(cap), np.int64)
    for k in range(20):
        for bit, share in enumerate((lat / np.pi + 0.5, lng / (2.0 * np.pi) + 0.5)):
            place |= ((share * (1 << 20)).astype(np.int64) >> k & 1) << (2 * k + bit)
    return place
