"""What is kept of a user's decisions and messages, and of the site's versions, as `explain` looks into it.

Owns choosing where it is kept: in the store of `run`, or in a cluster's Redis. Reads only. Must not know how any of it
is told.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from engine.ports import StoreError
from nearcast.site_store import open_for_reading, redis_settings, store_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from connectors.store_sqlite import SqliteStore
    from engine.ports import DecisionQuery, Delivery
    from engine.settings import Settings

#: Not more old versions of the site are looked at.
VERSIONS_MAX: Final = 50


class Kept(Protocol):
    """What is kept, wherever that is. All raise `StoreError`."""

    def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        """A user's decisions, newest first."""

    def deliveries(self, decision: str) -> list[Delivery]:
        """How the messages of a decision stand, in the order of its actions."""

    def versions(self) -> Iterator[Mapping[str, bytes]]:
        """The files of the site as they were in force, newest first."""

    def hints(self, user: str) -> Iterator[str]:
        """What else to look at where nothing is kept of a user."""


class StoreKept:
    """In the store of `run`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        """A user's decisions, newest first."""
        return self._store.decisions(query)

    def deliveries(self, decision: str) -> list[Delivery]:
        """How the messages of a decision stand."""
        found = (self._store.delivery(message["key"]) for message in self._store.messages(decision))
        return [delivery for delivery in found if delivery is not None]

    def versions(self) -> Iterator[Mapping[str, bytes]]:
        """The files of the site as they were in force, newest first."""
        versions = dict.fromkeys(version for _, version in reversed(self._store.sites()))
        for version in islice(versions, VERSIONS_MAX):
            yield self._store.site_files(version)

    def hints(self, user: str) -> Iterator[str]:
        """What else to look at."""
        yield f"`nearcast replay` with `--transitions` shows where the pings of `{user}` entered and exited"


@contextmanager
def open_kept(site: Path, settings: Settings, *, from_store: bool, note: Callable[[str], None]) -> Iterator[Kept]:
    """What is kept of a site: by its cluster, where the settings name one that has begun; else by the store of `run`.

    `note` is told where there might be doubt which of them is asked. Raises `StoreError` and `MistakesError`.
    """
    path = store_path(site, settings)
    if settings.cluster.named and not from_store:
        from nearcast.kept_cluster import cluster_kept  # its libraries are an extra

        found = cluster_kept(redis_settings(site, settings), settings.keep.decisions_ms)
        if not isinstance(found, str):
            if path.exists():
                note(f"asked of the cluster `{settings.cluster.name}`, `--from-store` asks the store of `run`")
            with found:
                yield found
            return
        if not path.exists():
            raise StoreError(f"{found}, and there is no store of `nearcast run` at `{path}` either")
        note(f"{found}: the store of `run` is asked")
    with open_for_reading(site, settings) as store:
        yield StoreKept(store)
