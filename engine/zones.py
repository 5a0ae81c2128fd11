"""Beacon zones: when a device is in one, by the strength of what it hears.

Owns entering on two strong sightings, the one zone of a group, the switch margin. Exits are timers, and those are
`engine/presence.py`'s. Must not know fences. All times are the device's, in epoch milliseconds; strengths are RSSI in
dBm.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.layout import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.beacons import Zone

#: Two sightings this near to each other let a device in.
ENTER_WITHIN_MS = 10_000
#: The strength of a zone is its strongest sighting of this last while.
STRENGTH_OVER_MS = 5_000
#: A challenger must lead by this much, at each of its sightings, over this long.
LEAD_DB = 6.0
LEAD_OVER_MS = 5_000


@dataclass(slots=True)
class Signal:
    """One device's hearing of one zone: its last sightings (time, RSSI), ascending, and what came of them."""

    recent: list[tuple[int, float]] = field(default_factory=list)
    entered_ms: int | None = None
    good_ms: int = NEVER
    lead_ms: int = NEVER
    lead_count: int = 0
    dwelled_ms: int = 0
    waits: bool = False


def strength(signal: Signal, at_ms: int) -> float:
    """The strongest sighting of the last five seconds up to `at_ms`; minus infinity when there was none."""
    return max((rssi for t, rssi in signal.recent if at_ms - STRENGTH_OVER_MS < t <= at_ms), default=float("-inf"))


def hear(
    signals: dict[int, Signal], number: int, zones: Sequence[Zone], time_ms: int, rssi: float, clock_ms: int
) -> tuple[int | None, int | None]:
    """Take in one sighting of zone `number`, by a device whose newest fix or sighting was at `clock_ms`.

    Returns (zone left, when this one is entered), both at one instant, or None.
    """
    zone = zones[number]
    signal = signals.setdefault(number, Signal())
    insort(signal.recent, (time_ms, rssi))
    newest = signal.recent[-1][0]
    signal.recent = [s for s in signal.recent if newest - s[0] <= ENTER_WITHIN_MS]
    if rssi >= zone.exit_rssi:
        signal.good_ms = max(signal.good_ms, time_ms)
    if signal.entered_ms is not None:
        return None, None
    rival = _rival(signals, number, zones)
    leads = rival is None or _leads(signal, signals[rival], time_ms)
    if not leads:
        return None, None
    strong = {t for t, r in signal.recent if r >= zone.enter_rssi and abs(time_ms - t) <= ENTER_WITHIN_MS}
    if len({t for t in strong if t <= time_ms}) >= 2:
        return rival, time_ms
    # two prove it in whichever order they come; but what happened since the later one stands
    if rival is None and rssi >= zone.enter_rssi and clock_ms in strong:
        return None, clock_ms
    return None, None


def _rival(signals: dict[int, Signal], number: int, zones: Sequence[Zone]) -> int | None:
    """The zone of the same group that the device is in."""
    group = zones[number].place.group
    if group is None:
        return None
    for other, signal in signals.items():
        if other != number and signal.entered_ms is not None and zones[other].place.group == group:
            return other
    return None


def _leads(signal: Signal, rival: Signal, time_ms: int) -> bool:
    """Note whether the challenger leads at this sighting; true once it has done so at each of them for long enough."""
    assert rival.entered_ms is not None
    if time_ms <= rival.entered_ms or time_ms < rival.entered_ms + rival.dwelled_ms:
        return False  # it came late: the stay there began after that, or more was told of it
    if signal.lead_ms <= rival.entered_ms:  # over another, who was there before
        signal.lead_ms, signal.lead_count = NEVER, 0
    if strength(signal, time_ms) < strength(rival, time_ms) + LEAD_DB:
        signal.lead_ms, signal.lead_count = NEVER, 0
        return False
    if signal.lead_count == 0:
        signal.lead_ms = time_ms
    signal.lead_count += 1
    return signal.lead_count >= 2 and time_ms - signal.lead_ms >= LEAD_OVER_MS
