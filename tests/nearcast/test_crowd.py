"""The demo's crowd: its phones behave as phones do, and the demo's moment comes.

The truth is the same crowd with `gps_noise=0`: every other draw is the same, so its pings pair up one to one.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearcast.crowd import ACCURACY_PER_SIGMA, ERROR_TAU_S, Crowd, CrowdBatch, drifted
from nearcast.town import Plane, Town, town_of
from nearcast.ways import TRAIN_MEAN_MPS, WALK_MAX_MPS, WALK_MIN_MPS, Doing, Ways

SITE = Path(__file__).parents[2] / "examples" / "tokyo"
#: Wednesday 2026-11-25, 16:59:30 and 17:00 in Tokyo.
START_MS = 1_795_593_570_000
FIVE_MS = START_MS + 30_000


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {str(p.relative_to(SITE)): p.read_bytes() for p in SITE.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def town(files: dict[str, bytes]) -> Town:
    return town_of(files)


@pytest.fixture(scope="module")
def five_minutes(town: Town) -> CrowdBatch:
    return Crowd(7, town=town, start_ms=START_MS).step(START_MS + 300_000)


@pytest.fixture(scope="module")
def true_five_minutes(town: Town) -> CrowdBatch:
    return Crowd(7, town=town, start_ms=START_MS, gps_noise=0.0).step(START_MS + 300_000)


def from_hub_m(pings: list[dict[str, Any]], town: Town) -> np.ndarray[Any, np.dtype[np.float64]]:
    lng, lat = (np.array([ping[name] for ping in pings]) for name in ("lng", "lat"))
    return np.hypot(*town.plane.metres(lng, lat))


def by_device(pings: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for ping in pings:
        found[ping["device"]].append(ping)
    return found


def test_the_same_seed_gives_the_same_crowd(town: Town) -> None:
    one, other = (Crowd(3, town=town, start_ms=START_MS, people=200) for _ in range(2))

    assert one.users() == other.users()
    assert one.step(START_MS + 60_000) == other.step(START_MS + 60_000)


def test_another_seed_gives_another_crowd(town: Town) -> None:
    one, other = (Crowd(seed, town=town, start_ms=START_MS, people=200) for seed in (3, 4))

    assert one.users() != other.users()
    assert one.step(START_MS + 10_000).pings != other.step(START_MS + 10_000).pings


@pytest.mark.parametrize("cut_ms", [50, 333, 1_000, 7_001])
def test_the_steps_do_not_matter_only_the_time_does(town: Town, cut_ms: int) -> None:
    whole = Crowd(5, town=town, start_ms=START_MS, people=300).step(START_MS + 40_000)

    crowd = Crowd(5, town=town, start_ms=START_MS, people=300)
    ends = [*range(START_MS, START_MS + 40_000, cut_ms), START_MS + 40_000]
    cut = [crowd.step(end_ms) for end_ms in ends]

    assert [ping for batch in cut for ping in batch.pings] == whole.pings
    assert [sighting for batch in cut for sighting in batch.sightings] == whole.sightings
    assert [event for batch in cut for event in batch.events] == whole.events


def test_a_step_gives_nothing_twice_and_nothing_of_the_future(town: Town) -> None:
    crowd = Crowd(5, town=town, start_ms=START_MS, people=300)

    crowd.step(START_MS + 20_000)

    assert crowd.step(START_MS + 20_000) == CrowdBatch([], [], [])
    assert crowd.step(START_MS + 10_000) == CrowdBatch([], [], [])
    assert all(ping["time"] <= START_MS + 25_000 for ping in crowd.step(START_MS + 25_000).pings)


def test_pings_have_the_fields_and_ranges_of_the_interface(five_minutes: CrowdBatch) -> None:
    for ping in five_minutes.pings:
        assert list(ping) == [
            *("id", "device", "user", "time", "lat", "lng", "accuracy", "speed", "heading"),
        ]
        assert isinstance(ping["time"], int)
        assert 35.4 < ping["lat"] < 35.9 and 139.5 < ping["lng"] < 140.0
        assert 5.0 <= ping["accuracy"] <= 30.0
        assert 0.0 <= ping["speed"] < 30.0
        assert ping["heading"] == -1.0 or 0.0 <= ping["heading"] < 360.0
        assert ping["user"] == "u" + ping["device"][1:]


def test_a_phone_pings_about_every_five_seconds(true_five_minutes: CrowdBatch) -> None:
    gaps = [
        later - earlier
        for pings in by_device(true_five_minutes.pings).values()
        for times in [sorted({ping["time"] for ping in pings})]
        for earlier, later in pairwise(times)
    ]

    assert min(gaps) >= 3_000
    assert 4_900 < np.median(gaps) < 5_100
    assert 300 < np.std([gap for gap in gaps if gap < 8_000]) < 700


def test_two_thousand_phones_give_four_hundred_pings_a_second(five_minutes: CrowdBatch) -> None:
    assert 360 * 300 < len(five_minutes.pings) < 410 * 300


def test_errors_are_as_large_as_the_accuracy_says(
    town: Town, five_minutes: CrowdBatch, true_five_minutes: CrowdBatch
) -> None:
    off_m, accuracy_m = errors(town, five_minutes, true_five_minutes)

    within = np.hypot(off_m[:, 0], off_m[:, 1]) <= accuracy_m
    sigma = np.std(off_m / accuracy_m[:, None], axis=0)

    assert 0.66 < within.mean() < 0.70
    assert sigma == pytest.approx(1 / ACCURACY_PER_SIGMA, rel=0.03)


def test_errors_of_one_phone_hang_together_over_tens_of_seconds(
    town: Town, five_minutes: CrowdBatch, true_five_minutes: CrowdBatch
) -> None:
    off_m, accuracy_m = errors(town, five_minutes, true_five_minutes)
    series = defaultdict(dict)
    for ping, (east, _), accuracy in zip(five_minutes.pings, off_m, accuracy_m, strict=True):
        series[ping["device"]][ping["time"]] = east / accuracy
    near, far = [], []
    for errors_at in series.values():
        ordered = [errors_at[time] for time in sorted(errors_at)]
        near += list(pairwise(ordered))
        far += list(zip(ordered, ordered[24:], strict=False))

    assert np.corrcoef(np.array(near).T)[0, 1] == pytest.approx(np.exp(-5 / ERROR_TAU_S), abs=0.03)
    assert abs(np.corrcoef(np.array(far).T)[0, 1]) < 0.1


def errors(town: Town, seen: CrowdBatch, true: CrowdBatch) -> tuple[Any, Any]:
    assert [(p["device"], p["time"]) for p in seen.pings] == [(p["device"], p["time"]) for p in true.pings]
    at = [
        np.stack(town.plane.metres(*(np.array([p[name] for p in batch.pings]) for name in ("lng", "lat"))))
        for batch in (seen, true)
    ]
    return (at[0] - at[1]).T, np.array([ping["accuracy"] for ping in seen.pings])


def test_the_error_keeps_its_spread_whatever_the_pauses_are() -> None:
    rng = np.random.default_rng(1)
    error = rng.standard_normal((20_000, 2))
    for _ in range(20):
        error = drifted(error, rng.uniform(0.0, 90.0, 20_000), rng.standard_normal((20_000, 2)))

    assert error.std(axis=0) == pytest.approx(1.0, abs=0.02)


def test_people_walk_at_a_walking_pace_and_trains_run_between_stations(town: Town) -> None:
    ways = Ways(town, 1_000, START_MS, np.random.default_rng(2))
    everybody = np.arange(1_000)
    walked, ridden, halted = [], [], 0
    for tick in range(0, 1_800, 5):
        east, north, speed, _ = ways.seek(everybody, np.full(1_000, START_MS + tick * 1_000))
        walks = np.isin(ways.doing, [Doing.TO_STATION, Doing.FROM_STATION])
        walked += speed[walks].tolist()
        ridden += speed[ways.doing == Doing.RIDE].tolist()
        for at in np.flatnonzero(ways.doing == Doing.HALT)[:5]:
            halted += 1
            assert np.hypot(town.east_m - east[at], town.north_m - north[at]).min() < 1.0

    assert np.quantile(walked, 0.02) >= WALK_MIN_MPS - 0.01 and max(walked) <= WALK_MAX_MPS + 0.01
    assert max(ridden) <= 1.5 * TRAIN_MEAN_MPS + 0.01
    assert 10.0 < np.mean(ridden) < 14.0
    assert halted > 100


def test_nobody_jumps(town: Town) -> None:
    ways = Ways(town, 500, START_MS, np.random.default_rng(3))
    everybody = np.arange(500)
    before = None
    for tick in range(1_200):
        east, north, *_ = ways.seek(everybody, np.full(500, START_MS + tick * 1_000))
        if before is not None:
            assert np.hypot(east - before[0], north - before[1]).max() <= 1.5 * TRAIN_MEAN_MPS + 0.1
        before = east, north


def test_some_phones_fall_silent_some_upload_late_in_a_burst_and_some_repeat_themselves(town: Town) -> None:
    crowd = Crowd(11, town=town, start_ms=START_MS)
    came = [(ping, second) for second in range(600) for ping in crowd.step(START_MS + second * 1_000).pings]
    late = defaultdict(set)
    times, counts = defaultdict(list), defaultdict(int)
    for ping, second in came:
        counts[ping["device"], ping["time"]] += 1
        times[ping["device"]].append(ping["time"])
        if START_MS + second * 1_000 - ping["time"] > 25_000:
            late[ping["device"], second].add(ping["time"])
    silences = [max(np.diff(sorted(t)), default=0) for t in times.values()]

    assert sum(len(burst) >= 5 for burst in late.values()) > 20
    assert 0.005 < np.mean([count > 1 for count in counts.values()]) < 0.02
    assert sum(gap > 120_000 for gap in silences) > 10


def test_a_burst_comes_in_the_order_of_its_times(town: Town) -> None:
    crowd = Crowd(12, town=town, start_ms=START_MS)
    newest, behind = defaultdict(int), 0
    pings = crowd.step(START_MS + 300_000).pings
    for ping in pings:
        behind += ping["time"] < newest[ping["device"]]
        newest[ping["device"]] = max(newest[ping["device"]], ping["time"])

    assert 0 < behind < 0.02 * len(pings), "only repeats come after a newer ping"


def test_people_are_inside_shinjuku_before_five_and_others_arrive_in_each_of_the_first_seconds(
    town: Town, five_minutes: CrowdBatch
) -> None:
    radius_m = town.radius_m[town.hub]
    inside = from_hub_m(five_minutes.pings, town) <= radius_m
    first_in: dict[str, int] = {}
    for ping, is_in in zip(five_minutes.pings, inside, strict=True):
        if is_in:
            first_in.setdefault(ping["device"], ping["time"])
    before = sum(time < FIVE_MS for time in first_in.values())
    after = sorted((time - FIVE_MS) / 1e3 for time in first_in.values() if time >= FIVE_MS)

    assert before > 200
    assert sum(second < 10 for second in after) >= 5
    assert sum(second < 60 for second in after) >= 60


def test_enough_of_those_may_get_the_message(town: Town, five_minutes: CrowdBatch) -> None:
    users = {body["id"]: body for body in Crowd(7, town=town, start_ms=START_MS).users()}
    may = {
        name
        for name, body in users.items()
        if body["consent"].get("location_marketing") and body["attributes"]["tier"] in ("gold", "silver")
    }
    early = [p for p in five_minutes.pings if FIVE_MS <= p["time"] < FIVE_MS + 10_000 and p["user"] in may]
    near = from_hub_m(early, town) <= town.radius_m[town.hub]

    assert len({ping["user"] for ping, is_in in zip(early, near, strict=True) if is_in}) > 50


def test_users_differ_in_consent_tier_locale_and_zone(town: Town) -> None:
    crowd = Crowd(1, town=town, start_ms=START_MS)
    users = crowd.users()

    assert [user["id"] for user in users[:2]] == ["u-00000", "u-00001"]
    assert {user["attributes"]["tier"] for user in users} == {"gold", "silver", "bronze"}
    assert {user["consent"].get("location_marketing") for user in users} == {True, False, None}
    assert {user["locale"] for user in users} == {"ja", "en"}
    assert {user["timezone"] for user in users} == {"Asia/Tokyo", "America/Los_Angeles"}
    assert all(set(user) == {"id", "attributes", "consent", "locale", "timezone", "tokens"} for user in users)


def test_people_in_the_store_hear_the_beacons_of_their_floor(town: Town, five_minutes: CrowdBatch) -> None:
    known = {beacon for _, beacon in town.floors}
    heard = defaultdict(list)
    for sighting in five_minutes.sightings:
        assert list(sighting) == ["device", "user", "time", "beacon", "rssi", "tx"]
        assert sighting["beacon"] in known
        heard[sighting["device"]].append(sighting)
    strong = [s["rssi"] for s in five_minutes.sightings if s["rssi"] > -74]

    assert len(heard) > 100
    assert {sighting["beacon"] for sighting in five_minutes.sightings} == known
    assert 0.7 < len(strong) / len(five_minutes.sightings) < 0.9
    assert 3.5 < np.std(strong) < 6.0


def test_purchases_happen_on_the_floors_of_the_store(town: Town, five_minutes: CrowdBatch) -> None:
    floors = {zone for zone, _ in town.floors}

    assert len(five_minutes.events) > 20
    assert len({(event["user"], event["id"]) for event in five_minutes.events}) == len(five_minutes.events)
    for event in five_minutes.events:
        assert list(event) == ["id", "user", "type", "time", "data"]
        assert event["type"] == "purchase" and event["data"]["store"] == "store-shinjuku"
        assert event["data"]["floor"] in floors and event["data"]["total"] > 0


def test_a_crowd_of_one_and_a_crowd_of_none_are_crowds(town: Town) -> None:
    assert Crowd(1, town=town, start_ms=START_MS, people=0).step(START_MS + 60_000) == CrowdBatch([], [], [])
    one = Crowd(1, town=town, start_ms=START_MS, people=1).step(START_MS + 60_000)
    assert {ping["device"] for ping in one.pings} == {"d-00000"}


def test_every_station_has_a_train_that_leaves_and_the_yamanote_line_is_a_loop(town: Town) -> None:
    railways = town.railways
    assert len(railways.station) == len(railways.stops)
    assert (np.diff(railways.first) >= 1).all()
    for way_on in (0, 1):
        stops = np.flatnonzero(railways.onward[way_on] >= 0)
        assert (railways.onward[1 - way_on, railways.onward[way_on, stops]] == stops).all(), "and comes back"
    loops = set()
    for stop in railways.stops[railways.first[town.hub] : railways.first[town.hub + 1]]:
        way = [stop]
        while len(way) < 60 and railways.onward[0, way[-1]] not in (-1, stop):
            way.append(railways.onward[0, way[-1]])
        if railways.onward[0, way[-1]] == stop:
            loops.add(len(way))
    assert loops == {30}


def test_the_plane_is_true_to_a_metre_and_goes_there_and_back() -> None:
    geodesic = pytest.importorskip("geographiclib.geodesic").Geodesic.WGS84
    plane = Plane(lat_deg=35.69018, lng_deg=139.70038)
    for lng, lat in [(139.70038, 35.78), (139.80, 35.69), (139.65, 35.65)]:
        east, north = plane.metres(np.array([lng]), np.array([lat]))
        true_m = geodesic.Inverse(35.69018, 139.70038, lat, lng)["s12"]

        assert np.hypot(east, north)[0] == pytest.approx(true_m, rel=1e-3)
        assert np.stack(plane.degrees(east, north))[:, 0] == pytest.approx([lng, lat], abs=1e-12)


@pytest.mark.parametrize(("name", "what"), [("hub", "no station `atlantis`"), ("store", "no shop `atlantis`")])
def test_a_town_without_its_hub_or_store_says_so(files: dict[str, bytes], name: str, what: str) -> None:
    with pytest.raises(KeyError, match=what):
        town_of(files, **{name: "atlantis"})
