"""The first stage of frames that are joined finds at each what it finds of them one by one, as a shard's fold asks it.

The frames are those of a simulated process: with timers, beacons, edits and erasures.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.step import Engine, Happening, NewSite, Sensed
from engine.together import can_go_together, together
from engine.told import Telling
from engine.wire import Edited, Frame, decode_frame
from tests.sim.crowd import build_world
from tests.sim.plant import Plant
from tests.sim.run import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.site import Site

PINGS, MOST = 6_000, 9


def told(happening: Happening) -> str:
    """A happening as text; of what was told all but the number of the request."""
    if isinstance(happening, NewSite):
        return repr((happening.site.version, [told(telling) for telling in happening.told]))
    if not isinstance(happening, Telling):
        return repr(happening)
    records = happening.records.copy()
    records["request"] = np.minimum(records["request"], 0)
    return repr((happening.devices, happening.users, records.tolist(), happening.takers))


def found(steps: list[Sensed]) -> list[Any]:
    return [(step.now_ms, [told(happening) for happening in step.happenings], step.erased) for step in steps]


def counts(steps: list[Sensed]) -> list[int]:
    """How many rows were accepted, known already, and late."""
    counted = [one for step in steps for one in step.counted]
    return [sum(int(getattr(one, name).sum()) for one in counted) for name in ("accepted", "duplicate", "late")]


def pieces(frames: list[Frame]) -> Iterator[list[Frame]]:
    """Frames that can be joined, a few at a time; others by themselves."""
    at = 0
    for joins, run in groupby(frames, key=can_go_together):
        some = list(run)
        while some:
            size = 1 + at % MOST if joins else 1
            at += 1
            yield some[:size]
            some = some[size:]


@pytest.mark.parametrize("seed", [41, 42, 43])
def test_frames_sensed_together_tell_what_each_tells_alone(seed: int) -> None:
    plant = Plant(build_world(seed, PINGS))
    plant.run()
    sites: dict[str, Site] = plant.sites.by_version
    joint, alone = Engine(plant.first, plant.start_ms), Engine(plant.first, plant.start_ms)
    joined = happened = 0
    for some in pieces([decode_frame(stored.data) for stored in plant.journal.frames()]):
        for engine in (joint, alone):
            for item in some[0].inputs:
                if isinstance(item, Edited):
                    engine.prepare(sites[item.version])
        wanted = [alone.sensed(frame.inputs, frame.now_ms) for frame in some]
        if can_go_together(some[0]):
            steps = joint.sensed_each(together(some))
            joined += len(some) - 1
        else:
            steps = [joint.sensed(some[0].inputs, some[0].now_ms)]
        assert found(steps) == found(wanted)
        assert counts(steps) == counts(wanted)
        assert joint.next_due_ms() == alone.next_due_ms()
        happened += sum(len(step.happenings) for step in wanted)
    assert facts(joint) == facts(alone)
    assert joined > 100
    assert happened > 500
