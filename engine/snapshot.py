"""The state as bytes: for checkpoints, and back.

Owns their format and its version. A snapshot is of one version of the site, since rows name fences by number: it is
restored under that version, and edits follow as inputs. Must not know where snapshots are kept. What changes between
steps is copied first, which is quick; packing the copy takes longer and may be done in another thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
import zstandard

from engine import layout
from engine.devices import Devices
from engine.people import Open
from engine.step import Engine
from engine.whereabouts import HEAD, STAY, Stays, Whereabouts
from engine.zones import Signal
from rules.facts import User

if TYPE_CHECKING:
    from engine.layout import Array
    from engine.site import Site

SNAPSHOT_VERSION = 2
#: Version 1 was packed as a whole, and so begins as every such packing does.
_VERSION_1 = b"\x28\xb5\x2f\xfd"
#: Names are packed so many at a time, so that the interpreter is not held for long.
_NAMES = 50_000
#: The arrays that are written.
_DEVICES: dict[str, np.dtype[Any]] = {
    "table": layout.DEVICE, "usable": layout.USABLE, "pool": layout.ROW, "notes": layout.NOTE,
    "free": np.dtype(np.int32), "book": np.dtype(np.int64),
}  # fmt: skip
_STAYS: dict[str, np.dtype[Any]] = {"own": HEAD, "users": HEAD, "stays": STAY, "book": np.dtype(np.int64)}


class Facts(msgspec.Struct):
    """What is not kept in arrays."""

    signals: dict[int, dict[int, Signal]]
    beacons: dict[int, dict[str, int]]
    users: list[User]
    event_ids: dict[str, dict[str, int]]
    open: dict[str, Open]


class Snapshot(msgspec.Struct):
    """What is written; all bytes are packed with zstd.

    `devices` and `stays` are the used parts of the arrays, `facts` is a `Facts`, `names` and `user_names` are lists of
    texts, some thousand in each; all three in MessagePack.
    """

    now_ms: int
    site: str
    names: list[bytes]
    user_names: list[bytes]
    places: list[str]
    devices: dict[str, bytes]
    stays: dict[str, bytes]
    facts: bytes
    v: int = SNAPSHOT_VERSION


class SnapshotError(ValueError):
    """A snapshot that cannot be read: broken, or of another version."""


@dataclass(slots=True)
class Copied:
    """The state as of one instant, apart from the engine's own."""

    now_ms: int
    site: str
    names: list[str]
    user_names: list[str]
    places: list[str]
    devices: dict[str, bytes]
    stays: dict[str, bytes]
    facts: bytes


_Value = TypeVar("_Value")
_encode = msgspec.msgpack.Encoder().encode
_snapshot = msgspec.msgpack.Decoder(Snapshot)
_facts = msgspec.msgpack.Decoder(Facts)
_texts = msgspec.msgpack.Decoder(list[str])


def snapshot(engine: Engine) -> bytes:
    """The whole state of an engine as bytes."""
    return packed(copied(engine))


def copied(engine: Engine) -> Copied:
    """A copy of the state, to be packed while the engine goes on."""
    sense, people, devices = engine.sense, engine.people, engine.sense.devices
    for user in people.users.values():
        user.inside, user.visits = {}, []  # gathered anew when somebody looks
    facts = Facts(sense.signals, sense.beacons, list(people.users.values()), people.event_ids, people.open)
    return Copied(
        engine.now_ms, engine.site.version, devices.names.copy(), devices.user_names.copy(),
        engine.whereabouts.places.copy(), _devices(devices), _stays(engine.whereabouts), _encode(facts),
    )  # fmt: skip


def packed(copy: Copied) -> bytes:
    """A copy of the state as bytes. May run in any thread."""
    return _encode(
        Snapshot(
            copy.now_ms, copy.site, _pack_names(copy.names), _pack_names(copy.user_names), copy.places,
            {name: _pack(data) for name, data in copy.devices.items()},
            {name: _pack(data) for name, data in copy.stays.items()},
            _pack(copy.facts),
        )
    )  # fmt: skip


def site_version(data: bytes) -> str:
    """The version of the site that a snapshot is of. Raises `SnapshotError`."""
    return _read(data).site


def restore(data: bytes, site: Site) -> Engine:
    """An engine in the state of a snapshot, under the site that it is of. Raises `SnapshotError`."""
    read = _read(data)
    if read.site != site.version:
        raise SnapshotError(f"snapshot of site version `{read.site}` cannot be restored under `{site.version}`")
    facts = _decoded(_facts, read.facts)
    engine = Engine(site, read.now_ms)
    _fill(engine.sense.devices, read)
    engine.sense.signals, engine.sense.beacons = facts.signals, facts.beacons
    engine.sense.reschedule()
    people = engine.people
    people.users.update((user.id, user) for user in facts.users)
    people.event_ids.update(facts.event_ids)
    people.open.update(facts.open)
    engine.whereabouts.restore(read.places, _stays_of(read))
    return engine


def erase(data: bytes, user: str) -> bytes:
    """The same snapshot without one user. Raises `SnapshotError`."""
    read = _read(data)
    facts = _decoded(_facts, read.facts)
    devices = Devices()
    _fill(devices, read)
    whereabouts = Whereabouts(devices)
    whereabouts.restore(read.places, _stays_of(read))
    for slot in devices.of_user(user):
        facts.signals.pop(slot, None)
        facts.beacons.pop(slot, None)
    whereabouts.forget(user, lambda name: list(devices.forget_user(name).values()))
    facts.users = [known for known in facts.users if known.id != user]
    facts.event_ids.pop(user, None)
    facts.open = {decision: entry for decision, entry in facts.open.items() if entry.user != user}
    return packed(
        Copied(
            read.now_ms, read.site, devices.names, devices.user_names, read.places, _devices(devices),
            _stays(whereabouts), _encode(facts),
        )
    )  # fmt: skip


def _read(data: bytes) -> Snapshot:
    if data[:4] == _VERSION_1:
        raise SnapshotError(f"snapshot of version 1, this program reads {SNAPSHOT_VERSION}")
    try:
        read = _snapshot.decode(data)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"snapshot of {len(data)} bytes cannot be read: {error}") from error
    if read.v != SNAPSHOT_VERSION:
        raise SnapshotError(f"snapshot of version {read.v}, this program reads {SNAPSHOT_VERSION}")
    return read


def _pack(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


def _unpacked(data: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise SnapshotError(f"a part of {len(data)} bytes of a snapshot cannot be read: {error}") from error


def _decoded(decoder: msgspec.msgpack.Decoder[_Value], data: bytes) -> _Value:
    plain = _unpacked(data)
    try:
        return decoder.decode(plain)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"a part of {len(plain)} bytes of a snapshot cannot be read: {error}") from error


def _pack_names(names: list[str]) -> list[bytes]:
    return [_pack(_encode(names[first : first + _NAMES])) for first in range(0, len(names), _NAMES)]


def _names(parts: list[bytes]) -> list[str]:
    return [name for part in parts for name in _decoded(_texts, part)]


def _devices(devices: Devices) -> dict[str, bytes]:
    state = devices.state
    used = {
        "table": devices.slots_used,
        "usable": devices.slots_used if state.usable.size else 0,
        "pool": state.book[layout.POOL_USED],
        "notes": state.book[layout.NOTES_USED],
        "free": state.free.size,
        "book": layout.QUEUED,
    }
    return {name: getattr(state, name)[:count].tobytes() for name, count in used.items()}


def _fill(devices: Devices, read: Snapshot) -> None:
    devices.names, devices.user_names = _names(read.names), _names(read.user_names)
    devices.slots = {name: slot for slot, name in enumerate(devices.names) if name}
    devices.users = {name: number for number, name in enumerate(devices.user_names) if name}
    devices.vacant = [slot for slot, name in enumerate(devices.names) if not name]
    devices.restore({name: _array(read.devices[name], dtype) for name, dtype in _DEVICES.items()})


def _stays(whereabouts: Whereabouts) -> dict[str, bytes]:
    arrays = whereabouts.arrays
    return {
        "own": arrays.own[: whereabouts.devices.slots_used].tobytes(),
        "users": arrays.users[: len(whereabouts.devices.user_names)].tobytes(),
        "stays": arrays.stays[: arrays.book[0]].tobytes(),
        "book": arrays.book.tobytes(),
    }


def _stays_of(read: Snapshot) -> Stays:
    return Stays(**{name: _array(read.stays[name], dtype).copy() for name, dtype in _STAYS.items()})


def _array(data: bytes, dtype: np.dtype[Any]) -> Array:
    return np.frombuffer(_unpacked(data), dtype)
