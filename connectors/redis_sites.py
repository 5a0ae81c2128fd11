"""Versions of the site in Redis: which one is wanted, and the files of each that may still be needed.

Owns the number of each version, which only grows, so that whoever meets two knows the newer one. Must not know what is
in the files.

`{name.sites}:current` is a hash: `seq`, `version`, `by`. `{name.sites}:known` is the set of all versions ever wanted.
`{name.sites}:files:v` is a hash of version v's files, by path. `{name.sites}:cluster` is a hash: `shards`, and `moving`
while a state is brought in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connectors.redis_client import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.redis_client import RedisClient

# KEYS: current, known, files of the version before. ARGV: version before, version, now in ms, by whom, how long the
# files before are kept. Gives the number of the version now wanted, and which it is.
_WANT: Final = Script("""
local version = redis.call('HGET', KEYS[1], 'version') or ''
local seq = redis.call('HGET', KEYS[1], 'seq') or '0'
if version == ARGV[1] and version ~= ARGV[2] then
  seq = string.format('%.0f', math.max(tonumber(seq) + 1, tonumber(ARGV[3])))
  redis.call('HSET', KEYS[1], 'seq', seq, 'version', ARGV[2], 'by', ARGV[4])
  redis.call('SADD', KEYS[2], ARGV[2])
  if version ~= '' then redis.call('PEXPIRE', KEYS[3], ARGV[5]) end
  version = ARGV[2]
end
return {seq, version}
""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The version of the site that is wanted in every shard. `seq` is 0 before the first."""

    seq: int = 0
    version: str = ""
    by: str = ""


class RedisSites:
    """The versions of one cluster's site. Files of a version that is no longer wanted are kept for `keep_ms`."""

    def __init__(self, redis: RedisClient, name: str, keep_ms: int) -> None:
        self._redis = redis
        self._tag = f"{{{name}.sites}}"
        self._keep_ms = keep_ms
        redis.knows(_WANT)

    async def wanted(self) -> Wanted:
        """The version that is wanted. Raises `AwayError`."""
        seq, version, by = await self._redis.ask("HMGET", f"{self._tag}:current", "seq", "version", "by")
        return Wanted() if seq is None else Wanted(int(seq), version.decode(), by.decode())

    async def want(self, version: str, files: Mapping[str, bytes], *, instead_of: str, now_ms: int, by: str) -> Wanted:
        """Have a version wanted in the place of another; returns what is wanted then."""
        key = f"{self._tag}:files:{version}"
        for path, content in files.items():
            await self._redis.ask("HSET", key, path, content)
        await self._redis.pipe([("HSET", key, "", b""), ("PERSIST", key)])
        call = _WANT.on(
            [f"{self._tag}:current", f"{self._tag}:known", f"{self._tag}:files:{instead_of}"],
            instead_of, version, now_ms, by, self._keep_ms,
        )  # fmt: skip
        seq, found = await self._redis.ask(*call)
        return Wanted(int(seq), found.decode(), by)

    async def is_known(self, version: str) -> bool:
        """Whether a version was ever wanted."""
        return bool(await self._redis.ask("SISMEMBER", f"{self._tag}:known", version))

    async def known(self) -> list[str]:
        """All versions ever wanted, the one that is wanted now first. The files of some may be gone."""
        current = (await self.wanted()).version
        found = {version.decode() for version in await self._redis.ask("SMEMBERS", f"{self._tag}:known")}
        return [current, *sorted(found - {current})]

    async def files(self, version: str) -> dict[str, bytes] | None:
        """The files of a version; None when they are gone."""
        found: dict[str, bytes] = {}
        async for piece in self._redis.fields(f"{self._tag}:files:{version}"):
            found |= {path.decode(): content for path, content in piece}
        return {path: found[path] for path in sorted(found) if path} if found else None

    async def begin_move(self) -> None:
        """Note that a state is being brought in from elsewhere, and is not whole."""
        await self._redis.ask("HSET", f"{self._tag}:cluster", "moving", 1)

    async def end_move(self) -> None:
        """It is whole."""
        await self._redis.ask("HDEL", f"{self._tag}:cluster", "moving")

    async def is_moving(self) -> bool:
        """Whether a state was brought in that is not whole."""
        return bool(await self._redis.ask("HEXISTS", f"{self._tag}:cluster", "moving"))

    async def settle_shards(self, shards: int) -> int:
        """Note how many shards the state is of, once and for all; returns what was noted."""
        await self._redis.ask("HSETNX", f"{self._tag}:cluster", "shards", shards)
        return int(await self._redis.ask("HGET", f"{self._tag}:cluster", "shards"))
