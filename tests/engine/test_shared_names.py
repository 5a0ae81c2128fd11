"""The fold knows the names of a table again: what is told does not hang on whose table they are of."""

from __future__ import annotations

import json
import random

from engine.ping_reader import PingReader
from engine.pings import Pings, located, with_own_names
from engine.settings import PingLimits
from engine.snapshot import restore, snapshot
from engine.wire import Erased, Input, Located
from tests.world import T0, Stage, at, files_of, site_of, square

LIMITS = PingLimits(max_age_ms=10**12)
SITE = site_of(files_of([square("shop"), square("street", 150.0)], settings="detection: {preset: instant}"))


def posted(reader: PingReader, rng: random.Random, now_ms: int) -> Pings:
    """A request of some devices, of which one in three says whose it is: a user may bear a device's name."""
    pings = []
    for n in range(rng.randint(1, 8)):
        lat, lng = at(rng.choice([0.0, 100.0, 150.0, 900.0]))
        ping = {"device": f"d-{rng.randint(0, 9)}", "time": now_ms + n, "lat": lat, "lng": lng}
        pings.append(ping | ({"user": f"d-{rng.randint(5, 12)}"} if rng.random() < 0.3 else {}))
    return reader.read(json.dumps(pings).encode(), ndjson=False, now_ms=now_ms, limits=LIMITS).pings


def kept(inputs: list[Input]) -> list[Input]:
    return [with_own_names(item) if isinstance(item, Located) else item for item in inputs]


def test_pings_of_a_table_that_lives_on_are_told_of_as_those_of_their_own_names() -> None:
    for seed in range(30):
        rng = random.Random(seed)
        readers = [PingReader(), PingReader()]
        shared, apart = Stage(SITE), Stage(SITE)
        for step in range(40):
            now_ms = T0 + 1_000 * step
            inputs: list[Input] = []
            for _ in range(rng.randint(1, 2)):
                # most often one table, sometimes another one, now and then both in one input
                reader = readers[rng.random() < 0.2]
                requests = [posted(reader, rng, now_ms)]
                if rng.random() < 0.2:
                    requests.append(posted(rng.choice(readers), rng, now_ms + 20))
                inputs.append(located(requests))
            if rng.random() < 0.15:  # their numbers become others'
                inputs.insert(rng.randint(0, len(inputs)), Erased(f"d-{rng.randint(0, 12)}"))
            effects, expected = shared.step(inputs, now_ms), apart.step(kept(inputs), now_ms)
            assert list(effects.transitions) == list(expected.transitions)
            assert [c.duplicate.tolist() for c in effects.counted] == [c.duplicate.tolist() for c in expected.counted]
            assert effects.erased.keys() == expected.erased.keys()
            if rng.random() < 0.05:
                shared.engine = restore(snapshot(shared.engine), SITE)
                readers[0] = PingReader()
        assert len(shared.told) > 20


def test_a_frame_brings_no_names_along_but_its_own() -> None:
    reader, rng = PingReader(), random.Random(1)
    for _ in range(20):
        posted(reader, rng, T0)
    item = located([posted(reader, rng, T0)])
    own = with_own_names(item)
    used = {number for name in ("device", "user") for number in own.column(name).tolist()} - {-1}
    assert used == set(range(len(own.strings))) and len(own.strings) < len(item.strings)
    assert with_own_names(own) == own
