"""The laws bite: a step that is spoiled a little breaks one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from rules.facts import Reason
from tests.sim.crowd import build_world
from tests.sim.law import LawError
from tests.sim.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.step import Effects
    from engine.wire import Input


def _no_exit(effects: Effects) -> bool:
    kept = [t for t in effects.transitions if t.kind.value != "exited"]
    changed, effects.transitions = len(kept) < len(effects.transitions), kept
    return changed


def _told_twice(effects: Effects) -> bool:
    effects.transitions = [t for told in effects.transitions for t in (told, told)]
    return bool(effects.transitions)


def _another_time(effects: Effects) -> bool:
    effects.transitions = [msgspec.structs.replace(t, time_ms=t.time_ms + 1) for t in effects.transitions]
    return bool(effects.transitions)


def _another_user(effects: Effects) -> bool:
    effects.transitions = [msgspec.structs.replace(t, user="nobody") for t in effects.transitions]
    return bool(effects.transitions)


def _fewer_decisions(effects: Effects) -> bool:
    made, effects.decisions = effects.decisions, effects.decisions[1:]
    return bool(made)


def _another_reason(effects: Effects) -> bool:
    made = effects.decisions
    effects.decisions = [msgspec.structs.replace(d, reason=Reason.CAP) for d in made]
    return any(d.reason is not Reason.CAP for d in made)


def _no_delivery(effects: Effects) -> bool:
    made, effects.deliveries = effects.deliveries, []
    return bool(made)


def _no_ending(effects: Effects) -> bool:
    made, effects.endings = effects.endings, []
    return bool(made)


def _more_accepted(effects: Effects) -> bool:
    for counted in effects.counted:
        counted.accepted[0] += 1
    return bool(effects.counted)


SPOILED = (
    _no_exit, _told_twice, _another_time, _another_user, _fewer_decisions, _another_reason, _no_delivery, _no_ending,
    _more_accepted,
)  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_spoiled_step_breaks_a_law(spoil: Callable[[Effects], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    plant = Plant(build_world(3, 3_000), crashes=False)
    spoiled: list[int] = []
    see = plant.laws.see

    def spoil_once(inputs: Sequence[Input], effects: Effects, now_ms: int) -> None:
        if not spoiled and plant.laws.rows > 1_000 and spoil(effects):
            spoiled.append(now_ms)
        see(inputs, effects, now_ms)

    monkeypatch.setattr(plant.laws, "see", spoil_once)
    with pytest.raises(LawError):
        plant.run()
    assert spoiled
