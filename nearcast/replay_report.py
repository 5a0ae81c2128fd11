"""What a replay counts, writes and prints.

Owns the counts by rule, reason and hour, and their two forms: a table for people, one object for programs. Must not
know how a recording is folded.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, TextIO

from engine.ids import instant
from engine.outward import decision_line, to_json
from engine.told_lines import TransitionLines
from nearcast.terminal import console_on
from rules.facts import Kind, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from engine.step import Effects
    from nearcast.recording_raw import Skipped
    from nearcast.replay_options import ReplayOptions

_HOUR_MS = 3_600_000
#: So many left-out lines are shown; all are counted.
_SKIPPED_SHOWN = 10


@dataclass(slots=True)
class Tally:
    """Counts of a replay, and the files that its lines go to as it runs."""

    decisions: IO[bytes] | None = None
    transitions: IO[bytes] | None = None
    pings: int = 0
    duplicate: int = 0
    late: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Skipped] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    decided: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    hours: Counter[tuple[int, str]] = field(default_factory=Counter)
    events_ahead: int = 0
    skipped: int = 0
    shown: list[Skipped] = field(default_factory=list)
    _lines: TransitionLines = field(default_factory=TransitionLines)

    def effects(self, effects: Effects) -> None:
        """Count one step, and write its lines."""
        for counted in effects.counted:
            self.pings += int(counted.accepted.sum() + counted.duplicate.sum())
            self.duplicate += int(counted.duplicate.sum())
            self.late += int(counted.late.sum())
        self.kinds.update({kind.value: count for kind, count in effects.transitions.counts().items() if count})
        if self.transitions is not None:
            for telling in effects.transitions.tellings:
                self.transitions.write(self._lines.of(telling))
        for decision in effects.decisions:
            self.decided[decision.rule, decision.outcome.value, decision.reason.value] += 1
            self.hours[decision.time_ms // _HOUR_MS, decision.outcome.value] += 1
            if self.decisions is not None:
                self.decisions.write(to_json(decision_line(decision)) + b"\n")

    def reject(self, first: Skipped, count: int) -> None:
        """Count pings that were refused for their time; the first of all is shown."""
        self.rejected[first.reason] += count
        self.refused.setdefault(first.reason, first)

    def skip(self, skipped: Skipped) -> None:
        """Count a line that could not be read; the first few are shown."""
        self.skipped += 1
        if len(self.shown) < _SKIPPED_SHOWN:
            self.shown.append(skipped)

    def as_json(self) -> dict[str, Any]:
        """The counts as `--json` prints them."""
        return {
            "pings": self.pings,
            "transitions": {k.value: self.kinds[k.value] for k in Kind if k not in (Kind.EVENT, Kind.TIMER)},
            "decisions": [
                {"rule": rule, "outcome": outcome, "reason": reason, "count": count}
                for (rule, outcome, reason), count in sorted(self.decided.items())
            ],
        }


class _NoBar:
    """Nobody watches."""

    def advance(self, count: int) -> None:
        """So much is done."""


@contextmanager
def progress_bar(options: ReplayOptions, unit: str) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere; it goes to standard error."""
    if options.as_json or not sys.stderr.isatty():
        yield _NoBar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replay", total=None)

        class Bar:
            def advance(self, count: int) -> None:
                progress.advance(task, count)

        yield Bar()


def report_left_out(tally: Tally, options: ReplayOptions) -> None:
    """Print to standard error what was left out, and what was assumed."""
    notes = [str(skipped) for skipped in tally.shown]
    if tally.skipped > len(tally.shown):
        notes.append(f"... and {tally.skipped - len(tally.shown):,} more lines left out")
    notes += [_refusal(tally.refused[reason], count) for reason, count in sorted(tally.rejected.items())]
    if tally.events_ahead:
        notes.append(_events_ahead(tally.events_ahead))
    if options.assume_consent:
        notes.append("consent that is missing was taken as given (--assume-consent): live, such people get nothing")
    if notes:
        console_on(sys.stderr).print("\n".join(notes), markup=False, soft_wrap=True)


def _events_ahead(count: int) -> str:
    """What is said of events that no ping's time has reached."""
    events, their = ("1 event lies", "it was") if count == 1 else (f"{count:,} events lie", "they were")
    return (
        f"{events} far ahead of all pings before: {their} decided at the newest ping's time, since the clock is the "
        "pings'; record pings up to the events, as they came"
    )


def _refusal(first: Skipped, count: int) -> str:
    """How many pings were refused for a reason, and the first of them. Of those that were sorted no line is known."""
    pings = "1 ping" if count == 1 else f"{count:,} pings"
    if not first.line:
        return f"{pings} refused: {first.reason}: {first.detail}"
    return f"{pings} refused, the first: {first}" if count > 1 else f"{pings} refused: {first}"


def report(tally: Tally, options: ReplayOptions, out: TextIO, *, acting: bool = True) -> None:
    """Print the counts to `out`. `acting` tells whether any rule of the site is in a state that lets it decide."""
    if options.as_json:
        out.write(to_json(tally.as_json()).decode() + "\n")
        return
    _print_tables(tally, console_on(out), acting=acting)


def _print_tables(tally: Tally, console: Console, *, acting: bool) -> None:
    moves = ", ".join(f"{n:,} {kind}" for kind, n in sorted(tally.kinds.items())) or "no transitions"
    console.print(f"{tally.pings:,} pings ({tally.duplicate:,} repeated, {tally.late:,} late): {moves}")
    if not tally.decided:
        told = "no rule had an occasion: do its places and kinds of transition come up in this recording?"
        console.print(told if acting else "no rule of the site is in `state: live` or `test`, so none decides anything")
        return
    from rich.table import Column, Table

    table = Table(Column("rule", overflow="fold"), "sent", "suppressed", "why not", title="decisions by rule")
    for rule in sorted({r for r, _, _ in tally.decided}):
        sent = tally.decided[rule, Outcome.SEND.value, Reason.SENT.value]
        reasons = {x: n for (r, o, x), n in tally.decided.items() if r == rule and o == Outcome.SUPPRESS.value}
        why = ", ".join(f"{x} {reasons[x]:,}" for x in (m.value for m in Reason) if x in reasons)
        table.add_row(rule, f"[green]{sent:,}[/]", f"{sum(reasons.values()):,}", why)
    console.print(table)
    hours = Table("hour (UTC)", "sent", "suppressed", title="decisions by hour")
    for hour in sorted({h for h, _ in tally.hours}):
        sent, kept = (tally.hours[hour, o.value] for o in (Outcome.SEND, Outcome.SUPPRESS))
        hours.add_row(instant(hour * _HOUR_MS)[:13].replace("T", " ") + "h", f"[green]{sent:,}[/]", f"{kept:,}")
    console.print(hours)
