"""When the shards of a worker fold: together, and no sooner than a little after they folded last.

Owns the wait. What a fold costs beside its records is paid once for all records that came meanwhile, and what shards
ask the store in one turn goes to it in one piece. A record that comes after a pause is not held up. Must not know what
a fold does.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Folds begin no sooner after those before.
BEAT_S: Final = 0.010


class Beat:
    """One of a worker. Lives on one event loop."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._last_s = -math.inf
        self._next: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait until the next beat: at once, if the last one was long ago. All who wait go on in the same turn."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            wait_s = self._last_s + BEAT_S - self._monotonic_s()
            if wait_s > 0.0:
                loop.call_later(wait_s, self._strike)
            else:
                loop.call_soon(self._strike)
        await asyncio.shield(self._next)

    def _strike(self) -> None:
        struck, self._next = self._next, None
        self._last_s = self._monotonic_s()
        if struck is not None:
            struck.set_result(None)
