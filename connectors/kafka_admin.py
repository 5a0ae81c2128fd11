"""An admin client for a few calls, and what it is asked of consumer groups.

Owns the client, and that what goes wrong with it is a `StoreError`. Must not know topics' settings.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from engine.ports import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from connectors.kafka_brokers import Brokers


_TRIES: Final = 40
_PAUSE_S: Final = 0.25


class Admin:
    """An admin client, to be used in an `async with`."""

    def __init__(self, brokers: Brokers, client: str) -> None:
        self._brokers = brokers
        self._client = AIOKafkaAdminClient(**brokers.options, client_id=client)

    async def __aenter__(self) -> Any:
        try:
            await self._client.start()
        except KafkaError as error:
            await self._client.close()
            raise await self._brokers.why_not() from error
        return self._client

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        await self._client.close()
        if isinstance(error, KafkaError):
            raise StoreError(f"the broker refused to tell of its topics: {error!r}") from error


async def members_of(brokers: Brokers, client: str, groups: Sequence[str]) -> dict[str, int]:
    """How many members each group has. Raises `StoreError`."""
    found: dict[str, int] = {}
    async with Admin(brokers, client) as admin:
        for name in groups:  # aiokafka cannot read an answer that tells of several
            for told in await _coordinated(admin.describe_consumer_groups, [name]):
                found |= {group[1]: len(group[5]) for group in told.groups}
    return found


async def committed_of(brokers: Brokers, client: str, group: str, topic: str) -> dict[int, int]:
    """How far a group has said that each partition of a topic is done. Raises `StoreError`."""
    async with Admin(brokers, client) as admin:
        found = await _coordinated(admin.list_consumer_group_offsets, group)
    return {at.partition: told.offset for at, told in found.items() if at.topic == topic and told.offset >= 0}


async def _coordinated(ask: Callable[..., Awaitable[Any]], of: Any) -> Any:
    """Ask for a group; again while nobody keeps the groups: a broker that never had one makes their topic first."""
    for _ in range(_TRIES):
        try:
            return await ask(of)
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(_PAUSE_S)
    return await ask(of)
