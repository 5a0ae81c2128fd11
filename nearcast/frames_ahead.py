"""The frames of a journal for whoever folds them: the next ones are read, unpacked and joined while some are folded.

Owns how much of the journal is made ready at a time. Must not know what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING

from connectors.store_errors import RESTORE
from engine.joined import Joiner, can_join
from engine.ports import StoreDamagedError
from engine.wire import Edited, Frame, FrameError, Located, read_frame
from nearcast.ahead import ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.joined import Joined
    from engine.ports import Journal
    from engine.step import Effects, Engine
    from engine.wire import Input

#: So much of the journal is made ready at a time: bytes as it is packed, and pings, about as many.
AHEAD_BYTES = 1 << 18
AHEAD_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Frames:
    """One frame, or some that were joined: `count` of them, up to number `seq`."""

    seq: int
    count: int
    frames: Frame | Joined

    @property
    def rows(self) -> int:
        """How many pings, sightings and other inputs they hold."""
        if isinstance(self.frames, Frame):
            return sum(_rows_of(item) for item in self.frames.inputs)
        return _rows_of(self.frames.located)

    def fold(self, engine: Engine) -> Effects:
        """Step through them."""
        if isinstance(self.frames, Frame):
            return engine.step(self.frames.inputs, self.frames.now_ms)
        return engine.steps(self.frames)


def frames_ahead(journal: Journal, after_seq: int, *, edits: bool = True) -> Iterator[Frames]:
    """The frames after `after_seq`, joined where they can be; without `edits` these are left out of them."""
    return chain.from_iterable(ahead(_joined(journal, after_seq, edits)))


def _joined(journal: Journal, after_seq: int, edits: bool) -> Iterator[list[Frames]]:
    joiner = Joiner()
    for some in _some_frames(journal, after_seq):
        frames = some if edits else [_without_edits(frame) for frame in some]
        made: list[Frames] = []
        for joins, run in groupby(frames, key=can_join):
            together = list(run)
            if joins:
                made.append(Frames(after_seq + len(together), len(together), joiner.join(together)))
            else:
                made += [Frames(after_seq + n, 1, frame) for n, frame in enumerate(together, 1)]
            after_seq = made[-1].seq
        yield made


def _some_frames(journal: Journal, after_seq: int) -> Iterator[list[Frame]]:
    some: list[Frame] = []
    size = rows = 0
    for stored in journal.frames(after_seq):
        try:
            frame = read_frame(stored.data)
        except FrameError as error:
            raise StoreDamagedError(f"frame `{stored.seq}` of the journal: {error}, {RESTORE}") from error
        some.append(frame)
        size += len(stored.data)
        rows += sum(item.borders[-1] for item in frame.inputs if isinstance(item, Located))
        if size >= AHEAD_BYTES or rows >= AHEAD_ROWS:
            yield some
            some, size, rows = [], 0, 0
    yield some


def _without_edits(frame: Frame) -> Frame:
    return Frame(frame.now_ms, [item for item in frame.inputs if not isinstance(item, Edited)])


def _rows_of(item: Input) -> int:
    if isinstance(item, Located):
        return item.borders[-1] if item.borders else 0
    return 1
