"""The same requests at the same instants, gathered into batches in two ways.

Owns how arrivals become steps when nothing crashes. Must not judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ping import columns
from engine.step import Engine
from engine.wire import Edited
from tests.sim.plant import Sites, lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from engine.wire import Input
    from tests.sim.crowd import Arrival, World


def gathered(world: World, window_ms: int, random: Random | None) -> tuple[list[str], list[str]]:
    """What a world tells and decides. With `random`, what comes at one instant is cut into steps at random."""
    sites = Sites()
    engine = Engine(sites.read(world.town), world.arrivals[0].at_ms - 1)
    told: list[str] = []
    decided: list[str] = []
    for now_ms, together in _instants(world.arrivals, window_ms):
        while True:  # what the clock alone brings comes first either way
            due_ms = engine.next_due_ms()
            if due_ms is None or due_ms > now_ms:
                break
            _step(engine, [], due_ms, told, decided)
        for part in _parts(together, random):
            _step(engine, _inputs(part, engine, sites, random), now_ms, told, decided)
    return told, decided


def _step(engine: Engine, inputs: Sequence[Input], now_ms: int, told: list[str], decided: list[str]) -> None:
    transitions, decisions = lines(engine.step(inputs, now_ms))
    told += transitions
    decided += decisions


def _instants(arrivals: Sequence[Arrival], window_ms: int) -> list[tuple[int, list[Arrival]]]:
    found: list[tuple[int, list[Arrival]]] = []
    for arrival in arrivals:
        if not found or arrival.at_ms > found[-1][0]:
            found.append((arrival.at_ms + window_ms, []))
        found[-1][1].append(arrival)
    return found


def _parts(together: list[Arrival], random: Random | None) -> list[list[Arrival]]:
    if random is None:
        return [together]
    parts: list[list[Arrival]] = [[]]
    for arrival in together:
        if random.random() < 0.3:
            parts.append([])
        parts[-1].append(arrival)
    return parts


def _inputs(part: list[Arrival], engine: Engine, sites: Sites, random: Random | None) -> list[Input]:
    """One `Located` for requests that follow each other; with `random`, sometimes several."""
    inputs: list[Input] = []
    rows = []
    for arrival in part:
        if rows and (arrival.rows is None or (random is not None and random.random() < 0.3)):
            inputs.append(columns(rows))
            rows = []
        if arrival.rows is not None:
            rows.append(arrival.rows)
        elif arrival.town is not None:
            site = sites.read(arrival.town)
            engine.prepare(site)
            inputs.append(Edited(site.version, dict(site.files)))
        elif arrival.input is not None:
            inputs.append(arrival.input)
    if rows:
        inputs.append(columns(rows))
    return inputs
