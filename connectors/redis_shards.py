"""Shards in Redis: the packed devices of each, with the offset that they reflect, written together or not at all.

Owns the keys of a shard and the script that compares before it sets: a worker that lost its shard finds another offset
than it wrote last, and changes nothing. Must not know what is in the values.

`{name.p}:shard` is a hash: `o` the offset, `g` the generation, `m` the shard's own value. `{name.p}:devices:g` is a
hash of the devices, by name. An edit of the site writes a new generation beside the old one, and the last call turns
over; one that never comes so far expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connectors.redis_client import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from connectors.redis_client import RedisClient

#: The offset of a shard that was never written.
NOTHING: Final = -1
#: So many devices go in one call of a generation that is being written.
_CHUNK: Final = 1_000
#: A generation that was begun and never turned over to goes after this.
_UNUSED_MS: Final = 3_600_000

# KEYS: shard, devices, devices of the generation before. ARGV: offset expected, offset new, generation, own value,
# how many devices to take out, their names, then pairs of name and value. Gives nothing when done, else the offset.
_STORE: Final = Script("""
local found = redis.call('HGET', KEYS[1], 'o') or '-1'
if found ~= ARGV[1] then return found end
local gone = tonumber(ARGV[5])
if gone > 0 then
  for i = 6, 5 + gone, 1000 do redis.call('HDEL', KEYS[2], unpack(ARGV, i, math.min(i + 999, 5 + gone))) end
end
for i = 6 + gone, #ARGV, 1000 do redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 999, #ARGV))) end
redis.call('HSET', KEYS[1], 'o', ARGV[2], 'g', ARGV[3], 'm', ARGV[4])
if KEYS[3] ~= KEYS[2] then
  redis.call('UNLINK', KEYS[3])
  redis.call('PERSIST', KEYS[2])
end
return nil
""")


@dataclass(frozen=True, slots=True)
class StoredShard:
    """What is kept of a shard beside its devices."""

    offset: int = NOTHING
    generation: str = "0"
    meta: bytes | None = None


class RedisShards:
    """The shards of one cluster."""

    def __init__(self, redis: RedisClient, name: str) -> None:
        self._redis = redis
        self._name = name
        redis.knows(_STORE)

    async def read(self, shard: int) -> StoredShard:
        """The shard's offset and own value. Raises `AwayError`."""
        return (await self.read_many([shard]))[0]

    async def read_many(self, shards: Sequence[int]) -> list[StoredShard]:
        """The same of several."""
        found = await self._redis.pipe([("HMGET", self._key(shard), "o", "g", "m") for shard in shards])
        return [
            StoredShard(int(offset), generation.decode(), meta) if offset is not None else StoredShard()
            for offset, generation, meta in found
        ]

    async def devices(self, shard: int, generation: str) -> AsyncIterator[list[tuple[str, bytes]]]:
        """The shard's devices, in pieces."""
        async for piece in self._redis.fields(self._devices(shard, generation)):
            yield [(name.decode(), value) for name, value in piece]

    async def some(self, shard: int, generation: str, names: Sequence[str]) -> list[bytes | None]:
        """The values of some devices."""
        found: list[bytes | None] = await self._redis.ask("HMGET", self._devices(shard, generation), *names)
        return found

    async def store(
        self,
        shard: int,
        before: StoredShard,
        after: StoredShard,
        devices: Mapping[str, bytes],
        gone: Iterable[str] = (),
    ) -> int | None:
        """Set devices and offset, if the offset is still `before`'s. None: done. Else the offset that is there.

        A call that is repeated since it got no answer may find its own offset: it was done.
        """
        if before.generation != after.generation:
            devices = await self._begin(shard, after.generation, devices)
        names = list(gone)
        call = _STORE.on(
            [self._key(shard), self._devices(shard, after.generation), self._devices(shard, before.generation)],
            before.offset, after.offset, after.generation, after.meta or b"", len(names), *names,
            *(part for pair in devices.items() for part in pair),
        )  # fmt: skip
        found = await self._redis.ask(*call)
        return None if found is None else int(found)

    async def _begin(self, shard: int, generation: str, devices: Mapping[str, bytes]) -> dict[str, bytes]:
        """Write a new generation, all but what goes with the last call."""
        pairs = list(devices.items())
        key = self._devices(shard, generation)
        while len(pairs) > _CHUNK:
            piece, pairs = pairs[:_CHUNK], pairs[_CHUNK:]
            fill = ("HSET", key, *(part for pair in piece for part in pair))
            await self._redis.pipe([fill, ("PEXPIRE", key, _UNUSED_MS)])
        return dict(pairs)

    def _key(self, shard: int) -> str:
        return f"{{{self._name}.{shard}}}:shard"

    def _devices(self, shard: int, generation: str) -> str:
        return f"{{{self._name}.{shard}}}:devices:{generation}"
