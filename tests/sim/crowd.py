"""The crowd of the simulation: what arrives, when, from phones that are late, repeat themselves and know no right time.

Owns the walk and the uplink of each device, and what else comes in: events, facts about users, edits, erasures. Must
not know the engine beyond the shapes of its inputs. Distances are metres round the town's centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.ping import Rows
from engine.wire import Erased, Happened, UserChanged
from tests.sim.town import HALF_M, UUID, Town, build_town, edited_town
from tests.world import T0, at

if TYPE_CHECKING:
    from engine.wire import Input

DEVICES = 100
USERS = 60
HOUR_MS = 3_600_000
_AHEAD_MS = 60_000
_OLD_MS = 24 * HOUR_MS
_HEARD_M = 110.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """What comes in at `at_ms` of true time: a request's rows, another input, or a new version of the town."""

    at_ms: int
    rows: Rows | None = None
    input: Input | None = None
    town: Town | None = None


@dataclass
class World:
    """All that will come in, in order, and the town that it begins with."""

    seed: int
    town: Town
    arrivals: list[Arrival]
    pings: int


def build_world(seed: int, pings: int) -> World:
    """A world of about so many pings and sightings."""
    random, dice = Random(seed), np.random.default_rng(seed)
    town = build_town(random)
    arrivals: list[Arrival] = []
    each = pings // DEVICES
    for number in range(DEVICES):
        arrivals += _device(number, each, town, random, dice)
    _join(arrivals, random)
    end_ms = max(a.at_ms for a in arrivals)
    count = sum(len(a.rows) for a in arrivals if a.rows is not None)
    arrivals += _others(town, pings, end_ms, random)
    arrivals.sort(key=lambda a: a.at_ms)
    return World(seed, town, arrivals, count)


# -- one device ----------------------------------------------------------------------------------------------------


def _device(number: int, count: int, town: Town, random: Random, dice: Any) -> list[Arrival]:
    true, east, north = _walk(count, dice)
    accuracy = np.where(dice.random(count) < 0.1, np.nan, np.clip(dice.lognormal(2.7, 0.9, count), 3, 900))
    noise = np.nan_to_num(accuracy, nan=15.0) * 0.4
    east_seen, north_seen = east + dice.normal(0, noise), north + dice.normal(0, noise)
    lat, lng = at(0.0)
    lat_of, lng_of = at(1.0, 1.0)
    fixes = {
        "true": true,
        "lat": lat + north_seen * (lat_of - lat),
        "lng": lng + east_seen * (lng_of - lng),
        "accuracy": accuracy,
        "rssi": np.full(count, np.nan),
        "beacon": np.full(count, -1),
    }
    heard = _sightings(town, true, east, north, dice)
    columns = {name: np.concatenate([fixes[name], heard[name]]) for name in fixes}
    order = np.argsort(columns["true"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    total = len(order)
    columns["time"] = columns["true"] + _clock(total, dice)
    columns["mocked"] = dice.random(total) < 0.01
    return _uplink(f"d-{number}", columns, _owners(number, total, random), random)


def _walk(count: int, dice: Any) -> tuple[Any, Any, Any]:
    """True times (ms) and places of a device: still, walking, riding, with silences in between."""
    steps = np.clip(dice.lognormal(2.5, 0.8, count), 1, 110)
    lot = dice.random(count)
    steps = np.where(lot < 0.01, dice.uniform(120, 3000, count), steps)
    steps = np.where(lot < 0.001, dice.uniform(3600, 4 * 3600, count), steps)
    stretch = 25
    paces = np.repeat(dice.choice([0.0, 0.0, 0.3, 1.4, 1.4, 5.0, 20.0], count // stretch + 1), stretch)[:count]
    turns = np.repeat(dice.uniform(0, 2 * math.pi, count // stretch + 1), stretch)[:count]
    turns = turns + np.cumsum(dice.normal(0, 0.15, count))
    moved = paces * np.minimum(steps, 60)
    where = [_fold(dice.uniform(-HALF_M, HALF_M) + np.cumsum(moved * turn)) for turn in (np.cos(turns), np.sin(turns))]
    return T0 + (np.cumsum(steps) * 1000).astype(np.int64), where[0], where[1]


def _fold(along: Any) -> Any:
    """Reflect a way at the borders of the town."""
    width = 4 * HALF_M
    return np.abs((along + HALF_M) % width - width / 2) - HALF_M


def _sightings(town: Town, true: Any, east: Any, north: Any, dice: Any) -> dict[str, Any]:
    """What the device hears: two or three sightings after each fix that is near a beacon."""
    parts: list[tuple[Any, Any, Any]] = []
    for number, (zone_east, zone_north) in enumerate(town.zones_at.values()):
        away = np.hypot(east - zone_east, north - zone_north)
        for later in (900, 2900, 5600):
            near = np.nonzero((away < _HEARD_M) & (dice.random(len(true)) < 0.8))[0]
            rssi = -58 - 0.25 * away[near] + dice.normal(0, 4, len(near))
            parts.append((true[near] + later + dice.integers(0, 50, len(near)), rssi, 2 * number + near % 2))
    times, strengths, beacons = (np.concatenate(column) for column in zip(*parts, strict=True))
    nothing = np.full(len(times), np.nan)
    return {
        "true": times, "lat": nothing, "lng": nothing, "accuracy": nothing,
        "rssi": np.clip(strengths, -120, 0), "beacon": beacons,
    }  # fmt: skip


def _clock(count: int, dice: Any) -> Any:
    """How far off the device's own clock is at each ping, in ms: mostly right, now and then by minutes, it jumps."""
    jumps = dice.random(count) < 0.002
    offsets = np.where(dice.random(count) < 0.5, 0, dice.integers(-600_000, 600_000, count))
    at_jump = np.maximum.accumulate(np.where(jumps, np.arange(count), -1))
    return np.where(at_jump < 0, 0, offsets[at_jump])


def _owners(number: int, count: int, random: Random) -> list[str | None]:
    """Whom each ping names: mostly one user, some devices change hands, many pings name nobody."""
    own = f"u-{number % USERS}"
    owners: list[str | None] = []
    while len(owners) < count:
        lot = random.random()
        name = None if lot < 0.3 or number % 13 == 5 else own if lot < 0.85 else f"u-{random.randrange(USERS)}"
        owners += [name] * random.randrange(5, 120)
    return owners[:count]


# -- the uplink ----------------------------------------------------------------------------------------------------


def _uplink(device: str, columns: dict[str, Any], owners: list[str | None], random: Random) -> list[Arrival]:
    lists = {name: column.tolist() for name, column in columns.items()}
    arrivals: list[Arrival] = []
    first, count = 0, len(owners)
    held_until = 0
    while first < count:
        last = min(count, first + int(random.expovariate(0.25)) + 1)
        sent_ms = lists["true"][last - 1] + int(random.expovariate(1 / 800)) + 1
        if random.random() < 0.004:
            held_until = sent_ms + HOUR_MS
        if sent_ms < held_until:  # the whole phone uploads later, in a burst
            sent_ms = held_until + random.randrange(0, 3000)
        elif random.random() < 0.03:
            sent_ms += random.randrange(0, 600_000)
        rows = _rows(device, lists, owners, range(first, last), sent_ms, random)
        first = last
        if not len(rows) or random.random() < 0.01:
            continue
        arrivals.append(Arrival(sent_ms, rows))
        if random.random() < 0.05:
            arrivals.append(Arrival(sent_ms + random.randrange(0, 300_000), rows))
    return arrivals


def _rows(
    device: str, lists: dict[str, list[Any]], owners: list[str | None], span: range, sent_ms: int, random: Random
) -> Rows:
    """One request's rows, in the order in which the wire hands them over: by time, the first in the body first."""
    body = [i for i in span if sent_ms - _OLD_MS < lists["time"][i] <= sent_ms + _AHEAD_MS]
    if len(body) > 1 and random.random() < 0.2:
        random.shuffle(body)
    if body and random.random() < 0.02:
        body.append(random.choice(body))
    body.sort(key=lists["time"].__getitem__)
    rows = Rows()
    for i in body:
        beacon = lists["beacon"][i]
        rows.devices.append(device)
        rows.times.append(lists["time"][i])
        rows.lats.append(lists["lat"][i])
        rows.lngs.append(lists["lng"][i])
        rows.users.append(owners[i])
        rows.beacons.append(None if beacon < 0 else f"ibeacon:{UUID}:{beacon // 2}:{beacon % 2}")
        rows.accuracies.append(lists["accuracy"][i])
        rows.speeds.append(None)
        rows.headings.append(None)
        rows.rssis.append(lists["rssi"][i])
        rows.mocked.append(lists["mocked"][i])
    return rows


def _join(arrivals: list[Arrival], random: Random) -> None:
    """Some requests come by way of a gateway, which puts those of two phones into one."""
    arrivals.sort(key=lambda a: a.at_ms)
    for n in range(len(arrivals) - 1):
        one, two = arrivals[n].rows, arrivals[n + 1].rows
        if random.random() < 0.03 and one is not None and two is not None:
            arrivals[n + 1] = Arrival(arrivals[n + 1].at_ms, _joined(one, two))


def _joined(one: Rows, two: Rows) -> Rows:
    whole = Rows()
    order = sorted(range(len(one) + len(two)), key=(one.times + two.times).__getitem__)
    for name in Rows.__slots__:
        both = getattr(one, name) + getattr(two, name)
        getattr(whole, name).extend(both[i] for i in order if both)
    return whole


# -- everything else -----------------------------------------------------------------------------------------------


def _others(town: Town, pings: int, end_ms: int, random: Random) -> list[Arrival]:
    found: list[Arrival] = []
    for user in range(USERS):
        if random.random() < 0.9:
            found.append(Arrival(T0 + user, input=_change(f"u-{user}", random, consent=random.random() < 0.85)))
    for _ in range(pings // 250):
        found.append(Arrival(random.randrange(T0, end_ms), input=_change(f"u-{random.randrange(USERS)}", random)))
    for number in range(pings // 150):
        at_ms = random.randrange(T0, end_ms)
        event = Happened(
            f"u-{random.randrange(USERS)}", f"e-{number}", random.choice(["purchase", "purchase", "page.viewed"]),
            at_ms - random.randrange(0, 1_200_000), {"sku": random.choice(["a", "b", "c"])},
        )  # fmt: skip
        found.append(Arrival(at_ms, input=event))
        if random.random() < 0.2:
            found.append(Arrival(at_ms + random.randrange(0, 600_000), input=event))
    for _ in range(4):
        found.append(Arrival(random.randrange(T0, end_ms), input=Erased(f"u-{random.randrange(USERS)}")))
    found.append(Arrival(random.randrange(T0, end_ms), input=Erased("d-5")))
    for at_ms in sorted(random.randrange(T0, end_ms) for _ in range(8)):
        town = edited_town(town, random)
        found.append(Arrival(at_ms, town=town))
    return found


def _change(user: str, random: Random, consent: bool | None = None) -> UserChanged:
    if consent is not None or random.random() < 0.6:
        given = random.choice([True, True, True, False, None]) if consent is None else consent
        return UserChanged(
            user, consent={"marketing": given}, attributes={"tier": random.choice(["gold", "silver", "bronze"])}
        )
    zone = random.choice(["Asia/Tokyo", "Europe/Berlin", "America/New_York", None])
    return UserChanged(user, attributes={"tier": random.choice(["gold", "bronze", None])}, timezone=zone)
