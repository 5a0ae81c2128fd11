"""Bugs that the simulation found, each as the smallest journey that shows it, with its story."""

from __future__ import annotations

import json

from engine.ping import columns
from engine.wire import Erased, Happened, Resent, UserChanged
from tests.world import T0, Stage, at, circle, files_of, rows, site_of

INSTANT = "detection: {preset: instant}\n"
BEACON = "ibeacon:f7826da6-4fa2-4e98-8024-bc5b71e0893e:17:4"
ZONE = f'[{{id: floor, beacons: ["{BEACON}"], exit_after: 30s}}]'


def rule(name: str, trigger: str, more: str = "") -> str:
    return f"""
id: {name}
state: live
trigger: {trigger}
audience: {{all: [{{consent: m}}]}}
actions: [{{push: {{template: hello}}}}]
{more}
"""


def stage(*fences: dict[str, object], rules: str = "", beacons: str = "", settings: str = INSTANT) -> Stage:
    return Stage(site_of(files_of(fences or (circle("shop"),), rules=rules, beacons=beacons, settings=settings)))


def decided(play: Stage) -> list[tuple[str, str, str | None, str]]:
    """(rule, kind, place, reason) of every decision so far."""
    found = [d for effects in play.effects for d in effects.decisions]
    return [
        (d.rule, d.occasion.kind_name, None if d.occasion.place is None else d.occasion.place.id, d.reason.value)
        for d in found
    ]


def hear(play: Stage, *seconds: float, device: str = "d-1", **more: object) -> None:
    """Strong sightings of the beacon, each in a request of its own."""
    for second in seconds:
        time_ms = T0 + round(second * 1000)
        play.post({"device": device, "time": time_ms, "beacon": BEACON, "rssi": -60, **more}, now_ms=play.now_ms)


def test_a_rule_of_which_two_triggers_fit_decides_once() -> None:
    # It decided once for each trigger: two decisions under one key, the second a `cooldown` by the first.
    both = "{any: [{event: entered, place: {id: shop}}, {event: entered, place: {tag: food}}]}"
    play = stage(circle("shop", tags=["food"]), rules=rule("r", both))
    play.fix(0, 0)
    assert decided(play) == [("r", "entered", "shop", "consent")]


def test_a_place_that_moves_off_and_loses_its_tag_is_judged_as_it_is_now_and_later_too() -> None:
    # The exit was judged by the place as it had been, and the rules found for that were then kept under its id:
    # every later exit was judged by tags that the place no longer had, until the next start.
    rules = rule("r", "{event: exited, place: {tag: food}}")
    other = circle("other", east_m=9000, tags=["food"])
    play = stage(other, circle("shop", tags=["food"]), rules=rules)
    play.fix(0, 0)
    play.edit(files_of([other, circle("shop", east_m=900)], rules=rules, settings=INSTANT), 10)
    play.fix(20, 900)
    play.fix(30, 0)
    assert [k for k, *_ in play.story()] == ["entered", "exited", "entered", "exited"]
    assert decided(play) == []


def test_a_device_in_a_zone_alone_takes_its_presence_along_to_the_next_user() -> None:
    # A fix that changed nothing took the fast way, and that told nobody of the new user.
    play = stage(beacons=ZONE)
    hear(play, 0, 1)
    play.fix(2, 5000, user="u-1")
    play.fix(3, 5000, user="u-2")
    people = play.engine.people
    assert {n: found for n in people.everybody() if (found := people.user(n).inside)} == {
        "u-2": {"floor": [1, T0 + 1000]}
    }


def test_the_newest_ping_names_the_user_even_if_an_older_sighting_comes_after_it() -> None:
    # Sightings are late by beacon, so an old one of a beacon not yet heard is worked; it also named the user.
    play = stage(beacons=ZONE)
    play.fix(100, 0, user="new")
    hear(play, 50, user="old")
    play.fix(110, 500)
    assert [t.user for t in play.told] == ["new", "new"]


def test_the_newest_ping_names_the_user_even_if_an_older_fix_comes_after_it() -> None:
    play = stage(beacons=ZONE)
    hear(play, 100, user="new")
    play.fix(50, 500, user="old")
    hear(play, 101)
    assert [t.user for t in play.told] == ["new"]


def test_what_happened_while_the_process_was_down_is_decided_now_and_not_at_a_rules_timer_in_between() -> None:
    # Device timers due before a rule's instant were decided as of that instant: nothing was ever stale then.
    clock = rule("clock", '{event: timer, at: "17:40", timezone: Asia/Tokyo, inside: {id: far}}')
    rules = rule("left", "{event: exited, place: {id: shop}}") + "---" + clock
    play = stage(circle("shop"), circle("far", east_m=9000), rules=rules)
    play.step([UserChanged("d-1", consent={"m": True})])
    play.fix(0, 0)
    play.wait(7200)
    assert play.story()[1:] == [("exited", "shop", 1800.0, "silent")]
    assert decided(play) == [("left", "exited", "shop", "stale")]


def test_a_rule_with_two_timers_at_one_instant_decides_once_for_each_user() -> None:
    # Each trigger, and each time zone of its places, rang for itself: one key, two decisions.
    two = '{any: [{event: timer, at: "18:00", inside: {id: shop}}, {event: timer, at: "18:00", inside: {id: wide}}]}'
    play = stage(circle("shop"), circle("wide", radius_m=300, timezone="Asia/Seoul"), rules=rule("r", two))
    play.fix(3000, 200)
    play.fix(3100, 0)
    play.wait(3600)
    assert decided(play) == [("r", "timer", "shop", "consent")]


def test_of_timers_at_one_instant_the_rule_of_the_higher_priority_takes_the_cap() -> None:
    # They rang in the order of their ids: the cap was the lower one's.
    timer, cap = '{event: timer, at: "18:00", inside: {id: shop}}', "limits: {caps: [{scope: all, max: 1, per: 1d}]}"
    rules = rule("a-low", timer, cap) + "---" + rule("z-high", timer, f"{cap}\npriority: 100")
    play = stage(rules=rules)
    play.step([UserChanged("d-1", consent={"m": True})])
    play.fix(3500, 0)
    play.wait(3600)
    assert decided(play) == [("z-high", "timer", "shop", "sent"), ("a-low", "timer", "shop", "cap")]


def test_a_timer_for_everybody_tells_the_place_of_those_who_are_where_its_other_trigger_looks() -> None:
    two = '{any: [{event: timer, at: "18:00"}, {event: timer, at: "18:00", inside: {id: shop}}]}'
    play = stage(rules=rule("r", two, "schedule: {timezone: user}"), settings=INSTANT + "timezone: Asia/Tokyo\n")
    play.step([Happened("u-1", "e", "seen", T0)])
    play.fix(3500, 0)
    play.wait(3600)
    assert decided(play) == [("r", "timer", "shop", "consent"), ("r", "timer", None, "consent")]


def test_a_fix_older_than_the_stay_that_an_edit_began_does_not_end_it_before_it_began() -> None:
    # The phone was silent when the fence appeared over it; what it uploaded then was older, and out.
    far = circle("far", east_m=9000)
    play = stage(far)
    play.fix(0, 0)
    play.edit(files_of([far, circle("shop")], settings=INSTANT), 60)
    lat, lng = at(500)
    play.post({"device": "d-1", "time": T0 + 30_000, "lat": lat, "lng": lng}, now_ms=T0 + 90_000)
    assert play.story() == [("entered", "shop", 60.0, "edited")]
    play.edit(files_of([far], settings=INSTANT), 95)
    assert play.story()[1:] == [("exited", "shop", 60.0, "edited")]


def test_a_fix_older_than_the_sighting_that_began_a_stay_does_not_end_it_before_it_began() -> None:
    play = stage(beacons=ZONE.replace("exit_after", "inside: shop, exit_after"))
    hear(play, 100, 101)
    play.wait(140)
    play.fix(90, 500)
    assert play.story()[2:] == [("exited", "floor", 131.0, "timer")]


def test_a_silence_that_an_edit_shortened_does_not_end_a_stay_before_it_began() -> None:
    far = circle("far", east_m=9000)
    play = stage(far)
    play.fix(0, 0)
    play.edit(files_of([far, circle("shop")], settings=INSTANT), 600)
    play.edit(files_of([far, circle("shop")], settings="detection: {preset: instant, silence: 5m}\n"), 700)
    play.wait(700)
    assert play.story() == [("entered", "shop", 600.0, "edited"), ("exited", "shop", 600.0, "silent")]


def test_how_requests_are_gathered_does_not_change_whom_a_timer_for_everybody_concerns() -> None:
    # A device that is nowhere named a user: that made the user known if another request of the batch had been slow.
    rules = rule("r", '{event: timer, at: "18:00", timezone: Asia/Tokyo}')
    (lat, lng), (near_lat, near_lng) = at(5000), at(500)
    one = rows([{"device": "d-1", "time": T0, "lat": near_lat, "lng": near_lng, "accuracy": 900.0}])
    two = rows([{"device": "d-1", "time": T0 + 1000, "beacon": BEACON, "rssi": -60}])
    three = rows([{"device": "d-1", "time": T0 + 2000, "lat": lat, "lng": lng, "user": "u-1"}])
    told = []
    for batches in ([[one, two, three]], [[one, two], [three]], [[one], [two], [three]]):
        play = stage(beacons=ZONE, rules=rules)
        for batch in batches:
            play.step([columns(batch)], T0 + 2000)
        play.wait(3600)
        told.append(decided(play))
    assert told == [[], [], []]


def test_a_timer_that_an_older_fix_started_in_the_past_of_the_devices_clock_is_due_with_its_request() -> None:
    # It fired with the next step, whichever that was: two requests in one step told something else than in two.
    lat, lng = at(500)
    far = circle("far", east_m=9000)
    out = [rows([{"device": "d-1", "time": T0 + s * 1000, "lat": lat, "lng": lng}]) for s in (20, 60)]
    stories = []
    for batches in ([out], [[out[0]], [out[1]]]):
        play = stage(circle("shop"), far, beacons=ZONE, settings="detection: {enter_fixes: 1}\n")
        play.fix(0, 0)
        hear(play, 100)
        for batch in batches:
            play.step([columns(batch)], play.now_ms)
        stories.append(play.story())
    assert stories[0] == stories[1] == [("entered", "shop", 0.0, "fix"), ("exited", "shop", 50.0, "timer")]


def test_who_hands_a_device_on_at_the_very_instant_of_entering_is_not_left_behind_inside() -> None:
    """Two rows of one time: the first enters under one user, the second names another. The change of hands was told
    before the entering, so that the first user stayed inside for ever."""
    play = Stage(site_of(files_of([circle("shop")], beacons=_ZONE)))
    beacon = f"ibeacon:{_UUID}:1:"
    for time_ms, minor, user in ((T0 - 1000, 1, "u-1"), (T0, 1, "u-1"), (T0, 2, "u-2")):
        ping = {"device": "d-1", "user": user, "time": time_ms, "beacon": beacon + str(minor), "rssi": -60}
        if time_ms == T0 and minor == 1:
            first = ping
            continue
        play.post(*((first, ping) if minor == 2 else (ping,)))
    assert play.engine.people.user("u-1").inside == {}
    assert play.engine.people.user("u-2").inside.keys() == {"shop", "floor"}


def test_a_challengers_sighting_that_comes_late_does_not_end_a_stay_before_it_began() -> None:
    """The rival zone was entered at 10 s; one of 9 s came late, led by far, and ended it then."""
    zones = [{"id": name, "group": "floors", "beacons": [f"ibeacon:{_UUID}:{n}:*"]} for n, name in enumerate("ab")]
    play = Stage(site_of(files_of([circle("shop")], beacons=json.dumps(zones))))

    def sighting(second: float, zone: int, minor: int, rssi: int) -> None:
        beacon = f"ibeacon:{_UUID}:{zone}:{minor}"
        play.post({"device": "d-1", "time": T0 + round(second * 1000), "beacon": beacon, "rssi": rssi})

    sighting(3, 1, 1, -40)
    for second in (9.5, 10):
        sighting(second, 0, 1, -70)
    for second in (3.5, 9):
        sighting(second, 1, 2, -40)
    assert play.story() == [("entered", "a", 10.0, "sighting")]


def test_no_stay_ends_at_the_very_instant_it_began() -> None:
    """A zone was entered and, by another beacon's sighting of the same instant, lost to its rival: the exit was told
    before the enter."""
    zones = [{"id": name, "group": "floors", "beacons": [f"ibeacon:{_UUID}:{n}:*"]} for n, name in enumerate("ab")]
    play = Stage(site_of(files_of([circle("shop")], beacons=json.dumps(zones))))

    def heard(second: float, zone: int, minor: int, rssi: int) -> dict[str, object]:
        beacon = f"ibeacon:{_UUID}:{zone}:{minor}"
        return {"device": "d-1", "time": T0 + round(second * 1000), "beacon": beacon, "rssi": rssi}

    play.post(heard(1, 1, 1, -40), heard(9.5, 0, 1, -70))
    play.post(heard(10, 0, 1, -70), heard(10, 1, 2, -40))
    assert play.story() == [("entered", "a", 10.0, "sighting")]


_UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
_ZONE = f'- {{id: floor, inside: shop, beacons: ["ibeacon:{_UUID}:1:*"], enter_rssi: -75, exit_rssi: -85}}\n'


def test_another_fences_strictness_does_not_make_a_way_out_of_two() -> None:
    """A fix of 100 m that the crossed fence takes ended the way inside it; an 80 m fence elsewhere had it passed
    over, and the way from before it to after it was told as crossed."""
    rules = rule("cross", "{event: crossed, place: {id: shop}}")
    strict = circle("strict", east_m=9000, detection={"max_accuracy": "80m"})
    play = Stage(site_of(files_of([circle("shop"), strict], rules=rules)))
    play.fix(0, -300, 10)
    play.fix(20, 0, 150)
    play.fix(40, 300, 10)
    assert play.story() == []


def test_what_a_paused_rule_sent_is_not_sent_again() -> None:
    """Sending again made the delivery pending though its rule had been paused meanwhile."""
    play = Stage(site_of(files_of([circle("shop")], rules=rule("hello", "{event: entered, place: {id: shop}}"))))
    play.step([UserChanged("u-1")])
    effects = play.step([Resent("k", "d", "u-1", "hello"), Resent("l", "e", "u-1", "gone")])
    assert [key for key, _ in effects.resent] == ["k"]
    assert set(play.engine.people.open) == {"d"}


def test_a_delivery_is_not_sent_again_to_somebody_who_was_erased_meanwhile() -> None:
    # The request had read it before, and made a user of the name again.
    play = stage(rules=rule("r", "{event: entered, place: {id: shop}}"))
    play.step([UserChanged("d-1", consent={"m": True})])
    play.fix(0, 0)
    again = Resent("k", "decision", "d-1", "r", [], None, False, 1000)
    play.step([Erased("d-1")])
    assert play.step([again]).resent == []
    assert "d-1" not in play.engine.people.users


def test_everybody_is_looked_at_for_what_is_old_some_at_a_time() -> None:
    settings = INSTANT + "keep: {events: 30d}\n"
    play = stage(settings=settings)
    play.step([Happened(f"u-{n}", "e", "seen", T0) for n in range(1_000)])
    people = play.engine.people
    play.wait(40 * 86_400)
    left = [user for user in people.users.values() if user.events]
    assert 0 < len(left) < 1_000
    for second in range(1, 6):
        play.wait(40 * 86_400 + second)
    assert not any(user.events for user in people.users.values()) and not people.event_ids


def test_whether_an_old_event_is_a_repeat_does_not_depend_on_who_was_looked_at_already() -> None:
    play = stage(settings=INSTANT + "keep: {events: 30d}\n")
    play.step([Happened(f"u-{n}", "e", "seen", T0) for n in range(1_000)])
    again = play.step([Happened(f"u-{n}", "e", "seen", T0) for n in range(1_000)], T0 + 40 * 86_400_000)
    assert again.fresh == [True] * 1_000
