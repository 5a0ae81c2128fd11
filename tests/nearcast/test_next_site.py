"""Versions of a site that several threads read from one another at the same time are each what a new reading gives."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.site import read_site
from nearcast.next_site import read_next

if TYPE_CHECKING:
    from engine.site import Site

FENCES, EDITS = 1_500, 24


def features(seed: int = 0) -> list[dict[str, Any]]:
    """Circles that overlap; with a seed some of them are elsewhere."""
    rng, moved = random.Random(1), random.Random(seed)
    made = []
    for n in range(FENCES):
        lng, lat = 139.6 + 0.2 * rng.random(), 35.6 + 0.2 * rng.random()
        if seed and n % 97 == seed % 97:
            lng, lat = 139.6 + 0.2 * moved.random(), 35.6 + 0.2 * moved.random()
        made.append(
            {"type": "Feature", "id": f"f{n}", "geometry": {"type": "Point", "coordinates": [lng, lat]},
             "properties": {"radius_m": 400, "timezone": "Asia/Tokyo"}}
        )  # fmt: skip
    return made


def files(seed: int) -> dict[str, bytes]:
    return {"fences/all.geojson": json.dumps({"type": "FeatureCollection", "features": features(seed)}).encode()}


def found_by(site: Site | None) -> tuple[list[int], list[int]]:
    assert site is not None
    rng = np.random.default_rng(7)
    offsets, fences = site.index.match(rng.uniform(35.6, 35.8, 20_000), rng.uniform(139.6, 139.8, 20_000))
    return offsets.tolist(), fences.tolist()


def test_threads_that_read_at_the_same_time_do_not_spoil_each_others_index() -> None:
    first, _ = read_site(files(0))
    assert first is not None
    with ThreadPoolExecutor(8) as pool:
        sites = list(pool.map(lambda seed: read_next(files(seed), first.map)[0], range(1, EDITS + 1)))
    assert all(site is not None and site.index is not first.index for site in sites)
    for seed in (1, EDITS // 2, EDITS):
        assert found_by(sites[seed - 1]) == found_by(read_site(files(seed))[0])
    assert found_by(first) == found_by(read_site(files(0))[0])
