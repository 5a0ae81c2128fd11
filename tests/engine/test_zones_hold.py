"""Zones that lie inside a fence, zones of a group, and what an edit does to those who are in them."""

from __future__ import annotations

from tests.world import T0, Stage, circle, files_of, site_of

UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
INSTANT = "detection: {preset: instant}\n"


def zones(*more: str) -> str:
    """Zones `z1`, `z2` .. of one beacon each, left 3 s after they were last heard, and what else they say."""
    return "".join(
        f'- {{id: z{n}, beacons: ["ibeacon:{UUID}:{n}:*"], exit_after: 3s{said}}}\n' for n, said in enumerate(more, 1)
    )


def dwelled(*times: str) -> str:
    """Rules that ask for these dwell times at the shop."""
    return "---".join(
        f"""
id: r{time}
state: live
trigger: {{event: dwelled, for: {time}, place: {{id: shop}}}}
audience: {{all: [{{consent: m}}]}}
actions: [{{push: {{template: hello}}}}]
"""
        for time in times
    )


def files(beacons: str, *dwells: str, settings: str = INSTANT) -> dict[str, bytes]:
    return files_of([circle("shop")], rules=dwelled(*dwells), beacons=beacons, settings=settings)


def hear(play: Stage, zone: int, *seconds: float, rssi: float = -60, minor: int = 1) -> None:
    for second in seconds:
        beacon = f"ibeacon:{UUID}:{zone}:{minor}"
        play.post({"device": "d-1", "time": T0 + round(second * 1000), "beacon": beacon, "rssi": rssi})


def shop(play: Stage) -> list[tuple[str, float, str]]:
    return [(kind, second, cause) for kind, place, second, cause in play.story() if place == "shop"]


# -- a zone holds its fence --------------------------------------------------------------------------------------------


def test_who_was_in_a_zone_lately_dwells_in_its_fence_though_no_fix_ever_came() -> None:
    play = Stage(site_of(files(zones(", inside: shop"), "6s")))
    hear(play, 1, 0, 1)
    play.wait(10)
    assert shop(play) == [("entered", 1.0, "sighting"), ("dwelled", 7.0, "timer")]


def test_a_dwell_that_waits_comes_when_the_zone_in_the_fence_is_heard() -> None:
    play = Stage(site_of(files(zones(", inside: shop"), "20m")))
    play.fix(0, 0)
    play.wait(1500)
    hear(play, 1, 1500, 1501)
    assert shop(play) == [("entered", 0.0, "fix"), ("dwelled", 1501.0, "timer")]


def test_a_dwell_does_not_wait_while_the_zone_holds_though_it_was_heard_long_ago() -> None:
    beacons = zones(", inside: shop").replace("exit_after: 3s", "exit_after: 1h")
    play = Stage(site_of(files(beacons, "20m")))
    hear(play, 1, 0, 1)
    play.wait(1300)
    assert shop(play) == [("entered", 1.0, "sighting"), ("dwelled", 1201.0, "timer")]


def test_a_dwell_waits_where_the_zone_was_left_too_long_ago() -> None:
    play = Stage(site_of(files(zones(", inside: shop"), "20m")))
    hear(play, 1, 0, 1)
    play.wait(1300)
    assert shop(play) == [("entered", 1.0, "sighting")]
    play.fix(1310, 0)
    assert shop(play)[1:] == [("dwelled", 1310.0, "timer")]


def test_a_silence_that_is_past_ends_the_stay_when_the_zone_lets_go_and_not_before() -> None:
    beacons = zones(", inside: shop").replace("exit_after: 3s", "exit_after: 10s")
    play = Stage(site_of(files(beacons, "8s", settings="detection: {preset: instant, silence: 5s}\n")))
    hear(play, 1, 0, 1)
    play.wait(10.9)
    assert shop(play) == [("entered", 1.0, "sighting"), ("dwelled", 9.0, "timer")]
    play.wait(12)
    assert play.story()[-2:] == [("exited", "shop", 11.0, "silent"), ("exited", "z1", 11.0, "timer")]


def test_the_fence_is_held_on_where_another_of_its_zones_takes_over() -> None:
    beacons = zones(", inside: shop, group: g", ", inside: shop, group: g").replace("exit_after: 3s", "exit_after: 1m")
    play = Stage(site_of(files(beacons, settings="detection: {preset: instant, silence: 4s}\n")))
    hear(play, 1, 0, 1, rssi=-70)
    hear(play, 2, 7, rssi=-50)
    hear(play, 2, 12, rssi=-50)
    assert [s for s in play.story() if s[1] == "z2"] == [("entered", "z2", 12.0, "sighting")]
    assert shop(play) == [("entered", 1.0, "sighting")]


# -- groups ------------------------------------------------------------------------------------------------------------


def test_a_lead_over_a_zone_that_was_left_counts_for_nothing_against_the_next() -> None:
    play = Stage(site_of(files(zones(*[", group: g"] * 3))))
    hear(play, 2, 0, 1, rssi=-70)
    hear(play, 1, 2, rssi=-50)
    hear(play, 3, 7, 8)
    hear(play, 1, 9, rssi=-50)
    assert [s[:3] for s in play.story()] == [("entered", "z2", 1.0), ("exited", "z2", 4.0), ("entered", "z3", 8.0)]


def test_two_strong_sightings_enter_in_whichever_order_they_come() -> None:
    play = Stage(site_of(files(zones(""))))
    hear(play, 1, 5)
    hear(play, 1, 4, minor=2)
    assert play.story() == [("entered", "z1", 5.0, "sighting")]


def test_a_sighting_that_comes_late_enters_nothing_before_what_happened_since() -> None:
    play = Stage(site_of(files(zones(", inside: shop"))))
    hear(play, 1, 5)
    play.fix(5, 0)
    play.fix(7, 1000)
    hear(play, 1, 4, minor=2)
    assert shop(play) == [("entered", 5.0, "fix"), ("exited", 7.0, "fix")]


def test_a_late_challenger_ends_no_stay_before_a_dwell_that_was_told() -> None:
    rule = dwelled("6s").replace("id: shop", "id: z1")
    beacons = zones(", group: g", ", group: g").replace("exit_after: 3s", "exit_after: 1m")
    play = Stage(site_of(files_of([circle("shop")], rules=rule, beacons=beacons, settings=INSTANT)))
    hear(play, 1, 0, 1, rssi=-70)
    play.fix(9, 1000)
    hear(play, 2, 1.5, 6.5, rssi=-50)
    assert [s[:3] for s in play.story()] == [("entered", "z1", 1.0), ("dwelled", "z1", 7.0)]


# -- edits -------------------------------------------------------------------------------------------------------------


def test_a_zone_that_comes_to_lie_in_a_fence_holds_it_from_the_edit_on() -> None:
    play = Stage(site_of(files(zones("").replace("exit_after: 3s", "exit_after: 1m"))))
    hear(play, 1, 0, 1)
    play.edit(files(zones(", inside: shop").replace("exit_after: 3s", "exit_after: 1m")), 10)
    assert shop(play) == [("entered", 10.0, "edited")]


def test_of_zones_that_become_one_group_the_strongest_stays() -> None:
    play = Stage(site_of(files(zones("", "", "").replace("exit_after: 3s", "exit_after: 1m"))))
    for zone, rssi in ((1, -70), (2, -50), (3, -60)):
        hear(play, zone, 1 + zone / 10, 2 + zone / 10, rssi=rssi)
    play.edit(files(zones(*[", group: g"] * 3).replace("exit_after: 3s", "exit_after: 1m")), 4)
    assert play.story()[3:] == [("exited", "z1", 4.0, "edited"), ("exited", "z3", 4.0, "edited")]


def test_a_time_made_shorter_ends_no_stay_before_what_was_told_of_it() -> None:
    play = Stage(site_of(files(zones("").replace("exit_after: 3s", "exit_after: 1m"), "5s")))
    hear(play, 1, 0, 1)
    play.fix(1, 0)
    play.wait(6)
    assert shop(play) == [("entered", 1.0, "fix"), ("dwelled", 6.0, "timer")]
    play.edit(files(zones(""), "5s", settings="detection: {preset: instant, silence: 3s}\n"), 10)
    play.wait(10)
    assert play.story()[3:] == [("exited", "z1", 4.0, "timer"), ("exited", "shop", 6.0, "silent")]


def test_a_zone_that_goes_lets_go_of_its_fence() -> None:
    play = Stage(site_of(files(zones(", inside: shop"), "6s")))
    hear(play, 1, 0, 1)
    play.edit(files("", "6s"), 3)
    play.wait(10)
    assert shop(play) == [("entered", 1.0, "sighting"), ("dwelled", 7.0, "timer")]


def test_a_dwell_time_that_is_past_when_its_rule_appears_is_not_told_beside_one_that_waits() -> None:
    detection = "detection: {preset: instant, max_silence: 5s}\n"
    play = Stage(site_of(files("", "8s", settings=detection)))
    play.fix(0, 0)
    play.edit(files("", "3s", "8s", settings=detection), 10)
    play.fix(11, 0)
    assert [(t.kind.value, t.dwell_ms) for t in play.told] == [("entered", None), ("dwelled", 8000)]


def test_a_zone_that_comes_to_lie_in_a_fence_begins_a_row_of_fixes_out_of_it_anew() -> None:
    detection = "detection: {enter_fixes: 1, exit_fixes: 2, exit_after: 30s}\n"
    apart, held = (zones(said).replace("exit_after: 3s", "exit_after: 10s") for said in ("", ", inside: shop"))
    play = Stage(site_of(files(apart, settings=detection)))
    play.fix(0, 0)
    play.fix(9, 1000)
    hear(play, 1, 10, 11)
    play.edit(files(held, settings=detection), 12)
    hear(play, 1, 13)
    play.fix(41, 1000)
    assert shop(play) == [("entered", 0.0, "fix")]


def test_a_dwell_that_waits_is_told_when_an_edit_has_a_zone_hold_its_fence() -> None:
    play = Stage(site_of(files(zones(""), "20m")))
    play.fix(0, 0)
    play.wait(1250)
    hear(play, 1, 1300, 1301)
    play.edit(files(zones(", inside: shop"), "20m"), 1302)
    play.wait(1400)
    assert shop(play) == [("entered", 0.0, "fix"), ("dwelled", 1302.0, "timer")]
