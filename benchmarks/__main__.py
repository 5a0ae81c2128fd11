"""`python -m benchmarks`: run all, compare the answers, print one table, keep it as JSON.

`--quick` with less of everything; `--check` so too, and fail when a ratio fell below 0.7 of the recorded one;
`--record` to keep the figures in `results/`, where the page has them from; names run only these.
"""

from __future__ import annotations

import argparse
import importlib
import time
from contextlib import ExitStack

from benchmarks import record
from benchmarks.bench import FULL, QUICK, DifferenceError
from benchmarks.rounds import Line, measure, pin, progress
from benchmarks.table import show
from engine.warm import warm

MICRO = ("cells", "predicate", "match", "presence", "decode", "decide")
WHOLE = ("fold", "journal", "replay")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="less of everything, less than two minutes")
    parser.add_argument("--check", action="store_true", help="the quick form, beside the recorded ratios")
    parser.add_argument("--record", action="store_true", help="keep the figures in benchmarks/results")
    parser.add_argument("names", nargs="*", help=f"only these, of {', '.join((*MICRO, *WHOLE))}")
    asked = parser.parse_args()
    size = QUICK if asked.quick or asked.check else FULL
    began = time.monotonic()
    pinned = pin()
    warm(lambda name, done, total: None)
    lines: list[Line] = []
    absent: list[str] = []
    for name in asked.names or (*MICRO, *WHOLE):
        progress(f"{time.monotonic() - began:4.0f} s  {name}")
        with ExitStack() as keep:
            made = importlib.import_module(f"benchmarks.{name}").bench(size, keep)
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
