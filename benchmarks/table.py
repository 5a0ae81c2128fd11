"""The table: on a terminal, and as Markdown for the page.

Owns how figures are written. A ratio is ours over the peer's: above 1, Nearcast does more in a second.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD = ("what", "unit", "ours", "peer", "the peer's", "ratio", "over rounds")


def figure(value: float) -> str:
    """A figure with three digits and a unit that one can read.

    >>> [figure(x) for x in (7_654_321, 123_456, 1_234, 12.34, 0.0456)]
    ['7.65 M', '123 k', '1.23 k', '12.3', '0.0456']
    """
    for size, unit in ((1e6, " M"), (1e3, " k"), (1.0, "")):
        if value >= size:
            digits = value / size
            return f"{digits:.{max(0, 3 - len(str(int(digits))))}f}{unit}"
    return f"{value:.3g}"


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One line of a record as the table's cells.

    >>> cells({"what": "w", "unit": "pings", "ours": 2e6, "peer": "p", "theirs": 1e6, "ratio": 2.0, "spread": [1.8, 2]})
    ('w', 'pings/s', '2.00 M', 'p', '1.00 M', '2.0', '1.8 to 2.0')
    """
    low, high = row["spread"]
    return (
        row["what"], f"{row['unit']}/s", figure(row["ours"]), row["peer"], figure(row["theirs"]),
        ratio(row["ratio"]), f"{ratio(low)} to {ratio(high)}",
    )  # fmt: skip


def ratio(value: float) -> str:
    """A ratio, to two digits."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def show(record: dict[str, Any]) -> None:
    """Print the table of a record, and below it what could not be run."""
    table = Table(*HEAD, title="each line: same data, same run, in turn; answers compared first")
    for row in record["lines"]:
        table.add_row(*cells(row))
    console = Console()
    console.width = max(console.width, 150)
    if record["lines"]:
        console.print(table)
    for name, row in record["live"].items():
        console.print(f"{name}: {json.dumps(row)}", highlight=False, markup=False)
    for line in sorted({line for lines in record["absent"].values() for line in lines}):
        console.print(f"not run: {line}", highlight=False, markup=False)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The same as Markdown."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---|---|--:|---|--:|--:|--:|"]
    return "\n".join(lines + ["| " + " | ".join(cells(row)) + " |" for row in rows]) + "\n"
