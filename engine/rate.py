"""How many pings of one device are too many: a token bucket for each.

Owns the buckets and how they fill. Must not know requests. Seconds are those of a steady clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Buckets are looked through for full ones, which need not be remembered, whenever so many were added.
_PRUNE_EACH = 10_000


class Rates:
    """One bucket a device: it holds `holds` pings and fills by `per_s` a second. A device not seen has a full one.

    >>> rates = Rates(per_s=2.0, holds=10)
    >>> rates.take({"d": 10}, now_s=0.0), rates.take({"d": 4}, now_s=0.5), rates.take({"d": 4}, now_s=2.0)
    (0.0, 1.5, 0.0)
    """

    __slots__ = ("_added", "_buckets", "_holds", "_per_s")

    def __init__(self, *, per_s: float, holds: int) -> None:
        assert per_s > 0 and holds > 0
        self._per_s = per_s
        self._holds = float(holds)
        self._buckets: dict[str, tuple[float, float]] = {}
        self._added = 0

    def are(self, *, per_s: float, holds: int) -> bool:
        """True if the buckets are of this kind."""
        return (self._per_s, self._holds) == (per_s, float(holds))

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, wanted: Mapping[str, int], now_s: float) -> float:
        """Take tokens for the pings of one request: 0.0; or take none, and say how many seconds to wait.

        All devices of the request are judged before any token is taken. More than a bucket holds never fits.
        """
        left = {device: self._level(device, now_s) - n for device, n in wanted.items()}
        short = min(left.values(), default=0.0)
        if short < 0:
            return -short / self._per_s
        for device, level in left.items():
            self._put(device, level, now_s)
        return 0.0

    def give_back(self, taken: Mapping[str, int], now_s: float) -> None:
        """The request's pings were not kept after all."""
        for device, n in taken.items():
            self._put(device, min(self._level(device, now_s) + n, self._holds), now_s)

    def _level(self, device: str, now_s: float) -> float:
        level, at_s = self._buckets.get(device, (self._holds, now_s))
        return min(self._holds, level + max(now_s - at_s, 0.0) * self._per_s)

    def _put(self, device: str, level: float, now_s: float) -> None:
        self._added += device not in self._buckets
        self._buckets[device] = (level, now_s)
        if self._added >= _PRUNE_EACH:
            self._added = 0
            self._buckets = {d: bucket for d, bucket in self._buckets.items() if self._level(d, now_s) < self._holds}
