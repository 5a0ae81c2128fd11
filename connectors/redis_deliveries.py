"""Deliveries in Redis: each under its key, as it stands, and which keys have which outcome.

Owns these keys, and that a delivery known to have ended is told so to whoever gets it again. Must not know channels.

`name:delivery:k` is the packed delivery of key k. `name:deliveries:o` is a sorted set of the keys whose outcome is o,
by when it came. `{name.u.<user>}:deliveries` is the set of a user's keys. `name:again:k:n` is there for a while after
somebody had key k sent anew for the n-th time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from connectors.redis_people import safe
from engine.ports import Delivery, DeliveryState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.redis_client import RedisClient
    from connectors.redis_line import Call

#: So many keys of one outcome are listed at most.
LISTED_MAX: Final = 100_000
#: Who has a delivery sent anew is alone in that for so long. By then a dispatcher has noted it, or the gateway died.
_CLAIM_MS: Final = 60_000


class KeptDelivery(msgspec.Struct, frozen=True):
    """A delivery as it stands. `again` counts how often somebody had it sent anew."""

    delivery: Delivery
    again: int = 0

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.delivery.state is not DeliveryState.PENDING


_STATES: Final = frozenset(DeliveryState)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptDelivery).decode


class RedisDeliveries:
    """The deliveries of one cluster, each kept for `keep_ms` after its last change."""

    def __init__(self, redis: RedisClient, name: str, keep_ms: int) -> None:
        self._redis = redis
        self._name = name
        self._keep_ms = keep_ms

    async def read(self, keys: Sequence[str]) -> list[KeptDelivery | None]:
        """The deliveries of these keys. Raises `AwayError`."""
        found = await self._redis.pipe([("GET", self._key(key)) for key in keys])
        return [None if value is None else _decode(value) for value in found]

    async def write(self, kept: Sequence[KeptDelivery]) -> None:
        """Note how these deliveries stand; of one that comes twice the later."""
        await self._redis.pipe(self._calls(list({one.delivery.key: one for one in kept}.values())))

    async def claim(self, key: str, again: int) -> bool:
        """Be who has a delivery sent anew for the `again`-th time; False when somebody is already."""
        return bool(await self._redis.ask("SET", f"{self._name}:again:{key}:{again}", 1, "NX", "PX", _CLAIM_MS))

    async def unclaim(self, key: str, again: int) -> None:
        """It was not sent anew: others may have it so."""
        await self._redis.ask("UNLINK", f"{self._name}:again:{key}:{again}")

    async def listed(self, outcome: DeliveryState | None, limit: int) -> list[KeptDelivery]:
        """The newest deliveries of an outcome, or of all."""
        states = list(DeliveryState) if outcome is None else [outcome]
        asked = [("ZREVRANGE", self._list(state), 0, limit - 1, "WITHSCORES") for state in states]
        newest = sorted(
            ((float(at), key.decode()) for found in await self._redis.pipe(asked) for key, at in _pairs(found)),
            reverse=True,
        )[:limit]
        return [kept for kept in await self.read([key for _, key in newest]) if kept is not None]

    async def of_user(self, user: str) -> list[KeptDelivery]:
        """All deliveries of a user, in no order."""
        keys = [key.decode() for key in await self._redis.ask("SMEMBERS", self._user(user))]
        return [kept for kept in await self.read(keys) if kept is not None]

    async def forget(self, user: str) -> None:
        """Forget all deliveries of a user."""
        await self.drop(await self.of_user(user))
        await self._redis.ask("UNLINK", self._user(user))

    async def drop(self, kept: Sequence[KeptDelivery]) -> None:
        """Forget these deliveries, however they stand by now."""
        calls: list[Call] = []
        for one in kept:
            key = one.delivery.key
            calls += [("UNLINK", self._key(key)), ("SREM", self._user(one.delivery.user), key)]
            calls += [("ZREM", self._list(state), key) for state in DeliveryState]
        await self._redis.pipe(calls)

    def _calls(self, kept: Sequence[KeptDelivery]) -> list[Call]:
        """The values, one by one; users and lists each with all that comes to them and all that leaves them."""
        calls: list[Call] = []
        users: dict[str, list[str]] = {}
        come: dict[DeliveryState, list[int | str]] = {}
        go: dict[DeliveryState, list[str]] = {}
        for one in kept:
            delivery, state = one.delivery, one.delivery.state
            calls.append(("SET", self._key(delivery.key), _encode(one), "PX", self._keep_ms))
            users.setdefault(delivery.user, []).append(delivery.key)
            at_ms = delivery.created_ms if delivery.ended_ms is None else delivery.ended_ms
            come.setdefault(state, []).extend((at_ms, delivery.key))
            if one.over or one.again:  # else it stands nowhere yet
                for other in _STATES - {state}:
                    go.setdefault(other, []).append(delivery.key)
        for user, keys in users.items():
            calls += [("SADD", self._user(user), *keys), ("PEXPIRE", self._user(user), self._keep_ms)]
        for state, pairs in come.items():
            calls.append(("ZADD", self._list(state), *pairs))
            calls.append(("ZREMRANGEBYRANK", self._list(state), 0, -LISTED_MAX - 1))
        return calls + [("ZREM", self._list(state), *keys) for state, keys in go.items()]

    def _key(self, key: str) -> str:
        return f"{self._name}:delivery:{key}"

    def _list(self, state: DeliveryState) -> str:
        return f"{self._name}:deliveries:{state.value}"

    def _user(self, user: str) -> str:
        return f"{{{self._name}.u.{safe(user)}}}:deliveries"


def _pairs(found: Sequence[Any]) -> list[tuple[bytes, bytes]]:
    """Members and scores: pair by pair, or one after the other."""
    if found and not isinstance(found[0], bytes):
        return [(key, at) for key, at in found]
    return list(zip(found[::2], found[1::2], strict=True))
