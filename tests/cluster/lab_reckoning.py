"""What the lab's pings owe, from the oracle and SHA-256 alone, and how what came differs from it.

Owns the comparison of sets: every decision that is due is there with its outcome and reason, nothing else is, and what
came to the sink is what was decided. Must not know how decisions and messages were got.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster.lab_world import SCARCE_MAX, user_of
from tests.exact.oracle import transitions
from tests.live.reckoning import h

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.exact.oracle import Fence

#: So many of a kind of difference are named, the others counted.
NAMED_MAX = 5


@dataclass(frozen=True)
class Due:
    """One decision that is due. `outcome` and `reason` are None where devices of one person race for a limit."""

    key: str
    rule: str
    user: str
    device: str
    place: str
    kind: str
    time_ms: int
    outcome: str | None = None
    reason: str | None = None


def reckon(pings: Iterable[dict[str, Any]], fences: Sequence[Fence]) -> dict[str, Due]:
    """The decisions that are due by key, up to the last fix of each device: what is later is a timer's."""
    listed = list(pings)
    last: dict[str, int] = {}
    for ping in listed:
        last[ping["device"]] = max(last.get(ping["device"], 0), ping["time"])
    due = {}
    for move, entered_ms in _with_entry(transitions(listed, fences)):
        device, place, kind, time_ms = move
        if time_ms > last[device]:
            continue
        transition = h(h(device, place, str(entered_ms)), kind)
        for rule, outcome, reason in _rules(kind):
            key = h(rule, user_of(device), transition)
            due[key] = Due(key, rule, user_of(device), device, place, kind, time_ms, outcome, reason)
    return due


def _with_entry(moves: Iterable[tuple[str, str, str, int]]) -> Iterable[tuple[tuple[str, str, str, int], int]]:
    """Each transition with the time at which its stay began."""
    stays: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for device, place, kind, time_ms in moves:
        stays[device, place].append((time_ms, kind))
    for (device, place), each in stays.items():
        began_ms = 0
        for time_ms, kind in sorted(each, key=lambda m: (m[0], m[1] == "entered")):
            began_ms = time_ms if kind == "entered" else began_ms
            yield (device, place, kind, time_ms), began_ms


def _rules(kind: str) -> list[tuple[str, str | None, str | None]]:
    if kind == "exited":
        return [("left", "suppress", "audience")]
    return [("hello", "send", "sent"), ("scarce", None, None), ("once", None, None)]


def compare(
    due: dict[str, Due], decided: dict[str, dict[str, Any]], arrived: set[str], *, passes: bool = False
) -> list[str]:
    """What is wrong with decisions (by key, as the HTTP interface tells them) and with the keys at the sink.

    With `passes` limits may have been passed, as after a store lost what it had counted.
    """
    wrong = _named("decisions missing", [due[key] for key in due.keys() - decided.keys()])
    wrong += _named("decisions not due", [decided[key] for key in decided.keys() - due.keys()])
    both = due.keys() & decided.keys()
    wrong += _named(
        "decided otherwise", [(due[key], decided[key]) for key in both if not _fits(due[key], decided[key])]
    )
    wrong += _limits(due, {key: decided[key] for key in both}, passes=passes)
    sent = {h(key, "0") for key, decision in decided.items() if decision["outcome"] == "send"}
    wrong += _named("messages missing", list(sent - arrived))
    return wrong + _named("messages not decided", list(arrived - sent))


def _fits(due: Due, decision: dict[str, Any]) -> bool:
    mine = (due.rule, due.user, due.device, due.place, due.kind)
    theirs = (*(decision[name] for name in ("rule", "user", "device", "place")), decision["occasion"]["kind"])
    told = (decision["outcome"], decision["reason"])
    if due.rule == "scarce":
        return mine == theirs and told in (("send", "sent"), ("suppress", "cap"))
    if due.rule == "once":
        return mine == theirs and told in (("send", "sent"), ("suppress", "cooldown"))
    return mine == theirs and told == (due.outcome, due.reason)


def _limits(due: dict[str, Due], decided: dict[str, dict[str, Any]], *, passes: bool) -> list[str]:
    """The limits that are raced for: they are reached exactly, and never passed."""
    asked: Counter[tuple[str, ...]] = Counter()
    sent: Counter[tuple[str, ...]] = Counter()
    for key, decision in decided.items():
        one = due[key]
        if one.rule in ("scarce", "once"):
            who = (one.rule, one.user) if one.rule == "scarce" else (one.rule, one.user, one.place)
            asked[who] += 1
            sent[who] += decision["outcome"] == "send"
    most = {"scarce": SCARCE_MAX, "once": 1}
    passed = [] if passes else [(who, sent[who]) for who in asked if sent[who] > most[who[0]]]
    return _named("limits passed", passed) + _named(
        "limits not reached", [(who, sent[who]) for who, n in asked.items() if sent[who] < min(n, most[who[0]])]
    )


def _named(what: str, found: list[Any]) -> list[str]:
    return [f"{len(found)} {what}: {'; '.join(map(str, found[:NAMED_MAX]))}"] if found else []
