"""`python -m benchmarks.page`: put the recorded figures into docs/performance.md and README.md, and draw the curves.

Owns the parts of these pages between `<!-- KIND: WHICH -->` and `<!-- / -->`. A test holds pages and record equal.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import record
from benchmarks.plot import picture
from benchmarks.table import figure, markdown, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/performance.md"
PAGES = (PAGE, ROOT / "README.md")
_PART = re.compile(r"(<!-- ([a-z]+): ([^>]*) -->\n).*?(<!-- / -->)", re.DOTALL)
FLEETS = ((1_000, 30), (10_000, 30), (100_000, 30), (100_000, 5), (1_000_000, 60))
"""Devices, and seconds between two pings of one."""
POSTS = {"one ping a post": "run-10000-1", "100 pings a post": "run-10000-100", "1,000 pings a post": "run-10000-1000"}


def filled(text: str, made: dict[str, Any]) -> str:
    """The page with its parts as the record has them."""

    def part(found: re.Match[str]) -> str:
        return found[1] + PARTS[found[2]](made, found[3].split()) + found[4]

    return _PART.sub(part, text)


def _machine(made: dict[str, Any], _: Sequence[str]) -> str:
    machine, versions = made["machine"], made["versions"]
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"`{made['command']}`, {made['date']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {machine['system']}; pinned to {machine['pinned to']}, load before "
        f"{machine['load_before']}. {said}.\n"
    )


def _table(made: dict[str, Any], names: Sequence[str]) -> str:
    return markdown([row for row in made["lines"] if row["name"] in names])


def _forms(made: dict[str, Any], names: Sequence[str]) -> str:
    return "".join(f"- **{row['peer']}**: {row['form']}.\n" for row in made["lines"] if row["name"] in names)


def _data(made: dict[str, Any], names: Sequence[str]) -> str:
    return "".join(f"- `{name}`: {_row(made, name)['data']}.\n" for name in names)


def _fleets(made: dict[str, Any], _: Sequence[str]) -> str:
    head = f"| devices | a ping every | pings/s | {' | '.join(POSTS)} |\n|--:|--:|--:|{'--:|' * len(POSTS)}\n"
    rates = [_row(made, name)["ours"] for name in POSTS.values()]
    rows = []
    for devices, every_s in FLEETS:
        pings_s = devices / every_s
        shares = [f"{share:.1%}" if (share := pings_s / rate) < 1 else "more than a core" for rate in rates]
        rows.append(f"| {devices:,} | {every_s} s | {figure(pings_s)} | {' | '.join(shares)} |\n")
    return head + "".join(rows)


def _short(made: dict[str, Any], names: Sequence[str]) -> str:
    """One line for each peer of these: its name, and how many times as much ours does."""
    lines = [row for row in made["lines"] if row["name"] in names]
    head = f"| on one core, {made['machine']['processor']}, {made['date']} | beside | ratio |\n|---|---|--:|\n"
    return head + "".join(f"| {row['what']} | {row['peer']} | {ratio(row['ratio'])} |\n" for row in lines)


def _rates(made: dict[str, Any], names: Sequence[str]) -> str:
    """One line for each of these: how much of it in a second, on one core, and how that is measured."""
    rows = [_row(made, name) for name in names]
    return "| on one core | a second | command |\n|---|--:|---|\n" + "".join(
        f"| {row['what']} | {figure(row['ours'])} {row['unit']} | `python -m benchmarks {row['name']}` |\n"
        for row in rows
    )


def _live(made: dict[str, Any], names: Sequence[str]) -> str:
    """How long a message and an answer take under a steady load."""
    waits = ("ping to webhook request, p50, p99", "answer, p50, p99", "a bare commit, p99")
    head = ("load", *waits, "processor a ping", "command")
    rows = [made["live"][name] for name in names if name in made["live"]]
    return f"| {' | '.join(head)} |\n|---|--:|--:|--:|--:|---|\n" + "".join(map(_live_row, rows))


def _live_row(row: dict[str, Any]) -> str:
    command = " ".join(str(row[key]) for key in ("rate", "seconds", "batch", "fences", "share"))
    cells = [f"{row[f'{what}_p50_ms']:.1f} ms, {row[f'{what}_p99_ms']:.1f} ms" for what in ("handoff", "ack")]
    cells += [f"{row['bare_p99_ms']:.1f} ms", f"{row['cpu_us']:.1f} µs", f"`python -m benchmarks.live {command}`"]
    return f"| {row['pings_s']:,.0f} pings/s, {row['batch']:,} a post | {' | '.join(cells)} |\n"


def _cluster(_: dict[str, Any], names: Sequence[str]) -> str:
    """What the scaled-out form gave, with the day and the machine's load before."""
    made = record.read(names[0])
    rows = "".join(f"| {what} | {found} | {beside} |\n" for what, found, beside in made["lines"])
    machine = made["machine"]
    head = f"| {made['date']}, {machine['processor']}, {machine['cores']} cores, load before {machine['load_before']} "
    return f"{head}| measured | beside |\n|---|---|---|\n{rows}"


def _gateways(_: dict[str, Any], names: Sequence[str]) -> str:
    """What a ping costs by how many post at once, and how much."""
    made = record.read(names[0])
    rows = [
        f"| {batch:,} | {gateways} | {batch * gateways:,} | {us:.2f} µs | {least:.2f} to {most:.2f} µs |\n"
        for batch, gateways, us, least, most in made["lines"]
    ]
    head = f"| {made['date']}, {made['machine']['processor']}: pings a post | posts at once | pings under way "
    return f"{head}| processor a ping | over rounds |\n|--:|--:|--:|--:|--:|\n{''.join(rows)}"


def _scaling(_: dict[str, Any], names: Sequence[str]) -> str:
    """What a point costs along each of these curves, and beside the cheapest of its curve."""
    made = record.read("scaling")
    rows = []
    for name in names:
        figures = [(at, value, unit) for curve, at, value, unit in made["lines"] if curve == name]
        costs = {at: value for at, value, unit in figures if unit == "ns a point"}
        held = {at: value for at, value, unit in figures if unit == "MB held"}
        rows += [
            f"| {SCALES[name].format(at)} | {ns:.0f} ns | {figure(1e9 / ns)} | {ns / min(costs.values()):.2f} | "
            f"{held[at]:,.0f} MB |\n"
            for at, ns in costs.items()
        ]
    head = f"| {made['date']}, {made['machine']['processor']} | a point | points/s | beside the cheapest | the index |"
    return f"{head}\n|---|--:|--:|--:|--:|\n{''.join(rows)}"


def _built(_: dict[str, Any], names: Sequence[str]) -> str:
    """What builds and edits cost."""
    told: dict[str, list[str]] = {}
    for curve, at, value, unit in record.read("scaling")["lines"]:
        if curve in names:
            told.setdefault(f"{at} fences, built" if curve == "build" else at, []).append(
                f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2g} {unit}"
            )
    return "| what | measured |\n|---|---|\n" + "".join(f"| {at} | {', '.join(t)} |\n" for at, t in told.items())


SCALES = {
    "fences": "{} fences, evenly laid", "rough": "1,000 fences of {} corners, as of a shore",
    "spiky": "1,000 fences of {} corners, spikes between 0.6 and 1 of the radius",
    "sizes": "10,000 fences, {}",
}  # fmt: skip
"""What each curve of `benchmarks.scaling` goes along."""


def _row(made: dict[str, Any], name: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in made["lines"] if row["name"] == name)
    return row


PARTS = {
    "machine": _machine, "table": _table, "forms": _forms, "data": _data, "fleets": _fleets, "short": _short,
    "rates": _rates, "live": _live, "cluster": _cluster, "scaling": _scaling, "built": _built,
    "gateways": _gateways,
}  # fmt: skip


def main() -> None:
    """Rewrite the pages and the pictures."""
    made = record.read("full")
    for name, curve in made["curves"].items():
        (record.RESULTS / f"{name}.svg").write_text(picture(curve), encoding="utf-8")
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
