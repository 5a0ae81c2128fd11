"""The end of a consumer, whether or not its broker is there.

Owns that it ends within a while, and that what is under way to a broker that is away breaks nothing else off. Must not
know what was read.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka.errors import KafkaError

#: Leaving a group takes one request; a broker that does not answer it is not waited for any longer.
_WITHIN_S: Final = 3.0


async def end_consumer(consumer: Any) -> None:
    """Have a consumer leave its group and let its connections go.

    With a fetch under way to a broker that is away, aiokafka ends that by cancelling it, is cancelled by it in turn,
    and leaves the rest undone. So it ends in a task of its own.
    """
    ending = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([ending], timeout=_WITHIN_S)
    whole = ending.done() and not ending.cancelled() and ending.exception() is None
    if not whole:
        ending.cancel()
        await asyncio.gather(ending, _close(consumer), return_exceptions=True)


async def _close(consumer: Any) -> None:
    try:
        await asyncio.wait_for(consumer._client.close(), _WITHIN_S)
    except (TimeoutError, KafkaError, OSError):
        return
