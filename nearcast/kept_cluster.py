"""What a cluster's Redis keeps of a user's decisions and messages, and of the site's versions, for `explain`.

Owns asking for it from outside of any role: Redis alone, no Kafka. Reads only.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeVar

import orjson

from connectors.redis_client import RedisClient
from connectors.redis_deliveries import RedisDeliveries
from connectors.redis_people import DECISIONS_MAX, RedisPeople
from connectors.redis_sites import RedisSites
from engine.decided import decode_decided
from engine.ports import StoreError
from nearcast.cluster_view import newest
from nearcast.kept import VERSIONS_MAX

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping

    from engine.decided import Decided
    from engine.ports import DecisionQuery, Delivery
    from engine.settings import ClusterSettings

_T = TypeVar("_T")


class ClusterKept:
    """In the Redis of a cluster. Asks it on an event loop of its own."""

    def __init__(self, cluster: ClusterSettings, keep_ms: int) -> None:
        self._runner = asyncio.Runner()
        self._name = cluster.name
        self._redis = RedisClient(cluster.redis, cluster.redis_tls)
        self._people = RedisPeople(self._redis, cluster.name, keep_ms)
        self._deliveries = RedisDeliveries(self._redis, cluster.name, keep_ms)
        self._sites = RedisSites(self._redis, cluster.name, keep_ms)
        self._decided: dict[str, Decided] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._ask(self._redis.close())
        self._runner.close()

    def is_known(self) -> bool:
        """Whether this Redis keeps anything of such a cluster."""
        return bool(self._ask(self._sites.wanted()).seq)

    def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        """A user's decisions, newest first."""
        assert query.user is not None, "decisions are kept by user"
        values = self._ask(self._people.decisions(query.user))
        found = newest(map(decode_decided, values), query)
        self._decided |= {decided.key: decided for decided in found}
        return [orjson.loads(decided.line) for decided in found]

    def deliveries(self, decision: str) -> list[Delivery]:
        """How the messages of a decision stand; one that nobody has told of yet, as it was decided."""
        decided = self._decided[decision].deliveries
        kept = self._ask(self._deliveries.read([delivery.key for delivery in decided])) if decided else []
        return [delivery if one is None else one.delivery for delivery, one in zip(decided, kept, strict=True)]

    def versions(self) -> Iterator[Mapping[str, bytes]]:
        """The files of the site as they were in force, the wanted one first."""
        for version in islice(self._ask(self._sites.known()), VERSIONS_MAX):
            files = self._ask(self._sites.files(version))
            if files is not None:
                yield files

    def hints(self, user: str) -> Iterator[str]:
        """What else to look at."""
        yield f"- or newer ones took its place: the newest {DECISIONS_MAX} of each person are kept"
        yield f"the topic `{self._name}.transitions` tells where `{user}` entered and exited"

    def _ask(self, question: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(question)


def cluster_kept(cluster: ClusterSettings, keep_ms: int) -> ClusterKept | str:
    """What a cluster keeps; in words, why it cannot be asked."""
    kept = ClusterKept(cluster, keep_ms)
    try:
        if kept.is_known():
            return kept
        why = f"`cluster.redis` keeps nothing of a cluster `{cluster.name}`"
    except StoreError as error:
        why = f"`cluster.redis` cannot be asked: {error}"
    kept.close()
    return why
