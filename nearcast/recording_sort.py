"""A recording in order of time.

Owns the order: by time, at equal times as it was read; a user's change goes where the line before it went. Everything
is held in memory at once, as columns: some 80 bytes a ping. Must not know formats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.rows import Rows, columns
from engine.wire import COLUMNS, NONE, Happened, UserChanged
from nearcast.recording_raw import RecordedPings, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.wire import Located

    Recorded = RecordedPings | Happened | UserChanged | Skipped
    Array = np.ndarray[Any, Any]

_BATCH = 10_000
_FIRST_MS = -(2**62)


def sorted_by_time(items: Iterable[Recorded]) -> Iterator[Recorded]:
    """The same items, in order of time. What was skipped comes out first."""
    heap = _Heap()
    for item in items:
        if isinstance(item, Skipped):
            yield item
        else:
            heap.take(item)
    yield from heap.in_order()


@dataclass(slots=True)
class _Heap:
    """All that was read: pings as columns with one table of strings, the others with the place where they belong."""

    numbers: dict[str, int] = field(default_factory=dict)
    parts: list[dict[str, Array]] = field(default_factory=list)
    others: list[tuple[int, int, Happened | UserChanged]] = field(default_factory=list)
    count: int = 0
    last_ms: int = _FIRST_MS

    def take(self, item: RecordedPings | Happened | UserChanged) -> None:
        """Put one item on the heap."""
        if isinstance(item, RecordedPings):
            located = columns([item.rows])
            self.parts.append(self._numbered(located))
            self.count += len(item.rows)
            self.last_ms = item.rows.times[-1]
        else:
            if isinstance(item, Happened):
                self.last_ms = item.time_ms
            self.others.append((self.last_ms, self.count, item))

    def _numbered(self, located: Located) -> dict[str, Array]:
        """The columns of a batch, with numbers of the common table in place of its own."""
        ours = [self.numbers.setdefault(text, len(self.numbers)) for text in located.strings]
        table = np.array([*ours, NONE], np.int32)
        part = {name: located.column(name) for name in COLUMNS}
        for name in ("device", "user", "beacon"):
            part[name] = table[part[name]]
        return part

    def in_order(self) -> Iterator[Recorded]:
        """Everything, in order of time."""
        empty = {name: np.empty(0, kind) for name, kind in COLUMNS.items()}
        whole = {name: np.concatenate([part[name] for part in self.parts or [empty]]) for name in COLUMNS}
        self.parts.clear()
        order = np.argsort(whole["time"], kind="stable")
        times = whole["time"][order]
        strings: list[str | None] = [*self.numbers, None]
        done = 0
        for time_ms, before, item in sorted(self.others, key=lambda other: other[:2]):
            first, last = np.searchsorted(times, (time_ms, time_ms + 1))
            until = int(first + np.searchsorted(order[first:last], before))
            yield from _batches(whole, order[done:until], strings)
            done = max(done, until)
            yield item
        yield from _batches(whole, order[done:], strings)


def _batches(whole: dict[str, Array], order: Array, strings: list[str | None]) -> Iterator[RecordedPings]:
    for start in range(0, len(order), _BATCH):
        at = order[start : start + _BATCH]
        taken: dict[str, Any] = {name: column[at].tolist() for name, column in whole.items()}
        yield RecordedPings(
            Rows(
                devices=[strings[n] or "" for n in taken["device"]],
                times=taken["time"],
                lats=taken["lat"],
                lngs=taken["lng"],
                users=[strings[n] for n in taken["user"]],
                beacons=[strings[n] for n in taken["beacon"]],
                accuracies=taken["accuracy"],
                speeds=taken["speed"],
                headings=taken["heading"],
                rssis=taken["rssi"],
                mocked=[bool(flag) for flag in taken["mocked"]],
                received=taken["received"],
            )
        )
