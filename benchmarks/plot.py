"""A picture of a curve, as SVG: both axes logarithmic, each line named where it ends.

Owns how it looks. Must not know what was measured. A line's spread, the least to the most of its rounds, is a thin bar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from benchmarks.table import figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 76, 176, 64, 56
COLOURS = ("#d9480f", "#1971c2", "#2f9e44", "#9c36b5", "#868e96", "#e8a200", "#0c8599")
"""Ours first."""
LABEL_APART = 16
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #343a40 }
.title { font-size: 16px; font-weight: 600 }
.grid { stroke: #e9ecef } .paper { fill: #ffffff }
@media (prefers-color-scheme: dark) { text { fill: #ced4da } .grid { stroke: #343a40 } .paper { fill: #14171a } }
"""


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis between two values, from one pixel to another."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.first + share * (self.last - self.first)

    def decades(self) -> Iterator[float]:
        for power in range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1):
            yield 10.0**power


def picture(curve: dict[str, Any]) -> str:
    """The SVG of a curve of `curves.draw`."""
    series: dict[str, list[list[float]]] = curve["series"]
    points = [point for line in series.values() for point in line]
    xs, lows, highs = [p[0] for p in points], [p[2] for p in points], [p[3] for p in points]
    x = _Axis(min(xs), max(*xs, min(xs) * 10), LEFT, WIDTH - RIGHT)
    y = _Axis(10 ** math.floor(math.log10(min(lows))), 10 ** math.ceil(math.log10(max(highs))), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(curve["title"])}">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{LEFT}" y="26">{escape(curve["title"])}</text>',
        f'<text x="{LEFT}" y="46">{escape(curve["y"])}, of one core; more is better</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(curve["x"])}</text>',
        *_grid(x, y, sorted(set(xs))),
    ]
    ends = _apart([(y.at(line[-1][1]), name) for name, line in series.items()])
    for n, (name, line) in enumerate(series.items()):
        parts += _line(x, y, line, COLOURS[n % len(COLOURS)], name, ends[name], is_ours=n == 0)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid(x: _Axis, y: _Axis, sizes: Sequence[float]) -> Iterator[str]:
    for value in y.decades():
        at = y.at(value)
        yield f'<line class="grid" x1="{x.first}" x2="{x.last}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{x.first - 10}" y="{at + 4:.1f}" text-anchor="end">{_short(value)}</text>'
    for value in sizes:
        yield f'<text x="{x.at(value):.1f}" y="{y.first + 22}" text-anchor="middle">{_short(value)}</text>'


def _line(
    x: _Axis, y: _Axis, line: Sequence[Sequence[float]], colour: str, name: str, label_y: float, *, is_ours: bool
) -> Iterator[str]:
    width = 3 if is_ours else 1.75
    path = " ".join(f"{x.at(p[0]):.1f},{y.at(p[1]):.1f}" for p in line)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
    for size, median, least, most in line:
        at = x.at(size)
        yield (
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y.at(least):.1f}" y2="{y.at(most):.1f}" stroke="{colour}"/>'
            f'<circle cx="{at:.1f}" cy="{y.at(median):.1f}" r="{width + 1}" fill="{colour}"/>'
        )
    weight = ' style="font-weight:600"' if is_ours else ""
    yield f'<text x="{x.at(line[-1][0]) + 14:.1f}" y="{label_y + 4:.1f}"{weight}>{escape(name)}</text>'


def _apart(ends: Sequence[tuple[float, str]]) -> dict[str, float]:
    """Where the names go: at their lines' ends, moved down where they would lie on each other.

    >>> _apart([(10.0, "a"), (12.0, "b"), (80.0, "c")])
    {'a': 10.0, 'b': 26.0, 'c': 80.0}
    """
    placed: dict[str, float] = {}
    last = -math.inf
    for at, name in sorted(ends):
        last = placed[name] = max(at, last + LABEL_APART)
    return placed


def _short(value: float) -> str:
    """A number of an axis.

    >>> [_short(v) for v in (1, 24, 1600, 50_000, 1e6)]
    ['1', '24', '1.6 k', '50 k', '1 M']
    """
    text = figure(value)
    number, _, unit = text.partition(" ")
    return f"{float(number):g} {unit}".strip()
