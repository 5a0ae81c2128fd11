"""Beacon zones: sightings in, transitions out."""

from __future__ import annotations

from tests.world import T0, Stage, circle, files_of, site_of

UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
ZONES = f"""
- {{id: food, group: store, inside: shop, beacons: ["ibeacon:{UUID}:17:*"], enter_rssi: -75, exit_rssi: -85,
   exit_after: 30s}}
- {{id: books, group: store, beacons: ["ibeacon:{UUID}:18:1"], enter_rssi: -75, exit_rssi: -85, exit_after: 30s}}
"""
FOOD, BOOKS = f"ibeacon:{UUID}:17:4", f"ibeacon:{UUID}:18:1"


def stage() -> Stage:
    files = files_of([circle("shop", east_m=5000)], beacons=ZONES, settings="detection: {preset: instant}\n")
    return Stage(site_of(files))


def hear(play: Stage, seconds: float, beacon: str, rssi: float) -> None:
    play.post({"device": "d-1", "time": T0 + round(seconds * 1000), "beacon": beacon, "rssi": rssi})


def zone_story(play: Stage) -> list[tuple[str, str, float, str]]:
    return [s for s in play.story() if s[1] != "shop"]


def test_two_strong_sightings_within_ten_seconds_enter() -> None:
    play = stage()
    hear(play, 0, FOOD, -70)
    assert zone_story(play) == []
    hear(play, 10, FOOD, -75)
    assert zone_story(play) == [("entered", "food", 10.0, "sighting")]


def test_sightings_too_weak_or_too_far_apart_do_not() -> None:
    play = stage()
    hear(play, 0, FOOD, -70)
    hear(play, 5, FOOD, -76)
    hear(play, 11, FOOD, -70)
    assert zone_story(play) == []


def test_a_zone_is_left_when_nothing_good_was_heard_for_long_enough() -> None:
    play = stage()
    hear(play, 0, FOOD, -70)
    hear(play, 1, FOOD, -70)
    hear(play, 20, FOOD, -85)
    hear(play, 40, FOOD, -86)
    play.wait(49.999)
    assert len(zone_story(play)) == 1
    play.wait(50)
    assert zone_story(play)[1:] == [("exited", "food", 50.0, "timer")]


def test_the_same_sighting_twice_is_a_duplicate_and_an_older_one_is_late() -> None:
    play = stage()
    hear(play, 5, FOOD, -70)
    hear(play, 5, FOOD, -70)
    hear(play, 4, FOOD, -70)
    hear(play, 4, BOOKS, -90)
    counts = [(int(e.counted[0].accepted[0]), int(e.counted[0].duplicate[0]), int(e.counted[0].late[0]))
              for e in play.effects]  # fmt: skip
    assert counts == [(1, 0, 0), (0, 1, 0), (1, 0, 1), (1, 0, 0)]
    assert zone_story(play) == []


def test_a_challenger_of_the_group_must_lead_by_six_db_for_five_seconds() -> None:
    play = stage()
    for second in range(3):
        hear(play, second, FOOD, -65)
    for second in range(3, 12):
        hear(play, second, FOOD, -65)
        hear(play, second + 0.5, BOOKS, -60)
    assert [s[1] for s in zone_story(play)] == ["food"]
    for second in range(12, 19):
        hear(play, second, FOOD, -70)
        hear(play, second + 0.5, BOOKS, -58)
    assert zone_story(play)[1:] == [("exited", "food", 17.5, "sighting"), ("entered", "books", 17.5, "sighting")]


def test_a_zone_counts_as_a_fix_surely_in_the_fence_it_is_inside_of() -> None:
    play = stage()
    hear(play, 0, FOOD, -70)
    hear(play, 1, FOOD, -70)
    assert ("entered", "shop", 1.0, "sighting") in play.story()
    play.fix(2, 0)
    assert ("exited", "shop", 2.0, "fix") not in play.story()
    play.wait(31)
    play.fix(32, 0)
    assert play.story()[2:] == [("exited", "food", 31.0, "timer"), ("exited", "shop", 32.0, "fix")]
