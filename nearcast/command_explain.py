"""`nearcast explain`: why somebody did or did not get a message, in words for the people who write rules.

Owns the words, and what is said when nothing is kept. The decisions are those that were made; nothing is decided anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson
from rich.console import Console
from rich.text import Text

from connectors.clock import MachineClock
from engine.ids import instant
from engine.outward import message_of, one_line
from engine.ports import DecisionQuery
from engine.rfc3339 import instant_ms
from geo.mistake import did_you_mean
from nearcast.explain_rules import Mark, RuleBook, flow
from nearcast.fault import ExitCode, UsageFaultError
from nearcast.folder import read_folder
from nearcast.kept import open_kept
from nearcast.site_store import settings_of
from rules.facts import Reason
from rules.units import format_duration, parse_duration, parse_instant
from rules.windows import resolve
from rules.zones import clock_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.settings import Settings
    from nearcast.kept import Kept

#: More decisions than this are not shown at once.
_SHOWN_MAX = 1_000

_WORDS = {
    Reason.SENT: "sent",
    Reason.STALE: "it was known too late: the occasion was older than the rule allows",
    Reason.LOW_ACCURACY: "the position was not exact enough",
    Reason.MOCKED: "the position was mocked: set by an app, not measured",
    Reason.WINDOW: "it was outside of the rule's times",
    Reason.AUDIENCE: "the person is not in the rule's audience",
    Reason.CONSENT: "the person has not given the consent that the rule asks for",
    Reason.UNKNOWN: "something that the rule asks for is not known of the person",
    Reason.COOLDOWN: "the rule had messaged them not long before",
    Reason.CAP: "they had had as many messages as the cap allows",
    Reason.QUIET_HOURS: "it was in their quiet hours",
    Reason.NOT_TEST_USER: "the rule is in test, and they are no test user",
}
_SIGNS = {
    Mark.HELD: ("+", "green", ""),
    Mark.FAILED: ("x", "bold red", "  <- this one"),
    Mark.BESIDE: (" ", "default", ""),
    Mark.NOT_ASKED: (" ", "dim", "  (not asked)"),
}


@dataclass(frozen=True, slots=True)
class ExplainQuery:
    """What the command line asks. `since` is as it was typed."""

    user: str
    rule: str | None = None
    since: str | None = None
    from_store: bool = False
    as_json: bool = False


def explain_user(site: Path, query: ExplainQuery) -> ExitCode:
    """Print the kept decisions of a user. Raises `StoreError`, `MistakesError`, and `UsageFaultError` for `since`."""
    files = read_folder(site)
    settings = settings_of(files)
    since_ms = None if query.since is None else parse_since(query.since, MachineClock().now_ms(), settings.timezone)
    err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
    with open_kept(site, settings, from_store=query.from_store, note=err.print) as kept:
        asked = DecisionQuery(user=query.user, rule=query.rule, since_ms=since_ms, limit=_SHOWN_MAX)
        decisions = kept.decisions(asked)
        book = RuleBook(chain([files], kept.versions()))
        if query.as_json:
            found = [_with_clauses(decision, book, kept) for decision in decisions]
            head = {"user": asked.user, "rule": asked.rule, "since": None if since_ms is None else instant(since_ms)}
            sys.stdout.write(orjson.dumps({**head, "decisions": found}).decode() + "\n")
            return ExitCode.GOOD
        out = Console(highlight=False, soft_wrap=True, emoji=False)
        for decision in reversed(decisions):
            _print(out, decision, book, kept, settings)
        if not decisions:
            for line in _why_nothing(asked, book, kept, settings):
                err.print(line)
        elif len(decisions) == _SHOWN_MAX:
            err.print(f"these are the newest {_SHOWN_MAX:,}, narrow it down with `--rule` or `--since`")
    return ExitCode.GOOD


def parse_since(text: str, now_ms: int, timezone: str) -> int:
    """`2h` before now, an instant, or a local time in the site's zone, as epoch milliseconds. Raises `UsageFaultError`.

    >>> parse_since("2h", 10_000_000, "UTC"), parse_since("1970-01-01T09:00", 0, "Asia/Tokyo")
    (2800000, 0)
    """
    ago_ms = parse_duration(text)
    if ago_ms is not None:
        return now_ms - ago_ms
    moment = parse_instant(text)
    if moment is None:
        raise UsageFaultError(f"`--since` needs `2h`, `7d` or `2026-11-25T17:00+09:00`, got `{text}`")
    return moment if isinstance(moment, int) else resolve(moment, ZoneInfo(timezone))


def _with_clauses(decision: Mapping[str, Any], book: RuleBook, kept: Kept) -> dict[str, Any]:
    """A decision as the API gives it, its clauses with what became of each, and its deliveries."""
    return {
        **decision,
        "clauses": [
            {"path": clause.path, "text": clause.text, "mark": clause.mark.value} for clause in book.clauses(decision)
        ],
        "deliveries": _deliveries(decision, kept),
    }


def _deliveries(decision: Mapping[str, Any], kept: Kept) -> list[dict[str, Any]]:
    """What became of the messages of a decision to send."""
    found = []
    for delivery in kept.deliveries(decision["key"]):
        message = message_of(delivery.body)
        state = {"outcome": delivery.state.value, "attempts": delivery.attempts, "detail": delivery.detail}
        found.append({**{name: message[name] for name in ("key", "channel", "title", "body")}, **state})
    return found


def _print(out: Console, decision: Mapping[str, Any], book: RuleBook, kept: Kept, settings: Settings) -> None:
    sent = decision["outcome"] == "send"
    occasion = decision["occasion"]
    zone = ZoneInfo(settings.timezone)
    head = Text(_local(occasion["time"], zone) + "  ")
    head.append(decision["rule"], "bold")
    head.append(f"  {occasion['kind']}" + (f" {decision['place']}" if decision["place"] else ""))
    head.append("  sent" if sent else f"  not sent: {decision['reason']}", "bold green" if sent else "bold red")
    out.print(head)
    if not sent:
        _line(out, f"  {_WORDS[Reason(decision['reason'])]}")
    device = f"device {decision['device']}, " if decision["device"] else ""
    _line(out, f"  {device}decided {_local(decision['time'], zone)} ({zone.key})", "dim")
    clauses = book.clauses(decision)
    for clause in clauses:
        sign, style, note = _SIGNS[clause.mark]
        _line(out, f"  {sign} {clause.path}: {clause.text}{note}", style)
    if not clauses:
        note = f"  the rule was changed since, its version {decision['rule_version']} is not kept any more"
        _line(out, note, "dim")
        if decision["clause"]:
            _line(out, f"  x {decision['clause']}", "bold red")
    for name, value in decision["values"].items():
        _line(out, f"    seen: {_seen(name, value, zone)}")
    for delivery in _deliveries(decision, kept):
        tries = "" if delivery["attempts"] < 2 else f" after {delivery['attempts']} attempts"
        detail = f" ({delivery['detail']})" if delivery["detail"] else ""
        _line(out, f"    {delivery['channel']}: {delivery['title']} · {delivery['body']}")
        _line(out, f"    {delivery['outcome']}{tries}{detail}")
    out.print()


def _line(out: Console, text: str, style: str = "") -> None:
    """One line: what people are called, and what is known of them, may come from anybody's app."""
    out.print(Text(one_line(text), style))


def _local(time: str, zone: ZoneInfo) -> str:
    """An instant as people of the site read it: the zone is told beside it."""
    time_ms = instant_ms(time)
    return time if time_ms is None else clock_text(time_ms, zone)[:19].replace("T", " ")


def _seen(name: str, value: Any, zone: ZoneInfo) -> str:
    """One value that was looked at, in words.

    >>> _seen("cooldown.of_ms", 7_200_000, ZoneInfo("UTC")), _seen("attribute.tier", None, ZoneInfo("UTC"))
    ('cooldown.of = 2h', 'attribute.tier is not known')
    """
    if value is None:
        return f"{name} is not known"
    if name.endswith("_ms") and isinstance(value, int):
        short = name.removesuffix("_ms")
        return f"{short} = {clock_text(value, zone) if short.endswith('last') else format_duration(value)}"
    if name.endswith("_m") and isinstance(value, int | float):
        return f"{name.removesuffix('_m')} = {value:g} m"
    return f"{name} = {flow(value)}"


def _why_nothing(query: DecisionQuery, book: RuleBook, kept: Kept, settings: Settings) -> Iterator[str]:
    """What is said when no decision is kept: what that may come from, the likeliest first."""
    user, rule = query.user or "", query.rule
    asked = f" by `{rule}`" if rule else ""
    yield f"no decision{asked} about `{user}` is kept" + (
        f" since {instant(query.since_ms)}" if query.since_ms is not None else ""
    )
    if rule is not None and rule not in book.ids():
        yield f"- there is no rule `{rule}`, {did_you_mean(rule, book.ids())}"
    others = kept.decisions(DecisionQuery(user=user, limit=1)) if rule or query.since_ms is not None else []
    if others:
        yield f"- there are others: the newest is of `{others[0]['rule']}` at {others[0]['time']}"
        return
    keep = format_duration(settings.keep.decisions_ms)
    yield "- no rule had an occasion: the person entered no place that a rule in `state: live` or `test` asks for"
    yield "- or the person is known by another id: where no ping names a user, it is the device's id"
    yield f"- or it is longer ago than decisions are kept ({keep}, the setting `keep.decisions`)"
    yield from kept.hints(user)
