"""A recording in order of time.

Owns the order: by time, at equal times as it was read; a user's change goes where the line before it went. Runs that
fit into memory are sorted and kept in a temporary file, then merged: memory stays flat however long a recording is, but
for the names of its devices and users. Must not know formats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from engine.wire import COLUMNS, NAMES, NONE, Happened, Located, UserChanged, decode_frame, encode_frame
from nearcast.recording_raw import RecordedPings, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Recorded = RecordedPings | Happened | UserChanged | Skipped
    Array = np.ndarray[Any, Any]

#: So many rows are in memory at a time, while runs are made as well as while they are merged.
RUN_ROWS = 1 << 19
_BLOCK_ROWS_MIN = 256
_FIRST_MS = -(2**62)
#: A ping, and where it was read. An event or a user is a row without a device: `received` says where it is kept.
_ROW = np.dtype([*COLUMNS.items(), ("read", np.int64)])


def sorted_by_time(items: Iterable[Recorded]) -> Iterator[Recorded]:
    """The same items, in order of time. What was skipped comes out first."""
    with TemporaryFile() as rows, TemporaryFile() as others:
        sorter = _Sorter(rows, others)
        for item in items:
            if isinstance(item, Skipped):
                yield item
            else:
                sorter.take(item)
        yield from sorter.in_order()


@dataclass(slots=True)
class _Sorter:
    """The run being read, and the files of what was read before: sorted runs of rows, events and users."""

    rows: IO[bytes]
    others: IO[bytes]
    numbers: dict[str, int] = field(default_factory=dict)
    run: Array = field(default_factory=lambda: np.empty(RUN_ROWS, _ROW))
    used: int = 0
    read: int = 0
    last_ms: int = _FIRST_MS
    ends: list[int] = field(default_factory=list)

    def take(self, item: RecordedPings | Happened | UserChanged) -> None:
        """Put one item into the run."""
        if isinstance(item, RecordedPings):
            self._put(self._rows_of(item.located))
            return
        if isinstance(item, Happened) or item.id:
            self.last_ms = item.time_ms
        row = np.zeros(1, _ROW)
        row["device"], row["time"], row["received"] = NONE, self.last_ms, self.others.tell()
        frame = encode_frame(0, [item])
        self.others.write(len(frame).to_bytes(8, "little") + frame)
        self._put(row)

    def _rows_of(self, located: Located) -> Array:
        """A batch as rows, with numbers of the common table in place of its own."""
        rows = np.empty(located.borders[-1], _ROW)
        for name in COLUMNS:
            rows[name] = located.column(name)
        named = np.unique([rows[name] for name in NAMES])
        named = named[named != NONE]
        table = np.full(named.max(initial=0) + 2, NONE, np.int32)
        table[named] = [self.numbers.setdefault(located.strings[n], len(self.numbers)) for n in named.tolist()]
        for name in NAMES:
            rows[name] = table[rows[name]]
        return rows

    def _put(self, rows: Array) -> None:
        rows["read"] = np.arange(self.read, self.read + rows.size)
        self.read += rows.size
        self.last_ms = int(rows["time"][-1]) if rows.size else self.last_ms
        done = 0
        while done < rows.size:
            some = min(rows.size - done, self.run.size - self.used)
            self.run[self.used : self.used + some] = rows[done : done + some]
            self.used, done = self.used + some, done + some
            if self.used == self.run.size:
                self._keep_run()

    def _keep_run(self) -> None:
        order = np.argsort(self.run["time"][: self.used], kind="stable")
        for start in range(0, self.used, 1 << 14):
            self.rows.write(self.run[order[start : start + (1 << 14)]].tobytes())
        self.ends.append((self.ends[-1] if self.ends else 0) + self.used)
        self.used = 0

    def in_order(self) -> Iterator[Recorded]:
        """Everything, in order of time."""
        if self.used:
            self._keep_run()
        self.run = np.empty(0, _ROW)
        strings = list(self.numbers)
        for rows in self._merged():
            apart = np.nonzero(rows["device"] == NONE)[0].tolist()
            done = 0
            for at in apart:
                if at > done:
                    yield RecordedPings(_located(rows[done:at], strings))
                yield self._other(int(rows["received"][at]))
                done = at + 1
            if done < rows.size:
                yield RecordedPings(_located(rows[done:], strings))

    def _merged(self) -> Iterator[Array]:
        """All rows in order, some at a time: each time up to where the first of the blocks at hand ends."""
        room = max(RUN_ROWS // max(len(self.ends), 1), _BLOCK_ROWS_MIN)
        runs = [_Run(self.rows, start, end) for start, end in zip([0, *self.ends], self.ends, strict=False)]
        while runs:
            for run in runs:
                run.fill(room)
            runs = [run for run in runs if run.block.size]
            if runs:
                until = min(run.last() for run in runs)
                rows = np.concatenate([run.up_to(*until) for run in runs if run.first() <= until])
                yield rows[np.lexsort((rows["read"], rows["time"]))]

    def _other(self, at: int) -> Happened | UserChanged:
        self.others.seek(at)
        size = int.from_bytes(self.others.read(8), "little")
        item = decode_frame(self.others.read(size)).inputs[0]
        assert isinstance(item, Happened | UserChanged)
        return item


@dataclass(slots=True)
class _Run:
    """A sorted run in the file, as it is merged: rows `start` to before `end` are still to be read."""

    file: IO[bytes]
    start: int
    end: int
    block: Array = field(default_factory=lambda: np.empty(0, _ROW))
    times: Array = field(init=False)

    def fill(self, room: int) -> None:
        """Have the next rows at hand, if there are any."""
        if not self.block.size and self.start < self.end:
            count = min(room, self.end - self.start)
            self.file.seek(self.start * _ROW.itemsize)
            self.block = np.frombuffer(self.file.read(count * _ROW.itemsize), _ROW)
            self.times = np.ascontiguousarray(self.block["time"])
            self.start += count

    def first(self) -> tuple[int, int]:
        """The time of the first row at hand, and where it was read."""
        return int(self.times[0]), int(self.block["read"][0])

    def last(self) -> tuple[int, int]:
        """The time of the last row at hand, and where it was read."""
        return int(self.times[-1]), int(self.block["read"][-1])

    def up_to(self, time_ms: int, read: int) -> Array:
        """Take out the rows up to and with that one."""
        first, last = np.searchsorted(self.times, (time_ms, time_ms + 1))
        count = int(first + np.searchsorted(self.block["read"][first:last], read + 1))
        taken, self.block, self.times = self.block[:count], self.block[count:], self.times[count:]
        return taken


def _located(rows: Array, strings: list[str]) -> Located:
    """Rows as a batch, with a table of the strings that they name."""
    codes = np.concatenate([rows[name] for name in NAMES])
    named, numbered = np.unique(codes, return_inverse=True)
    unnamed = int(named[0] == NONE)
    parts: dict[str, Any] = {name: rows[name].tobytes() for name in COLUMNS if name not in NAMES}
    for name, column in zip(NAMES, np.split((numbered - unnamed).astype(np.int32), len(NAMES)), strict=True):
        parts[name] = column.tobytes()
    return Located(strings=[strings[n] for n in named[unnamed:].tolist()], borders=[rows.size], **parts)
