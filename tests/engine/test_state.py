"""The state of devices and people: it grows, is kept and taken back, and what is forgotten is used again."""

from __future__ import annotations

import msgspec
import orjson
import pytest
import zstandard

from engine.lines import LineReader
from engine.rows import columns
from engine.shard import pack_devices, pack_meta, read_meta, unpack_devices
from engine.snapshot import SnapshotError, copied, packed, restore, snapshot
from engine.step import Engine
from engine.wire import Erased
from tests.world import T0, Stage, at, circle, files_of, rows, site_of

RULES = """
id: dwell
state: live
trigger: {event: dwelled, for: 10s, place: {id: shop}}
audience: {all: [{consent: m}]}
actions: [{push: {template: hello}}]
---
id: through
state: live
trigger: {event: crossed, place: {id: kiosk}}
audience: {all: [{consent: m}]}
actions: [{push: {template: hello}}]
"""
ZONE = """
- {id: floor, inside: shop, beacons: ["gateway:g"], enter_rssi: -75, exit_rssi: -85, exit_after: 30s}
"""


def stage() -> Stage:
    shop, kiosk = circle("shop"), circle("kiosk", east_m=1000, radius_m=20)
    return Stage(site_of(files_of([shop, kiosk], rules=RULES, beacons=ZONE)))


def lived() -> Stage:
    """Someone dwells, someone leaves, someone hears a beacon, someone comes near the kiosk."""
    play = stage()
    play.fix(0, 0, 10, device="dwells", user="u-1")
    play.fix(0, 0, 10, device="leaves")
    play.fix(1, 970, 10, device="crosses")
    for second in (2, 3):
        play.post({"device": "hears", "user": "u-2", "time": T0 + 1000 * second, "beacon": "gateway:g", "rssi": -60})
    play.fix(12, 0, 10, device="dwells", user="u-1")
    play.fix(12, 400, 10, device="leaves")
    return play


def goes_on(engine: Engine) -> list[str]:
    """What the same engine tells when everybody goes on."""
    play = stage()
    play.engine = engine
    play.fix(14, 1030, 10, device="crosses")
    play.fix(14, 400, 10, device="leaves")
    play.fix(15, 0, 10, device="dwells", user="u-3")
    play.wait(4000)
    return [f"{t.id} {t.user} {t.kind} {t.cause} {t.time_ms}" for t in play.told]


def test_who_goes_on_from_a_snapshot_tells_the_same() -> None:
    play = lived()
    back = restore(snapshot(play.engine), play.site)
    told = goes_on(play.engine)
    assert told == goes_on(back)
    assert len(told) > 5


def test_a_copy_is_packed_as_it_was_when_the_engine_has_gone_on() -> None:
    play = lived()
    before, copy = snapshot(play.engine), copied(play.engine)
    goes_on(play.engine)
    assert packed(copy) == before


def test_who_goes_on_from_the_values_of_a_shard_tells_the_same() -> None:
    play = lived()
    devices = play.engine.sense.devices
    values = pack_devices(play.engine.sense, list(devices.slots.values()))
    back = Engine(play.site, play.engine.now_ms)
    unpack_devices(back.sense, read_meta(pack_meta(7, T0, play.site.version, 1)), values.items())
    back.sense.reschedule()
    assert goes_on(back) == goes_on(play.engine)


def test_a_snapshot_of_another_version_is_refused() -> None:
    play = stage()
    newer = msgspec.msgpack.decode(snapshot(play.engine))
    newer["v"] = 3
    older = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode({"v": 1}))
    for data, version in ((msgspec.msgpack.encode(newer), 3), (older, 1)):
        with pytest.raises(SnapshotError, match=f"version {version}, this program reads 2"):
            restore(data, play.site)


def test_a_broken_snapshot_is_refused() -> None:
    play = stage()
    whole = msgspec.msgpack.decode(snapshot(play.engine))
    whole["facts"] = whole["facts"][:-1]
    for data in (b"", b"nothing", msgspec.msgpack.encode(whole)):
        with pytest.raises(SnapshotError, match="cannot be read"):
            restore(data, play.site)


def test_the_slot_and_the_rows_of_a_forgotten_device_are_used_again() -> None:
    play = stage()
    for n in range(5):
        play.fix(n, 0, 10, device=f"d-{n}", user=f"u-{n}")
    devices = play.engine.sense.devices
    used = devices.slots_used, devices.state.book.tolist()[:3]
    play.step([Erased("u-3")])
    play.fix(9, 0, 10, device="new")
    assert (devices.slots_used, devices.state.book.tolist()[:3]) == used
    assert devices.slots["new"] == 3
    assert play.told[-1].device == "new"
    assert devices.user_of(3) == "new"


def test_who_is_in_a_table_that_batches_share_is_found_anew_after_somebody_was_forgotten() -> None:
    play, reader = stage(), LineReader()
    lat, lng = at(0)

    def read(second: int, *names: str) -> None:
        pings = [
            {"device": n, "user": f"u-{n}", "time": T0 + 1000 * second, "lat": lat, "lng": lng, "accuracy": 10.0}
            for n in names
        ]
        play.step([reader.read(b"\n".join(map(orjson.dumps, pings))).pings], T0 + 1000 * second)

    read(0, "a", "b")
    read(1, "b", "c")
    play.step([Erased("u-a")])
    read(2, "d")
    read(3, "a", "c")

    devices = play.engine.sense.devices
    assert [(t.device, t.user) for t in play.told] == [(n, f"u-{n}") for n in ("a", "b", "c", "d", "a")]
    assert devices.slots == {"d": 0, "b": 1, "c": 2, "a": 3}
    assert [devices.user_of(slot) for slot in range(4)] == ["u-d", "u-b", "u-c", "u-a"]


def test_whoever_was_known_by_a_device_of_an_erased_user_stays_known() -> None:
    play = stage()
    play.fix(0, 0, 10, device="d")
    play.fix(5, 0, 10, device="d", user="u")
    play.step([Erased("u")])
    play.fix(10, 500, 10, device="other")
    people = play.engine.people
    known = people.find("d")
    assert known is not None
    assert known.visits == [(T0, "shop")]
    assert known.inside == {}
    assert people.find("u") is None


def test_a_crowd_larger_than_any_array_was_is_told_of_as_a_whole() -> None:
    play = stage()
    lat, lng = at(0)
    count = 3000
    ping = {"time": T0, "lat": lat, "lng": lng, "accuracy": 5.0}
    play.post(*({"device": f"d-{n:04d}"} | ping for n in range(count)))
    assert [t.device for t in play.told] == [f"d-{n:04d}" for n in range(count)]
    play.wait(12)
    assert len(play.told) == 2 * count
    play.wait(4000)
    assert len(play.told) == 3 * count
    assert not play.engine.sense.devices.columns["rows"][:count].any()


def test_visits_are_kept_for_as_long_as_events_and_looked_at_each_hour() -> None:
    settings = "detection: {preset: instant}\nkeep: {events: 1h}\n"
    play = Stage(site_of(files_of([circle("shop")], settings=settings)))
    for n in range(64):
        play.fix(120 * n, 0)
        play.fix(120 * n + 60, 500)
    found = play.engine.people.find("d-1")
    assert found is not None
    assert [t for t, _ in found.visits] == [T0 + 120_000 * n for n in range(64) if 120 * n > 3600]  # at 10:00


def test_people_do_not_follow_what_was_told_of_another_table_of_devices() -> None:
    site = stage().engine.site
    here, elsewhere = Engine(site, T0), Engine(site, T0)
    lat, lng = at(0)
    crowd = rows([{"device": f"d-{n}", "time": T0, "lat": lat, "lng": lng, "accuracy": 5} for n in range(20)])
    (telling,), _ = elsewhere.sense.located(columns([crowd]), T0, 0)
    assert len(telling) == 20
    with pytest.raises(ValueError, match="another table of devices"):
        here.people.follow(telling, 0, len(telling))
    assert here.whereabouts.met() == []
