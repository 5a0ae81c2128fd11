"""People in Redis: one value a user with its number, and the user's decisions, changed together or not at all.

Owns the keys of a user and the script that compares before it sets: who read an older value reads again. Decisions are
kept by their key, and the first that was kept stands. Must not know what is in the values.

`{name.u.<user>}:person` is a hash: `n` counts its changes, `s` is the value. `{name.u.<user>}:decisions` is a hash of
packed decisions by key. `{name.users.p}` is the set of the users whose own shard is p.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from connectors.redis_client import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from connectors.redis_client import RedisClient

#: A user's oldest decisions go when there are more than this.
DECISIONS_MAX: Final = 512

# KEYS: person, decisions. ARGV: number expected, value, ttl in ms (0: none), decisions' ttl, then pairs of key and
# decision. Gives the new number; or -1 when the number is another; or the keys that are there already.
_STORE: Final = Script("""
local n = redis.call('HGET', KEYS[1], 'n') or '0'
if n ~= ARGV[1] then return -1 end
local known = {}
for i = 5, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then known[#known + 1] = ARGV[i] end
end
if #known > 0 then return known end
redis.call('HSET', KEYS[1], 'n', n + 1, 's', ARGV[2])
if ARGV[3] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) else redis.call('PERSIST', KEYS[1]) end
if #ARGV > 4 then
  for i = 5, #ARGV, 1000 do redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 999, #ARGV))) end
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return n + 1
""")


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """A user's value as it was read, and its number; None and 0 of a stranger."""

    number: int = 0
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A user's new value, to be set if the number is still `number`, and the decisions that go with it."""

    user: str
    number: int
    value: bytes
    decisions: Mapping[str, bytes] = field(default_factory=dict)
    ttl_ms: int = 0


class RedisPeople:
    """The users of one cluster. `keep_ms` is how long decisions are kept after the user's last one."""

    def __init__(self, redis: RedisClient, name: str, keep_ms: int) -> None:
        self._redis = redis
        self._name = name
        self.keep_ms = keep_ms
        redis.knows(_STORE)

    async def read(self, users: Sequence[str]) -> dict[str, StoredPerson]:
        """These users' values. Raises `AwayError`."""
        found = await self._redis.pipe([("HMGET", self._person(user), "n", "s") for user in users])
        return {
            user: StoredPerson(int(number), value) if number is not None else StoredPerson()
            for user, (number, value) in zip(users, found, strict=True)
        }

    async def store(self, changes: Sequence[Change], shard_of: Mapping[str, int]) -> list[bool | list[str]]:
        """Set values. True: done. False: somebody changed it since. A list: these decisions are there already.

        `shard_of` are the own shards of users that are new.
        """
        calls = [
            _STORE.on(
                [self._person(change.user), self._decisions(change.user)],
                change.number, change.value, change.ttl_ms, self.keep_ms,
                *(part for pair in change.decisions.items() for part in pair),
            )
            for change in changes
        ]  # fmt: skip
        new = [("SADD", f"{{{self._name}.users.{shard}}}", user) for user, shard in shard_of.items()]
        answers = (await self._redis.pipe([*calls, *new]))[: len(calls)]
        return [[key.decode() for key in found] if isinstance(found, list) else found >= 0 for found in answers]

    async def decided(self, user: str, keys: Sequence[str]) -> list[bytes | None]:
        """A user's kept decisions of these keys."""
        if not keys:
            return []
        found: list[bytes | None] = await self._redis.ask("HMGET", self._decisions(user), *keys)
        return found

    async def decisions(self, user: str) -> list[bytes]:
        """All kept decisions of a user, in no order."""
        found: list[bytes] = await self._redis.ask("HVALS", self._decisions(user))
        return found

    async def crowded(self, users: Sequence[str]) -> list[str]:
        """Those of these users who have more decisions than are kept."""
        counts = await self._redis.pipe([("HLEN", self._decisions(user)) for user in users])
        return [user for user, count in zip(users, counts, strict=True) if count > DECISIONS_MAX]

    async def drop(self, user: str, keys: Sequence[str]) -> None:
        """Forget decisions."""
        await self._redis.ask("HDEL", self._decisions(user), *keys)

    async def forget_decisions(self, user: str) -> None:
        """Forget all decisions of a user."""
        await self._redis.ask("UNLINK", self._decisions(user))

    async def of_shard(self, shard: int) -> AsyncIterator[list[str]]:
        """The users whose own shard this is, in pieces; one may come twice."""
        async for piece in self._redis.members(f"{{{self._name}.users.{shard}}}"):
            yield [user.decode() for user in piece]

    async def leave(self, user: str, shard: int) -> None:
        """Take a user out of the set of all."""
        await self._redis.ask("SREM", f"{{{self._name}.users.{shard}}}", user)

    def _person(self, user: str) -> str:
        return f"{{{self._name}.u.{safe(user)}}}:person"

    def _decisions(self, user: str) -> str:
        return f"{{{self._name}.u.{safe(user)}}}:decisions"


def safe(user: str) -> str:
    """An id as it may stand in a hash tag: a brace in it would end the tag."""
    return user.replace("%", "%25").replace("}", "%7D").replace("{", "%7B")
