"""`python -m benchmarks [--quick]`: run all and print one table."""

from __future__ import annotations

import sys

from benchmarks import fold, journal, match
from benchmarks.rounds import Line, show
from engine.warm import warm


def main() -> None:
    """Run every benchmark; `--quick` with less of everything."""
    quick = "--quick" in sys.argv[1:]
    rounds = 3 if quick else 9
    warm(lambda name, done, total: None)
    lines: list[Line] = []
    for name, work in (
        ("match", lambda: match.run(rounds, 2_000 if quick else 10_000, 200_000 if quick else 1_000_000)),
        ("fold", lambda: fold.run(rounds, 2_000 if quick else 10_000, 5_000 if quick else 20_000)),
        ("journal", lambda: journal.run(rounds, 4_000)),
    ):
        print(f"running {name}", file=sys.stderr)
        made = work()
        if not made:
            raise SystemExit(f"`{name}` yielded nothing")
        lines += made
    show(lines)


main()
