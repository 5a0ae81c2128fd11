"""Journeys: fixes in, transitions out. Read them to learn what presence means.

Fences are circles of 100 m round the centre unless a test says otherwise.
"""

from __future__ import annotations

import math

import pytest

from engine.ids import episode_id
from rules.ids import h
from tests.world import T0, Stage, at, circle, files_of, site_of, square

INSTANT = "detection: {preset: instant}\n"


def stage(*fences: dict[str, object], settings: str = "", rules: str = "") -> Stage:
    return Stage(site_of(files_of(fences or (circle("shop"),), settings=settings, rules=rules)))


def dwell_rule(duration: str, place: str = "shop") -> str:
    return f"""
id: dwell-{duration}
state: live
trigger: {{event: dwelled, for: {duration}, place: {{id: {place}}}}}
audience: {{all: [{{consent: m}}]}}
actions: [{{push: {{template: hello}}}}]
"""


CROSS_RULE = """
id: cross
state: live
trigger: {event: crossed, place: {id: shop}}
audience: {all: [{consent: m}]}
actions: [{push: {template: hello}}]
"""

#: name: (settings, fixes as (seconds, metres east, accuracy), what is told as (kind, seconds, cause))
JOURNEYS: dict[str, tuple[str, list[tuple[float, float, float]], list[tuple[str, float, str]]]] = {
    "instant enters on a fix that is in and exits on one that is out": (
        INSTANT,
        [(0, 500, 10), (5, 50, 10), (10, 500, 10)],
        [("entered", 5, "fix"), ("exited", 10, "fix")],
    ),
    "instant ignores the accuracy": (
        INSTANT,
        [(0, 0, 5000), (5, 500, 5000)],
        [("entered", 0, "fix"), ("exited", 5, "fix")],
    ),
    "a fix whose whole circle is inside enters at once": ("", [(0, 0, 20)], [("entered", 0, "fix")]),
    "a circle that reaches over the border needs a second fix": (
        "",
        [(0, 90, 20), (5, 90, 20)],
        [("entered", 5, "fix")],
    ),
    "a fix that is out starts the count of arriving anew": (
        "",
        [(0, 90, 20), (5, 110, 20), (10, 90, 20), (15, 95, 20)],
        [("entered", 15, "fix")],
    ),
    "an unknown accuracy is never surely in": ("", [(0, 0, math.nan)], []),
    "with an unknown accuracy out is surely out": (
        "",
        [(0, 0, math.nan), (5, 0, math.nan), (10, 101, math.nan), (15, 101, math.nan)],
        [("entered", 5, "fix"), ("exited", 15, "fix")],
    ),
    "leaving needs two fixes surely out": (
        "",
        [(0, 0, 10), (5, 200, 10), (10, 200, 10)],
        [("entered", 0, "fix"), ("exited", 10, "fix")],
    ),
    "a circle that reaches back to the border is not surely out": (
        "",
        [(0, 0, 10), (5, 115, 20), (10, 115, 20), (15, 115, 20)],
        [("entered", 0, "fix")],
    ),
    "any other fix starts the count of leaving anew": (
        "",
        [(0, 0, 10), (5, 200, 10), (10, 110, 20), (15, 200, 10), (20, 200, 10)],
        [("entered", 0, "fix"), ("exited", 20, "fix")],
    ),
    "a fix worse than max_accuracy neither counts nor breaks a row": (
        "",
        [(0, 0, 10), (5, 500, 10), (10, 0, 201), (15, 500, 10)],
        [("entered", 0, "fix"), ("exited", 15, "fix")],
    ),
    "exit_after before the second fix exits by the timer, at its due time": (
        "",
        [(0, 0, 10), (5, 500, 10), (60, 500, 10)],
        [("entered", 0, "fix"), ("exited", 35, "timer")],
    ),
    "a device not seen for the silence exits at its last seen plus silence": (
        "",
        [(0, 0, 10), (60, 0, 10), (3600, 0, 10)],
        [("entered", 0, "fix"), ("exited", 1860, "silent"), ("entered", 3600, "fix")],
    ),
    "the silence ends at its very instant": (
        INSTANT,
        [(0, 0, 10), (1800, 0, 10)],
        [("entered", 0, "fix"), ("exited", 1800, "silent"), ("entered", 1800, "fix")],
    ),
    "one millisecond before, it does not": (
        INSTANT,
        [(0, 0, 10), (1799.999, 0, 10)],
        [("entered", 0, "fix")],
    ),
    "an arrival half counted is forgotten in silence": (
        "",
        [(0, 90, 20), (2000, 90, 20)],
        [],
    ),
    "a bad fix refreshes last seen": (
        "",
        [(0, 0, 10), (1200, 0, 900), (2400, 0, 10)],
        [("entered", 0, "fix")],
    ),
}


@pytest.mark.parametrize("name", JOURNEYS)
def test_journey(name: str) -> None:
    settings, fixes, expected = JOURNEYS[name]
    play = stage(settings=settings)
    for seconds, east_m, accuracy in fixes:
        play.fix(seconds, east_m, accuracy)
    assert [(kind, seconds, cause) for kind, _, seconds, cause in play.story()] == expected


@pytest.mark.parametrize("name", JOURNEYS)
def test_the_same_journey_in_one_request_is_told_the_same(name: str) -> None:
    settings, fixes, expected = JOURNEYS[name]
    play = stage(settings=settings)
    pings = [
        {"device": "d-1", "time": T0 + round(s * 1000), "lat": at(e)[0], "lng": at(e)[1], "accuracy": a}
        for s, e, a in fixes
    ]
    play.post(*reversed(pings))
    assert [(kind, seconds, cause) for kind, _, seconds, cause in play.story()] == expected


def test_exit_after_needs_no_further_ping() -> None:
    play = stage()
    play.fix(0, 0, 10)
    play.fix(5, 500, 10)
    assert play.engine.next_due_ms() == T0 + 35_000
    play.wait(34.999)
    assert play.story() == [("entered", "shop", 0.0, "fix")]
    play.wait(35)
    assert play.story()[1:] == [("exited", "shop", 35.0, "timer")]


def test_silence_needs_no_further_ping() -> None:
    play = stage(settings=INSTANT)
    play.fix(0, 0)
    play.wait(1800)
    assert play.story()[1:] == [("exited", "shop", 1800.0, "silent")]


def test_a_phone_that_uploads_an_hour_late_is_not_silent_between_its_own_requests() -> None:
    play = stage(settings=INSTANT)
    lat, lng = at(0)
    for minute in range(0, 50, 10):
        ping = {"device": "d-1", "time": T0 + minute * 60_000, "lat": lat, "lng": lng}
        play.post(ping, now_ms=T0 + 3_600_000 + minute * 10)
    assert play.story() == [("entered", "shop", 0.0, "fix")]


def test_dwelled_comes_by_the_timer() -> None:
    play = stage(settings=INSTANT, rules=dwell_rule("5m"))
    play.fix(0, 0)
    play.fix(100, 0)
    play.wait(300)
    assert play.story() == [("entered", "shop", 0.0, "fix"), ("dwelled", "shop", 300.0, "timer")]
    play.wait(900)
    assert len(play.told) == 2


def test_dwelled_after_a_long_silence_waits_for_the_next_fix_that_is_in() -> None:
    play = stage(settings=INSTANT, rules=dwell_rule("15m"))
    play.fix(0, 0)
    play.wait(900)
    assert play.story() == [("entered", "shop", 0.0, "fix")]
    play.fix(1000, 0)
    assert play.story()[1:] == [("dwelled", "shop", 1000.0, "timer")]


def test_two_dwell_times_are_told_one_after_the_other() -> None:
    play = stage(settings=INSTANT, rules=dwell_rule("1m") + "---" + dwell_rule("2m"))
    for second in range(0, 181, 20):
        play.fix(second, 0)
    assert [(t.kind.value, t.dwell_ms) for t in play.told] == [
        ("entered", None),
        ("dwelled", 60_000),
        ("dwelled", 120_000),
    ]


def test_leaving_before_the_dwell_time_tells_none() -> None:
    play = stage(settings=INSTANT, rules=dwell_rule("5m"))
    play.fix(0, 0)
    play.fix(299, 500)
    play.wait(400)
    assert [k for k, *_ in play.story()] == ["entered", "exited"]


def test_crossed_is_told_of_a_way_through_the_fence() -> None:
    play = stage(settings=INSTANT, rules=CROSS_RULE)
    play.fix(0, -300)
    play.fix(30, 300)
    assert play.story() == [("crossed", "shop", 30.0, "fix")]
    assert play.told[0].id == h("d-1", "shop", str(T0 + 30_000), "crossed")


@pytest.mark.parametrize(
    ("seconds", "east_m"),
    [(121, 300), (8, 300), (30, 50), (30, -200)],
    ids=["too long ago", "too fast", "ends inside", "does not reach it"],
)
def test_crossed_is_not_claimed(seconds: float, east_m: float) -> None:
    play = stage(settings=INSTANT, rules=CROSS_RULE)
    play.fix(0, -300)
    play.fix(seconds, east_m)
    assert "crossed" not in [k for k, *_ in play.story()]


def test_late_and_repeated_fixes_change_nothing() -> None:
    play = stage(settings=INSTANT)
    play.fix(10, 0)
    repeated = play.fix(10, 500)
    late = play.fix(5, 500)
    counted = [(int(e.counted[0].accepted[0]), int(e.counted[0].duplicate[0]), int(e.counted[0].late[0]))
               for e in (repeated, late)]  # fmt: skip
    assert counted == [(0, 1, 0), (1, 0, 1)]
    assert play.story() == [("entered", "shop", 10.0, "fix")]


def test_of_equal_times_in_one_request_the_first_in_the_body_wins() -> None:
    play = stage(settings=INSTANT)
    (in_lat, in_lng), (out_lat, out_lng) = at(0), at(500)
    effects = play.post(
        {"device": "d-1", "time": T0, "lat": in_lat, "lng": in_lng},
        {"device": "d-1", "time": T0, "lat": out_lat, "lng": out_lng},
    )
    assert effects.counted[0].duplicate.tolist() == [1]
    assert play.story() == [("entered", "shop", 0.0, "fix")]


def test_ids_are_those_of_the_contract() -> None:
    play = stage(settings=INSTANT)
    play.fix(0, 0)
    play.fix(5, 500)
    episode = episode_id("d-1", "shop", T0)
    assert [(t.episode, t.id) for t in play.told] == [(episode, h(episode, "entered")), (episode, h(episode, "exited"))]


def test_overlapping_fences_are_independent() -> None:
    play = stage(circle("small", radius_m=50), circle("wide", radius_m=300), settings=INSTANT)
    for second, east in enumerate((500, 200, 0, 200, 500)):
        play.fix(second, east)
    assert play.story() == [
        ("entered", "wide", 1.0, "fix"),
        ("entered", "small", 2.0, "fix"),
        ("exited", "small", 3.0, "fix"),
        ("exited", "wide", 4.0, "fix"),
    ]


def test_a_fence_has_its_own_detection() -> None:
    play = stage(circle("quick", detection={"preset": "instant"}), circle("slow"))
    play.fix(0, 90, 20)
    assert [(k, p) for k, p, *_ in play.story()] == [("entered", "quick")]


def test_the_user_is_the_one_the_newest_ping_named() -> None:
    play = stage(settings=INSTANT)
    play.fix(0, 0)
    play.fix(5, 0, user="u-1")
    play.fix(10, 500)
    assert [t.user for t in play.told] == ["d-1", "u-1"]
    assert play.engine.people.user("d-1").inside == {}
    assert play.engine.people.user("u-1").inside == {}


def test_a_device_that_changes_hands_takes_its_presence_along() -> None:
    play = stage(settings=INSTANT)
    play.fix(0, 0, user="u-1")
    play.fix(5, 0, user="u-2")
    assert play.engine.people.user("u-1").inside == {}
    assert play.engine.people.user("u-2").inside == {"shop": [1, T0]}


def test_a_fence_that_appears_over_a_device_begins_presence() -> None:
    play = stage(circle("other", east_m=5000), settings=INSTANT)
    play.fix(0, 0)
    play.edit(files_of([circle("other", east_m=5000), circle("shop")], settings=INSTANT), 60)
    assert play.story() == [("entered", "shop", 60.0, "edited")]
    play.fix(70, 500)
    assert play.story()[1:] == [("exited", "shop", 70.0, "fix")]


def test_a_fence_that_goes_ends_presence_and_one_that_moves_off_too() -> None:
    play = stage(circle("a"), circle("b"), circle("c"), settings=INSTANT)
    play.fix(0, 0)
    play.edit(files_of([circle("b", east_m=900), circle("c", radius_m=120)], settings=INSTANT), 60)
    assert play.story()[3:] == [("exited", "a", 60.0, "edited"), ("exited", "b", 60.0, "edited")]
    play.fix(70, 500)
    assert play.story()[5:] == [("exited", "c", 70.0, "fix")]
    assert play.told[-1].episode == episode_id("d-1", "c", T0)


def test_a_device_last_seen_longer_ago_than_the_silence_is_not_caught_by_an_edit() -> None:
    play = stage(circle("other", east_m=5000), settings=INSTANT)
    play.fix(0, 0)
    play.edit(files_of([circle("shop")], settings=INSTANT), 1801)
    assert play.story() == []


def test_a_dwell_time_already_past_when_its_rule_appears_is_not_told() -> None:
    play = stage(settings=INSTANT)
    play.fix(0, 0)
    play.fix(400, 0)
    both = dwell_rule("5m") + "---" + dwell_rule("10m")
    play.edit(files_of([circle("shop")], settings=INSTANT, rules=both), 400)
    play.fix(590, 0)
    play.wait(600)
    assert [(t.kind.value, t.dwell_ms) for t in play.told] == [("entered", None), ("dwelled", 600_000)]


def test_a_square_is_judged_by_the_distance_to_its_nearest_edge() -> None:
    play = stage(square("shop"))
    play.fix(0, 85, 14)
    assert play.story() == [("entered", "shop", 0.0, "fix")]
    other = stage(square("shop"))
    other.fix(0, 85, 16)
    assert other.story() == []
