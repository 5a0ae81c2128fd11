"""`python -m benchmarks`: run all, compare the answers, print one table, keep it as JSON.

`--quick` with less of everything; `--check` so too, and fail when a ratio fell below 0.7 of the recorded one;
`--record` to keep the figures in `results/`, where the page has them from; names run only these.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import cells, decide, decode, fold, journal, match, predicate, presence, record, replay, run
from benchmarks.bench import FULL, QUICK, DifferenceError
from benchmarks.rounds import Line, measure, pin, progress
from benchmarks.table import show
from engine.warm import warm

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench, Size

BENCHES: dict[str, Callable[[Size, ExitStack], Bench]] = {
    "cells": cells.bench,
    "predicate": predicate.bench,
    "match": match.bench,
    "presence": presence.bench,
    "decode": decode.bench,
    "decide": decide.bench,
    "fold": fold.bench,
    "journal": journal.bench,
    "replay": replay.bench,
    "run-1000": partial(run.bench, batch=1_000, fences=10_000),
    "run-100": partial(run.bench, batch=100, fences=10_000),
    "run-50k": partial(run.bench, batch=1_000, fences=50_000),
}
#: Not in the quick form.
LONG = ("run-100", "run-50k")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="less of everything, less than two minutes")
    parser.add_argument("--check", action="store_true", help="the quick form, beside the recorded ratios")
    parser.add_argument("--record", action="store_true", help="keep the figures in benchmarks/results")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these, of {', '.join(BENCHES)}")
    asked = parser.parse_args()
    size = QUICK if asked.quick or asked.check else FULL
    began = time.monotonic()
    pinned = pin()
    warm(lambda name, done, total: None)
    lines: list[Line] = []
    absent: list[str] = []
    for name in asked.names or [name for name in BENCHES if size is FULL or name not in LONG]:
        progress(f"{time.monotonic() - began:4.0f} s  {name}")
        with ExitStack() as keep:
            made = BENCHES[name](size, keep)
            absent += made.absent
            try:
                lines += measure(made, size.rounds)
            except DifferenceError as error:
                progress(str(error))
                return 1
    kept = record.record(record.command_line(), size.name, pinned, lines, absent)
    show(kept)
    folder = record.RESULTS if asked.record else record.RESULTS / "last"
    progress(f"{time.monotonic() - began:4.0f} s  kept in {record.write(folder, size.name, kept)}")
    if not asked.check:
        return 0
    fallen = record.fallen(record.read("quick"), kept)
    for line in fallen:
        progress(f"fell: {line}")
    return 1 if fallen else 0


if __name__ == "__main__":
    raise SystemExit(main())
