"""A rule's own `tests`: what is given, made into facts and decided as in earnest.

Owns how a test's words become an occasion and a user. Must not know YAML. The clock is the test's own.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from msgspec.structs import replace

from geo.mistake import Mistake
from rules.decide import decide, matches
from rules.facts import Decision, Kind, Occasion, Send, User
from rules.lang_tests import NONE, TEST_USER
from rules.view import View
from rules.windows import next_instant, resolve
from rules.zones import clock_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from rules.model import Case, Rule, Trigger
    from rules.place import Place
    from rules.ruleset import RuleSet


_DEVICE = "test-device"


def run_tests(ruleset: RuleSet) -> list[Mistake]:
    """Run every rule's own tests. Each that fails is a mistake at its place, with what came instead.

    A test of a `draft` or `paused` rule is judged as if it were `live`; a test that names no user has a test user.
    """
    places = {place.id: place for place in ruleset.places}
    with_tester = dataclasses.replace(ruleset, test_users=ruleset.test_users | {TEST_USER})
    mistakes = [
        mistake
        for rule in ruleset.rules
        for case in rule.tests
        if (mistake := _run(rule, case, with_tester if case.user == TEST_USER else ruleset, places)) is not None
    ]
    return sorted(mistakes)


def _run(rule: Rule, case: Case, ruleset: RuleSet, places: Mapping[str, Place]) -> Mistake | None:
    judged = rule if rule.acts else dataclasses.replace(rule, state="live")
    decision, why = _decision(judged, case, ruleset, places)
    came = NONE if decision is None else decision.reason.value
    if came == case.then:
        return None
    if decision is not None and decision.clause is not None:
        seen = ", ".join(f"{name} {value}" for name, value in decision.values.items())
        why = f"because of `{decision.clause}`" + (f" ({seen})" if seen else "")
    return Mistake(rule.file, case.line, case.column, f"the test of `{rule.id}` wants `{case.then}`", came, why)


def _decision(rule: Rule, case: Case, ruleset: RuleSet, places: Mapping[str, Place]) -> tuple[Decision | None, str]:
    """What the rule decides in a test, or None and why no trigger takes it."""
    inside = [places[name] for name in case.inside]
    place = places[case.place] if case.place is not None else None
    zone = ruleset.zone_of(place or inside[-1]) if place or inside else ruleset.timezone
    at_ms = resolve(case.at, zone)
    occasion = Occasion(
        case.kind, "test", at_ms, case.user, None if place is None else _DEVICE, place, "fix", case.dwell_ms,
        case.accuracy_m, case.mocked, case.event_type, case.event_id, case.data, rule.id,
    )  # fmt: skip
    trigger, occasion, why = _trigger(rule, occasion, inside, ruleset)
    if trigger is None:
        return None, why
    user = _user(rule, case, occasion, zone)
    return decide(rule, View(occasion, user, at_ms + case.late_ms, ruleset, places)), ""


def _trigger(
    rule: Rule, occasion: Occasion, inside: list[Place], ruleset: RuleSet
) -> tuple[Trigger | None, Occasion, str]:
    """The trigger that takes the occasion, and the occasion with what only the trigger says of it."""
    why = "no trigger of the rule takes it"
    for trigger in rule.triggers:
        if trigger.kind is not occasion.kind:
            continue
        told = occasion
        if trigger.kind is Kind.DWELLED and occasion.dwell_ms is None:
            told = replace(occasion, dwell_ms=trigger.dwell_ms)
        elif trigger.kind is Kind.TIMER:
            place, problem = _timer_place(trigger, occasion.time_ms, inside, ruleset)
            if problem:
                why = problem
                continue
            device = None if place is None else _DEVICE
            told = replace(occasion, device=device, place=place, timer_index=trigger.index)
        if matches(trigger, told):
            return trigger, told, ""
    return None, occasion, why


def _timer_place(trigger: Trigger, time_ms: int, inside: list[Place], ruleset: RuleSet) -> tuple[Place | None, str]:
    """The place at which a timer finds the user, or why it does not ring for them."""
    place = None
    zones = ruleset.timer_zones(trigger)
    if trigger.inside is not None:
        place = next((p for p in reversed(inside) if trigger.inside.covers(p)), None)
        if place is None:
            return None, f"the timer is for users in {trigger.inside}, add `inside:` to the test"
        if trigger.timezone is None:
            zones = (ruleset.zone_of(place),)
    for tz in zones:
        due_ms = next_instant(trigger.days, trigger.at_ms, time_ms - 1, tz)
        if due_ms == time_ms:
            return place, ""
    return None, f"the timer is not due then, but at {clock_text(due_ms, zones[-1])}"


def _user(rule: Rule, case: Case, occasion: Occasion, zone: ZoneInfo) -> User:
    """The user of a test. Everything before lies before the test's instant, in the place's zone.

    Each stay is a visit from when it began, as in earnest: those that are given `inside`, and the one that is told of.
    One that ends began just before, for nothing says when.
    """
    at_ms = occasion.time_ms
    here = occasion.place.id if occasion.place is not None else None

    def instant(moment: int | datetime) -> int:
        return resolve(moment, zone)

    inside = {name: [1, at_ms - len(case.inside) + i] for i, name in enumerate(case.inside)}
    if case.place is not None and case.kind is not Kind.CROSSED:
        inside[case.place] = [1, at_ms - (occasion.dwell_ms or 0)]
    visits = [(instant(at), place) for place, at in case.visits]
    visits += [(entered_ms, place) for place, (_, entered_ms) in inside.items()]
    if case.place is not None and case.kind is Kind.EXITED:
        del inside[case.place]
    events = [(instant(at), kind) for kind, at in case.events]
    if case.event_type is not None:
        events.append((at_ms, case.event_type))
    sends = [
        Send(
            f"sent-{i}",
            sent.rule or rule.id,
            rule.tags if sent.tags is None else sent.tags,
            sent.place or here,
            instant(sent.at),
            rule.test,
        )
        for i, sent in enumerate(case.sent)
    ]
    return User(
        case.user,
        True,
        dict(case.attributes),
        dict.fromkeys(case.consent, True),
        case.locale,
        case.timezone,
        {},
        sorted(events),
        sorted(visits),
        sorted(sends, key=lambda send: send.time_ms),
        inside,
    )
