"""A small site for the tests of rules: places, a good rule, and a way to read one from a few lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from geo.mistake import Mistake
from rules.decide import decide, matches
from rules.facts import Decision, Kind, Occasion, Send, User
from rules.model import Rule
from rules.place import Place, PlaceKind
from rules.ruleset import RuleSet, read_rules
from rules.units import DAY_MS, epoch_ms
from rules.view import View

TOKYO = "Asia/Tokyo"
#: Wednesday 2026-11-25, 17:00:00 in Tokyo.
WED_17 = 1_795_593_600_000
HOUR = 3_600_000
MINUTE = 60_000

SHINJUKU = Place(
    "shinjuku", PlaceKind.FENCE, "Shinjuku", frozenset({"station"}), "tokyo", TOKYO, {"floor": "B1", "walk": {"min": 5}}
)
STORE = Place("store-shinjuku", PlaceKind.FENCE, "Store", frozenset({"own-store"}), "stores", TOKYO)
SOHO = Place("soho", PlaceKind.FENCE, "Soho", frozenset({"own-store", "abroad"}), "stores", "America/New_York")
FOOD = Place("food", PlaceKind.ZONE, "Food hall", frozenset({"food-hall"}), "floors", None)
PLACES = (SHINJUKU, STORE, SOHO, FOOD)
BY_ID = {place.id: place for place in PLACES}

RULE = """\
id: shinjuku-wed-timesale
state: live
priority: 0
tags: [promotional, time-sale]
trigger:
  any:
    - {event: entered, place: {id: shinjuku}}
    - {event: timer, days: [wed], at: "17:00", inside: {id: shinjuku}, seen_within: 10m}
max_event_age: 2m
schedule:
  timezone: place
  windows: [{days: [wed], from: "17:00", to: "18:00"}]
  except: [{holidays: JP}, {dates: ["2026-12-30"]}]
audience:
  all: [{consent: location_marketing}, {attribute: tier, in: [gold, silver]}, {not: {inside: {tag: own-store}}}]
limits:
  cooldown: {per: user-place, of: 6d}
  caps: [{scope: tag, tag: promotional, max: 2, per: day, timezone: user}, {scope: all, max: 5, per: 7d}]
quiet_hours: {from: "21:00", to: "09:00", timezone: user}
actions:
  - push: {template: timesale, ttl: 30m, collapse_key: timesale, data: {place: "{place.name}"}}
tests:
  - given: {user: {tier: gold, consent: [location_marketing]}, enters: shinjuku, at: "2026-11-25T17:10+09:00"}
    then: sent
  - given: {user: {tier: gold, consent: [location_marketing]}, enters: shinjuku, at: "2026-11-26T17:10+09:00"}
    then: window
"""

TEMPLATE = """\
ja: {title: "タイムセール", body: "{place.name}で18時まで"}
en: {title: Time sale, body: "At {place.name} until six"}
"""

TEMPLATES = {"templates/timesale.yaml": TEMPLATE.encode()}


def read(
    *texts: str, templates: dict[str, bytes] | None = None, **options: Any
) -> tuple[RuleSet | None, list[Mistake]]:
    """Read rule files `rules/a.yaml`, `rules/b.yaml`, ... of the small site."""
    files = {f"rules/{'abcdefgh'[i]}.yaml": text.encode() for i, text in enumerate(texts)}
    given: dict[str, Any] = {
        "places": PLACES,
        "channels": ("push", "audit"),
        "timezone": "UTC",
        "test_users": ("tester",),
        "keep_ms": {"events": 365 * DAY_MS},
    }
    return read_rules(files, TEMPLATES if templates is None else templates, **given | options)


def rule_set(*texts: str, **options: Any) -> RuleSet:
    """The rule set of files without mistakes."""
    found, mistakes = read(*texts, **options)
    assert found is not None, "\n".join(str(m) for m in mistakes)
    return found


def lines(*texts: str, **options: Any) -> list[str]:
    """The mistakes of files, as people see them."""
    found, mistakes = read(*texts, **options)
    assert (found is None) == bool(mistakes)
    return [str(mistake) for mistake in mistakes]


def rule_of(body: str, *, trigger: str = "{event: entered, place: {id: shinjuku}}", state: str = "live") -> str:
    """A rule with the given keys; what it does not say is as short as can be."""
    head = f"id: r\nstate: {state}\n"
    defaults = {
        "trigger": f"trigger: {trigger}\n",
        "audience": "audience: {all: [{consent: ads}]}\n",
        "actions": "actions: [{push: {body: Hello}}]\n",
    }
    return head + "".join(text for key, text in defaults.items() if f"\n{key}:" not in f"\n{body}") + body


def ms(text: str) -> int:
    """The instant of an RFC 3339 text."""
    return epoch_ms(datetime.fromisoformat(text))


def user(**known: Any) -> User:
    """A user who consented to everything that the tests ask for."""
    given: dict[str, Any] = {"known": True, "consent": {"ads": True, "location_marketing": True}, "timezone": TOKYO}
    return User("u", **given | known)


def send(
    time_ms: int, rule: str = "r", tags: tuple[str, ...] = (), place: str | None = "shinjuku", **more: Any
) -> Send:
    """A message that was sent before."""
    return Send(f"sent-{time_ms}", rule, tags, place, time_ms, **more)


def entered(time_ms: int = WED_17, place: Place = SHINJUKU, kind: Kind = Kind.ENTERED, **more: Any) -> Occasion:
    """A transition of the user's device, proved by an exact fix."""
    given: dict[str, Any] = {"device": "d", "place": place, "cause": "fix", "accuracy_m": 5.0}
    return Occasion(kind, "0" * 32, time_ms, "u", **given | more)


def event(event_type: str, data: dict[str, Any] | None = None, time_ms: int = WED_17) -> Occasion:
    """An event of the user."""
    return Occasion(Kind.EVENT, "1" * 32, time_ms, "u", event_type=event_type, event_id="e-1", data=data or {})


def judged(
    rules: RuleSet, occasion: Occasion, person: User | None = None, now_ms: int | None = None, rule: str = ""
) -> Decision:
    """The decision of the only rule (or of the one named) on an occasion that one of its triggers takes."""
    found: Rule | None = rules.rule(rule) if rule else rules.rules[0]
    assert found is not None
    assert any(matches(trigger, occasion) for trigger in found.triggers)
    now_ms = occasion.time_ms if now_ms is None else now_ms
    return decide(found, View(occasion, person or user(), now_ms, rules, BY_ID))
