"""The state as bytes: for checkpoints, and back.

Owns their format and its version. A snapshot is of one version of the site, since rows name fences by number: it is
restored under that version, and edits follow as inputs. Must not know where snapshots are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import zstandard

from engine.devices import DEVICE_COLUMNS, ROW_COLUMNS, Devices
from engine.people import Open
from engine.step import Engine
from engine.zones import Signal
from rules.facts import User

if TYPE_CHECKING:
    from engine.site import Site

SNAPSHOT_VERSION = 1


class Snapshot(msgspec.Struct):
    """What is written. Columns are the used parts of the table's arrays, as bytes."""

    now_ms: int
    site: str
    names: list[str]
    user_names: list[str]
    columns: dict[str, bytes]
    pool: dict[str, bytes]
    free: dict[int, list[int]]
    signals: dict[int, dict[int, Signal]]
    beacons: dict[int, dict[str, int]]
    users: list[User]
    event_ids: dict[str, dict[str, int]]
    open: dict[str, Open]
    v: int = SNAPSHOT_VERSION


class SnapshotError(ValueError):
    """A snapshot that cannot be read: broken, or of another version."""


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Snapshot)


def snapshot(engine: Engine) -> bytes:
    """The whole state of an engine as bytes: MessagePack, zstd."""
    sense, people, devices = engine.sense, engine.people, engine.sense.devices
    return _pack(
        Snapshot(
            now_ms=engine.now_ms,
            site=engine.site.version,
            names=devices.names,
            user_names=devices.user_names,
            columns=_columns(devices),
            pool=_pool(devices),
            free=devices.free,
            signals=sense.signals,
            beacons=sense.beacons,
            users=list(people.users.values()),
            event_ids=people.event_ids,
            open=people.open,
        )
    )


def site_version(data: bytes) -> str:
    """The version of the site that a snapshot is of. Raises `SnapshotError`."""
    return _read(data).site


def restore(data: bytes, site: Site) -> Engine:
    """An engine in the state of a snapshot, under the site that it is of. Raises `SnapshotError`."""
    read = _read(data)
    if read.site != site.version:
        raise SnapshotError(f"snapshot of site version `{read.site}` cannot be restored under `{site.version}`")
    engine = Engine(site, read.now_ms)
    _fill(engine.sense.devices, read)
    engine.sense.signals, engine.sense.beacons = read.signals, read.beacons
    engine.sense.reschedule()
    people = engine.people
    people.users.update((user.id, user) for user in read.users)
    people.event_ids.update(read.event_ids)
    people.open.update(read.open)
    return engine


def erase(data: bytes, user: str) -> bytes:
    """The same snapshot without one user. Raises `SnapshotError`."""
    read = _read(data)
    devices = Devices()
    _fill(devices, read)
    for slot in devices.forget_user(user):
        read.signals.pop(slot, None)
        read.beacons.pop(slot, None)
    read.columns, read.pool = _columns(devices), _pool(devices)
    read.users = [known for known in read.users if known.id != user]
    read.event_ids.pop(user, None)
    read.open = {decision: entry for decision, entry in read.open.items() if entry.user != user}
    return _pack(read)


def _pack(made: Snapshot) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(_encode(made))


def _columns(devices: Devices) -> dict[str, bytes]:
    return {name: devices.columns[name][: len(devices)].tobytes() for name, _, _ in DEVICE_COLUMNS}


def _pool(devices: Devices) -> dict[str, bytes]:
    return {name: devices.pool[name][: devices.pool_used].tobytes() for name, _ in ROW_COLUMNS}


def _read(data: bytes) -> Snapshot:
    try:
        read = _decoder.decode(zstandard.ZstdDecompressor().decompress(data))
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise SnapshotError(f"snapshot of {len(data)} bytes cannot be read: {error}") from error
    if read.v != SNAPSHOT_VERSION:
        raise SnapshotError(f"snapshot of version {read.v}, this program reads {SNAPSHOT_VERSION}")
    return read


def _fill(devices: Devices, read: Snapshot) -> None:
    devices.names, devices.user_names = read.names, read.user_names
    devices.slots = {name: slot for slot, name in enumerate(read.names) if name}
    devices.users = {name: number for number, name in enumerate(read.user_names) if name}
    devices.free = read.free
    used = len(read.names)
    while len(devices.columns["clock_ms"]) < used:
        devices.grow_columns()
    for name, dtype, _ in DEVICE_COLUMNS:
        devices.columns[name][:used] = np.frombuffer(read.columns[name], dtype)
    rows = np.frombuffer(read.pool["fence"], np.int32).size
    devices.pool_used = rows
    while len(devices.pool["fence"]) < rows:
        devices.grow_pool()
    for name, row_dtype in ROW_COLUMNS:
        devices.pool[name][:rows] = np.frombuffer(read.pool[name], row_dtype)
