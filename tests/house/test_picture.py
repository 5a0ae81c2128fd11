"""The picture of presence in the docs is drawn from the table at the top of engine/presence.py."""

from __future__ import annotations

import engine.presence
from tests.house.pages import blocks


def drawn(table: str) -> str:
    """The Mermaid picture of a table with the columns state, observation, next state, count, what is told."""
    lines = ["stateDiagram-v2", "  [*] --> outside"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    for state, seen, to, _, told in rows[2:]:
        lines.append(f"  {state} --> {to}: {seen}" + (f" / {told}" if told else ""))
    return "\n".join(lines) + "\n"


def test_the_picture_of_presence_is_that_of_the_table() -> None:
    pictures = [b.text for b in blocks() if b.page == "docs/architecture.md" and b.text.startswith("stateDiagram")]
    assert pictures == [drawn(engine.presence.__doc__ or "")]


def test_a_picture_has_an_arrow_for_each_row() -> None:
    head = "| state | fix | next | count | told |\n|---|---|---|---|---|\n"
    table = head + "| a | in | b | 0 | entered |\n| b | out | a | 0 | |\n"
    assert drawn(table) == "stateDiagram-v2\n  [*] --> outside\n  a --> b: in / entered\n  b --> a: out\n"
