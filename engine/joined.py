"""Frames that follow each other and hold pings, or nothing, as one: their fold has the same outcome, and is faster.

Owns which frames can be joined, and the columns that they become. Must not know where frames come from.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from engine.names import Names
from engine.wire import NAMES, NONE, Located, Packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.layout import Array
    from engine.wire import Frame

#: Columns that are taken as they are; those of names are numbered anew. The fold looks at no other.
_PLAIN = ("time", "lat", "lng", "accuracy", "rssi", "mocked")
#: The first byte of a short list in MessagePack holds its size; a longer one's is behind it, in two bytes or in four.
_SHORT, _SHORT_END, _LIST_16 = 0x90, 0xA0, 0xDC


class Joined(NamedTuple):
    """Some frames. Frame n has the rows of `located` before row `ends[n]`, the requests before `requests[n]`, and was
    folded at `instants[n]`.
    """

    located: Located
    ends: Array
    requests: Array
    instants: Array


def can_join(frame: Frame) -> bool:
    """True if a frame is a tick, or holds pings and sightings only, as `wire.read_frame` gives these."""
    return not frame.inputs or isinstance(frame.inputs[0], Packed)


class Joiner:
    """Joins frames; devices, users and beacons are numbered throughout, so that the fold asks for each only once.

    >>> from engine.rows import Rows, columns
    >>> from engine.wire import encode_frame, read_frame
    >>> one, two = (columns([Rows([d], [5], [1.0], [2.0], *[[None]] * 7)]) for d in "ab")
    >>> frames = [read_frame(encode_frame(now_ms, held)) for now_ms, held in ((7, [one]), (8, []), (9, [two]))]
    >>> got = Joiner().join(frames)
    >>> got.located.strings, got.located.column("device").tolist(), got.located.column("received").tolist()
    (['a', 'b'], [0, 1], [7, 9])
    >>> got.ends.tolist(), got.instants.tolist()
    ([1, 1, 2], [7, 8, 9])
    """

    def __init__(self) -> None:
        self._names = Names()

    def join(self, frames: Sequence[Frame]) -> Joined:
        """Some frames, each of which `can_join`."""
        parts = [part for frame in frames for part in frame.inputs if isinstance(part, Packed)]
        lists = [bytes(part.strings) for part in parts]
        sizes = [*map(_size, lists)]
        return join_columns(frames, parts, sizes, *self._numbered(lists, sum(sizes)))

    def _numbered(self, lists: Sequence[bytes], count: int) -> tuple[Array, list[str]]:
        """The numbers of the names in some lists, and the table that they are of: nearly always the one of all."""
        numbers = self._names.packed(b"".join(lists), count)
        if numbers is not None:
            return numbers, self._names.strings
        once: dict[str, int] = {}
        names = [name for packed in lists for name in msgspec.msgpack.decode(packed, type=list[str])]
        return np.array([once.setdefault(name, len(once)) for name in names], np.int32), list(once)


def _size(packed: bytes) -> int:
    """How many there are in a list."""
    if _SHORT <= packed[0] < _SHORT_END:
        return packed[0] - _SHORT
    return int.from_bytes(packed[1:3] if packed[0] == _LIST_16 else packed[1:5], "big")


def join_columns(
    frames: Sequence[Frame], parts: Sequence[Located | Packed], sizes: Sequence[int], numbers: Array, strings: list[str]
) -> Joined:
    """The frames that hold these parts, or nothing, as one.

    Part n has `sizes[n]` names; the names of all parts, one part's after the other's, are `numbers` of `strings`.
    """
    counts = [part.borders[-1] for part in parts]
    ends, requests = np.zeros((2, len(frames)), np.int64)
    held = [n for n, frame in enumerate(frames) if frame.inputs]
    ends[held], requests[held] = counts, [len(part.borders) for part in parts]
    instants = np.array([frame.now_ms for frame in frames], np.int64)
    columns: dict[str, bytes] = {name: b"".join([getattr(part, name) for part in parts]) for name in (*NAMES, *_PLAIN)}
    shift = np.repeat([0, *accumulate(sizes)][: len(parts)], counts)
    columns |= {name: _numbered_anew(columns[name], shift, numbers) for name in NAMES}
    received, borders = np.repeat(instants, ends).tobytes(), _borders(parts, counts)
    located = Located(strings, **columns, speed=b"", heading=b"", borders=borders, received=received)
    return Joined(located, np.cumsum(ends), np.cumsum(requests), instants)


def _numbered_anew(column: bytes, shift: Array, numbers: Array) -> bytes:
    codes = np.frombuffer(column, np.int32)
    if codes.max(initial=NONE) == NONE:  # most pings name no user, and no beacon
        return column
    return np.where(codes == NONE, np.int32(NONE), numbers[codes + shift]).tobytes()


def _borders(parts: Sequence[Located | Packed], counts: Sequence[int]) -> list[int]:
    borders: list[int] = []
    for part, start in zip(parts, [0, *accumulate(counts)], strict=False):
        borders += [start + border for border in part.borders]
    return borders
