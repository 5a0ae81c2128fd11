"""A shard that is put away and taken out again at any moment goes on as if it had never been."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from engine.rows import columns
from engine.shard import ShardError, pack_devices, pack_meta, read_device, read_meta, unpack_devices
from engine.step import Engine
from tests.world import STAYED, T0, at, circle, files_of, rows, site_of

if TYPE_CHECKING:
    from engine.site import Site
    from engine.step import Effects

DOORS = {"beacons/doors.yaml": b"- {id: door, group: g, beacons: ['gateway:1'], inside: shop}\n"}


def a_site() -> Site:
    return site_of(
        files_of([circle("shop"), circle("cafe", east_m=150), circle("far", east_m=900)], rules=STAYED) | DOORS
    )


def again(engine: Engine) -> Engine:
    """The engine from what a store keeps of it."""
    site, names = engine.site, [name for name in engine.sense.devices.names if name]
    meta = read_meta(pack_meta(7, engine.now_ms, site.version, 3))
    kept = pack_devices(engine.sense, [engine.sense.devices.slots[name] for name in names])
    made = Engine(site, meta.now_ms)
    unpack_devices(made.sense, meta, kept.items())
    made.sense.reschedule()
    return made


def story(effects: Effects) -> list[tuple[Any, ...]]:
    return [(t.id, t.device, t.user, t.kind, t.time_ms, t.cause, t.accuracy_m, t.mocked) for t in effects.transitions]


def walk(rng: random.Random) -> list[tuple[int, list[dict[str, Any]]]]:
    """Requests of a few devices about the places, in two users' hands, with sightings, and gaps that timers fill."""
    now_ms, requests = T0, []
    for _ in range(60):
        now_ms += rng.choice((1_000, 5_000, 40_000, 100_000, 2_000_000))
        pings: list[dict[str, Any]] = []
        for device in rng.sample(("a", "b", "c", "d"), rng.randrange(1, 4)):
            time_ms = now_ms - rng.randrange(0, 3_000)
            if rng.random() < 0.25:
                pings.append({"device": device, "time": time_ms, "beacon": "gateway:1", "rssi": rng.choice((-60, -90))})
            else:
                lat, lng = at(rng.choice((0, 90, 120, 150, 900, 5_000)))
                accuracy = rng.choice((None, 5.0, 60.0, 900.0))
                pings.append({"device": device, "time": time_ms, "lat": lat, "lng": lng, "accuracy": accuracy,
                              "user": rng.choice((None, "u-1", "u-2")), "mocked": rng.random() < 0.2})  # fmt: skip
        requests.append((now_ms, pings))
    return requests


@pytest.mark.parametrize("seed", range(12))
def test_put_away_and_taken_out_before_each_step_nothing_differs(seed: int) -> None:
    site = a_site()
    plain, kept = Engine(site, T0), Engine(site, T0)
    told = []
    for now_ms, pings in walk(random.Random(seed)):
        batch = [columns([rows(pings)])]
        kept = again(kept)
        one, other = plain.step(batch, now_ms), kept.step(batch, now_ms)
        assert story(other) == story(one)
        told += story(one)
    assert len({kind for _, _, _, kind, *_ in told}) >= 3


def test_people_can_look_at_a_device() -> None:
    engine = Engine(a_site(), T0)
    lat, lng = at(0)
    engine.step([columns([rows([{"device": "a", "time": T0, "lat": lat, "lng": lng, "user": "u-1"}])])], T0)
    meta = read_meta(pack_meta(1, T0, engine.site.version, 1))
    user, seen = read_device(meta, pack_devices(engine.sense, [0])["a"])
    assert (user, seen["clock_ms"], seen["lat"], seen["lng"]) == ("u-1", T0, lat, lng)


def test_an_older_layout_is_read_by_its_names() -> None:
    engine = Engine(a_site(), T0)
    lat, lng = at(0)
    engine.step([columns([rows([{"device": "a", "time": T0, "lat": lat, "lng": lng}])])], T0)
    meta = read_meta(pack_meta(1, T0, engine.site.version, 1))
    kept = pack_devices(engine.sense, [0])
    meta.device = [("gone" if name == "mocked" else name, kind) for name, kind in meta.device]
    made = Engine(engine.site, T0)
    unpack_devices(made.sense, meta, kept.items())
    assert float(made.sense.devices.columns["lat"][0]) == lat
    assert int(made.sense.devices.columns["mocked"][0]) == 0


@pytest.mark.parametrize("data", [b"", b"\x07", b"\x81\xa1v\x01"])
def test_what_is_no_shard_is_refused(data: bytes) -> None:
    with pytest.raises(ShardError, match="cannot be read"):
        read_meta(data)


def test_devices_that_are_broken_are_refused() -> None:
    meta = read_meta(pack_meta(1, T0, "v", 1))
    with pytest.raises(ShardError, match="cannot be read"):
        unpack_devices(Engine(a_site(), T0).sense, meta, [("a", b"\x92\xc4\x01x\xc4\x00")])
