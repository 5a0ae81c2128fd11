"""Frames that were decoded one by one and hold pings, or nothing, as one: a shard's records in the form of a journal's.

Owns how the names of several tables become those of one. `engine/joined.py` does the same for frames as they lie packed
in a journal, which nobody else has written.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from engine.joined import Joined
from engine.wire import NONE, Located

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.layout import Array
    from engine.wire import Frame

#: Columns of names, which are numbered anew; and those that are taken as they are. The fold looks at no other.
_NAMES = ("device", "user", "beacon")
_PLAIN = ("time", "lat", "lng", "accuracy", "rssi", "mocked")


def can_go_together(frame: Frame) -> bool:
    """True if a frame is a tick, or holds pings and sightings only, which were received when it was made."""
    if not frame.inputs:
        return True
    item = frame.inputs[0]
    return len(frame.inputs) == 1 and isinstance(item, Located) and len(item.borders) > 0 and not item.received


def together(frames: Sequence[Frame]) -> tuple[Joined, Array]:
    """Some frames, each of which `can_go_together`; the requests of frame n end before the n-th of the numbers.

    >>> from engine.rows import Rows, columns
    >>> from engine.wire import Frame
    >>> one, two = (columns([Rows([d], [5], [1.0], [2.0], *[[None]] * 7)]) for d in "ab")
    >>> got, requests = together([Frame(7, [one]), Frame(8, []), Frame(9, [two])])
    >>> got.located.strings, got.located.column("device").tolist(), got.located.column("received").tolist()
    (['a', 'b'], [0, 1], [7, 9])
    >>> got.ends.tolist(), got.instants.tolist(), requests.tolist()
    ([1, 1, 2], [7, 8, 9], [1, 1, 2])
    """
    parts = [part for frame in frames for part in frame.inputs if isinstance(part, Located)]
    counts = [part.borders[-1] for part in parts]
    instants = np.array([frame.now_ms for frame in frames], np.int64)
    ends, requests = np.zeros((2, len(frames)), np.int64)
    held = [n for n, frame in enumerate(frames) if frame.inputs]
    ends[held], requests[held] = counts, [len(part.borders) for part in parts]
    columns: dict[str, bytes] = {name: b"".join([getattr(part, name) for part in parts]) for name in (*_NAMES, *_PLAIN)}
    once: dict[str, int] = {}
    numbers = np.array([once.setdefault(name, len(once)) for part in parts for name in part.strings], np.int32)
    # the names of each part come after those of the parts before it
    shift = np.repeat([0, *accumulate([len(part.strings) for part in parts])][: len(parts)], counts)
    columns |= {name: _numbered_anew(columns[name], shift, numbers) for name in _NAMES}
    received, borders = np.repeat(instants, ends).tobytes(), _borders(parts, counts)
    located = Located(list(once), **columns, speed=b"", heading=b"", borders=borders, received=received)
    return Joined(located, np.cumsum(ends), instants), np.cumsum(requests)


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
