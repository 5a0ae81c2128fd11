"""One world, from its seed to its verdict.

Owns what is asked at the end of a run: the fold from the start, and that nothing is left over.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.layout import NONE, NOTES_FREE, NOTES_USED, POOL_USED, SIZES
from engine.step import Engine
from tests.sim.crowd import build_world
from tests.sim.law import hold
from tests.sim.plant import Plant, fold

if TYPE_CHECKING:
    from engine.devices import Devices


@dataclass
class Run:
    """What came of a world."""

    plant: Plant
    seconds: float

    @property
    def trace(self) -> str:
        """The hash of everything that was told and decided, in order."""
        sha = hashlib.sha256()
        for told, decided in self.plant.told:
            sha.update("\n".join([*told, "", *decided, ""]).encode())
        return sha.hexdigest()

    def summary(self) -> str:
        """A few lines for people."""
        laws, plant = self.plant.laws, self.plant
        return "\n".join(
            [
                f"seed {plant.world.seed}: {laws.rows} rows in {self.seconds:.1f} s, {laws.rows / self.seconds:.0f}/s",
                f"  frames {len(plant.journal.stored)}, accepted/duplicate/late {laws.counted}",
                f"  transitions {dict(sorted(laws.stays.tally.items()))}",
                f"  decisions {laws.tally}",
                f"  deaths {dict(plant.deaths)}, sends {plant.sends.total()}, repeated {_repeated(plant)}",
                f"  outcomes {dict(Counter(d.state.value for d in plant.journal.deliveries.values()))}",
                f"  trace {self.trace[:16]}",
            ]
        )


def _repeated(plant: Plant) -> int:
    return sum(n - 1 for n in plant.sends.values())


def run(seed: int, pings: int) -> Run:
    """Run a world of so many pings; a broken law raises `LawError`."""
    began = time.perf_counter()
    plant = Plant(build_world(seed, pings))
    plant.run()
    nothing_is_left(plant)
    again = fold(plant, Engine(plant.first, plant.start_ms), 0)
    hold(facts(again) == facts(plant.engine), "the fold from the start ends in the same state")
    return Run(plant, time.perf_counter() - began)


def nothing_is_left(plant: Plant) -> None:
    """All devices have been silent for long: nobody is anywhere, and nothing waits."""
    sense, people = plant.engine.sense, plant.engine.people
    hold(not plant.laws.stays.open, "everybody has left", plant.laws.stays.open)
    hold(not sense.devices.columns["rows"][: sense.devices.slots_used].any(), "no row is left")
    hold(free_rows(sense.devices) == used_rows(sense.devices), "all rows and notes of the pool are free")
    hold(sense.next_due_ms() is None, "no timer of a device runs", sense.next_due_ms())
    inside = {name: found for name in people.everybody() if (found := people.user(name).inside)}
    hold(not inside, "no user is inside", inside)
    hold(not people.open, "no decision is open", people.open)
    hold(not plant.journal.pending(), "no delivery is pending")


def used_rows(devices: Devices) -> tuple[int, int]:
    """How many rows and notes of the pool have ever been used."""
    book = devices.state.book
    return int(book[POOL_USED]), int(book[NOTES_USED])


def free_rows(devices: Devices) -> tuple[int, int]:
    """How many of them nobody has: those that the lists of free ones lead to."""
    state, rows, notes = devices.state, 0, 0
    for size, first in enumerate(state.free.tolist()):
        block = first
        while block != NONE:
            rows += int(SIZES[size])
            block = int(state.pool["note"][block])
    note = int(state.book[NOTES_FREE])
    while note != NONE:
        notes += 1
        note = int(state.notes["count"][note])
    return rows, notes


def facts(engine: Engine) -> dict[str, object]:
    """The state of an engine, free of the order in which it came about."""
    devices = engine.sense.devices
    columns = {n: c for n, c in devices.columns.items() if n not in ("block", "size", "user")}
    return {
        "devices": {
            name: [repr(columns[c][slot].item()) for c in sorted(columns)] + [devices.user_of(slot), devices.load(slot)]
            for name, slot in devices.slots.items()
        },
        "signals": {devices.names[slot]: signals for slot, signals in engine.sense.signals.items()},
        "users": {name: engine.people.find(name) for name in engine.people.everybody()},
        "open": engine.people.open,
        "site": engine.site.version,
        "now": engine.now_ms,
    }
