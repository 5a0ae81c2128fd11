"""Gathering requests into batches changes nothing."""

from __future__ import annotations

from random import Random

import pytest

from tests.sim.crowd import build_world
from tests.sim.gathering import gathered

PINGS = 12_000


@pytest.mark.parametrize("seed", [21, 22])
@pytest.mark.parametrize("window_ms", [1_000, 60_000])
def test_how_requests_are_gathered_into_batches_changes_nothing(seed: int, window_ms: int) -> None:
    world = build_world(seed, PINGS)
    whole = gathered(world, window_ms, None)
    cut = gathered(world, window_ms, Random(seed))
    assert len(whole[0]) > 1000 and len(whole[1]) > 1000
    for found, wanted in zip(cut, whole, strict=True):
        at = next((n for n, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), 0)
        assert found == wanted, (f"seed {seed}", at, found[at : at + 3], wanted[at : at + 3])
