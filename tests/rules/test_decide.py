"""The decision: exactly one reason, the first that applies, and nothing from outside makes it raise."""

from __future__ import annotations

import dataclasses
from hashlib import sha256
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rules.decide import decide, matches, messages_of, recheck
from rules.facts import Decision, Kind, Message, Occasion, Outcome, Reason, User
from rules.ids import action_key, h
from rules.ruleset import RuleSet
from rules.units import DAY_MS
from rules.view import View
from tests.rules.scene import (
    BY_ID,
    FOOD,
    HOUR,
    MINUTE,
    RULE,
    SHINJUKU,
    SOHO,
    TOKYO,
    WED_17,
    entered,
    event,
    judged,
    rule_of,
    rule_set,
    send,
    user,
)

EVERYTHING = rule_of(
    """\
max_event_age: 2m
max_accuracy: 50m
schedule: {windows: [{days: [wed], from: "17:00", to: "18:00"}]}
audience: {all: [{consent: ads}, {attribute: tier, is: gold}, {attribute: vip, is: true}]}
limits: {cooldown: {per: user, of: 1d}, caps: [{scope: all, max: 2, per: 7d}]}
quiet_hours: {from: "21:00", to: "09:00", timezone: user}
""",
    state="test",
)


def wrongs() -> dict[Reason, Any]:
    """For each reason but the last, what makes it apply to an otherwise good case: (occasion, user, now) in, out."""

    def on_user(**more: Any) -> Any:
        return lambda o, u, n: (o, dataclasses.replace(u, **more), n)

    return {
        Reason.STALE: lambda o, u, n: (o, u, o.time_ms + 2 * MINUTE + 1),
        Reason.LOW_ACCURACY: lambda o, u, n: (replace(o, accuracy_m=50.1), u, n),
        Reason.MOCKED: lambda o, u, n: (replace(o, mocked=True), u, n),
        Reason.WINDOW: lambda o, u, n: (replace(o, time_ms=o.time_ms + HOUR), u, n + HOUR),
        Reason.AUDIENCE: lambda o, u, n: (o, dataclasses.replace(u, attributes=u.attributes | {"tier": "iron"}), n),
        Reason.CONSENT: on_user(consent={}),
        Reason.UNKNOWN: lambda o, u, n: (
            o,
            dataclasses.replace(u, attributes={k: v for k, v in u.attributes.items() if k != "vip"}),
            n,
        ),
        Reason.COOLDOWN: lambda o, u, n: (o, dataclasses.replace(u, sends=[*u.sends, send(n - 1, test=True)]), n),
        Reason.CAP: lambda o, u, n: (
            o,
            dataclasses.replace(u, sends=[send(n - DAY_MS - i, "other", test=True) for i in (2, 1)] + u.sends),
            n,
        ),
        Reason.QUIET_HOURS: on_user(timezone="America/New_York"),
        Reason.NOT_TEST_USER: lambda o, u, n: (o, dataclasses.replace(u, id="u"), n),
    }


def case(reasons: tuple[Reason, ...]) -> Decision:
    rules = rule_set(EVERYTHING)
    occasion: Occasion = entered(WED_17 + 30 * MINUTE)
    person = dataclasses.replace(user(attributes={"tier": "gold", "vip": True}), id="tester")
    now_ms = occasion.time_ms
    makers = wrongs()
    for reason in reasons:
        occasion, person, now_ms = makers[reason](occasion, person, now_ms)
    return judged(rules, occasion, person, now_ms)


def test_when_nothing_speaks_against_it_it_is_sent() -> None:
    decision = case(())
    assert (decision.outcome, decision.reason, decision.clause) == (Outcome.SEND, Reason.SENT, None)
    assert decision.values == {"consent.ads": True, "attribute.tier": "gold", "attribute.vip": True}


@pytest.mark.parametrize("reason", list(wrongs()))
def test_each_reason_alone_suppresses_under_its_own_name(reason: Reason) -> None:
    decision = case((reason,))
    assert (decision.outcome, decision.reason, decision.messages) == (Outcome.SUPPRESS, reason, ())
    assert decision.clause is not None and decision.values


@pytest.mark.parametrize(("first", "second"), list(combinations(wrongs(), 2)))
def test_of_two_reasons_the_first_in_order_is_told(first: Reason, second: Reason) -> None:
    order = list(Reason)
    assert order.index(first) < order.index(second)
    assert case((first, second)).reason is first


@pytest.mark.parametrize(
    ("reason", "clause"),
    [
        (Reason.STALE, "max_event_age"),
        (Reason.LOW_ACCURACY, "max_accuracy"),
        (Reason.MOCKED, "mocked"),
        (Reason.WINDOW, "schedule"),
        (Reason.AUDIENCE, "audience.all[1].attribute"),
        (Reason.CONSENT, "audience.all[0].consent"),
        (Reason.UNKNOWN, "audience.all[2].attribute"),
        (Reason.COOLDOWN, "limits.cooldown"),
        (Reason.CAP, "limits.caps[0]"),
        (Reason.QUIET_HOURS, "quiet_hours"),
        (Reason.NOT_TEST_USER, "state"),
    ],
)
def test_the_clause_is_the_path_in_the_rule(reason: Reason, clause: str) -> None:
    assert case((reason,)).clause == clause


def test_an_occasion_may_be_as_old_as_the_rule_says_and_no_older() -> None:
    rules = rule_set(rule_of("max_event_age: 2m\n"))
    assert judged(rules, entered(), now_ms=WED_17 + 2 * MINUTE).reason is Reason.SENT
    assert judged(rules, entered(), now_ms=WED_17 + 2 * MINUTE + 1).reason is Reason.STALE
    assert judged(rule_set(rule_of("")), entered(), now_ms=WED_17 + 15 * MINUTE).reason is Reason.SENT
    assert judged(rule_set(rule_of("")), entered(), now_ms=WED_17 + 15 * MINUTE + 1).reason is Reason.STALE


def test_an_occasion_from_a_clock_that_runs_ahead_is_not_stale() -> None:
    assert judged(rule_set(rule_of("")), entered(), now_ms=WED_17 - MINUTE).reason is Reason.SENT


@pytest.mark.parametrize(
    ("accuracy_m", "reason"),
    [
        (50.0, Reason.SENT),
        (50.01, Reason.LOW_ACCURACY),
        (None, Reason.LOW_ACCURACY),
        (float("nan"), Reason.LOW_ACCURACY),
        (0.0, Reason.SENT),
    ],
)
def test_an_accuracy_that_is_not_known_to_be_good_is_low(accuracy_m: float | None, reason: Reason) -> None:
    rules = rule_set(rule_of("max_accuracy: 50m\n"))
    assert judged(rules, entered(accuracy_m=accuracy_m)).reason is reason
    assert judged(rule_set(rule_of("")), entered(accuracy_m=accuracy_m)).reason is Reason.SENT


def test_mocked_fixes_may_be_allowed() -> None:
    assert judged(rule_set(rule_of("")), entered(mocked=True)).reason is Reason.MOCKED
    assert judged(rule_set(rule_of("mocked: allow\n")), entered(mocked=True)).reason is Reason.SENT


@pytest.mark.parametrize(
    ("clauses", "expected"),
    list(
        zip(
            [(p, w, t) for p in (0, 1) for w in (0, 1) for t in (0, 1)],
            [None, None, None, None, Reason.WINDOW, Reason.WINDOW, Reason.AUDIENCE, Reason.SENT],
            strict=True,
        )
    ),
)
def test_place_time_and_profile_combine_freely(clauses: tuple[int, int, int], expected: Reason | None) -> None:
    at_place, in_window, fits = clauses
    rules = rule_set(RULE)
    rule = rules.rule("shinjuku-wed-timesale")
    assert rule is not None
    occasion = entered(WED_17 if in_window else WED_17 - 1, SHINJUKU if at_place else SOHO)
    person = user(attributes={"tier": "gold" if fits else "iron"})
    found = [t for t in rule.triggers if matches(t, occasion)]
    if expected is None:
        assert found == []
    else:
        assert judged(rules, occasion, person).reason is expected


def test_windows_are_judged_at_the_occasion_and_quiet_hours_at_the_decision() -> None:
    rules = rule_set(
        rule_of(
            'schedule: {windows: [{from: "17:00", to: "18:00"}]}\n'
            'quiet_hours: {from: "18:00", to: "19:00", timezone: place}\n'
        )
    )
    almost_six = WED_17 + HOUR - MINUTE
    assert judged(rules, entered(almost_six), now_ms=almost_six).reason is Reason.SENT
    assert judged(rules, entered(almost_six), now_ms=almost_six + MINUTE).reason is Reason.QUIET_HOURS


def test_a_lifetime_is_judged_like_a_window() -> None:
    rules = rule_set(rule_of('active: {from: "2026-11-25T17:00", until: "2026-11-26"}\n'))
    day_end = WED_17 + 7 * HOUR
    found = [judged(rules, entered(t)) for t in (WED_17 - 1, WED_17, day_end - 1, day_end)]
    assert [d.reason for d in found] == [Reason.WINDOW, Reason.SENT, Reason.SENT, Reason.WINDOW]
    assert found[0].clause == "active"
    assert found[0].values == {"time": "2026-11-25T16:59:59.999+09:00", "timezone": TOKYO}


def test_the_keys_can_be_made_again_with_sha_256_alone() -> None:
    decision = judged(rule_set(rule_of("")), entered())
    parts = [b"r", b"u", b"0" * 32]
    digest = sha256(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).hexdigest()[:32]
    assert decision.key == h("r", "u", "0" * 32) == digest
    second = sha256(b"\0\0\0\x20" + digest.encode() + b"\0\0\0\x011").hexdigest()[:32]
    assert action_key(digest, 1) == second


def test_a_decision_holds_what_it_was_about() -> None:
    rules = rule_set(RULE)
    occasion = entered()
    decision = judged(rules, occasion, user(attributes={"tier": "gold"}), now_ms=WED_17 + 5)
    version = rules.rules[0].version
    assert decision == Decision(
        h("shinjuku-wed-timesale", "u", occasion.id),
        "shinjuku-wed-timesale",
        version,
        "u",
        occasion,
        Outcome.SEND,
        Reason.SENT,
        WED_17 + 5,
        None,
        {"consent.location_marketing": True, "attribute.tier": "gold", "inside.tag own-store": False},
        (
            Message(
                0, "push", "タイムセール", "Shinjukuで18時まで", "ja", 30 * MINUTE, "timesale", {"place": "Shinjuku"}
            ),
        ),
    )
    assert len(version) == 12


def test_each_action_is_a_message_in_the_users_language() -> None:
    rules = rule_set(
        rule_of(
            """\
delivery: at_most_once
actions:
  - push: {template: timesale}
  - audit: {title: "To {user.id}", body: "{place.name}", ttl: 5s, delivery: at_least_once, data: {n: 3, yes: true}}
"""
        )
    )
    first, second = judged(rules, entered(), user(locale="en-GB")).messages
    assert first == Message(0, "push", "Time sale", "At Shinjuku until six", "en", HOUR, at_most_once=True)
    assert second == Message(1, "audit", "To u", "Shinjuku", "und", 5000, None, {"n": 3, "yes": True})


def test_a_test_message_can_be_rendered_without_a_decision() -> None:
    rules = rule_set(RULE)
    (message,) = messages_of(rules.rules[0], View(entered(), user(), WED_17, rules, BY_ID))
    assert message.body == "Shinjukuで18時まで"


# -- triggers


def only_trigger(text: str) -> Any:
    return rule_set(rule_of("", trigger=text)).rules[0].triggers[0]


@pytest.mark.parametrize(
    ("trigger", "occasion", "meets"),
    [
        ("{event: entered, place: {id: shinjuku}}", entered(), True),
        ("{event: entered, place: {id: shinjuku}}", entered(place=SOHO), False),
        ("{event: entered, place: {tag: own-store}}", entered(place=SOHO), True),
        ("{event: entered, place: {group: stores}}", entered(place=SOHO), True),
        ("{event: entered}", entered(place=FOOD), True),
        ("{event: exited, place: {id: shinjuku}}", entered(), False),
        ("{event: dwelled, for: 5m}", entered(kind=Kind.DWELLED, dwell_ms=300_000), True),
        ("{event: dwelled, for: 5m}", entered(kind=Kind.DWELLED, dwell_ms=300_001), False),
        ("{event: purchase}", event("purchase"), True),
        ("{event: purchase}", event("refund"), False),
        ("{event: purchase, where: {data.sku: A}}", event("purchase", {"sku": "A"}), True),
        ("{event: purchase, where: {data.sku: A}}", event("purchase", {"sku": "B"}), False),
        ("{event: purchase, where: {data.sku: A}}", event("purchase"), False),
        ("{event: purchase, where: {data.sku: [A, B]}}", event("purchase", {"sku": "B"}), True),
        ("{event: purchase, where: {data.skus: B}}", event("purchase", {"skus": ["A", "B"]}), True),
        ("{event: purchase, where: {data.n: 1}}", event("purchase", {"n": 1.0}), True),
        ("{event: purchase, where: {data.n: 1}}", event("purchase", {"n": True}), False),
        ("{event: purchase, where: {data.n: 1}}", event("purchase", {"n": "1"}), False),
        ("{event: purchase, where: {data.shop.id: s}}", event("purchase", {"shop": {"id": "s"}}), True),
        ("{event: purchase, where: {id: e-1}}", event("purchase"), True),
        ("{event: purchase, where: {data.a: 1, data.b: 2}}", event("purchase", {"a": 1}), False),
    ],
)
def test_a_trigger_takes_what_it_names_and_nothing_else(trigger: str, occasion: Occasion, meets: bool) -> None:
    assert matches(only_trigger(trigger), occasion) is meets


# -- once more before an attempt


@pytest.mark.parametrize(
    ("person", "now_ms", "expected"),
    [
        (user(), WED_17, "ok"),
        (user(), WED_17 + 4 * HOUR, "quiet_hours"),
        (user(timezone="America/New_York"), WED_17, "quiet_hours"),
        (user(consent={}), WED_17, "withdrawn"),
        (user(consent={"ads": False}), WED_17 + 4 * HOUR, "withdrawn"),
    ],
)
def test_consent_and_quiet_hours_are_judged_once_more(person: User, now_ms: int, expected: str) -> None:
    rules = rule_set(rule_of('quiet_hours: {from: "21:00", to: "09:00"}\n'))
    assert recheck(rules.rules[0], person, now_ms, place=SHINJUKU, ruleset=rules) == expected


def test_an_attribute_that_changed_meanwhile_withdraws_nothing() -> None:
    rules = rule_set(RULE)
    changed = user(attributes={"tier": "iron"})
    assert recheck(rules.rules[0], changed, WED_17, place=None, ruleset=rules) == "ok"


# -- hostile facts

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3),
    max_leaves=6,
)
_HOSTILE: RuleSet | None = None


def hostile_rules() -> RuleSet:
    global _HOSTILE
    if _HOSTILE is None:
        _HOSTILE = rule_set(
            rule_of(
                """\
trigger: {any: [{event: purchase, where: {data.x: [1, a]}}, {event: entered}]}
schedule: {timezone: user, windows: [{from: "01:00", to: "23:00"}]}
quiet_hours: {from: "02:00", to: "03:00", timezone: user}
limits: {cooldown: {per: user-place, of: 1h}, caps: [{scope: all, max: 1, per: month, timezone: user}]}
audience:
  all:
    - {consent: ads}
    - any:
      - {attribute: x, min: 1, max: 5}
      - {attribute: y.z, in: [a, 1, true]}
      - {not: {attribute: x, exists: true}}
actions:
  - push: {body: "{user.attributes.x} {user.locale} {event.data.x} {user.attributes.y.z}", data: {a: "{event.id}"}}
"""
            )
        )
    return _HOSTILE


@given(
    attributes=st.dictionaries(st.sampled_from(["x", "y", "z"]), json_values, max_size=3),
    data=st.dictionaries(st.sampled_from(["x", "y"]), json_values, max_size=2),
    locale=st.none() | st.text(max_size=8),
    timezone=st.none() | st.text(max_size=12) | st.sampled_from(["America", "/etc/passwd", "Asia/Tokyo", ".", ""]),
    time_ms=st.integers(-(2**53), 2**53),
    accuracy_m=st.none() | st.floats(),
)
def test_nothing_that_comes_from_outside_makes_a_decision_raise(
    attributes: dict[str, Any],
    data: dict[str, Any],
    locale: str | None,
    timezone: str | None,
    time_ms: int,
    accuracy_m: float | None,
) -> None:
    rules = hostile_rules()
    rule = rules.rules[0]
    person = user(attributes=attributes, locale=locale, timezone=timezone)
    for occasion in (event("purchase", data, time_ms), entered(time_ms, accuracy_m=accuracy_m)):
        for trigger in rule.triggers:
            matches(trigger, occasion)
            decision = decide(rule, View(occasion, person, time_ms, rules, BY_ID))
            assert (decision.outcome is Outcome.SEND) == (decision.reason is Reason.SENT) == bool(decision.messages)


@given(st.integers(0, 3), st.booleans(), st.sampled_from(["gold", "iron", None]), st.integers(-5, 25))
def test_deciding_again_decides_the_same(sends: int, consent: bool, tier: str | None, hours: int) -> None:
    rules = rule_set(RULE)
    person = user(
        attributes={} if tier is None else {"tier": tier},
        consent={"location_marketing": consent},
        sends=[send(WED_17 - i * DAY_MS, tags=("promotional",), rule="other") for i in range(sends, 0, -1)],
    )
    occasion = entered(WED_17 + hours * HOUR // 10)
    assert judged(rules, occasion, person) == judged(rules, occasion, person)
