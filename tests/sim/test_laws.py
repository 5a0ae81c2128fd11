"""The laws hold in seeded worlds: late, repeated, shuffled pings, jumping clocks, reloads, crashes, failing channels.

A law that is broken says which, with its seed: `python -m tests.sim SEED PINGS` runs that world again.
"""

from __future__ import annotations

import pytest

from tests.sim.run import run

#: Together half a million pings.
SEEDS, PINGS = range(1, 11), 50_000
#: Together ten million.
LONG_SEEDS, LONG_PINGS = range(100, 150), 200_000


@pytest.mark.parametrize("seed", SEEDS)
def test_the_laws_hold(seed: int) -> None:
    done = run(seed, PINGS)
    laws = done.plant.laws
    assert laws.rows >= PINGS
    assert laws.tally["sent"] and laws.tally["cap"] and laws.tally["consent"], "the world is too quiet to show anything"
    assert done.plant.deaths.total() > 0


def test_the_same_seed_gives_the_same_trace() -> None:
    assert run(1, 5_000).trace == run(1, 5_000).trace


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_the_laws_hold_in_large_worlds(seed: int) -> None:
    assert run(seed, LONG_PINGS).plant.laws.rows >= LONG_PINGS
