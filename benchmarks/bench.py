"""What a benchmark is: ours and its peers on the same data, with what each answers.

Owns the declaration, and how answers are compared. Must not know clocks or tables: `rounds` and `table` do. A module of
a benchmark has one function, `bench(size, keep)`, that draws the data, sets up both sides and returns a `Bench`; what
must be closed afterwards it puts on `keep`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    name: str
    rounds: int
    fences: int
    points: int
    devices: int


FULL = Size("full", rounds=7, fences=10_000, points=100_000, devices=20_000)
QUICK = Size("quick", rounds=7, fences=2_000, points=20_000, devices=5_000)
CURVED = Size("curves", rounds=7, fences=4_000, points=100_000, devices=4_000)
"""For the curves, where a size is not the one that changes."""
TINY = Size("tiny", rounds=2, fences=40, points=500, devices=50)
"""For the tests: everything runs, no figure means anything."""


@dataclass(frozen=True, slots=True)
class Side:
    """One who does the work: ours, or a peer in its best documented form."""

    name: str
    count: int
    """Units of work in one round."""
    work: Callable[[], float | None]
    """One round. Returns the seconds that it took if it times itself, else its processor time is taken from outside."""
    answer: Callable[[], Any]
    """What it answers: compared before anything is timed."""
    form: str = ""
    """What exactly is called, for the reader."""
    recorded: str = ""
    """Of a peer that is not run here: which version was measured, when and where. Its answers were compared then."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A benchmark, set up and ready."""

    name: str
    what: str
    unit: str
    data: str
    """Where the data comes from, its seed included."""
    ours: Side
    peers: tuple[Side, ...]
    absent: tuple[str, ...] = ()
    """Peers that cannot be run here, each with the reason."""
    oracle: Callable[[], Any] | None = None
    """The right answer, from one who is not timed; asked after ours."""


def side(name: str, count: int, work: Callable[[], Any], answer: Callable[[Any], Any], form: str = "") -> Side:
    """A side whose round makes what it answers; `answer` brings that into the form that is compared, untimed."""

    def once() -> None:
        work()

    return Side(name, count, once, lambda: answer(work()), form)


class DifferenceError(Exception):
    """Ours and a peer answer differently: no figure means anything."""


def pairs(points: Any, fences: Any) -> Any:
    """int64, ascending: one number for each (point, fence), so that two answers can be compared as wholes.

    >>> pairs([1, 0], [7, 3]).tolist()
    [3, 4294967303]
    """
    return np.sort((np.asarray(points, np.int64) << 32) | np.asarray(fences, np.int64))


def pairs_of(offsets: Any, fences: Any) -> Any:
    """The same of what the index answers.

    >>> pairs_of(np.array([0, 0, 2]), np.array([3, 5], np.int32)).tolist()
    [4294967299, 4294967301]
    """
    return pairs(np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), fences)


def difference(ours: Any, theirs: Any) -> str | None:
    """What one answer has and the other lacks; None if they are the same.

    >>> difference(pairs([1], [7]), pairs([1, 2], [7, 7]))
    'of 1 and 2: 0 only ours, 1 only theirs, such as (2, 7)'
    >>> difference(["sent", "cap"], ["sent", "cooldown"])
    "at 1, 'cap' and 'cooldown'"
    >>> difference([1.5, None], [1.5, None])
    """
    if isinstance(ours, np.ndarray):
        if np.array_equal(ours, theirs):
            return None
        mine, other = np.setdiff1d(ours, theirs), np.setdiff1d(theirs, ours)
        odd = [(int(n) >> 32, int(n) & 0xFFFFFFFF) for n in np.concatenate([mine[:1], other[:1]])]
        return (
            f"of {len(ours)} and {len(theirs)}: {len(mine)} only ours, {len(other)} only theirs, "
            f"such as {', '.join(map(str, odd)) or 'a repeated one'}"
        )
    if ours == theirs:
        return None
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        at = next(n for n, both in enumerate(zip(ours, theirs, strict=True)) if both[0] != both[1])
        return f"at {at}, {_short(ours[at])} and {_short(theirs[at])}"
    return f"{_short(ours)} and {_short(theirs)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}..."


def check(bench: Bench) -> None:
    """Compare ours with every peer. Raises `DifferenceError` at the first that answers otherwise."""
    ours = bench.ours.answer()
    others = [(peer.name, peer.answer) for peer in bench.peers if not peer.recorded]
    for name, answer in ([("the oracle", bench.oracle)] if bench.oracle else []) + others:
        odd = difference(ours, answer())
        if odd is not None:
            raise DifferenceError(f"{bench.name}: {bench.ours.name} and {name} answer differently: {odd}")
