"""The laws of rules: which of them judge an occasion, and the one reason that each must give.

Owns a small decider, written anew from the contract over the rules' documents. Must not know `rules/` or `engine/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.sim.town import SETTINGS, TEST_USERS, Town

Truth = bool | None
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def ms_of(text: str) -> int:
    """The milliseconds of a duration such as `30s`."""
    return int(text[:-1]) * _UNITS[text[-1]]


@dataclass
class Held:
    """A reservation: a `send` decision with what is still pending of it."""

    key: str
    rule: str
    tags: list[str]
    place: str | None
    at_ms: int
    test: bool
    pending: set[str]
    handed_over: bool = False


@dataclass
class Person:
    """What is known of a user."""

    name: str
    consent: dict[str, bool] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    timezone: str | None = None
    events: list[tuple[int, str]] = field(default_factory=list)
    event_ids: set[str] = field(default_factory=set)
    inside: dict[str, int] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)


@dataclass(frozen=True)
class What:
    """An occasion, as the contract tells it. `located`: it is of a device, whose newest fix is judged."""

    kind: str
    id: str
    time_ms: int
    place: str | None = None
    dwell_ms: int | None = None
    cause: str = ""
    accuracy_m: float | None = None
    mocked: bool = False
    located: bool = True
    type: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class Book:
    """The rules of one version of the town, as documents."""

    def __init__(self, town: Town, before: Book | None = None) -> None:
        self.places = town.places()
        #: A place that an edit took away is judged as it was last.
        self.about = (before.places if before is not None else {}) | self.places
        rules = [r for r in town.rules.values() if r["state"] in ("live", "test")]
        self.rules = {r["id"]: r for r in sorted(rules, key=lambda r: (-r.get("priority", 0), r["id"]))}
        self._known: dict[tuple[str, str, int | None], list[dict[str, Any]]] = {}
        self._timers = [
            (rule, n, trigger, self._watched(trigger))
            for rule in self.rules.values()
            for n, trigger in enumerate(self.triggers(rule))
            if trigger["event"] == "timer"
        ]

    def triggers(self, rule: dict[str, Any]) -> list[dict[str, Any]]:
        """The triggers of a rule."""
        found: list[dict[str, Any]] = rule["trigger"].get("any", [rule["trigger"]])
        return found

    def means(self, ref: dict[str, str], place: str) -> bool:
        """Whether a place is meant."""
        about = self.about.get(place, {})
        if "id" in ref:
            return ref["id"] == place
        return ref["tag"] in about.get("tags", ()) if "tag" in ref else ref["group"] == about.get("group")

    def judging(self, what: What) -> list[dict[str, Any]]:
        """The rules that must decide on an occasion, each once, in their order."""
        if what.kind == "event":
            return [r for r in self.rules.values() if any(self._fits(t, what) for t in self.triggers(r))]
        key = (what.kind, what.place or "", what.dwell_ms)
        if key not in self._known:
            self._known[key] = [r for r in self.rules.values() if any(self._fits(t, what) for t in self.triggers(r))]
        if what.kind == "entered" and what.cause == "edited":
            return [r for r in self._known[key] if r.get("initial") == "fire"]
        return self._known[key]

    def _fits(self, trigger: dict[str, Any], what: What) -> bool:
        if what.kind == "event":
            wanted = trigger.get("where", {}).get("data.sku")
            return trigger["event"] == what.type and (wanted is None or what.data.get("sku") in wanted)
        if trigger["event"] != what.kind or (what.kind == "dwelled" and ms_of(trigger["for"]) != what.dwell_ms):
            return False
        return self.means(trigger["place"], what.place or "")

    def zone(self, choice: str, place: str | None, person: Person) -> ZoneInfo:
        """The time zone that `place`, `user` or a name means."""
        if choice not in ("place", "user"):
            return ZoneInfo(choice)
        about = self.about.get(place, {}).get("timezone") if place is not None else None
        first, second = (person.timezone, about) if choice == "user" or place is None else (about, None)
        return ZoneInfo(first or second or SETTINGS["timezone"])

    # -- the reason ------------------------------------------------------------------------------------------------

    def reason(self, rule: dict[str, Any], what: What, person: Person, now_ms: int) -> str:
        """The first reason that applies."""
        if now_ms - what.time_ms > ms_of(rule.get("max_event_age", "15m")):
            return "stale"
        if (
            what.located
            and "max_accuracy" in rule
            and not (what.accuracy_m or 10**9) <= float(rule["max_accuracy"][:-1])
        ):
            return "low_accuracy"
        if what.mocked and rule.get("mocked") != "allow":
            return "mocked"
        if not self._open(rule, what, person):
            return "window"
        clauses = rule["audience"]["all"]
        if _all(self._clause(c, person, now_ms, given=True) for c in clauses) is False:
            return "audience"
        truth = _all(self._clause(c, person, now_ms, given=False) for c in clauses)
        if truth is not True:
            return "consent" if truth is False else "unknown"
        return self._limits(rule, what, person, now_ms)

    def _open(self, rule: dict[str, Any], what: What, person: Person) -> bool:
        if "schedule" not in rule:
            return True
        shown = _local(what.time_ms, self.zone("place", what.place, person))
        clock = f"{shown:%H:%M}"
        return any(w["from"] <= clock < w["to"] for w in rule["schedule"]["windows"])

    def _clause(self, clause: dict[str, Any], person: Person, now_ms: int, *, given: bool) -> Truth:
        if "not" in clause:
            below = self._clause(clause["not"], person, now_ms, given=given)
            return None if below is None else not below
        if "consent" in clause:
            return given or person.consent.get(clause["consent"]) is True
        if "attribute" in clause:
            value = person.attributes.get(clause["attribute"])
            return None if value is None else value in clause["in"]
        if "inside" in clause:
            return any(n > 0 and self.means(clause["inside"], p) for p, n in person.inside.items())
        count, since = clause["event_count"], now_ms - ms_of(clause["event_count"]["within"])
        return sum(t > since and kind == count["type"] for t, kind in person.events) >= count["min"]

    def _limits(self, rule: dict[str, Any], what: What, person: Person, now_ms: int) -> str:
        test = rule["state"] == "test"
        held = [h for h in person.held if h.test is test]
        limits = rule.get("limits", {})
        cooldown = limits.get("cooldown")
        if cooldown is None and what.kind in ("entered", "dwelled", "crossed"):
            cooldown = {"per": "user-place", "of": "1h"}
        if isinstance(cooldown, dict):
            since = now_ms - ms_of(cooldown["of"])
            mine = [h for h in held if h.rule == rule["id"] and h.at_ms > since]
            if any(cooldown["per"] == "user" or h.place == what.place for h in mine):
                return "cooldown"
        for cap in limits.get("caps", ()):
            if self._count(cap, rule, held, what, person, now_ms) >= cap["max"]:
                return "cap"
        if self.is_quiet(rule, what.place, person, now_ms):
            return "quiet_hours"
        return "not_test_user" if test and person.name not in TEST_USERS else "sent"

    def _count(
        self, cap: dict[str, Any], rule: dict[str, Any], held: list[Held], what: What, person: Person, now_ms: int
    ) -> int:
        if cap["per"] == "day":
            shown = _local(now_ms, self.zone(cap.get("timezone", "user"), what.place, person))
            midnight = shown.replace(hour=0, minute=0, second=0, microsecond=0)
            since = round(midnight.timestamp() * 1000) - 1
        else:
            since = now_ms - ms_of(cap["per"])
        scope = cap["scope"]
        return sum(
            h.at_ms > since
            and (
                scope == "all"
                or (scope == "rule" and h.rule == rule["id"])
                or (scope == "tag" and cap["tag"] in h.tags)
            )
            for h in held
        )

    def is_quiet(self, rule: dict[str, Any], place: str | None, person: Person, now_ms: int) -> bool:
        """Whether the rule's quiet hours hold. They span midnight."""
        if "quiet_hours" not in rule:
            return False
        quiet = rule["quiet_hours"]
        clock = f"{_local(now_ms, self.zone(quiet['timezone'], place, person)):%H:%M}"
        return clock >= quiet["from"] or clock < quiet["to"]

    # -- timers ----------------------------------------------------------------------------------------------------

    def instants(self, after_ms: int, until_ms: int) -> list[tuple[int, dict[str, Any], dict[str, list[str] | None]]]:
        """The instants of timers after one instant and up to another: when, which rule, which places (None: all)."""
        found: dict[tuple[int, str], dict[str, list[str] | None]] = {}
        for rule, number, trigger, watched in self._timers:
            for zone, places in watched.items():
                for at_ms in _at(trigger, zone, after_ms, until_ms):
                    found.setdefault((at_ms, rule["id"]), {})[f"{number} {zone}"] = places
        return [(at_ms, self.rules[rule], places) for (at_ms, rule), places in sorted(found.items())]

    def _watched(self, trigger: dict[str, Any]) -> dict[str, list[str] | None]:
        if "inside" not in trigger:
            return {trigger.get("timezone", SETTINGS["timezone"]): None}
        found: dict[str, list[str] | None] = {}
        for place, about in self.places.items():
            if self.means(trigger["inside"], place):
                listed = found.setdefault(trigger.get("timezone") or about["timezone"], [])
                assert listed is not None
                listed.append(place)
        return found


def _at(trigger: dict[str, Any], zone: str, after_ms: int, until_ms: int) -> list[int]:
    """When a local clock shows the trigger's time, after one instant and up to another. No zone here has a gap then."""
    hour, minute = map(int, trigger["at"].split(":"))
    day = _local(after_ms, ZoneInfo(zone)).replace(hour=hour, minute=minute, second=0, microsecond=0)
    found = []
    for n in range(-1, (until_ms - after_ms) // 86_400_000 + 3):
        due = day + timedelta(days=n)
        due_ms = round(due.timestamp() * 1000)
        if after_ms < due_ms <= until_ms and _DAYS[due.weekday()] in trigger["days"]:
            found.append(due_ms)
    return found


def _local(time_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(time_ms // 1000, zone).replace(microsecond=time_ms % 1000 * 1000)


def _all(truths: Any) -> Truth:
    verdict: Truth = True
    for truth in truths:
        if truth is False:
            return False
        verdict = None if truth is None else verdict
    return verdict
