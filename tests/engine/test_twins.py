"""The kernels of presence and the plain machine tell the same of every journey."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.plain_presence import FAR, PlainPresence
from tests.world import T0, Stage, at, circle, files_of, site_of, square

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.told import Transition
    from tests.engine.plain_presence import Told

RULES = """
id: dwell
state: live
trigger: {any: [{event: dwelled, for: 20s, place: {tag: t}}, {event: dwelled, for: 90s, place: {tag: t}}]}
audience: {all: [{consent: m}]}
actions: [{push: {template: hello}}]
"""
DETECTION = (
    {},
    {"preset": "instant"},
    {"enter_fixes": 1, "exit_fixes": 1},
    {"enter_fixes": 3, "exit_fixes": 3, "exit_after": "12s"},
    {"silence": "60s", "max_silence": "15s"},
    {"max_accuracy": "15m", "exit_after": "90s"},
)
FENCES = [
    shape(f"{name}{n}", east_m=30.0 * n, tags=["t"] if n % 2 else [], detection=detection, **size)
    for name, shape, size in (("c", circle, {"radius_m": 100.0}), ("s", square, {"half_m": 60.0}))
    for n, detection in enumerate(DETECTION)
]
SITE = site_of(files_of(FENCES, rules=RULES))

#: What happens next: milliseconds later, and metres east with an accuracy; or nothing but the passing of time.
STEPS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([1, 5000, 20_000, 30_000, 60_000, 90_000]), st.integers(1, 200_000)),
        st.one_of(
            st.none(),
            st.tuples(
                st.one_of(st.floats(-300, 500), st.sampled_from([0.0, 99.0, 101.0, 60.0, 250.0])),
                st.one_of(st.just(math.nan), st.floats(0, 300), st.sampled_from([0.0, 5.0, 15.0, 40.0])),
            ),
        ),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=200)
@given(steps=STEPS)
def test_every_journey_is_told_the_same(steps: list[tuple[int, tuple[float, float] | None]]) -> None:
    play = Stage(SITE)
    plain = PlainPresence(play.engine.sense.view, SITE.borders)
    now_ms = T0
    for later_ms, fix in steps:
        now_ms += later_ms
        if fix is None:
            play.step((), now_ms)
            plain.on_clock(now_ms)
        else:
            play.fix((now_ms - T0) / 1000, *fix)
            plain.on_fix(now_ms, *at(fix[0]), fix[1])
        assert in_order(map(seen, play.told)) == in_order(plain.told)
        due_ms = play.engine.sense.next_due_ms()
        assert plain.next_due_ms() == FAR or (due_ms is not None and due_ms <= plain.next_due_ms())


@settings(deadline=None, max_examples=100)
@given(steps=STEPS)
def test_a_journey_in_one_batch_is_told_as_one_by_one(steps: list[tuple[int, tuple[float, float] | None]]) -> None:
    play = Stage(SITE)
    plain = PlainPresence(play.engine.sense.view, SITE.borders)
    pings, time_ms = [], T0
    for later_ms, fix in steps:
        time_ms += later_ms
        if fix is not None:
            lat, lng = at(fix[0])
            pings.append({"device": "d-1", "time": time_ms, "lat": lat, "lng": lng, "accuracy": fix[1]})
            plain.on_fix(time_ms, lat, lng, fix[1])
    if pings:
        play.post(*pings)
    assert in_order(map(seen, play.told)) == in_order(plain.told)


def in_order(told: Iterable[Told]) -> list[Told]:
    return sorted(told, key=lambda t: (t[2], t[1], t[0], t[5] or 0))


def seen(told: Transition) -> Told:
    return told.kind.value, told.place.id, told.time_ms, told.cause, told.entered_ms, told.dwell_ms
