"""`python -m benchmarks`: run all, compare the answers, print one table, keep it as JSON.

Owns the list of what is run, and the command line.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import cells, decide, decode, fold, journal, live, match, predicate, presence, record, replay, run
from benchmarks.bench import CURVED, FULL, QUICK, DifferenceError
from benchmarks.curves import CURVES, draw
from benchmarks.peers import tile38
from benchmarks.rounds import measure, pin, progress
from benchmarks.table import show
from engine.warm import warm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from benchmarks.bench import Bench, Size

BENCHES: dict[str, Callable[[Size, ExitStack], Bench]] = {
    "cells": cells.bench,
    "predicate": predicate.bench,
    "match": match.bench,
    "presence": presence.bench,
    "decode": decode.bench,
    "decide": decide.bench,
    "occasion-100": partial(decide.occasions, rules=100),
    "occasion-10000": partial(decide.occasions, rules=10_000),
    "fold": fold.bench,
    "fold-instant": partial(fold.bench, name="fold-instant", instant=True),
    "journal": journal.bench,
    "replay-file": replay.bench,
    "replay-store": partial(replay.bench, from_store=True),
    "run-10000-1000": partial(run.bench, batch=1_000, fences=10_000),
    "run-10000-1000-told": partial(run.bench, batch=1_000, fences=10_000, all_told=True),
    "run-10000-100": partial(run.bench, batch=100, fences=10_000, gateways=tile38.IN_FLIGHT // 100),
    "run-10000-1": partial(run.bench, batch=1, fences=10_000, share=0.1),
    "run-50000-1000": partial(run.bench, batch=1_000, fences=50_000),
    "run-50000-100": partial(run.bench, batch=100, fences=50_000, gateways=tile38.IN_FLIGHT // 100),
}
LONG = (
    "replay-store", "occasion-10000", "run-10000-1000-told", "run-10000-100", "run-10000-1", "run-50000-1000",
    "run-50000-100",
)  # fmt: skip
"""Not in the quick form."""
CURVE = "curve-"
"""What stands before a curve's name on the command line."""


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, no curves, less than two minutes")
    parser.add_argument(
        "--check", action="store_true", help="the quick form; fails if a ratio is below 0.7 of its record"
    )
    parser.add_argument(
        "--record", action="store_true", help="keep it in benchmarks/results: the page has it from there"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these, of {', '.join(_every(FULL))}")
    asked = parser.parse_args()
    size = QUICK if asked.quick or asked.check else FULL
    names = asked.names or _every(size)
    if unknown := [name for name in names if name not in _every(FULL)]:
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    try:
        made = _run(size, names)
    except DifferenceError as error:
        progress(str(error))
        return 1
    if asked.record:
        record.keep(size.name, made, _every(FULL), whole=not asked.names)
    if not asked.check:
        return 0
    fallen = record.fallen(record.read("quick"), made)
    for line in fallen:
        progress(f"fell: {line}")
    return 1 if fallen else 0


def _every(size: Size) -> list[str]:
    if size is not FULL:
        return [name for name in BENCHES if name not in LONG]
    return [*BENCHES, *live.LOADS, *(CURVE + name for name in CURVES)]


def _run(size: Size, names: Sequence[str]) -> dict[str, Any]:
    """Run these, and keep each in `results/last` as soon as it is there. Raises `DifferenceError`."""
    began = time.monotonic()
    made = record.record(record.about(size.name, pin()))
    warm(lambda name, done, total: None)
    for name in names:
        progress(f"{time.monotonic() - began:4.0f} s  {name}")
        if name.startswith(CURVE):
            made["curves"][name.removeprefix(CURVE)] = draw(name.removeprefix(CURVE), CURVED)
        elif name in live.LOADS:
            made["live"][name] = live.figures(live.LOADS[name])
        else:
            with ExitStack() as keep:
                bench = BENCHES[name](size, keep)
                made["lines"] += map(record.line, measure(bench, size.rounds))
                made["absent"][name] = [*bench.absent]
        record.write(record.LAST, size.name, made)
    show(made)
    progress(f"{time.monotonic() - began:4.0f} s  kept in {record.LAST}")
    return made


if __name__ == "__main__":
    raise SystemExit(main())
