"""A rule's own tests and the engine: what is told of in a test, done in earnest, is decided alike."""

from __future__ import annotations

import pytest

from engine.wire import Happened, UserChanged
from rules.testing import run_tests
from tests.world import T0, Stage, circle, files_of, site_of

SETTINGS = "detection: {preset: instant}\ntest_users: [d-1]\n"
BEACON = "ibeacon:f7826da6-4fa2-4e98-8024-bc5b71e0893e:17:4"
HALL = f'[{{id: hall, tags: [floor], inside: shop, beacons: ["{BEACON}"]}}]'
FENCES = (circle("shop", tags=["own"]), circle("wide", radius_m=300), circle("far", east_m=5000, tags=["own"]))
WIDE_THEN_SHOP = (
    "{any: [{event: timer, at: '17:05', inside: {id: wide}}, {event: timer, at: '17:05', inside: {id: shop}}]}"
)
DAY = 86_400


def rule(name: str, trigger: str, *tests: str, audience: str = "", more: str = "", state: str = "live") -> str:
    """A rule with tests of its own: what is `given` beside the user, and what comes of it."""
    cases = [f"  - {{given: {{user: {{id: d-1, consent: m}}, {test.replace(' -> ', '}, then: ')}}}\n" for test in tests]
    return (
        f"id: {name}\nstate: {state}\ntrigger: {trigger}\naudience: {{all: [{{consent: m}}{audience}]}}\n{more}"
        "actions: [push: {template: hello}]\n"
    ) + "".join(["tests:\n", *cases] if tests else [])


def stage(*rules: str) -> Stage:
    play = Stage(site_of(files_of(FENCES, rules="---\n".join(rules), beacons=HALL, settings=SETTINGS)))
    play.step([UserChanged("d-1", consent={"m": True})])
    return play


def hear(play: Stage) -> None:
    """The phone is heard in the hall, one second after T0."""
    for time_ms in (T0, T0 + 1000):
        play.post({"device": "d-1", "time": time_ms, "beacon": BEACON, "rssi": -60})


def both(play: Stage, name: str) -> tuple[list[str], list[str]]:
    """What the rule's own tests want, which hold, and the reasons of what the engine decided by it."""
    rules = play.site.rules
    assert [str(mistake) for mistake in run_tests(rules)] == []
    found = rules.rule(name)
    assert found is not None
    decisions = [d for effects in play.effects for d in effects.decisions if d.rule == name]
    return [case.then for case in found.tests], [d.reason.value for d in decisions] or ["none"]


@pytest.mark.parametrize("looks", ["{event: timer, at: '17:05', inside: {id: shop}}", "{event: timer, at: '17:05'}"])
def test_all_timers_of_a_rule_that_ring_at_one_instant_are_one_occasion(looks: str) -> None:
    # The first that fitted was taken: one for everybody hid that another finds the phone, and its fix.
    two = f"{{any: [{{event: timer, at: '17:05', timezone: Asia/Tokyo}}, {looks}]}}"
    found = "low_accuracy" if "inside" in looks else "sent"
    test = f"timer: true, inside: shop, accuracy: 5m, at: '2026-11-25T17:05+09:00' -> {found}"
    play = stage(rule("r", two, test, more="max_accuracy: 4m\n"))
    play.fix(0, 0, accuracy=5.0)
    play.wait(300)
    assert both(play, "r") == ([found], [found])


def test_timers_of_several_places_find_the_user_at_the_one_entered_last() -> None:
    # It was the place of the first trigger that fitted, and the cooldown of the other was not seen.
    at = ["timer: true, inside: [wide, shop], at: '2026-11-25T17:05+09:00' -> sent"]
    at += [
        "timer: true, inside: [wide, shop], at: '2026-11-26T17:05+09:00', "
        "sent_before: {at: '2026-11-25T17:05+09:00', place: shop} -> cooldown"
    ]
    play = stage(rule("r", WIDE_THEN_SHOP, *at, more="limits: {cooldown: {per: user-place, of: 6d}}\n"))
    for day in (0, DAY):
        play.fix(day, 200)
        play.fix(day + 10, 0)
        play.wait(day + 300)
    assert both(play, "r") == (["sent", "cooldown"], ["sent", "cooldown"])


@pytest.mark.parametrize(("late", "then"), [("5m", "sent"), ("301s", "none")])
def test_a_timer_that_is_later_than_max_event_age_does_not_ring(late: str, then: str) -> None:
    # A test said `stale`, a decision that nobody ever finds in the log.
    test = f"timer: true, inside: shop, late: {late}, at: '2026-11-25T17:05+09:00' -> {then}"
    timer = "{event: timer, at: '17:05', inside: {id: shop}}"
    play = stage(rule("r", timer, test, more="max_event_age: 5m\n"))
    play.fix(0, 0)
    play.wait(600 if late == "5m" else 601)
    assert both(play, "r") == ([then], [then])


@pytest.mark.parametrize(("tag", "then"), [("theirs", "cap"), ("mine", "sent")])
def test_what_another_rule_sent_counts_under_that_rules_tags(tag: str, then: str) -> None:
    # It counted under the tags of the rule whose test it was.
    before = "sent_before: {at: '2026-11-25T17:00+09:00', rule: other, place: far}"
    test = f"enters: shop, at: '2026-11-25T17:01+09:00', {before} -> {then}"
    cap = f"limits: {{cooldown: none, caps: [{{scope: tag, tag: {tag}, max: 1, per: day}}]}}\ntags: mine\n"
    other = rule("other", "{event: entered, place: {id: far}}", more="tags: theirs\n")
    play = stage(other, rule("r", "{event: entered, place: {id: shop}}", test, more=cap))
    play.fix(0, 5000)
    play.fix(60, 0)
    assert both(play, "r") == ([then], [then])


@pytest.mark.parametrize("state", ["live", "test"])
@pytest.mark.parametrize("sender", ["live", "test"])
def test_what_rules_in_test_send_counts_among_themselves_alone(state: str, sender: str) -> None:
    # All of it counted as sent by the rule under test, whoever sent it.
    then = "cap" if state == sender else "sent"
    before = "sent_before: {at: '2026-11-25T17:00+09:00', rule: other, place: far}"
    test = f"enters: shop, at: '2026-11-25T17:01+09:00', {before} -> {then}"
    other = rule("other", "{event: entered, place: {id: far}}", state=sender)
    cap = "limits: {caps: [{scope: all, max: 1, per: day}]}\n"
    play = stage(other, rule("r", "{event: entered, place: {id: shop}}", test, more=cap, state=state))
    play.fix(0, 5000)
    play.fix(60, 0)
    assert both(play, "r") == ([then], [then])


@pytest.mark.parametrize(
    ("trigger", "given", "audience", "then"),
    [
        ("{event: entered, place: {id: hall}}", "enters: hall", "{not: {inside: {tag: own}}}", "audience"),
        ("{event: entered, place: {id: hall}}", "enters: hall", "{visits: {place: {id: shop}, max: 1}}", "sent"),
        ("{event: exited, place: {id: hall}}", "exits: hall", "{inside: {id: shop}}", "sent"),
        ("{event: dwelled, for: 2s, place: {id: hall}}", "dwells: hall", "{inside: {id: shop}}", "sent"),
        ("{event: seen}", "event: {type: seen}, inside: hall", "{inside: {id: shop}}", "sent"),
        (
            "{event: timer, at: '17:00:10', inside: {id: shop}}",
            "timer: true, inside: hall",
            "{visits: {place: same}}",
            "sent",
        ),
        (
            "{event: timer, at: '17:00:10', inside: {tag: floor}}",
            "timer: true, inside: hall",
            "{inside: {tag: own}}",
            "sent",
        ),
    ],
)
def test_who_is_in_a_zone_is_in_the_fence_that_it_lies_in(trigger: str, given: str, audience: str, then: str) -> None:
    # The fence was left out, though the engine enters it with the zone.
    test = f"{given}, at: '2026-11-25T17:00:10+09:00' -> {then}"
    play = stage(rule("r", trigger, test, audience=f", {audience}"))
    hear(play)
    play.wait(10)
    play.step([Happened("d-1", "e-1", "seen", T0 + 10_000)])
    play.wait(60)
    assert both(play, "r") == ([then], [then])


def test_of_a_zone_and_its_fence_that_were_entered_at_once_a_timer_takes_the_same() -> None:
    looks = [f"{{event: timer, at: '17:00:{s}', inside: {{id: {p}}}}}" for s in ("05", "10") for p in ("hall", "shop")]
    given = "timer: true, inside: hall, at: '2026-11-25T17:00"
    tests = [f"{given}:05+09:00' -> sent"]
    tests += [f"{given}:10+09:00', sent_before: {{at: '2026-11-25T17:00:05+09:00', place: shop}} -> cooldown"]
    play = stage(rule("r", f"{{any: [{', '.join(looks)}]}}", *tests, more="limits: {cooldown: {of: 1h}}\n"))
    hear(play)
    play.wait(20)
    assert both(play, "r") == (["sent", "cooldown"], ["sent", "cooldown"])


@pytest.mark.parametrize(("wanted", "then"), [("e-1", "sent"), ("e-2", "none")])
def test_an_event_is_told_by_its_id_too(wanted: str, then: str) -> None:
    # Such a trigger could not be tested: an event of a test had no id.
    test = f"event: {{type: seen, id: e-1}}, at: '2026-11-25T17:00+09:00' -> {then}"
    play = stage(rule("r", f"{{event: seen, where: {{id: {wanted}}}}}", test))
    play.step([Happened("d-1", "e-1", "seen", T0)])
    assert both(play, "r") == ([then], [then])
