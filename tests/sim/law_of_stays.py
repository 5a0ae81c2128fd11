"""The laws of presence: who is where, told by transitions alone.

Owns the stays: entered and exited alternate, ids are those of the contract, dwelled lies within a stay. Must not know
the engine: it reads transitions as anybody would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sim.law import digest, hold
from tests.sim.law_of_devices import Devices

if TYPE_CHECKING:
    from engine.told import Transition


@dataclass
class Stay:
    """One device at one place, from its entered on.

    `latest_ms` is the newest dwelled that pings proved, `back` how many fixes had been out of order then,
    `edits` how many edits there had been: one may set an exit's timer back.
    """

    episode: str
    entered_ms: int
    dwelled: set[int] = field(default_factory=set)
    latest_ms: int = 0
    back: int = 0
    edits: int = 0


@dataclass
class Stays:
    """All open stays by (device, place); `ids` of all transitions by device, `tally` of kinds and causes."""

    open: dict[tuple[str, str], Stay] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=dict)
    edits: int = 0
    devices: Devices = field(default_factory=Devices)

    def see(self, told: Transition) -> None:
        """One transition more."""
        kind, place = told.kind.value, told.place.id
        name = f"{kind} {told.cause}"
        self.tally[name] = self.tally.get(name, 0) + 1
        ids = self.ids.setdefault(told.device, set())
        hold(told.id not in ids, "ids are unique", told)
        ids.add(told.id)
        if kind == "crossed":
            hold(told.id == digest(told.device, place, str(told.time_ms), kind), "the id of a crossing", told)
        elif kind == "entered":
            self._entered(told, (told.device, place))
        elif kind == "exited":
            self._exited(told, (told.device, place))
        else:
            self._dwelled(told, (told.device, place))

    def _entered(self, told: Transition, key: tuple[str, str]) -> None:
        hold(key not in self.open, "entered only after exited", told, self.open.get(key))
        episode = digest(*key, str(told.time_ms))
        hold(told.episode == episode, "the id of an episode", told)
        hold(told.id == digest(episode, "entered"), "the id of entered", told)
        hold(told.cause in ("fix", "sighting", "edited"), "what causes entered", told)
        self.open[key] = Stay(episode, told.time_ms)

    def _exited(self, told: Transition, key: tuple[str, str]) -> None:
        hold(key in self.open, "exited only after entered", told)
        stay = self.open.pop(key)
        hold(told.episode == stay.episode, "exited has the episode of its entered", told, stay)
        hold(told.id == digest(stay.episode, "exited"), "the id of exited", told)
        hold(told.entered_ms == stay.entered_ms, "exited knows when it entered", told, stay)
        hold(told.time_ms >= stay.entered_ms, "nobody leaves before they entered", told, stay)
        in_order = self.devices.back.get(told.device, 0) == stay.back and self.edits == stay.edits
        hold(told.time_ms >= stay.latest_ms or not in_order, "nobody leaves before they dwelled", told, stay)

    def _dwelled(self, told: Transition, key: tuple[str, str]) -> None:
        hold(key in self.open, "dwelled only within a stay", told)
        stay, dwell_ms = self.open[key], told.dwell_ms or 0
        hold(told.episode == stay.episode, "dwelled has the episode of its entered", told, stay)
        hold(told.id == digest(stay.episode, "dwelled", str(dwell_ms)), "the id of dwelled", told)
        hold(dwell_ms not in stay.dwelled, "dwelled once for each time", told, stay)
        hold(told.time_ms >= stay.entered_ms + dwell_ms, "dwelled when the time is past", told, stay)
        stay.dwelled.add(dwell_ms)
        if told.request >= 0:  # a mere clock knows nothing of fixes that are still under way
            stay.latest_ms = max(stay.latest_ms, told.time_ms)
            stay.edits = self.edits
            stay.back = self.devices.back_before.get(told.device, 0)

    def forget(self, device: str) -> None:
        """The device's user was erased: what it was at ends without a word."""
        self.ids.pop(device, None)
        for key in [key for key in self.open if key[0] == device]:
            del self.open[key]
