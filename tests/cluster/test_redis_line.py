"""One connection on which many ask at a time: everybody gets their own answers, or is told that there are none."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import hiredis
import pytest

from connectors.redis_line import RedisLine
from tests.cluster.servers import Redis, need_servers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    need_servers()
    found = Redis(tmp_path / "redis")
    found.start()
    try:
        yield found
    finally:
        found.stop()


def asking(url: str, ask: Callable[[RedisLine], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        line = RedisLine(url, answer_s=1.0)
        try:
            return await ask(line)
        finally:
            line.close()

    return asyncio.run(main())


def test_everybody_gets_their_own_answers_in_order(redis: Redis) -> None:
    async def ask(line: RedisLine) -> None:
        big = b"x" * 300_000
        await line.ask([("SET", f"k{n}", n) for n in range(50)])
        asked = [line.ask([("GET", f"k{n}"), ("ECHO", big), ("NONSENSE",), ("GET", "none")]) for n in range(50)]
        for n, (value, echoed, refused, none) in enumerate(await asyncio.gather(*asked)):
            assert (value, echoed, none) == (str(n).encode(), big, None)
            assert isinstance(refused, hiredis.ReplyError)

    asking(redis.url, ask)


def test_who_gives_up_takes_nobody_elses_answer(redis: Redis) -> None:
    async def ask(line: RedisLine) -> None:
        await line.ask([("PING",)])
        gone = [asyncio.ensure_future(line.ask([("ECHO", f"gone{n}")])) for n in range(20)]
        await asyncio.sleep(0)  # they have asked
        for one in gone:
            one.cancel()
        assert await line.ask([("ECHO", "mine")]) == [b"mine"]

    asking(redis.url, ask)


def test_when_it_breaks_all_who_wait_are_told_and_the_next_goes_over_a_new_one(redis: Redis) -> None:
    async def ask(line: RedisLine) -> None:
        await line.ask([("PING",)])
        redis.tell(signal.SIGSTOP)
        waiting = [asyncio.ensure_future(line.ask([("ECHO", n)])) for n in range(3)]
        await asyncio.sleep(0)
        redis.kill()
        assert all(isinstance(one, OSError) for one in await asyncio.gather(*waiting, return_exceptions=True))
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await line.ask([("PING",)])
        redis.start()
        assert await line.ask([("PING",)]) == [b"PONG"]

    asking(redis.url, ask)


def test_a_redis_that_stands_still_is_given_up_and_its_late_answers_are_nobodys(redis: Redis) -> None:
    async def ask(line: RedisLine) -> None:
        await line.ask([("PING",)])
        redis.tell(signal.SIGSTOP)
        both = await asyncio.gather(line.ask([("ECHO", "a")]), line.ask([("ECHO", "b")]), return_exceptions=True)
        assert all(isinstance(one, OSError | TimeoutError) for one in both)
        redis.tell(signal.SIGCONT)
        assert await line.ask([("ECHO", "c")]) == [b"c"]

    asking(redis.url, ask)


def test_user_password_and_number_of_the_url_are_told_first(redis: Redis) -> None:
    words = ["redis-cli", "-p", str(redis.port), "ACL", "SETUSER", "ann", "on", ">se:cret", "allkeys", "allcommands"]
    subprocess.run(words, check=True, timeout=30, capture_output=True)
    mine = f"redis://ann:se%3Acret@127.0.0.1:{redis.port}/3"

    async def ask(line: RedisLine) -> None:
        assert await line.ask([("ACL", "WHOAMI"), ("SET", "k", 3)]) == [b"ann", b"OK"]

    asking(mine, ask)
    assert asking(redis.url, lambda line: line.ask([("SELECT", 3), ("GET", "k")]))[1] == b"3"

    async def refused(line: RedisLine) -> None:
        with pytest.raises(ConnectionError, match="redis refused the connection: WRONGPASS"):
            await line.ask([("PING",)])

    asking(mine.replace("se%3A", "wrong"), refused)
