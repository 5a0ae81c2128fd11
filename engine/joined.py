"""Frames that follow each other and hold pings, or nothing, as one: their fold has the same outcome, and is faster.

Owns which frames can be joined, and the columns that they become. Must not know where frames come from.
"""

from __future__ import annotations

from itertools import accumulate, chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.devices import found_all
from engine.wire import NONE, Located

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.layout import Array
    from engine.wire import Frame

#: Columns of names, which are numbered anew; and those that are taken as they are. The fold looks at no other.
_NAMES = ("device", "user", "beacon")
_PLAIN = ("time", "lat", "lng", "accuracy", "rssi", "mocked")


class Joined(NamedTuple):
    """Some frames. The rows of frame n end before row `ends[n]` of `located`, its `now_ms` is `instants[n]`."""

    located: Located
    ends: Array
    instants: Array


def can_join(frame: Frame) -> bool:
    """True if a frame is a tick, or holds pings and sightings only."""
    return not frame.inputs or (len(frame.inputs) == 1 and isinstance(frame.inputs[0], Located))


class Joiner:
    """Joins frames; devices, users and beacons are numbered throughout, so that the fold asks for each only once.

    >>> from engine.rows import Rows, columns
    >>> from engine.wire import Frame
    >>> one, two = (columns([Rows([d], [5], [1.0], [2.0], *[[None]] * 7)]) for d in "ab")
    >>> got = Joiner().join([Frame(7, [one]), Frame(8, []), Frame(9, [two])])
    >>> got.located.strings, got.located.column("device").tolist(), got.located.column("received").tolist()
    (['a', 'b'], [0, 1], [7, 9])
    >>> got.ends.tolist(), got.instants.tolist()
    ([1, 1, 2], [7, 8, 9])
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._strings: list[str] = []

    def join(self, frames: Sequence[Frame]) -> Joined:
        """Some frames, each of which `can_join`."""
        parts = [part for frame in frames for part in frame.inputs if isinstance(part, Located)]
        counts = [part.borders[-1] for part in parts]
        instants = np.array([frame.now_ms for frame in frames], np.int64)
        ends = np.zeros(len(frames), np.int64)
        ends[[n for n, frame in enumerate(frames) if frame.inputs]] = counts
        received = np.repeat(instants, ends).tobytes()
        columns: dict[str, bytes] = {
            name: b"".join([getattr(part, name) for part in parts]) for name in (*_NAMES, *_PLAIN)
        }
        numbers = self._numbered(list(chain.from_iterable([part.strings for part in parts])))
        # the names of each part come after those of the parts before it
        shift = np.repeat([0, *accumulate([len(part.strings) for part in parts])][:-1], counts)
        columns |= {name: _numbered_anew(columns[name], shift, numbers) for name in _NAMES}
        located = Located(
            self._strings, **columns, speed=b"", heading=b"", borders=_borders(parts, counts), received=received
        )
        return Joined(located, np.cumsum(ends), instants)

    def _numbered(self, names: list[str]) -> Array:
        """The numbers of some names, new ones for those never met."""
        found = found_all(self._numbers, names)
        if found is not None:
            return found
        for name in names:
            if name not in self._numbers:
                self._numbers[name] = len(self._strings)
                self._strings.append(name)
        return self._numbered(names)


def _numbered_anew(column: bytes, shift: Array, numbers: Array) -> bytes:
    codes = np.frombuffer(column, np.int32)
    if codes.max(initial=NONE) == NONE:  # most pings name no user, and no beacon
        return column
    return np.where(codes == NONE, np.int32(NONE), numbers[codes + shift]).tobytes()


def _borders(parts: Sequence[Located], counts: Sequence[int]) -> list[int]:
    borders: list[int] = []
    for part, start in zip(parts, [0, *accumulate(counts)], strict=False):
        borders += [start + border for border in part.borders]
    return borders
