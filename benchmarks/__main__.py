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
from benchmarks.bench import CURVED, FULL, QUICK, DifferenceError
from benchmarks.curves import CURVES, draw
from benchmarks.plot import picture
from benchmarks.rounds import measure, pin, progress
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
    "run-10000-1000": partial(run.bench, batch=1_000, fences=10_000),
    "run-10000-100": partial(run.bench, batch=100, fences=10_000),
    "run-10000-1": partial(run.bench, batch=1, fences=10_000, share=0.1),
    "run-50000-1000": partial(run.bench, batch=1_000, fences=50_000),
}
#: Not in the quick form.
LONG = ("run-10000-100", "run-10000-1", "run-50000-1000")
#: A curve's name is the sizes' and this before it.
CURVE = "curve-"


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


def _every(size: Size) -> list[str]:
    return [*BENCHES, *(CURVE + name for name in CURVES)] if size is FULL else [n for n in BENCHES if n not in LONG]


def _run(size: Size, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run these, each kept as soon as it is there. Raises `DifferenceError`."""
    began = time.monotonic()
    about = record.about(size.name, pin())
    warm(lambda name, done, total: None)
    kept = record.record(about, [], {})
    for name in names:
        progress(f"{time.monotonic() - began:4.0f} s  {name}")
        if name.startswith(CURVE):
            curve = name.removeprefix(CURVE)
            drawn = draw(curve, CURVED)
            record.write(folder, "curves", about | {"curves": {curve: drawn}}, [*CURVES])
            (folder / f"{curve}.svg").write_text(picture(drawn), encoding="utf-8")
            continue
        with ExitStack() as keep:
            bench = BENCHES[name](size, keep)
            made = record.record(about, measure(bench, size.rounds), {name: bench.absent})
        record.write(folder, size.name, made, [*BENCHES])
        kept = record.merged(kept, made, [*BENCHES])
    show(kept)
    progress(f"{time.monotonic() - began:4.0f} s  kept in {folder}")
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
