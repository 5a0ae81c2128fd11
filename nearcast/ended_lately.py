"""Which deliveries this dispatcher ended of late, in memory: a store that lost its last moments is not believed.

Owns how many are remembered. Must not know why one ended, nor who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.redis_deliveries import KeptDelivery

#: More than one dispatcher ends within the seconds that a Redis can lose.
REMEMBERED_MAX: Final = 20_000
#: So many are looked at in one go.
PIECE: Final = 50


class EndedLately:
    """The newest ends, each under its key."""

    def __init__(self, most: int = REMEMBERED_MAX) -> None:
        self._kept: dict[str, KeptDelivery] = {}
        self._most = most

    def note(self, over: KeptDelivery) -> None:
        """A delivery ended."""
        key = over.delivery.key
        self._kept.pop(key, None)
        self._kept[key] = over
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def than(self, key: str, kept: KeptDelivery | None) -> KeptDelivery | None:
        """What is known of a delivery: what the store says, unless it forgot that it ended here."""
        mine = self._kept.get(key)
        return mine if mine is not None and is_forgotten(mine, kept) else kept

    def pieces(self) -> Iterator[list[KeptDelivery]]:
        """What ended, the newest first."""
        newest = list(reversed(self._kept.values()))
        for start in range(0, len(newest), PIECE):
            yield newest[start : start + PIECE]


def is_forgotten(mine: KeptDelivery, kept: KeptDelivery | None) -> bool:
    """Whether the store knows less of a delivery than that it ended so."""
    return kept is None or kept.again < mine.again or (kept.again == mine.again and not kept.over)
