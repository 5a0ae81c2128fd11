"""Which devices a shard stores after a step: all that it changed, also where nothing came in from them."""

from __future__ import annotations

from engine.rows import columns
from engine.step import Engine
from engine.told import Telling
from engine.wire import Located
from nearcast.shard import touched_by
from rules.facts import Kind
from tests.world import STAYED, T0, at, circle, files_of, rows, site_of


def located(device: str, now_ms: int) -> Located:
    lat, lng = at(0)
    return columns([rows([{"device": device, "time": now_ms, "lat": lat, "lng": lng, "accuracy": 5.0}])])


def test_devices_that_timers_told_something_of_are_stored_too() -> None:
    engine = Engine(site_of(files_of([circle("shop")], rules=STAYED)), T0)
    inputs = [located("stays", T0)]
    assert touched_by(inputs, [engine.sensed(inputs, T0)]) == {"stays"}
    later = [located("comes", T0 + 120_000)]
    sensed = engine.sensed(later, T0 + 120_000)
    tellings = [happening for happening in sensed.happenings if isinstance(happening, Telling)]
    kinds = {telling.transition(n).kind for telling in tellings for n in range(len(telling))}
    assert Kind.DWELLED in kinds
    assert touched_by(later, [sensed]) == {"stays", "comes"}
