"""Rounds: ours and the peer in turn, so that a busy neighbour slows both, and what is printed of them.

Owns the clock of the benchmarks and the table. A figure is the median of the rounds; the spread is least to most.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Line:
    """One line of the table: what was done, how much of it, how long each round took us and the peer."""

    what: str
    unit: str
    count: int
    peer: str
    ours_s: list[float] = field(default_factory=list)
    theirs_s: list[float] = field(default_factory=list)
    peer_count: int = 0

    @property
    def ours(self) -> float:
        """Our median, in units a second."""
        return self.count / statistics.median(self.ours_s)

    @property
    def theirs(self) -> float:
        """The peer's median, in units a second."""
        return (self.peer_count or self.count) / statistics.median(self.theirs_s)

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours / self.theirs

    @property
    def spread(self) -> str:
        """Our slowest and fastest round."""
        return f"{self.count / max(self.ours_s):,.0f} to {self.count / min(self.ours_s):,.0f}"


def alternate(line: Line, ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Line:
    """Run both in turn, `rounds` times each, after one round that does not count."""
    ours(), theirs()
    for _ in range(rounds):
        line.ours_s.append(_timed(ours))
        line.theirs_s.append(_timed(theirs))
    return line


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def show(lines: list[Line]) -> None:
    """Print the table."""
    table = Table("what", "ours", "spread", "peer", "theirs", "ratio", title="each line: same data, same run, in turn")
    for line in lines:
        table.add_row(
            line.what,
            f"{line.ours:,.0f} {line.unit}/s",
            line.spread,
            line.peer,
            f"{line.theirs:,.0f}",
            f"{line.ratio:.2f}",
        )
    console = Console()
    console.width = max(console.width, 150)
    console.print(table)
