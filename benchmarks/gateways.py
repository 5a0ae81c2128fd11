"""What posts of pings cost `nearcast run`, by how many gateways post them at once.

Owns how many, and how large. A step and its commit cost about as much for one request as for sixteen, and whoever waits
for a disk begins with cold caches: what comes together shares all that. The world, the crowd and the answers compared
are those of `run`; each line has a server of its own.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import record, run
from benchmarks.bench import FULL
from benchmarks.rounds import measure, pin, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bench import Size

POSTED = ((100, 1), (100, 4), (100, 8), (100, 16), (100, 64), (1_000, 1), (1_000, 4), (1_000, 16))
"""Pings a post, and how many post at once: never more pings under way than there are devices."""


def costs(size: Size, batch: int, gateways: int) -> tuple[float, float, float]:
    """(median, least, most) over the rounds: µs of the server's processor a ping. Raises `DifferenceError`."""
    with ExitStack() as keep:
        bench = run.bench(size, keep, batch=batch, fences=size.fences, gateways=gateways)
        [line] = measure(bench, size.rounds)[:1]
    us = sorted(1e6 * spent_s / line.count for spent_s in line.ours_s)
    return us[len(us) // 2], us[0], us[-1]


def main(words: Sequence[str]) -> None:
    """`python -m benchmarks.gateways [--record]` prints a line for each size of posts and number of gateways."""
    about = record.about("full", pin())
    lines = []
    for batch, gateways in POSTED:
        found = [float(f"{us:.3g}") for us in costs(FULL, batch, gateways)]
        progress("posts of {}, {} at once: {} µs a ping, {} to {}".format(batch, gateways, *found))
        lines.append([batch, gateways, *found])
    if "--record" in words:
        about |= {"command": "python -m benchmarks.gateways --record"}
        record.write(record.RESULTS, "gateways", about | {"lines": lines})


if __name__ == "__main__":
    main(sys.argv[1:])
