"""What one dispatcher takes for a message: `python -m benchmarks.cluster_dispatch [--messages N] [--rate N]`.

Decisions with one message each lie in Kafka, their people in Redis; a dispatcher hands them to an endpoint on this
machine. Printed are messages a second, the dispatcher's processor time for each, and what Redis was asked for each.
With `--rate` so many are written a second, else all at once. Redis syncs its file at every answer, as it should.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from benchmarks.cluster_lab import Bench, Role, bench, waited
from benchmarks.server import cpu_s_of
from connectors.kafka_topics import Names
from connectors.redis_client import RedisClient
from connectors.redis_people import Change, RedisPeople
from engine.decided import Decided, encode_decided
from engine.outward import to_json
from engine.people import Open
from engine.person import Person, pack_person
from engine.ports import Delivery
from rules.facts import Send, User

if TYPE_CHECKING:
    from collections.abc import Iterator

FENCES = 100
USERS = 5_000
TTL_MS = 3_600_000
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"


class Endpoint(asyncio.Protocol):
    """One connection of an endpoint that takes everything, and notes which keys came."""

    keys: set[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end]
            size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self._rest) < end + 4 + size:
                return
            self.keys.add(head.partition(b"webhook-id: ")[2].partition(b"\r\n")[0])
            self._rest = self._rest[end + 4 + size :]
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


@contextmanager
def endpoint() -> Iterator[tuple[str, set[bytes]]]:
    """An endpoint in a thread of its own: where it is, and the keys that came."""
    keys: set[bytes] = set()
    kind = type("Here", (Endpoint,), {"keys": keys})
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(kind, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/push", keys
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def measured(servers: Bench, messages: int, rate: int) -> tuple[float, float, float]:
    """Messages a second, processor milliseconds of the dispatcher for each, commands of Redis for each."""
    with endpoint() as (url, keys):
        channel = f'channels: {{push: {{kind: webhook, url: "{url}", secret: "{SECRET}"}}}}\n'
        site, name = servers.site(4, FENCES, channel)
        made = [_decided(n, int(time.time() * 1000)) for n in range(messages)]
        asyncio.run(_tell_people(servers.redis.url, name, made))
        role = servers.start("dispatcher", site)
        servers.ready(role)
        commands, cpu_s, began_s = _commands(servers), cpu_s_of(role.process.pid), time.perf_counter()
        asyncio.run(_write(servers.kafka.brokers, Names(name).decisions, made, rate))
        waited(lambda: len(keys) >= messages and not _pending(role), "all messages are handed over", 0.02)
        spent_s = time.perf_counter() - began_s
        cpu_s = cpu_s_of(role.process.pid) - cpu_s
        servers.end(role)
        asked = _commands(servers) - commands
    return messages / spent_s, cpu_s * 1000 / messages, asked / messages


def _pending(role: Role) -> float:
    return sum(sample.value for sample in role.metrics()["nearcast_deliveries_pending"])


def _commands(servers: Bench) -> int:
    words = ["redis-cli", "-p", str(servers.redis.port), "INFO", "stats"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return int(told.partition("total_commands_processed:")[2].split()[0])


def _decided(n: int, now_ms: int) -> Decided:
    key, user = f"{n:032x}", f"u-{n % USERS}"
    data = {"rule": "bench", "user": user, "device": f"d-{n}", "title": "Hello", "body": "You are at a store of ours"}
    body = to_json({"type": "nearcast.push", "id": key, "data": data})
    delivery = Delivery(key, "d" + key, "bench", user, "push", body, now_ms, now_ms + TTL_MS, received_ms=now_ms)
    return Decided("d" + key, user, "bench", now_ms, b"{}", [delivery])


async def _tell_people(url: str, name: str, made: list[Decided]) -> None:
    """Everybody consents, and has the limits of their messages reserved."""
    persons = {f"u-{n}": Person(User(f"u-{n}", known=True, consent={"marketing": True})) for n in range(USERS)}
    for decided in made:
        person = persons[decided.user]
        person.user.sends.append(Send(decided.key, decided.rule, (), None, decided.time_ms))
        person.open[decided.key] = Open(decided.user, decided.rule, {d.key for d in decided.deliveries})
    redis = RedisClient(url)
    people = RedisPeople(redis, name, TTL_MS)
    changes = [Change(user, 0, pack_person(person)) for user, person in persons.items()]
    for start in range(0, len(changes), 500):
        await people.store(changes[start : start + 500], {})
    await redis.close()


async def _write(brokers: str, topic: str, made: list[Decided], rate: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", linger_ms=2)
    await producer.start()
    began_s, sent = time.perf_counter(), []
    for n, decided in enumerate(made):
        if rate and (left := began_s + n / rate - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        sent.append(await producer.send(topic, encode_decided(decided), key=decided.user.encode()))
    await asyncio.gather(*sent)
    await producer.stop()


def main() -> None:
    """Measure, and print."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.cluster_dispatch")
    options.add_argument("--messages", type=int, default=20_000)
    options.add_argument("--rate", type=int, default=0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as servers:
        per_s, cpu_ms, asked = measured(servers, given.messages, given.rate)
    print(
        f"dispatcher: {per_s:,.0f} messages/s, {cpu_ms:.3f} ms of its processor and {asked:.1f} commands of Redis each"
    )


if __name__ == "__main__":
    main()
