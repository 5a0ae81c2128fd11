"""The fold, whole: what is decided, what is reserved and released, what a restart and an edit change."""

from __future__ import annotations

from engine.snapshot import erase, restore, snapshot
from engine.step import Engine
from engine.wire import Ended, Erased, Happened, Resent, UserChanged, decode_frame, encode_frame
from rules.facts import Reason
from rules.ids import action_key, h
from tests.world import T0, Stage, at, circle, files_of, site_of

INSTANT = "detection: {preset: instant}\n"
CONSENT = UserChanged("u-1", {"tier": "gold"}, {"marketing": True}, {}, "en", "Asia/Tokyo")

ENTER = """
id: enter
state: live
tags: [promo]
trigger: {event: entered, place: {id: shop}}
audience: {all: [{consent: marketing}, {attribute: tier, in: [gold]}]}
limits: {cooldown: none, caps: [{scope: tag, tag: promo, max: 2, per: day}]}
actions: [{push: {template: hello, ttl: 30m}}]
"""
BUY = """
id: buy
state: live
trigger: {event: purchase, where: {data.sku: [tea]}}
audience: {all: [{consent: marketing}]}
actions: [{push: {template: hello}}]
"""
CLOSING = """
id: closing
state: live
max_event_age: 10m
trigger: {event: timer, days: [wed], at: "17:30", inside: {id: shop}, seen_within: 10m}
audience: {all: [{consent: marketing}]}
actions: [{push: {template: hello}}]
"""


def stage(*rules: str) -> Stage:
    return Stage(
        site_of(files_of([circle("shop"), circle("cafe", east_m=400)], rules="---".join(rules), settings=INSTANT))
    )


def visit(play: Stage, seconds: float) -> None:
    """Go in for a second, and out again."""
    play.fix(seconds, 0, user="u-1")
    play.fix(seconds + 1, 200, user="u-1")


def reasons(play: Stage) -> list[tuple[str, str]]:
    return [(d.rule, d.reason.value) for e in play.effects for d in e.decisions]


OFTEN = """
id: often
state: live
trigger: {event: purchase}
audience: {all: [{consent: marketing}, {event_count: {type: purchase, min: 2}}, {visits: {place: {id: shop}}}]}
actions: [{push: {template: hello}}]
"""
KEEP = "keep: {events: 10d}\n"


def lived_long(days: list[float]) -> Stage:
    """Somebody enters, leaves and buys on the first day; all is stepped through at each of these days."""
    play = Stage(site_of(files_of([circle("shop")], rules=OFTEN, settings=INSTANT + KEEP)))
    play.step([CONSENT])
    visit(play, 5)
    play.step([Happened("u-1", "e-1", "purchase", T0 + 10_000)])
    for day in days:
        play.wait(day * 86_400)
    return play


def test_what_is_older_than_it_is_kept_goes_also_of_who_is_not_heard_of() -> None:
    """Histories were cut when they grew by 64, and so never were of most people."""
    play = lived_long([9])
    found = play.engine.people.find("u-1")
    assert found is not None
    assert (len(found.events), len(found.visits), len(play.engine.people.event_ids)) == (1, 1, 1)
    play = lived_long([9, 11, 12])
    back = restore(snapshot(play.engine), play.site)
    for engine in (play.engine, back):
        found = engine.people.find("u-1")
        assert found is not None
        assert (found.events, found.visits, engine.people.event_ids) == ([], [], {})


def test_no_decision_depends_on_when_what_is_old_goes() -> None:
    for days, at_day in (([], 10.001), ([], 11), ([9, 10.8], 11)):
        play = lived_long(days)
        now_ms = T0 + round(at_day * 86_400_000)
        play.step([Happened("u-1", "e-2", "purchase", now_ms)], now_ms)
        [decision] = play.effects[-1].decisions
        assert (decision.reason, decision.values["event_count.purchase"]) == (Reason.AUDIENCE, 1)


def test_a_send_has_one_delivery_with_the_keys_of_the_contract() -> None:
    play = stage(ENTER)
    play.step([CONSENT])
    effects = play.fix(5, 0, user="u-1")
    (decision,), (delivery,) = effects.decisions, effects.deliveries
    assert decision.reason is Reason.SENT
    assert decision.key == h("enter", "u-1", play.told[0].id)
    assert delivery.key == action_key(decision.key, 0)
    assert (delivery.channel, delivery.created_ms, delivery.expires_ms) == ("push", T0 + 5000, T0 + 5000 + 1_800_000)


def test_without_consent_the_reason_is_consent_and_with_another_tier_it_is_audience() -> None:
    play = stage(ENTER)
    play.step([UserChanged("u-1", {"tier": "gold"})])
    visit(play, 0)
    play.step([UserChanged("u-1", {"tier": "bronze"})])
    visit(play, 10)
    assert reasons(play) == [("enter", "consent"), ("enter", "audience")]


def test_a_change_of_a_user_counts_from_its_place_in_the_order_on() -> None:
    play = stage(ENTER)
    lat, lng = at(0)
    ping = {"device": "d-1", "user": "u-1", "time": T0, "lat": lat, "lng": lng}
    play.step([CONSENT, *_located(ping)])
    assert reasons(play) == [("enter", "sent")]
    other = stage(ENTER)
    other.step([*_located(ping), CONSENT])
    assert reasons(other) == [("enter", "consent")]


def _located(*pings: dict[str, object]) -> list[object]:
    from engine.ping import columns
    from tests.world import rows

    return [columns([rows(pings)])]


def test_the_cap_holds_until_the_day_is_over_and_a_failed_send_gives_its_place_back() -> None:
    play = stage(ENTER)
    play.step([CONSENT])
    for n in range(3):
        visit(play, n * 10)
    assert [r for _, r in reasons(play)] == ["sent", "sent", "cap"]
    first = play.effects[1].deliveries[0]
    play.step([Ended(first.key, first.decision, "u-1", "failed")], T0 + 40_000)
    visit(play, 50)
    visit(play, 60)
    assert [r for _, r in reasons(play)] == ["sent", "sent", "cap", "sent", "cap"]


def test_a_delivered_send_keeps_its_place() -> None:
    play = stage(ENTER)
    play.step([CONSENT])
    visit(play, 0)
    first = play.effects[1].deliveries[0]
    effects = play.step([Ended(first.key, first.decision, "u-1", "delivered")], T0 + 5000)
    assert [e.state.value for e in effects.endings] == ["delivered"]
    assert len(play.engine.people.user("u-1").sends) == 1
    assert play.engine.people.open == {}


def test_what_is_sent_again_is_reserved_again() -> None:
    play = stage(ENTER)
    play.step([CONSENT])
    visit(play, 0)
    first = play.effects[1].deliveries[0]
    play.step([Ended(first.key, first.decision, "u-1", "failed")], T0 + 5000)
    effects = play.step([Resent(first.key, first.decision, "u-1", "enter", ["promo"], "shop", ttl_ms=1000)], T0 + 6000)
    assert effects.resent == [(first.key, T0 + 7000)]
    assert [s.key for s in play.engine.people.user("u-1").sends] == [first.decision]


def test_an_event_is_judged_once_and_only_where_it_fits() -> None:
    play = stage(BUY)
    play.step([CONSENT])
    tea = Happened("u-1", "e-1", "purchase", T0, {"sku": "tea"})
    milk = Happened("u-1", "e-2", "purchase", T0, {"sku": "milk"})
    effects = play.step([tea, tea, milk])
    assert effects.fresh == [True, False, True]
    assert [(d.occasion.kind_name, d.occasion.id) for d in effects.decisions] == [("purchase", h("u-1", "e-1"))]


def test_a_timer_rings_for_those_inside_who_were_seen_lately() -> None:
    play = stage(CLOSING)
    play.step([CONSENT, UserChanged("u-2", {}, {"marketing": True})])
    play.fix(900, 0, device="long ago", user="u-2")
    play.fix(1500, 0, user="u-1")
    play.fix(1501, 400, device="elsewhere", user="u-3")
    effects = play.wait(1800)
    assert [(d.user, d.reason.value, d.occasion.id) for d in effects.decisions] == [
        ("u-1", "sent", h("u-1", str(T0 + 1_800_000)))
    ]
    assert effects.decisions[0].occasion.place is not None
    assert play.wait(1801).decisions == []


def test_a_timer_is_judged_on_the_newest_fix_of_the_device_that_it_finds() -> None:
    # It had no fix at all: `max_accuracy` refused everybody, and phones whose place is made up were sent to.
    exact = CLOSING.replace("max_event_age", "max_accuracy: 50m\nmax_event_age")
    for seen, expected in (
        ([{"accuracy": 5.0}], "sent"),
        ([{"accuracy": 5.0}, {"accuracy": 80.0}], "low_accuracy"),
        ([{"accuracy": 80.0}, {"accuracy": 5.0}], "sent"),
        ([{}], "low_accuracy"),
        ([{"accuracy": 5.0, "mocked": True}], "mocked"),
        ([{"accuracy": 5.0, "mocked": True}, {"accuracy": 5.0}], "sent"),
    ):
        play = stage(exact)
        play.step([CONSENT])
        for n, fix in enumerate(seen):
            play.fix(1500 + n, 0, user="u-1", **fix)
        play.engine = restore(snapshot(play.engine), play.site)
        assert [d.reason.value for d in play.wait(1800).decisions] == [expected], seen


def test_what_is_of_no_device_has_no_fix_to_judge() -> None:
    everybody = CLOSING.replace(", inside: {id: shop}, seen_within: 10m", ", timezone: Asia/Tokyo")
    play = stage(*(rule.replace("state: live", "state: live\nmax_accuracy: 50m") for rule in (BUY, everybody)))
    play.step([CONSENT])
    play.fix(1500, 0, user="u-1", mocked=True)
    play.step([Happened("u-1", "e-1", "purchase", T0 + 1_600_000, {"sku": "tea"})], T0 + 1_600_000)
    play.wait(1800)
    assert reasons(play) == [("buy", "sent"), ("closing", "sent")]


def test_an_instant_missed_while_down_rings_at_the_start_if_it_is_not_too_old() -> None:
    for seconds, expected in ((2399, ["sent"]), (2401, [])):
        play = stage(CLOSING)
        play.step([CONSENT])
        play.fix(1700, 0, user="u-1")
        play.engine = restore(snapshot(play.engine), play.site)
        assert [d.reason.value for d in play.wait(seconds).decisions] == expected


def test_erasing_a_user_forgets_everything_and_tells_no_transition() -> None:
    play = stage(ENTER)
    play.step([CONSENT])
    play.fix(0, 0, user="u-1")
    told = len(play.told)
    effects = play.step([Erased("u-1")])
    assert effects.erased == {"u-1": ["d-1"]}
    assert len(play.told) == told
    assert "u-1" not in play.engine.people.everybody()
    assert play.engine.people.open == {}
    play.fix(5, 0, user="u-1")
    assert reasons(play)[-1] == ("enter", "consent")


def test_a_snapshot_brings_back_the_very_state() -> None:
    play = stage(ENTER, CLOSING)
    play.step([CONSENT])
    play.fix(0, 0, user="u-1")
    play.fix(1, 400, device="d-2")
    back = restore(snapshot(play.engine), play.site)
    assert snapshot(back) == snapshot(play.engine)
    for engine in (play.engine, back):
        effects = engine.step((), T0 + 1_800_000 + 5000)
        assert [(t.kind.value, t.place.id, t.time_ms) for t in effects.transitions] == [
            ("exited", "shop", T0 + 1_800_000),
            ("exited", "cafe", T0 + 1_801_000),
        ]
        assert effects.decisions == []


def test_an_erased_snapshot_does_not_hold_the_user() -> None:
    play = stage(ENTER)
    play.step([CONSENT])
    play.fix(0, 0, user="u-1", device="phone-of-u-1")
    play.fix(1, 400, device="d-2")
    back: Engine = restore(erase(snapshot(play.engine), "u-1"), play.site)
    assert "u-1" not in back.people.everybody()
    assert set(back.sense.devices.slots) == {"d-2"}
    assert b"u-1" not in encode_frame(0, ()) + "".join(back.sense.devices.names).encode()


def test_a_frame_comes_back_as_it_went() -> None:
    inputs = [CONSENT, Happened("u-1", "e", "purchase", 5, {"a": [1, {"b": None}]}), Erased("x"), *_located_one()]
    assert decode_frame(encode_frame(7, inputs)).inputs == inputs


def _located_one() -> list[object]:
    lat, lng = at(0)
    return _located({"device": "d-1", "user": "u-1", "time": T0, "lat": lat, "lng": lng, "accuracy": 5.0})


def test_presence_of_any_device_counts_for_a_user() -> None:
    rule = ENTER.replace("{attribute: tier, in: [gold]}", "{not: {inside: {id: cafe}}}")
    play = stage(rule)
    play.step([CONSENT])
    play.fix(0, 400, device="tablet", user="u-1")
    play.fix(1, 0, device="phone", user="u-1")
    play.fix(2, 900, device="tablet", user="u-1")
    play.fix(3, 200, device="phone", user="u-1")
    play.fix(4, 0, device="phone", user="u-1")
    assert [r for _, r in reasons(play)] == ["audience", "sent"]


def test_places_are_named_in_any_script() -> None:
    rule = ENTER.replace("{id: shop}", "{tag: デパ地下}").replace(
        "{attribute: tier, in: [gold]}", "{inside: {id: 新宿店}}"
    )
    files = files_of([circle("新宿店", tags=["デパ地下"])], rules=rule, settings=INSTANT)
    play = Stage(site_of(files))
    play.step([CONSENT])
    play.fix(0, 0, user="u-1")
    assert reasons(play) == [("enter", "sent")]
