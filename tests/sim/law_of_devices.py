"""The laws of arrival: what is accepted, late or repeated, and whose device it is.

Owns the newest ping of each device, by the contract alone. Must not know the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.wire import Located

_NEVER = -(10**18)


@dataclass(frozen=True)
class HandOver:
    """A ping named another user than the device's."""

    request: int
    time_ms: int
    device: str
    before: str
    after: str


@dataclass(frozen=True)
class Fix:
    """Where a device was. `accuracy_m` is NaN where it is unknown."""

    time_ms: int
    accuracy_m: float
    mocked: bool


NO_FIX = Fix(_NEVER, float("nan"), mocked=False)


@dataclass
class Devices:
    """What the pings said. `clock` is the time of a device's newest ping, `holder` the user it named, `fix` its newest.

    `back` counts the fixes that were older than a device's clock (a sighting had come before): each may prove what the
    clock has passed already. `back_before` are those counts as of before the batch.
    """

    clock: dict[str, int] = field(default_factory=dict)
    holder: dict[str, str] = field(default_factory=dict)
    back: dict[str, int] = field(default_factory=dict)
    back_before: dict[str, int] = field(default_factory=dict)
    fix: dict[str, Fix] = field(default_factory=dict)
    _heard: dict[tuple[str, str], int] = field(default_factory=dict)

    def user(self, device: str) -> str:
        """Whose device it is."""
        return self.holder.get(device, device)

    def take(self, batch: Located, first: int) -> tuple[list[list[int]], list[HandOver]]:
        """The counts (accepted, duplicate, late) of each request, numbered from `first`, and who handed over."""
        strings = [*batch.strings, ""]
        rows = zip(
            batch.column("device").tolist(), batch.column("user").tolist(), batch.column("beacon").tolist(),
            batch.column("time").tolist(), batch.column("accuracy").tolist(), batch.column("mocked").tolist(),
            strict=True,
        )  # fmt: skip
        counts, handed = [[0, 0, 0] for _ in batch.borders], []
        request, border = 0, batch.borders[0]
        self.back_before = dict(self.back)
        clock, fixes, heard = self.clock, self.fix, self._heard
        for at, (device_n, user_n, beacon_n, time_ms, accuracy_m, mocked) in enumerate(rows):
            while at >= border:
                request += 1
                border = batch.borders[request]
            device = strings[device_n]
            fix = fixes.get(device, NO_FIX)
            newest = fix.time_ms if beacon_n < 0 else heard.get((device, strings[beacon_n]), _NEVER)
            count = counts[request]
            if time_ms <= newest:
                if time_ms == newest:
                    count[1] += 1
                else:
                    count[0] += 1
                    count[2] += 1
                continue
            count[0] += 1
            if beacon_n < 0:
                fixes[device] = Fix(time_ms, accuracy_m, bool(mocked))
            else:
                heard[device, strings[beacon_n]] = time_ms
            if time_ms < clock.get(device, _NEVER):
                self.back[device] = self.back.get(device, 0) + 1
                continue
            clock[device] = time_ms
            if user_n >= 0:
                user, before = strings[user_n], self.user(device)
                if user != before:
                    handed.append(HandOver(first + request, time_ms, device, before, user))
                self.holder[device] = user
        return counts, handed

    def erase(self, user: str) -> list[str]:
        """Forget a user's devices; returns their names."""
        gone = [device for device in self.clock if self.user(device) == user]
        for device in gone:
            self.holder.pop(device, None)
            del self.clock[device]
            self.fix.pop(device, None)
        names = set(gone)
        self._heard = {key: time_ms for key, time_ms in self._heard.items() if key[0] not in names}
        return gone
