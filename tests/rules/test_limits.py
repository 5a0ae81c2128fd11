"""Limits: cooldowns from the decision, caps by calendar or rolling, test sends in counters of their own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.facts import Kind, Occasion, Reason, Refusal, Send, User
from rules.limits import Cap, Cooldown, Limits, hit
from rules.place import Place
from rules.ruleset import RuleSet
from rules.units import DAY_MS
from rules.view import View
from rules.zones import zone
from tests.rules.scene import FOOD, HOUR, SHINJUKU, TOKYO, WED_17, ms, send

UTC = zone("UTC")
assert UTC is not None


def judged(
    limits: Limits,
    *sends: Send,
    kind: Kind = Kind.ENTERED,
    place: Place | None = SHINJUKU,
    now_ms: int = WED_17,
    test: bool = False,
    timezone: str | None = TOKYO,
) -> Refusal | None:
    assert UTC is not None
    person = User("u", sends=list(sends), timezone=timezone)
    occasion = Occasion(kind, "o", now_ms, person.id, place=place)
    return hit(limits, View(occasion, person, now_ms, RuleSet(timezone=UTC), {}), rule="r", test=test)


def cap(**more: Any) -> Limits:
    given: dict[str, Any] = {"path": "limits.caps[0]", "scope": "all", "most": 1, "per": DAY_MS}
    return Limits(no_cooldown=True, caps=(Cap(**given | more),))


def reason(*args: Any, **more: Any) -> Reason | None:
    found = judged(*args, **more)
    return None if found is None else found[0]


@pytest.mark.parametrize("kind", [Kind.ENTERED, Kind.DWELLED, Kind.CROSSED])
def test_by_default_a_rule_is_silent_for_an_hour_per_user_and_place(kind: Kind) -> None:
    assert reason(Limits(), send(WED_17 - HOUR + 1), kind=kind) is Reason.COOLDOWN
    assert reason(Limits(), send(WED_17 - HOUR), kind=kind) is None
    assert reason(Limits(), send(WED_17, place="elsewhere"), kind=kind) is None
    assert reason(Limits(), send(WED_17, rule="other"), kind=kind) is None


@pytest.mark.parametrize("kind", [Kind.EXITED, Kind.EVENT, Kind.TIMER])
def test_for_other_occasions_there_is_no_default(kind: Kind) -> None:
    assert reason(Limits(), send(WED_17), kind=kind) is None


def test_a_cooldown_that_was_asked_for_counts_for_every_kind() -> None:
    for kind in Kind:
        assert reason(Limits(Cooldown("user", DAY_MS)), send(WED_17 - DAY_MS + 1), kind=kind) is Reason.COOLDOWN
        assert reason(Limits(Cooldown("user", DAY_MS)), send(WED_17 - DAY_MS), kind=kind) is None


def test_cooldown_none_is_none() -> None:
    assert reason(Limits(no_cooldown=True), send(WED_17)) is None


def test_a_cooldown_per_user_counts_every_place() -> None:
    elsewhere = send(WED_17 - 1, place="elsewhere")
    assert reason(Limits(Cooldown("user", HOUR)), elsewhere) is Reason.COOLDOWN
    assert reason(Limits(Cooldown("user-place", HOUR)), elsewhere) is None


def test_without_a_place_a_cooldown_per_place_counts_what_had_none() -> None:
    limits = Limits(Cooldown("user-place", HOUR))
    assert reason(limits, send(WED_17, place=None), place=None, kind=Kind.EVENT) is Reason.COOLDOWN
    assert reason(limits, send(WED_17), place=None, kind=Kind.EVENT) is None


def test_a_cooldown_says_when_the_last_message_was() -> None:
    found = judged(Limits(Cooldown("user", DAY_MS)), send(WED_17 - 5), send(WED_17 - 3))
    assert found is not None
    assert found == (
        Reason.COOLDOWN,
        "limits.cooldown",
        {"cooldown.last_ms": WED_17 - 3, "cooldown.of_ms": DAY_MS},
    )


def test_a_rolling_cap_lets_go_exactly_after_its_time() -> None:
    assert reason(cap(), send(WED_17 - DAY_MS + 1)) is Reason.CAP
    assert reason(cap(), send(WED_17 - DAY_MS)) is None
    assert reason(cap(most=2), send(WED_17 - 1)) is None
    assert reason(cap(most=2), send(WED_17 - 2), send(WED_17 - 1)) is Reason.CAP


@pytest.mark.parametrize(
    ("scope", "tag", "counts"),
    [("all", None, [True, True, True]), ("rule", None, [True, False, False]), ("tag", "promo", [False, True, False])],
)
def test_a_cap_counts_what_lies_in_its_scope(scope: str, tag: str | None, counts: list[bool]) -> None:
    others = [send(WED_17), send(WED_17, "other", ("promo", "x")), send(WED_17, "other")]
    assert [reason(cap(scope=scope, tag=tag), other) is Reason.CAP for other in others] == counts


@pytest.mark.parametrize(
    ("per", "since"),
    [("day", "2026-11-25T00:00+09:00"), ("week", "2026-11-23T00:00+09:00"), ("month", "2026-11-01T00:00+09:00")],
)
def test_a_calendar_cap_begins_anew_at_the_users_midnight(per: str, since: str) -> None:
    assert reason(cap(per=per), send(ms(since))) is Reason.CAP
    assert reason(cap(per=per), send(ms(since) - 1)) is None


@pytest.mark.parametrize(
    ("timezone", "users", "place", "since"),
    [
        ("user", TOKYO, SHINJUKU, "2026-11-25T00:00+09:00"),
        ("user", "America/New_York", SHINJUKU, "2026-11-25T00:00-05:00"),
        ("user", None, SHINJUKU, "2026-11-25T00:00+09:00"),
        ("user", None, None, "2026-11-25T00:00+00:00"),
        ("place", "America/New_York", SHINJUKU, "2026-11-25T00:00+09:00"),
        ("place", "America/New_York", FOOD, "2026-11-25T00:00+00:00"),
        ("place", "America/New_York", None, "2026-11-25T00:00-05:00"),
        ("Asia/Kathmandu", TOKYO, SHINJUKU, "2026-11-25T00:00+05:45"),
    ],
)
def test_a_calendar_cap_is_told_in_its_zone(timezone: str, users: str | None, place: Place | None, since: str) -> None:
    now_ms = ms("2026-11-25T06:00+00:00")
    limits = cap(per="day", timezone=timezone)
    assert reason(limits, send(ms(since)), now_ms=now_ms, timezone=users, place=place) is Reason.CAP
    assert reason(limits, send(ms(since) - 1), now_ms=now_ms, timezone=users, place=place) is None


def test_a_day_of_25_hours_is_one_day() -> None:
    new_york = {"timezone": "America/New_York", "now_ms": ms("2026-11-01T23:59-05:00")}
    assert reason(cap(per="day"), send(ms("2026-11-01T00:00-04:00")), **new_york) is Reason.CAP
    assert reason(cap(per="day"), send(ms("2026-10-31T23:59:59-04:00")), **new_york) is None


def test_the_first_cap_that_is_reached_is_told() -> None:
    limits = Limits(
        no_cooldown=True,
        caps=(Cap("limits.caps[0]", "all", 5, DAY_MS), Cap("limits.caps[1]", "rule", 1, "day", timezone="user")),
    )
    found = judged(limits, send(WED_17 - 1))
    assert found is not None
    assert found == (Reason.CAP, "limits.caps[1]", {"cap.count": 1, "cap.max": 1})


def test_the_cooldown_comes_before_the_caps() -> None:
    limits = Limits(Cooldown("user", DAY_MS), caps=cap().caps)
    assert reason(limits, send(WED_17 - 1)) is Reason.COOLDOWN


def test_test_rules_count_test_sends_and_others_count_none_of_them() -> None:
    for limits in (cap(), Limits(Cooldown("user", DAY_MS))):
        assert reason(limits, send(WED_17, test=True)) is None
        assert reason(limits, send(WED_17, test=True), test=True) is not None
        assert reason(limits, send(WED_17), test=True) is None


@given(
    st.lists(st.integers(WED_17 - 40 * DAY_MS, WED_17), max_size=12),
    st.sampled_from(["day", "week", "month", DAY_MS, 7 * DAY_MS]),
    st.integers(1, 3),
    st.sampled_from([TOKYO, "America/New_York", "Pacific/Apia"]),
)
def test_what_lies_beyond_the_horizon_changes_nothing(times: list[int], per: str | int, most: int, tz: str) -> None:
    limits = Limits(Cooldown("user", 3 * DAY_MS), caps=cap(per=per, most=most).caps)
    kept = [t for t in sorted(times) if t > WED_17 - limits.horizon_ms]
    everything = judged(limits, *(send(t) for t in sorted(times)), timezone=tz)
    assert judged(limits, *(send(t) for t in kept), timezone=tz) == everything
