"""Whom a step concerns, and the same step as far as it concerns some of them.

Owns taking what the first stage found apart by users, so that each of them can be judged apart: what one user does
changes nothing for another. Must not know where users are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.step import NewSite, Sensed
from engine.timers import Rang
from engine.told import Telling
from engine.wire import Edited

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set

    from engine.step import Happening


def users_of(sensed: Sensed) -> set[str]:
    """The users whom a step concerns. Of timers that concern everybody, only those who are inside."""
    return {user for happening in sensed.happenings for user in _users(happening)}


def narrowed(sensed: Sensed, users: Set[str]) -> Sensed:
    """The step, as far as it concerns these users."""
    happenings = [part for happening in sensed.happenings for part in _narrowed(happening, users)]
    return Sensed(sensed.now_ms, happenings, sensed.counted, sensed.erased)


def everybody(sensed: Sensed) -> Sensed | None:
    """The step's timers that concern everybody, without those who are inside; None when there are none."""
    rung = [
        Rang(h.rule, h.trigger, h.time_ms, True, ()) for h in sensed.happenings if isinstance(h, Rang) and h.everybody
    ]
    return Sensed(sensed.now_ms, list(rung)) if rung else None


def _users(happening: Happening) -> Iterator[str]:
    match happening:
        case Telling():
            yield from happening.concerned()
        case NewSite():
            for telling in happening.told:
                yield from telling.concerned()
        case Rang():
            yield from (one.user for one in happening.inside)
        case _:
            yield happening.user


def _narrowed(happening: Happening, users: Set[str]) -> Iterator[Happening]:
    match happening:
        case Telling():
            part = happening.narrowed(users)
            if len(part):
                yield part
        case NewSite():
            told = tuple(part for telling in happening.told if len(part := telling.narrowed(users)))
            yield NewSite(happening.site, happening.edited, told)
        case Rang():
            inside = tuple(one for one in happening.inside if one.user in users)
            if inside:
                yield Rang(happening.rule, happening.trigger, happening.time_ms, False, inside)
        case _:
            if happening.user in users:
                yield happening


def is_edit(inputs: Iterable[object]) -> bool:
    """True if one of a frame's inputs is an edit of the site."""
    return any(isinstance(item, Edited) for item in inputs)
