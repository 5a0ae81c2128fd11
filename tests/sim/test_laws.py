"""The laws hold in seeded worlds: late, repeated, shuffled pings, jumping clocks, reloads, crashes, failing channels.

Each world holds the laws of `laws.py` at every step; at its end the fold from the start must tell the same. A failure
names its seed and how to run that world again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest

from engine.ports import DeliveryState
from rules.facts import Reason
from tests.sim.run import Run, run

#: Together half a million pings.
SEEDS, PINGS = range(1, 6), 85_000
#: Together ten million.
LONG_SEEDS, LONG_PINGS = range(100, 150), 200_000
DEATHS = {
    "before the step",
    "after the step, before the commit",
    "the store refused a commit",
    "after the commit, before the sends",
    "after a send, before its outcome is journaled",
    "in the middle of a checkpoint",
    "between steps",
}


@dataclass(frozen=True)
class Seen:
    """What a world came to meet."""

    rows: int
    kinds: frozenset[str]
    causes: frozenset[str]
    reasons: frozenset[str]
    outcomes: frozenset[str]
    deaths: frozenset[str]
    repeated: bool


def lived(seed: int, pings: int) -> Run:
    """Run a world; what breaks it is told with the way to break it again."""
    try:
        return run(seed, pings)
    except Exception as error:
        error.add_note(f"seed {seed}: run it again with `python -m tests.sim {seed} {pings}`")
        raise


@cache
def seen_in(seed: int) -> Seen:
    """Live one of the worlds, once."""
    plant = lived(seed, PINGS).plant
    told = [name.split() for name in plant.laws.stays.tally]
    return Seen(
        rows=plant.laws.rows,
        kinds=frozenset(kind for kind, _ in told),
        causes=frozenset(cause for _, cause in told),
        reasons=frozenset(plant.laws.tally),
        outcomes=frozenset(d.state.value for d in plant.journal.deliveries.values()),
        deaths=frozenset(plant.deaths),
        repeated=plant.sends.total() > len(plant.sends),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_laws_hold(seed: int) -> None:
    seen = seen_in(seed)
    assert seen.rows > PINGS
    assert seen.repeated


def test_the_worlds_meet_every_kind_cause_reason_outcome_and_death() -> None:
    seen = [seen_in(seed) for seed in SEEDS]
    assert {kind for s in seen for kind in s.kinds} == {"entered", "dwelled", "exited", "crossed"}
    assert {cause for s in seen for cause in s.causes} == {"fix", "timer", "silent", "edited", "sighting"}
    assert {reason for s in seen for reason in s.reasons} == {reason.value for reason in Reason}
    assert {outcome for s in seen for outcome in s.outcomes} == set(DeliveryState) - {"pending"}
    assert {death for s in seen for death in s.deaths} == DEATHS


def test_the_same_seed_gives_the_same_trace() -> None:
    assert lived(1, 5_000).trace == lived(1, 5_000).trace != lived(2, 5_000).trace


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_the_laws_hold_in_large_worlds(seed: int) -> None:
    assert lived(seed, LONG_PINGS).plant.laws.rows > LONG_PINGS * 0.9
