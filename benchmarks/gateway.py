"""Gateways that post to a server: plain HTTP over a few connections, as fast as it answers or at an even rate.

Owns the one way in which benchmarks put load on a server. Must not know what is posted.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONNECTIONS = 4
"""As many gateways post at once, each waiting for its answer before it posts again."""


async def post(
    port: int, path: str, bodies: Iterable[bytes], *, connections: int = CONNECTIONS, every_s: float = 0.0
) -> list[float]:
    """Post every body, over the connections in turn; the milliseconds that each answer took, in their order.

    With `every_s` one body is due each so many seconds, and is drawn when it is due. Ends the program at an answer
    that refuses something.
    """
    open_ = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
    took_ms: list[float] = []
    under_way: list[asyncio.Task[None] | None] = [None] * connections
    began, due = time.perf_counter(), iter(bodies)
    n = 0
    while True:
        while (left := began + n * every_s - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        at = n % connections
        if (before := under_way[at]) is not None:
            await before
        body = next(due, None)
        if body is None:
            break
        took_ms.append(0.0)
        under_way[at] = asyncio.create_task(_exchange(open_[at], path, body, took_ms, n))
        n += 1
    await asyncio.gather(*(task for task in under_way if task is not None))
    for _, writer in open_:
        writer.close()
        await writer.wait_closed()
    return took_ms


async def _exchange(connection: Any, path: str, body: bytes, took_ms: list[float], at: int) -> None:
    reader, writer = connection
    began = time.perf_counter()
    writer.write(f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().rpartition(b"content-length: ")[2].partition(b"\r\n")[0])
    answer = await reader.readexactly(length)
    took_ms[at] = (time.perf_counter() - began) * 1000
    if not head.startswith((b"HTTP/1.1 202", b"HTTP/1.1 200")) or b'"rejected":[{' in answer:
        raise SystemExit(f"a request was answered {(head + answer)[:300]!r}")


@contextmanager
def elsewhere() -> Iterator[None]:
    """Work on the other cores meanwhile: those that this process is bound to are the server's."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    others = set(range(os.cpu_count() or 1)) - own
    with on_cores(others or own):
        yield


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Bind this process, and what it starts, to these meanwhile; where the system cannot, to none."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
