"""Redis, asked in pipelines: the one way in which the scaled-out form talks to it.

Owns scripts by their hash, and what counts as "away". Calls are sent once: whoever repeats them must be sure that a
repeat is known as such. Only what changes nothing is asked again, over a new connection, when that it had broke. Must
not know what is kept. Works with one Redis, whose pipelines go over a line of their own, and with Redis Cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final, cast

from hiredis import ReplyError
from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import ConnectionError as BrokenError

from connectors.redis_line import ANSWER_S, CONNECT_S, Call, RedisLine
from connectors.tls import tls_context
from engine.ports import AwayError, StoreError
from engine.settings import TlsFiles

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Sequence

#: Of what is not asked in pipelines, at a time.
CONNECTIONS_MAX: Final = 8
#: What is said where Redis does not take this client as it is set up, and what that means.
_LOGIN: Final = "redis refuses the login that `cluster.redis` names"
_REFUSED: Final = {
    "WRONGPASS": _LOGIN,
    "NOAUTH": _LOGIN,
    "ERR AUTH": _LOGIN,
    "NOPERM": "redis refuses what the user that `cluster.redis` names has no right to",
    "DB index is out of range": "redis refuses the number of the database that `cluster.redis` ends with",
    "Cluster mode is not enabled": "`cluster.redis` names a redis that is no Redis Cluster, leave out `+cluster`",
    "certificate verify failed": "the certificate of redis is not trusted, see `cluster.redis_tls`",
}
#: So many fields of a hash are asked for at a time: larger answers keep other clients waiting.
SCAN_COUNT: Final = 2_000


class RefusedError(AwayError):
    """Redis answers, and does not take this client: at a start no waiting mends that, later somebody may."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, called by its hash."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    def on(self, keys: Sequence[str], *given: Any) -> Call:
        """A call of it. All `keys` must be of one hash tag."""
        return ("EVALSHA", self.sha, len(keys), *keys, *given)


class RedisClient:
    """Connections to one Redis, or to a Redis Cluster. Lives on one event loop."""

    def __init__(self, url: str, tls: TlsFiles | None = None) -> None:
        """Raises `StoreError` when a file of `tls` cannot be used."""
        context, options = _tls(url, tls)
        self._redis: Any = _connect(url, options)
        self._line = None if _is_cluster(url) else RedisLine(url, tls=context)
        self._scripts: dict[str, Script] = {}

    def knows(self, *scripts: Script) -> None:
        """Have these scripts loaded when Redis says that it lacks them."""
        self._scripts |= {script.sha: script for script in scripts}

    async def ask(self, *words: Any) -> Any:
        """One command. Raises `AwayError`."""
        return (await self.pipe([words]))[0]

    async def pipe(self, calls: Sequence[Call]) -> list[Any]:
        """Commands in one go; the answers in their order. Raises `AwayError`, also when one of them was refused."""
        if not calls:
            return []
        answers = await self._send(calls)
        lacking = [i for i, found in enumerate(answers) if _lacks_script(found)]
        if lacking:
            for sha in {calls[i][1] for i in lacking}:
                await self._guard(self._redis.script_load(self._scripts[sha].text))
            again = await self._send([calls[i] for i in lacking])
            for i, found in zip(lacking, again, strict=True):
                answers[i] = found
        for found in answers:
            if isinstance(found, Exception):
                raise _told(found) from found
        return answers

    async def fields(self, key: str) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """A hash, in pieces. A field that is written meanwhile may come twice."""
        cursor = 0
        while True:
            cursor, found = await self._guard(self._redis.hscan(key, cursor, count=SCAN_COUNT))
            yield list(found.items())
            if int(cursor) == 0:
                return

    async def members(self, key: str) -> AsyncIterator[list[bytes]]:
        """A set, in pieces."""
        cursor = 0
        while True:
            cursor, found = await self._guard(self._redis.sscan(key, cursor, count=SCAN_COUNT))
            yield list(found)
            if int(cursor) == 0:
                return

    async def info(self, section: str) -> dict[str, Any]:
        """One section of what Redis says of itself; of a cluster, one node's."""
        return cast("dict[str, Any]", await self._guard(self._redis.info(section, **self._one_node)))

    async def setting(self, name: str) -> str:
        """One of its settings; of a cluster, one node's. Where others run Redis it may not be asked for."""
        found = await self._guard(self._redis.config_get(name, **self._one_node))
        return next((_text(value) for at, value in found.items() if _text(at) == name), "")

    async def close(self) -> None:
        """Let the connections go."""
        if self._line is not None:
            self._line.close()
        await self._redis.aclose()

    @property
    def _one_node(self) -> dict[str, Any]:
        return {"target_nodes": RedisCluster.RANDOM} if isinstance(self._redis, RedisCluster) else {}

    async def _send(self, calls: Sequence[Call]) -> list[Any]:
        if self._line is not None:
            return cast("list[Any]", await self._guard(self._line.ask(calls)))
        pipe = self._redis.pipeline()
        for words in calls:
            pipe.execute_command(*words)
        return cast("list[Any]", await self._guard(pipe.execute(raise_on_error=False)))

    async def _guard(self, answer: Any) -> Any:
        try:
            return await answer
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise _told(error) from error


def _told(error: BaseException) -> AwayError:
    """What became of a call, in words and with the setting to look at."""
    said = str(error)
    if isinstance(error, AuthenticationError):  # its message has lost the word it began with
        return RefusedError(f"{_LOGIN}: {said}")
    for words, what in _REFUSED.items():
        if words in said:
            return RefusedError(f"{what}: {said}")
    if isinstance(error, (ResponseError, ReplyError)):
        return AwayError(f"redis refused a command: {said}")
    return AwayError(f"redis does not answer, see `cluster.redis`: {type(error).__name__}: {said}")


def _is_cluster(url: str) -> bool:
    return "+cluster:" in url


def _lacks_script(found: Any) -> bool:
    return isinstance(found, NoScriptError) or (isinstance(found, ReplyError) and str(found).startswith("NOSCRIPT"))


def _text(found: Any) -> str:
    return found.decode() if isinstance(found, bytes) else str(found)


def _tls(url: str, tls: TlsFiles | None) -> tuple[ssl.SSLContext | None, dict[str, str]]:
    """What an encrypted connection is made with besides its address: for a line, and for the general client."""
    if tls is None or tls == TlsFiles():
        return None, {}
    if not url.startswith("rediss"):
        raise StoreError(
            "`cluster.redis_tls` is of no use, `cluster.redis` is not encrypted, begin it with `rediss://`"
        )
    files = {"ssl_ca_certs": tls.ca, "ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    return tls_context(tls, "cluster.redis_tls"), {name: file for name, file in files.items() if file is not None}


def _connect(url: str, tls: dict[str, str]) -> Any:
    # a connection that rests while Redis ends is found broken when it is used next
    once_more = Retry(NoBackoff(), 1, supported_errors=(BrokenError,))
    within = {"socket_timeout": ANSWER_S, "socket_connect_timeout": CONNECT_S, **tls}
    if _is_cluster(url):
        return RedisCluster.from_url(url.replace("+cluster:", ":", 1), **within)
    kind = {"connection_class": SSLConnection} if url.startswith("rediss:") else {}
    pool = BlockingConnectionPool.from_url(
        url, max_connections=CONNECTIONS_MAX, timeout=ANSWER_S, retry=once_more, **within, **kind
    )
    return Redis.from_pool(pool)


async def check_redis(redis: RedisClient) -> list[str]:
    """Refuse a Redis that would forget what it was told, and return what should be said of it. Raises `StoreError`."""
    memory = await redis.info("memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if int(memory.get("maxmemory", 0)) and policy != "noeviction":
        raise StoreError(
            f"redis evicts keys when its memory is full (`maxmemory-policy {policy}`), which would lose presence and"
            " limits, set `maxmemory-policy noeviction`"
        )
    persistence = await redis.info("persistence")
    if not int(persistence.get("aof_enabled", 0)):
        return ["redis keeps no append-only file, a restart of it forgets limits, set `appendonly yes`"]
    try:
        policy = await redis.setting("appendfsync")
    except AwayError:
        return []
    if policy == "always":
        return []
    return [
        f"redis syncs its file late (`appendfsync {policy}`), a power cut of it loses what it counted last: a limit may"
        " be passed by so much, set `appendfsync always`"
    ]
