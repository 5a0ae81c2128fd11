"""`nearcast move`: the state of a site from the store of `run` into its cluster.

Owns what must be so before, and what is said of it after. What is carried, and in which order, is
`nearcast/move_over.py`'s.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.console import Console

from connectors.clock import MachineClock
from connectors.kafka_brokers import Brokers
from connectors.redis_client import RedisClient
from connectors.store_sqlite import SqliteStore
from nearcast.cluster import start_settings
from nearcast.fault import ExitCode, InputFaultError
from nearcast.folder import read_folder
from nearcast.kernels import ready_kernels
from nearcast.move_over import Mover
from nearcast.recover import recover
from nearcast.site_store import settings_of, store_path

if TYPE_CHECKING:
    from pathlib import Path

    from engine.settings import Settings
    from nearcast.move_over import Moved
    from nearcast.recover import Recovered


def move_to_cluster(path: Path) -> ExitCode:
    """Carry a store's state into a cluster that has not begun. Raises `StoreError`, `MistakesError`, and others."""
    files = read_folder(path)
    settings = start_settings(path, files, "move")
    if not settings.cluster.named:
        raise InputFaultError("nearcast.yaml names no `cluster` to move to, write its block first")
    file = store_path(path, settings_of(files))
    if not file.exists():
        raise InputFaultError(f"store `{file}` is not there: nothing is to be moved, start the cluster's roles")
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    ready_kernels()
    with SqliteStore.open(file, create=False) as store:
        back = recover(store, MachineClock().now_ms())
        console.print(f"the store is folded up to frame {back.seq:,}")
        moved = asyncio.run(_move(store, back, settings))
    console.print(
        f"moved {moved.devices:,} devices, {moved.users:,} users, {moved.decisions:,} decisions, {moved.deliveries:,}"
        f" deliveries, {moved.pending:,} of them pending, into the cluster `{settings.cluster.name}`",
        style="green",
    )
    console.print("now start its gateway, worker and dispatcher; do not start `nearcast run` on this store again")
    return ExitCode.GOOD


async def _move(store: SqliteStore, back: Recovered, settings: Settings) -> Moved:
    brokers, redis = Brokers(settings.cluster), RedisClient(settings.cluster.redis, settings.cluster.redis_tls)
    try:
        return await Mover(store, back.engine, settings, brokers, redis).run()
    finally:
        await redis.close()
