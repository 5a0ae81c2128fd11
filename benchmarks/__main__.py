"""`python -m benchmarks`: run all, compare the answers, print one table, keep it as JSON and the curves as pictures.

Owns the list of what is run, and the command line.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import cells, decide, decode, fold, journal, match, predicate, presence, record, replay, run
from benchmarks.bench import FULL, QUICK, DifferenceError
from benchmarks.curves import draw
from benchmarks.plot import picture
from benchmarks.rounds import Line, measure, pin, progress
from benchmarks.table import show
from engine.warm import warm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

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
    "run-1": partial(run.bench, batch=1, fences=10_000, share=0.1),
    "run-50k": partial(run.bench, batch=1_000, fences=50_000),
}
#: Not in the quick form.
LONG = ("run-100", "run-1", "run-50k")
CURVES = "curves"


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
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these, of {', '.join((*BENCHES, CURVES))}")
    asked = parser.parse_args()
    size = QUICK if asked.quick or asked.check else FULL
    names = asked.names or [n for n in (*BENCHES, CURVES) if size is FULL or n not in (*LONG, CURVES)]
    folder = record.RESULTS if asked.record else record.RESULTS / "last"
    try:
        made = _run(size, names, folder)
    except DifferenceError as error:
        progress(str(error))
        return 1
    if not asked.check:
        return 0
    fallen = record.fallen(record.read("quick"), made)
    for line in fallen:
        progress(f"fell: {line}")
    return 1 if fallen else 0


def _run(size: Size, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run these and keep them. Raises `DifferenceError`."""
    began = time.monotonic()
    about = record.about(size.name, pin())
    warm(lambda name, done, total: None)
    lines: list[Line] = []
    absent: list[str] = []
    for name in names:
        progress(f"{time.monotonic() - began:4.0f} s  {name}")
        if name == CURVES:
            curves = {"curves": draw(size)}
        else:
            with ExitStack() as keep:
                made = BENCHES[name](size, keep)
                absent += made.absent
                lines += measure(made, size.rounds)
    kept = record.record(about, lines, absent)
    show(kept)
    record.write(folder, size.name, kept)
    if CURVES in names:
        record.write(folder, CURVES, about | curves)
        for name, curve in curves["curves"].items():
            (folder / f"{name}.svg").write_text(picture(curve), encoding="utf-8")
    progress(f"{time.monotonic() - began:4.0f} s  kept in {folder}")
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
