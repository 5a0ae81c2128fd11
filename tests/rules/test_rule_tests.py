"""A rule's own tests: run as in earnest, with what came instead at the place of the one that failed."""

from __future__ import annotations

import pytest

from rules.facts import Reason
from rules.place import Place, PlaceKind
from rules.testing import run_tests
from tests.rules.scene import RULE, rule_of, rule_set


def failures(
    given: str, then: str, body: str = "", trigger: str = "{event: entered, place: {id: shinjuku}}", **more: str
) -> list[str]:
    text = rule_of(f"{body}tests:\n  - given: {given}\n    then: {then}\n", trigger=trigger, **more)
    return [str(m) for m in run_tests(rule_set(text))]


ADS = "user: {consent: [ads]}"
WEDNESDAY = 'at: "2026-11-25T17:10+09:00"'


def test_the_tests_of_the_good_rule_hold() -> None:
    assert run_tests(rule_set(RULE)) == []


def test_a_test_that_fails_says_what_came_instead_and_why() -> None:
    broken = RULE.replace("then: window", "then: sent")
    assert [str(m) for m in run_tests(rule_set(broken))] == [
        "rules/a.yaml:25:5: the test of `shinjuku-wed-timesale` wants `sent`, got `window`, because of `schedule` "
        "(time 2026-11-26T17:10:00+09:00, timezone Asia/Tokyo)"
    ]


@pytest.mark.parametrize(
    ("given", "then", "body"),
    [
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}}}", "sent", ""),
        (f"{{enters: shinjuku, {WEDNESDAY}}}", "consent", ""),
        (f"{{{ADS}, enters: soho, {WEDNESDAY}}}", "none", ""),
        (f"{{{ADS}, exits: shinjuku, {WEDNESDAY}}}", "none", ""),
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, late: 15m}}", "sent", ""),
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, late: 16m}}", "stale", ""),
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, accuracy: 51m}}", "low_accuracy", "max_accuracy: 50m\n"),
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, accuracy: unknown}}", "low_accuracy", "max_accuracy: 50m\n"),
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}}}", "sent", "max_accuracy: 50m\n"),
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, mocked: true}}", "mocked", ""),
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, sent_before: {{at: '2026-11-25T16:11+09:00'}}}}", "cooldown", ""),
        (f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, sent_before: {{at: '2026-11-25T16:10+09:00'}}}}", "sent", ""),
        (
            f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, "
            "sent_before: [{at: '2026-11-25T00:00', rule: r, tags: [promo], place: soho}]}",
            "cap",
            "tags: promo\nlimits: {caps: [{scope: tag, tag: promo, max: 1, per: day}]}\n",
        ),
        (
            f"{{user: {{consent: ads, timezone: America/New_York}}, enters: shinjuku, {WEDNESDAY}}}",
            "quiet_hours",
            'quiet_hours: {from: "21:00", to: "09:00"}\n',
        ),
        (
            f"{{user: {{consent: ads, tier: gold}}, enters: shinjuku, {WEDNESDAY}}}",
            "sent",
            "audience: {all: [{consent: ads}, {attribute: tier, is: gold}]}\n",
        ),
        (
            f"{{{ADS}, enters: shinjuku, {WEDNESDAY}}}",
            "unknown",
            "audience: {all: [{consent: ads}, {attribute: tier, is: gold}]}\n",
        ),
        (
            f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, inside: [soho]}}",
            "audience",
            "audience: {all: [{consent: ads}, {not: {inside: {tag: own-store}}}]}\n",
        ),
        (
            f"{{{ADS}, enters: shinjuku, {WEDNESDAY}}}",
            "sent",
            "audience: {all: [{consent: ads}, {inside: {id: shinjuku}}, {visits: {place: same, min: 1, max: 1}}]}\n",
        ),
        (
            f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, events: [{{type: p, at: '2026-11-24'}}], "
            "visits: [{place: soho, at: '2026-11-20'}]}",
            "sent",
            "audience: {all: [{consent: ads}, {event_count: {type: p, within: 2d}}, {visits: {place: {id: soho}}}]}\n",
        ),
        (
            f"{{{ADS}, enters: shinjuku, at: '2026-11-25T17:10'}}",
            "sent",
            'schedule: {windows: [{from: "17:00", to: "18:00"}]}\n',
        ),
        (
            f"{{user: {{id: vip, consent: ads}}, enters: shinjuku, {WEDNESDAY}}}",
            "sent",
            "audience: {all: [{consent: ads}, {user: {in: [vip]}}]}\n",
        ),
    ],
)
def test_what_is_given_is_judged(given: str, then: str, body: str) -> None:
    assert failures(given, then, body) == []
    other = "stale" if then != "stale" else "sent"
    assert len(failures(given, other, body)) == 1


@pytest.mark.parametrize(
    ("given", "then", "trigger"),
    [
        ("dwells: shinjuku", "sent", "{event: dwelled, for: 5m}"),
        ("dwells: shinjuku, for: 5m", "sent", "{event: dwelled, for: 5m}"),
        ("dwells: shinjuku, for: 6m", "none", "{event: dwelled, for: 5m}"),
        ("crosses: shinjuku", "sent", "{event: crossed}"),
        ("exits: shinjuku", "sent", "{event: exited}"),
        ("event: {type: p, data: {x: 1}}", "sent", "{event: p, where: {data.x: 1}}"),
        ("event: {type: p, data: {x: 2}}", "none", "{event: p, where: {data.x: 1}}"),
        ("event: {type: q}", "none", "{event: p}"),
        ("event: {type: p, id: e-1}", "sent", "{event: p, where: {id: [e-1, e-2]}}"),
        ("event: {type: p, id: e-3}", "none", "{event: p, where: {id: [e-1, e-2]}}"),
        ("timer: true", "sent", "{event: timer, at: 17:10, timezone: Asia/Tokyo}"),
        ("timer: true", "none", "{event: timer, at: 17:11, timezone: Asia/Tokyo}"),
        ("timer: true", "none", "{event: timer, at: 17:10, days: [thu], timezone: Asia/Tokyo}"),
        ("timer: true, inside: shinjuku", "sent", "{event: timer, at: 17:10, inside: {id: shinjuku}}"),
        ("timer: true, inside: soho", "none", "{event: timer, at: 17:10, inside: {id: shinjuku}}"),
        ("timer: true", "none", "{event: timer, at: 17:10, inside: {id: shinjuku}}"),
        ("timer: true, inside: [soho, shinjuku]", "sent", "{event: timer, at: 17:10, inside: {id: shinjuku}}"),
        ("timer: true", "sent", "{any: [{event: timer, at: 03:00}, {event: timer, at: 08:10}]}"),
        # two phones: it is ten past five where one of them is
        ("timer: true, inside: [store-shinjuku, soho]", "sent", "{event: timer, at: 17:10, inside: {tag: own-store}}"),
    ],
)
def test_each_kind_of_occasion_can_happen(given: str, then: str, trigger: str) -> None:
    case = f"{{{ADS}, {given}, {WEDNESDAY}}}"
    assert failures(case, then, trigger=trigger) == []
    assert len(failures(case, "mocked", trigger=trigger)) == 1


@pytest.mark.parametrize(
    ("given", "then", "trigger"),
    [
        ("timer: true, inside: shinjuku, accuracy: 50m", "sent", "{event: timer, at: 17:10, inside: {id: shinjuku}}"),
        (
            "timer: true, inside: shinjuku, accuracy: 51m",
            "low_accuracy",
            "{event: timer, at: 17:10, inside: {id: shinjuku}}",
        ),
        ("timer: true, inside: shinjuku, mocked: true", "mocked", "{event: timer, at: 17:10, inside: {id: shinjuku}}"),
        ("timer: true, accuracy: 51m, mocked: true", "sent", "{event: timer, at: 17:10, timezone: Asia/Tokyo}"),
        ("event: {type: p}, inside: shinjuku, accuracy: 51m, mocked: true", "sent", "{event: p}"),
    ],
)
def test_the_fix_is_judged_where_there_is_one(given: str, then: str, trigger: str) -> None:
    # As the engine does: an event, and a timer that looks nowhere, are of no device.
    assert failures(f"{{{ADS}, {given}, {WEDNESDAY}}}", then, "max_accuracy: 50m\n", trigger) == []


@pytest.mark.parametrize(
    ("given", "trigger", "visits", "then"),
    [
        ("enters: shinjuku", "{event: entered}", "{place: same, min: 1, max: 1}", "sent"),
        ("dwells: shinjuku", "{event: dwelled, for: 5m}", "{place: same, min: 1, max: 1}", "sent"),
        ("dwells: shinjuku", "{event: dwelled, for: 5m}", "{place: same, within: 301s}", "sent"),
        ("dwells: shinjuku", "{event: dwelled, for: 5m}", "{place: same, within: 5m}", "audience"),
        ("exits: shinjuku", "{event: exited}", "{place: same, min: 1, max: 1}", "sent"),
        ("crosses: shinjuku", "{event: crossed}", "{place: same, max: 0}", "sent"),
        (
            "timer: true, inside: shinjuku",
            "{event: timer, at: 17:10, inside: {id: shinjuku}}",
            "{place: same, min: 1, max: 1}",
            "sent",
        ),
        ("event: {type: p}, inside: [soho, shinjuku]", "{event: p}", "{place: {id: soho}, max: 1}", "sent"),
        (
            "exits: shinjuku, visits: [{place: shinjuku, at: '2026-11-20'}]",
            "{event: exited}",
            "{place: same, min: 2, max: 2}",
            "sent",
        ),
    ],
)
def test_each_stay_is_a_visit(given: str, trigger: str, visits: str, then: str) -> None:
    # The engine counts an entry when it comes: a stay that lasts, or ends, has been one already.
    audience = f"audience: {{all: [{{consent: ads}}, {{visits: {visits}}}]}}\n"
    assert failures(f"{{{ADS}, {given}, {WEDNESDAY}}}", then, audience, trigger) == []


def test_who_has_left_is_not_inside_any_more() -> None:
    audience = "audience: {all: [{consent: ads}, {not: {inside: {id: shinjuku}}}]}\n"
    assert failures(f"{{{ADS}, exits: shinjuku, {WEDNESDAY}}}", "sent", audience, "{event: exited}") == []


@pytest.mark.parametrize("digits", ["0012", "+81312345678", "-007"])
def test_digits_that_no_number_begins_with_are_a_text_wherever_values_are_compared(digits: str) -> None:
    audience = (
        f"audience: {{all: [{{consent: ads}}, {{attribute: zip, in: [{digits}]}}, {{attribute: tel, is: {digits}}}]}}\n"
    )
    for written, then in ((digits, "sent"), (f"'{digits}'", "sent"), (str(int(digits)), "audience")):
        person = f"user: {{consent: ads, zip: {written}, tel: {digits}}}"
        event = f"event: {{type: p, data: {{store: '{digits}'}}}}"
        trigger = f"{{event: p, where: {{data.store: {digits}}}}}"
        assert failures(f"{{{person}, {event}, {WEDNESDAY}}}", then, audience, trigger) == []


def test_a_place_may_be_named_in_any_script() -> None:
    akihabara = Place("秋葉原", PlaceKind.FENCE, "Akihabara", frozenset({"駅"}), None, "Asia/Tokyo")
    tests = f"tests: [{{given: {{{ADS}, enters: 秋葉原, inside: 秋葉原, {WEDNESDAY}}}, then: sent}}]\n"
    text = rule_of(tests, trigger="{event: entered, place: {tag: 駅}}")
    assert run_tests(rule_set(text, places=[akihabara])) == []


def test_a_timer_that_is_not_due_says_when_it_is() -> None:
    (line,) = failures(
        f"{{{ADS}, timer: true, {WEDNESDAY}}}", "sent", trigger="{event: timer, at: 17:11, timezone: Asia/Tokyo}"
    )
    assert line.endswith("wants `sent`, got `none`, the timer is not due then, but at 2026-11-25T17:11:00+09:00")


def test_a_timer_that_comes_too_late_to_ring_says_so() -> None:
    (line,) = failures(f"{{{ADS}, timer: true, {WEDNESDAY}, late: 16m}}", "stale", trigger="{event: timer, at: 08:10}")
    assert line.endswith("wants `stale`, got `none`, a timer that is later than `max_event_age` does not ring any more")


@pytest.mark.parametrize(
    ("before", "key", "came"),
    [
        ("events: [{type: p, at: '2026-11-25T17:10'}, {type: p, at: AT}]", "events", "2027-11-20T00:00:00+09:00"),
        ("visits: [{place: shinjuku, at: AT}]", "visits", "2027-11-20T00:00:00+09:00"),
        ("sent_before: {at: AT}", "sent_before", "2027-11-20T00:00:00+09:00"),
        ("late: 5m, sent_before: {at: AT}", "sent_before", "2026-11-25T17:15:00.001+09:00"),
    ],
)
def test_what_is_given_as_before_and_was_after_is_a_mistake_at_its_place(before: str, key: str, came: str) -> None:
    # It counted as before: with a wrong year, a test held that proved nothing.
    given = f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, {before.replace('AT', repr(came))}}}"
    late = " and `late`" if "late" in before else ""
    said = f"rules/a.yaml:7:{11 + given.index(came)}: `{key}` in a test of `r` is after `at`{late}, got `{came}`, "
    assert failures(given, "sent") == [said + "give an earlier time, for it tells what was before"]


@pytest.mark.parametrize("late", ["", "late: 5m, "])
def test_what_was_at_the_very_instant_of_the_decision_was_before(late: str) -> None:
    at = "2026-11-25T17:15" if late else "2026-11-25T17:10"
    before = f"{late}visits: [{{place: soho, at: '{at}'}}], events: [{{type: p, at: '{at}'}}]"
    audience = "audience: {all: [{consent: ads}, {event_count: {type: p}}, {visits: {place: {id: soho}}}]}\n"
    assert failures(f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, {before}}}", "sent", audience) == []


def test_a_timer_for_users_inside_says_so() -> None:
    (line,) = failures(
        f"{{{ADS}, timer: true, {WEDNESDAY}}}", "sent", trigger="{event: timer, at: 17:10, inside: {id: shinjuku}}"
    )
    assert line.endswith("got `none`, the timer is for users in shinjuku, add `inside:` to the test")


@pytest.mark.parametrize("state", ["draft", "paused", "live"])
def test_rules_that_do_not_run_are_judged_as_if_they_did(state: str) -> None:
    assert failures(f"{{{ADS}, enters: shinjuku, {WEDNESDAY}}}", "sent", state=state) == []


def test_a_test_rule_sends_to_test_users_and_to_the_nameless_user_of_its_tests() -> None:
    given = f"{{{ADS}, enters: shinjuku, {WEDNESDAY}}}"
    assert failures(given, "sent", state="test") == []
    assert failures(given.replace("consent", "id: tester, consent"), "sent", state="test") == []
    assert failures(given.replace("consent", "id: other, consent"), "not_test_user", state="test") == []
    before = f"{{{ADS}, enters: shinjuku, {WEDNESDAY}, sent_before: {{at: '2026-11-25T17:00+09:00'}}}}"
    assert failures(before, "cooldown", state="test") == []


def test_every_reason_can_be_tested_for() -> None:
    for reason in Reason:
        assert isinstance(failures(f"{{{ADS}, enters: shinjuku, {WEDNESDAY}}}", reason.value), list)
