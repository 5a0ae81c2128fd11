"""Frames that are joined tell, decide and leave behind what each does alone: with timers, edits, people, beacons.

The frames are those of a simulated process; the plain twin steps through them one by one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from connectors.store_sqlite import SqliteStore
from engine.joined import Joined
from engine.ports import Commit
from engine.step import Engine
from engine.wire import Edited, Frame, decode_frame, encode_frame
from nearcast import frames_ahead as reading
from nearcast.frames_ahead import frames_ahead
from nearcast.recover import compiled, recover
from nearcast.replay import replay_store
from nearcast.replay_report import Tally
from tests.bar import Bar
from tests.sim.crowd import build_world
from tests.sim.plant import Plant, lines
from tests.sim.run import facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.site import Site
    from engine.step import Effects

SEEDS, PINGS = (31, 32), 6_000


@cache
def lived(seed: int) -> Plant:
    """A process that lived through a world, with crashes."""
    plant = Plant(build_world(seed, PINGS))
    plant.run()
    return plant


def frames_of(plant: Plant) -> list[Frame]:
    """All frames, from the edit on that brought the first site into force."""
    begun = Frame(plant.start_ms, [Edited(plant.first.version, dict(plant.first.files))])
    return [begun, *(decode_frame(stored.data) for stored in plant.journal.frames())]


def newest(plant: Plant) -> Site:
    """The site in force at the end."""
    return plant.sites.by_version[plant.engine.site.version]


def stepped(frames: list[Frame], plant: Plant) -> Iterator[tuple[Engine, Effects]]:
    """Each frame alone."""
    engine = Engine(compiled({}), plant.start_ms)
    for frame in frames:
        for item in frame.inputs:
            if isinstance(item, Edited):
                engine.prepare(plant.sites.by_version[item.version])
        yield engine, engine.step(frame.inputs, frame.now_ms)


@pytest.mark.parametrize("rows", [1, 40, 1 << 14])
@pytest.mark.parametrize("seed", SEEDS)
def test_joined_frames_come_to_what_each_comes_to_alone(seed: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plant = lived(seed)
    monkeypatch.setattr(reading, "AHEAD_ROWS", rows)
    engine, done, joined = Engine(plant.first, plant.start_ms), 0, 0
    alone = stepped(frames_of(plant), plant)
    next(alone)
    for number, frames in enumerate(frames_ahead(plant.journal, 0)):
        if isinstance(frames.frames, Joined):
            joined += frames.count - 1
        else:
            for item in frames.frames.inputs:
                if isinstance(item, Edited):
                    engine.prepare(plant.sites.by_version[item.version])
        found = lines(frames.fold(engine))
        wanted: tuple[list[str], list[str]] = ([], [])
        for _ in range(frames.count):
            twin, effects = next(alone)
            for all_of_it, more in zip(wanted, lines(effects), strict=True):
                all_of_it += more
        done += frames.count
        assert found == wanted, (done, frames.count)
        assert engine.next_due_ms() == twin.next_due_ms()
        assert engine.now_ms == twin.now_ms
        if number % 500 == 0:
            assert facts(engine) == facts(twin), done
    assert done == frames.seq == len(plant.journal.stored)
    assert facts(engine) == facts(plant.engine)
    assert joined > 0.1 * done


@pytest.fixture(params=SEEDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Plant, Path]:
    """A process, and a store that holds its journal."""
    plant, path = lived(request.param), tmp_path / "nearcast.db"
    with SqliteStore.open(path) as store:
        for seq, frame in enumerate(frames_of(plant), 1):
            edited = next(((i.version, i.files) for i in frame.inputs if isinstance(i, Edited)), None)
            store.commit(Commit(seq, frame.now_ms, encode_frame(frame.now_ms, frame.inputs), edited=edited))
    return plant, path


def replayed(path: Path, plant: Plant, folder: Path) -> tuple[bytes, bytes, object, int]:
    """The files that a replay of a store writes, and what it counts."""
    bar = Bar()
    with (folder / "told").open("wb") as told, (folder / "decided").open("wb") as decided:
        tally = Tally(transitions=told, decisions=decided)
        replay_store(path, newest(plant), tally, bar)
    return (folder / "told").read_bytes(), (folder / "decided").read_bytes(), tally, bar.done


def test_a_replay_of_a_store_writes_what_its_frames_tell_one_by_one(kept: tuple[Plant, Path], tmp_path: Path) -> None:
    plant, path = kept
    frames = frames_of(plant)
    with (tmp_path / "told_alone").open("wb") as told, (tmp_path / "decided_alone").open("wb") as decided:
        wanted = Tally(transitions=told, decisions=decided)
        for _, effects in stepped(frames, plant):
            wanted.effects(effects)
    found_told, found_decided, found, done = replayed(path, plant, tmp_path)
    assert found_told == (tmp_path / "told_alone").read_bytes() and found_told.count(b"\n") > 1_000
    assert found_decided == (tmp_path / "decided_alone").read_bytes() and found_decided.count(b"\n") > 1_000
    assert isinstance(found, Tally)
    assert found.as_json() == wanted.as_json() and found.hours == wanted.hours
    assert (found.pings, found.duplicate, found.late) == (wanted.pings, wanted.duplicate, wanted.late)
    assert done == len(frames)


def test_a_start_comes_to_the_same_state(kept: tuple[Plant, Path]) -> None:
    plant, path = kept
    with SqliteStore.open(path) as store:
        back = recover(store, plant.now_ms, known=newest(plant))
    assert facts(back.engine) == facts(plant.engine)
    assert back.seq == back.tail == len(plant.journal.stored) + 1
