"""The outbox, as journeys: what is due when, and how each delivery ends."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.delivery import PAUSE_MS_MAX, TROUBLE_AFTER, TROUBLE_GAP_MS, Outbox, Over, pause_ms
from engine.delivery_table import TABLE, Seen, Stage
from engine.ports import Attempt, AttemptResult, Delivery, DeliveryState
from tests.work import calls_of

if TYPE_CHECKING:
    from collections.abc import Mapping

T0 = 1_795_593_600_000
OK = Attempt(AttemptResult.OK, "answered 200")
RETRY = Attempt(AttemptResult.RETRY, "answered 503")
FAIL = Attempt(AttemptResult.FAIL, "answered 400")
GONE = Attempt(AttemptResult.GONE, "answered 410")
UNKNOWN = Attempt(AttemptResult.UNKNOWN, "no answer in time")


def delivery(key: str, user: str = "u-1", channel: str = "push", **changes: Any) -> Delivery:
    return replace(Delivery(key, "d-1", "r-1", user, channel, b"{}", T0, T0 + 3_600_000), **changes)


def outbox(concurrency: Mapping[str, int] | None = None, *, chance: float = 1.0, others: bool = False) -> Outbox:
    return Outbox({"push": 4} if concurrency is None else concurrency, chance=lambda: chance, others=others)


def starts(box: Outbox, now_ms: int) -> list[tuple[str, int]]:
    due = box.due(now_ms)
    assert due.overs == []
    return [(start.delivery.key, start.number) for start in due.starts]


def end(over: Over | None) -> tuple[str, DeliveryState, int, str]:
    assert over is not None
    return over.ending.key, over.ending.state, over.ending.attempts, over.ending.detail


def test_a_delivery_is_due_at_once_and_ends_with_a_good_attempt() -> None:
    box = outbox()
    assert box.add(delivery("k-1"), T0) is None
    assert (box.counts(), len(box), "k-1" in box) == ({"push": 1}, 1, True)
    assert starts(box, T0) == [("k-1", 1)]
    assert starts(box, T0) == []
    assert end(box.result("k-1", OK, T0 + 20)) == ("k-1", DeliveryState.DELIVERED, 1, "answered 200")
    assert (box.counts(), len(box), box.next_due_ms()) == ({"push": 0}, 0, None)


@pytest.mark.parametrize("attempt", [RETRY, UNKNOWN])
def test_it_is_tried_again_after_growing_pauses_of_at_most_half_a_minute(attempt: Attempt) -> None:
    box, now_ms = outbox(), T0
    box.add(delivery("k-1"), T0)
    pauses: list[int] = []
    for number in range(1, 10):
        assert starts(box, now_ms) == [("k-1", number)]
        assert box.result("k-1", attempt, now_ms) is None
        due_ms = box.next_due_ms()
        assert due_ms is not None
        assert starts(box, due_ms - 1) == []
        pauses.append(due_ms - now_ms)
        now_ms = due_ms
    assert pauses == [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]


@given(attempts=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_a_pause_lies_between_nothing_and_its_bound(attempts: int, chance: float) -> None:
    bound = min(PAUSE_MS_MAX, 500 * 2 ** min(attempts - 1, 20))
    assert 0 <= pause_ms(attempts, chance) <= bound
    assert pause_ms(attempts, chance) == int(bound * chance)


@pytest.mark.parametrize(("asked_ms", "due_ms"), [(100, 500), (120_000, 120_000), (None, 500)])
def test_the_wait_that_is_asked_for_is_kept_if_it_is_longer(asked_ms: int | None, due_ms: int) -> None:
    box = outbox()
    box.add(delivery("k-1"), T0)
    box.due(T0)
    box.result("k-1", replace(RETRY, retry_after_ms=asked_ms), T0)
    assert box.next_due_ms() == T0 + due_ms


def test_it_expires_at_its_ttl_wherever_it_waits() -> None:
    """One rests, one is behind it, one waits for a free place, one for its channel to be turned on."""
    box = outbox({"push": 1})
    short = T0 + 10_000
    for key, user, channel in (
        ("k-1", "u-1", "push"),
        ("k-2", "u-1", "push"),
        ("k-3", "u-2", "push"),
        ("k-4", "u-3", "gone"),
    ):
        box.add(delivery(key, user, channel, expires_ms=short), T0)
    assert starts(box, T0) == [("k-1", 1)]
    box.result("k-1", replace(RETRY, retry_after_ms=60_000), T0)
    assert starts(box, T0) == [("k-3", 1)]
    assert box.next_due_ms() == short
    due = box.due(short)
    assert due.starts == []
    assert sorted((o.ending.key, o.ending.state, o.ending.at_ms) for o in due.overs) == [
        ("k-1", DeliveryState.EXPIRED, short),
        ("k-2", DeliveryState.EXPIRED, short),
        ("k-4", DeliveryState.EXPIRED, short),
    ]
    assert end(box.result("k-3", RETRY, short + 5)) == ("k-3", DeliveryState.EXPIRED, 1, "answered 503")
    assert len(box) == 0


def test_an_attempt_under_way_at_the_ttl_may_still_deliver() -> None:
    box = outbox()
    box.add(delivery("k-1", expires_ms=T0 + 10), T0)
    box.due(T0 + 9)
    assert box.due(T0 + 10).overs == []
    assert end(box.result("k-1", OK, T0 + 11))[1] is DeliveryState.DELIVERED


@pytest.mark.parametrize("attempt", [FAIL])
def test_everything_else_fails_at_once(attempt: Attempt) -> None:
    box = outbox()
    box.add(delivery("k-1"), T0)
    box.due(T0)
    assert end(box.result("k-1", attempt, T0)) == ("k-1", DeliveryState.FAILED, 1, "answered 400")


def test_the_next_message_of_a_user_waits_until_the_one_before_has_ended() -> None:
    box = outbox()
    for key in ("k-1", "k-2", "k-3"):
        box.add(delivery(key), T0)
    box.add(delivery("k-4", channel="audit"), T0)
    box.add(delivery("k-5", "u-2"), T0)
    assert starts(box, T0) == [("k-1", 1), ("k-5", 1)]
    box.result("k-1", RETRY, T0)
    assert starts(box, T0 + 500) == [("k-1", 2)]
    box.result("k-1", FAIL, T0 + 501)
    assert starts(box, T0 + 501) == [("k-2", 1)]
    assert box.cancel(["k-3"], T0 + 501)[0].ending.state is DeliveryState.CANCELLED
    box.add(delivery("k-6"), T0 + 502)
    box.result("k-2", OK, T0 + 503)
    assert starts(box, T0 + 503) == [("k-6", 1)]


def test_a_channel_makes_so_many_attempts_at_a_time_and_no_more() -> None:
    box = outbox({"push": 3, "audit": 1})
    for n in range(5):
        box.add(delivery(f"k-{n}", f"u-{n}"), T0)
        box.add(delivery(f"a-{n}", f"u-{n}", "audit"), T0)
    assert starts(box, T0) == [("k-0", 1), ("k-1", 1), ("k-2", 1), ("a-0", 1)]
    assert box.flying() == 4
    box.result("k-1", OK, T0)
    assert starts(box, T0) == [("k-3", 1)]


def test_410_turns_the_channel_off_until_a_reload_and_what_waits_waits() -> None:
    box = outbox({"push": 1, "audit": 1})
    for n in range(3):
        box.add(delivery(f"k-{n}", f"u-{n}", expires_ms=T0 + 1000 * (n + 1)), T0)
    box.add(delivery("a-1", "u-1", "audit"), T0)
    box.due(T0)
    assert box.result("k-0", GONE, T0) is None
    assert (box.is_on("push"), box.is_on("audit")) == (False, True)
    assert box.result("a-1", OK, T0) is not None
    due = box.due(T0 + 1000)
    assert (due.starts, [o.ending.state for o in due.overs]) == ([], [DeliveryState.EXPIRED])
    box.reload({"push": 1, "audit": 1})
    assert starts(box, T0 + 1500) == [("k-1", 1)]


def test_a_channel_that_is_not_there_waits_for_the_reload_that_names_it() -> None:
    box = outbox({})
    box.add(delivery("k-1"), T0)
    assert (starts(box, T0), box.is_on("push")) == ([], False)
    box.reload({"push": 1})
    assert starts(box, T0) == [("k-1", 1)]
    box.reload({})
    assert box.result("k-1", RETRY, T0) is None
    assert starts(box, T0 + 500) == []
    box.reload({"push": 1})
    assert starts(box, T0 + 500) == [("k-1", 2)]


def test_where_no_channel_is_configured_every_name_is_one() -> None:
    box = outbox({}, others=True)
    box.add(delivery("k-1", channel="line"), T0)
    assert starts(box, T0) == [("k-1", 1)]


def test_at_most_once_never_repeats_an_unknown_outcome_and_repeats_a_refused_one() -> None:
    box = outbox()
    box.add(delivery("k-1", at_most_once=True), T0)
    box.add(delivery("k-2", "u-2", at_most_once=True), T0)
    box.due(T0)
    assert end(box.result("k-1", UNKNOWN, T0)) == ("k-1", DeliveryState.UNKNOWN, 1, "no answer in time")
    assert box.result("k-2", RETRY, T0) is None
    assert starts(box, T0 + 500) == [("k-2", 2)]


def test_at_a_start_an_open_attempt_of_at_most_once_ends_as_unknown_and_others_go_on() -> None:
    box = outbox()
    over = box.add(delivery("k-1", at_most_once=True, attempt_open=True, attempts=2), T0)
    assert end(over) == ("k-1", DeliveryState.UNKNOWN, 2, "the process ended before the attempt's outcome was recorded")
    assert box.add(delivery("k-2", at_most_once=True), T0) is None
    assert box.add(delivery("k-3", "u-2", attempts=3), T0) is None
    assert starts(box, T0) == [("k-2", 1), ("k-3", 4)]


def test_what_is_cancelled_is_never_tried_again() -> None:
    """Resting, ready, behind: gone at once. Under way: its attempt decides."""
    box = outbox({"push": 3})
    for key, user in (("rests", "u-1"), ("behind", "u-1"), ("flies", "u-2"), ("lands", "u-3"), ("ready", "u-4")):
        box.add(delivery(key, user), T0)
    box.due(T0)
    box.result("rests", RETRY, T0)
    overs = box.cancel(["rests", "behind", "flies", "lands", "ready", "nobody"], T0 + 1, "the rule was paused")
    assert [end(o) for o in overs] == [
        ("rests", DeliveryState.CANCELLED, 1, "the rule was paused"),
        ("behind", DeliveryState.CANCELLED, 0, "the rule was paused"),
        ("ready", DeliveryState.CANCELLED, 0, "the rule was paused"),
    ]
    assert box.is_cancelled("flies")
    assert end(box.result("lands", OK, T0 + 2))[1] is DeliveryState.DELIVERED
    assert end(box.result("flies", RETRY, T0 + 2))[1] is DeliveryState.CANCELLED
    assert (len(box), starts(box, T0 + 60_000)) == (0, [])


@pytest.mark.parametrize(
    ("why", "state", "detail"),
    [
        (Seen.QUIET, DeliveryState.EXPIRED, "quiet hours"),
        (Seen.WITHDRAWN, DeliveryState.WITHDRAWN, "consent withdrawn"),
    ],
)
def test_an_attempt_that_is_held_back_was_not_made(why: Seen, state: DeliveryState, detail: str) -> None:
    box = outbox({"push": 1})
    box.add(delivery("k-1"), T0)
    box.add(delivery("k-2"), T0)
    box.due(T0)
    assert end(box.hold_back("k-1", why, T0)) == ("k-1", state, 0, detail)
    assert starts(box, T0) == [("k-2", 1)]
    box.cancel(["k-2"], T0, "erased")
    assert end(box.hold_back("k-2", why, T0)) == ("k-2", DeliveryState.CANCELLED, 0, "erased")


def test_the_same_key_twice_is_one_delivery() -> None:
    box = outbox()
    assert box.add(delivery("k-1"), T0) is None
    assert box.add(delivery("k-1", "u-2"), T0) is None
    assert (len(box), starts(box, T0)) == (1, [("k-1", 1)])


def test_a_clock_that_is_set_back_an_hour_makes_nobody_wait_an_hour() -> None:
    box = outbox()
    box.add(delivery("k-1"), T0)
    box.due(T0)
    back = T0 - 3_600_000
    box.result("k-1", RETRY, back)
    assert box.next_due_ms() == back + 500
    assert starts(box, back + 500) == [("k-1", 2)]
    box.result("k-1", RETRY, T0 + 3_600_000 - 1)
    assert box.next_due_ms() == T0 + 3_600_000
    assert [o.ending.state for o in box.due(T0 + 3_600_000).overs] == [DeliveryState.EXPIRED]


def test_it_expires_also_when_its_ttl_passed_in_flight_and_the_clock_went_back() -> None:
    box = outbox()
    box.add(delivery("k-1", expires_ms=T0 + 10), T0)
    box.due(T0)
    box.due(T0 + 10)
    assert box.result("k-1", GONE, T0 + 5) is None
    assert [o.ending.key for o in box.due(T0 + 10).overs] == ["k-1"]


def test_an_endpoint_that_refuses_all_is_asked_more_slowly_until_it_takes_one() -> None:
    box = outbox({"push": 64}, chance=0.0)
    for n in range(200):
        box.add(delivery(f"k-{n}", f"u-{n}"), T0)
    for start in box.due(T0).starts[:TROUBLE_AFTER]:
        box.result(start.delivery.key, RETRY, T0)
    first = box.due(T0).starts
    assert len(first) == 1
    assert starts(box, T0 + TROUBLE_GAP_MS - 1) == []
    assert box.next_due_ms() == T0 + TROUBLE_GAP_MS
    assert len(starts(box, T0 + TROUBLE_GAP_MS)) == 1
    box.result(first[0].delivery.key, OK, T0 + TROUBLE_GAP_MS)
    assert len(starts(box, T0 + TROUBLE_GAP_MS)) == 31


def test_every_stage_may_be_cancelled_and_every_end_is_reached() -> None:
    assert {stage for stage, seen in TABLE if seen is Seen.CANCELLED} == set(Stage)
    ends = {then for then in TABLE.values() if isinstance(then, DeliveryState)}
    assert ends == set(DeliveryState) - {DeliveryState.PENDING}


def test_what_the_table_does_not_have_is_a_mistake_of_ours() -> None:
    box = outbox()
    box.add(delivery("k-1"), T0)
    with pytest.raises(KeyError, match="OK"):
        box.result("k-1", OK, T0)
    with pytest.raises(KeyError, match="nobody"):
        box.result("nobody", OK, T0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_wild_run_keeps_the_laws(seed: int) -> None:
    """Everything ends exactly once; a user's messages never overtake each other; no channel is overfilled."""
    chance = random.Random(seed)
    widths = {"push": 3, "audit": 1}
    box = Outbox(widths, chance=chance.random)
    now_ms, made, over = T0, [], {}  # type: ignore[var-annotated]
    flying: dict[str, Delivery] = {}
    order: dict[tuple[str, str], list[str]] = defaultdict(list)

    def take(ended: Over | None) -> None:
        if ended is not None:
            assert ended.ending.key not in over
            over[ended.ending.key] = ended.ending.state
            order[ended.delivery.user, ended.delivery.channel].remove(ended.ending.key)

    for turn in range(400):
        if turn < 250 and chance.random() < 0.5:
            ttl_ms = chance.choice((50, 5_000, 100_000))
            new = delivery(
                f"k-{turn}",
                f"u-{chance.randrange(4)}",
                chance.choice(("push", "audit")),
                expires_ms=now_ms + ttl_ms,
                at_most_once=chance.random() < 0.2,
            )
            made.append(new.key)
            order[new.user, new.channel].append(new.key)
            take(box.add(new, now_ms))
        due = box.due(now_ms)
        for ended in due.overs:
            take(ended)
        for start in due.starts:
            item = start.delivery
            assert order[item.user, item.channel][0] == item.key
            assert now_ms < item.expires_ms
            flying[item.key] = item
        for channel, width in widths.items():
            assert sum(d.channel == channel for d in flying.values()) <= width
        for key in [k for k in flying if chance.random() < 0.6]:
            del flying[key]
            if chance.random() < 0.05:
                take(box.hold_back(key, chance.choice((Seen.QUIET, Seen.WITHDRAWN)), now_ms))
            else:
                take(box.result(key, chance.choice((OK, RETRY, RETRY, FAIL, GONE, UNKNOWN)), now_ms))
        if chance.random() < 0.1:
            box.reload(widths)
        if made and chance.random() < 0.05:
            for ended in box.cancel([chance.choice(made)], now_ms):
                take(ended)
        now_ms += chance.choice((0, 1, 40, 700, -30))
        assert len(box) == len(made) - len(over)
    for key in list(flying):
        take(box.result(key, OK, now_ms))
    for ended in box.due(now_ms + 10_000_000).overs:
        take(ended)
    assert sorted(over) == sorted(made)
    assert (len(box), box.next_due_ms(), sum(box.counts().values())) == (0, None, 0)


def test_a_hundred_thousand_waiting_deliveries_cost_no_more_for_each_than_a_few() -> None:
    def calls(waiting: int) -> int:
        box = outbox({"dead": 1, "push": 4}, chance=0.5)
        for n in range(waiting):
            box.add(delivery(f"w-{n}", f"u-{n}", "dead"), T0)
        box.due(T0)

        def work() -> None:
            for n in range(2_000):
                box.add(delivery(f"k-{n}", f"u-{n}"), T0 + n)
                (start,) = box.due(T0 + n).starts
                box.result(start.delivery.key, OK, T0 + n)
                box.next_due_ms()

        return calls_of(work)

    assert calls(100_000) <= calls(10) * 1.01
