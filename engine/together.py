"""Frames that were decoded one by one and hold pings, or nothing, as one: a shard's records in the form of a journal's.

Owns how the names of several tables become those of one. `engine/joined.py` does the same for frames as they lie packed
in a journal, which nobody else has written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.joined import join_columns
from engine.wire import Located

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.joined import Joined
    from engine.wire import Frame


def can_go_together(frame: Frame) -> bool:
    """True if a frame is a tick, or holds pings and sightings only, which were received when it was made."""
    if not frame.inputs:
        return True
    item = frame.inputs[0]
    return len(frame.inputs) == 1 and isinstance(item, Located) and len(item.borders) > 0 and not item.received


def together(frames: Sequence[Frame]) -> Joined:
    """Some frames, each of which `can_go_together`, as one.

    >>> from engine.rows import Rows, columns
    >>> from engine.wire import Frame
    >>> one, two = (columns([Rows([d], [5], [1.0], [2.0], *[[None]] * 7)]) for d in "ab")
    >>> got = together([Frame(7, [one]), Frame(8, []), Frame(9, [two])])
    >>> got.located.strings, got.located.column("device").tolist(), got.located.column("received").tolist()
    (['a', 'b'], [0, 1], [7, 9])
    >>> got.ends.tolist(), got.instants.tolist(), got.requests.tolist()
    ([1, 1, 2], [7, 8, 9], [1, 1, 2])
    """
    parts = [part for frame in frames for part in frame.inputs if isinstance(part, Located)]
    once: dict[str, int] = {}
    numbers = np.array([once.setdefault(name, len(once)) for part in parts for name in part.strings], np.int32)
    return join_columns(frames, parts, [len(part.strings) for part in parts], numbers, list(once))
