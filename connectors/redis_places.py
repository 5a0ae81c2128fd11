"""Who is at a place, in Redis: for people who ask, not for rules.

Owns one hash a place, from device to when it entered. Must not know the devices' state: a device that is gone from its
shard is left out by whoever reads. `name:at:p` is the hash of place p.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.facts import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.redis_client import RedisClient
    from connectors.redis_line import Call
    from engine.told import Transition


class RedisPlaces:
    """The places of one cluster."""

    def __init__(self, redis: RedisClient, name: str) -> None:
        self._redis = redis
        self._name = name

    async def note(self, transitions: Sequence[Transition]) -> None:
        """Note who came and went, in order. Raises `AwayError`."""
        calls: list[Call] = []
        for told in transitions:
            if told.kind is Kind.ENTERED:
                calls.append(("HSET", self._key(told.place.id), told.device, told.entered_ms))
            elif told.kind is Kind.EXITED:
                calls.append(("HDEL", self._key(told.place.id), told.device))
        await self._redis.pipe(calls)

    async def enter(self, present: Sequence[tuple[str, str, int]]) -> None:
        """Note who is where: place, device, and when it entered."""
        await self._redis.pipe([("HSET", self._key(place), device, at_ms) for place, device, at_ms in present])

    async def at(self, place: str) -> dict[str, int]:
        """The devices at a place, with when each entered."""
        found: dict[str, int] = {}
        async for piece in self._redis.fields(self._key(place)):
            found |= {device.decode(): int(entered) for device, entered in piece}
        return found

    async def leave(self, place: str, devices: Sequence[str]) -> None:
        """Devices are gone."""
        if devices:
            await self._redis.ask("HDEL", self._key(place), *devices)

    def _key(self, place: str) -> str:
        return f"{self._name}:at:{place}"
