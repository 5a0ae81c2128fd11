"""Rounds: ours and a peer in turn on one core, so that what slows one slows the other.

Owns the clock of the benchmarks: processor time, that of the process which does the work, so that a neighbour who takes
the core for a while is not in the figure; what waits for a disk times itself by the wall. A ratio is taken in each
round, from two runs that are neighbours in time; what is told is the median of the rounds, and their least and most.

Before each run what the one before left behind is collected. What was there before the rounds, the data of both sides
among it, is frozen, as `nearcast run` freezes what its start leaves behind: the collector does not walk it. Where it
did, it read all objects of a site with its fences, and each run found the processor's caches emptied by it.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bench import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench


@dataclass(slots=True)
class Line:
    """One line of the table: what was done, how much of it, how many seconds each round took us and the peer."""

    what: str
    unit: str
    count: int
    peer: str
    ours_s: list[float] = field(default_factory=list)
    theirs_s: list[float] = field(default_factory=list)
    peer_count: int = 0
    name: str = ""
    data: str = ""
    form: str = ""
    recorded: str = ""
    """When and where the peer's figure was taken, if not in this run."""

    @property
    def ours(self) -> float:
        """Our median, in units a second."""
        return self.count / statistics.median(self.ours_s)

    @property
    def theirs(self) -> float:
        """The peer's median, in units a second."""
        return (self.peer_count or self.count) / statistics.median(self.theirs_s)

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, round by round."""
        peer_count = self.peer_count or self.count
        return [self.count / a * b / peer_count for a, b in zip(self.ours_s, self.theirs_s, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the most of the rounds' ratios."""
        return min(self.ratios), max(self.ratios)


def measure(bench: Bench, rounds: int) -> list[Line]:
    """Compare the answers, then time ours beside each peer. Raises `DifferenceError` before a figure is made."""
    check(bench)
    lines = []
    for peer in bench.peers:
        line = Line(
            bench.what, bench.unit, bench.ours.count, peer.name,
            peer_count=peer.count, name=bench.name, data=bench.data, form=peer.form, recorded=peer.recorded,
        )  # fmt: skip
        lines.append(alternate(line, bench.ours.work, peer.work, rounds))
    return lines


def alternate(line: Line, ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> Line:
    """Run both in turn, `rounds` times each, after one round that does not count."""
    ours(), theirs()
    gc.collect()
    gc.freeze()
    try:
        for n in range(rounds):
            # who goes first changes, so that neither always finds the caches as the other left them
            for mine in (n % 2 == 0, n % 2 == 1):
                gc.collect()
                if mine:
                    line.ours_s.append(_timed(ours))
                else:
                    line.theirs_s.append(_timed(theirs))
    finally:
        gc.unfreeze()
    return line


def _timed(work: Callable[[], Any]) -> float:
    """Seconds of one round: as it says itself, else of this process's processor time."""
    began = time.process_time()
    said = work()
    spent = time.process_time() - began
    return said if isinstance(said, float) else spent


def processor_s(pid: int) -> float | None:
    """Seconds of processor time that another process has had, all its threads; None where the system does not say.

    Exact only while the process waits, as a peer does between two rounds.
    """
    try:
        tasks = [(task / "schedstat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return None
    return sum(int(text.split()[0]) for text in tasks) / 1e9 if tasks else None


def pin() -> str:
    """Bind this process, and all that it starts, to its last core; says which."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"core {core}"


def progress(text: str) -> None:
    """Say what is going on, beside the table."""
    print(text, file=sys.stderr, flush=True)
