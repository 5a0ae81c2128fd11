"""`nearcast move`: the state of a site from the store of `run` into its cluster, or from there into a store.

Owns what is said of it, and that a new store is there whole or not at all. What is carried, and what must be so before,
is `nearcast/move_over.py`'s and `nearcast/move_back.py`'s.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rich.console import Console

from connectors.clock import MachineClock
from connectors.kafka_brokers import Brokers
from connectors.logs import configure_logs
from connectors.redis_client import RedisClient
from connectors.store_sqlite import SqliteStore
from nearcast.cluster import start_settings
from nearcast.fault import ExitCode, InputFaultError
from nearcast.folder import read_folder
from nearcast.kernels import ready_kernels
from nearcast.move_back import Gatherer
from nearcast.move_over import Mover
from nearcast.recover import recover
from nearcast.site_store import settings_of, store_path

if TYPE_CHECKING:
    from pathlib import Path

    from engine.settings import Settings
    from nearcast.move_over import Moved
    from nearcast.recover import Recovered

#: How many connections write what is carried into Redis.
_LANES: Final = 8


def move_state(path: Path, *, to_cluster: bool) -> ExitCode:
    """Carry a site's state. Raises `StoreError`, `MistakesError`, `InputFaultError`."""
    files = read_folder(path)
    settings = start_settings(path, files, "move")
    if not settings.cluster.named:
        raise InputFaultError("nearcast.yaml names no `cluster` to move to or from, write its block first")
    file = store_path(path, settings_of(files))
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    configure_logs(level="warning")
    ready_kernels()
    moved = _over(file, settings, console) if to_cluster else _back(file, settings)
    name = settings.cluster.name
    into = f"into the cluster `{name}`" if to_cluster else f"into the store `{file}`"
    console.print(
        f"moved {moved.devices:,} devices, {moved.users:,} users, {moved.decisions:,} decisions, {moved.deliveries:,}"
        f" deliveries, {moved.pending:,} of them pending, {into}",
        style="green",
    )
    if to_cluster:
        console.print("now start its gateway, worker and dispatcher; do not start `nearcast run` on this store again")
    else:
        console.print(f"now start `nearcast run`; do not start a role of the cluster `{name}` again")
    return ExitCode.GOOD


def _over(file: Path, settings: Settings, console: Console) -> Moved:
    if not file.exists():
        raise InputFaultError(f"store `{file}` is not there: nothing is to be moved, start the cluster's roles")
    with SqliteStore.open(file, create=False) as store:
        back = recover(store, MachineClock().now_ms())
        console.print(f"the store is folded up to frame {back.seq:,}")
        return asyncio.run(_move_over(store, back, settings))


async def _move_over(store: SqliteStore, back: Recovered, settings: Settings) -> Moved:
    brokers = Brokers(settings.cluster)
    lanes = [RedisClient(settings.cluster.redis, settings.cluster.redis_tls) for _ in range(_LANES)]
    try:
        return await Mover(store, back.engine, settings, brokers, lanes).run()
    finally:
        for redis in lanes:
            await redis.close()


def _back(file: Path, settings: Settings) -> Moved:
    """Into a file of another name, which gets its own when it is whole."""
    if file.exists():
        raise InputFaultError(f"store `{file}` is there already, move it away: what it holds would be lost")
    growing = file.with_name(file.name + ".moving")
    for left in (growing, *_beside(growing)):  # of a move that was cut off
        left.unlink(missing_ok=True)
    try:
        with SqliteStore.open(growing) as store:
            moved = asyncio.run(_move_back(store, settings))
        growing.rename(file)
    finally:
        for left in (growing, *_beside(growing)):
            left.unlink(missing_ok=True)
    return moved


async def _move_back(store: SqliteStore, settings: Settings) -> Moved:
    brokers, redis = Brokers(settings.cluster), RedisClient(settings.cluster.redis, settings.cluster.redis_tls)
    try:
        return await Gatherer(settings, brokers, redis).run(store, MachineClock().now_ms())
    finally:
        await redis.close()


def _beside(file: Path) -> tuple[Path, ...]:
    """What lies beside a store: its log, the memory that readers share, and its lock."""
    return tuple(file.with_name(file.name + ending) for ending in ("-wal", "-shm", ".lock"))
