"""One shard's devices as bytes, one value a device, and back: what a shared store holds of them.

Owns the form of these values and their layout, which is told beside them, so that a program whose columns are others
reads them all the same. Values are of one version of the site, since rows name fences by number. Must not know where
they are kept.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine import layout as arrays
from engine import pool
from engine.layout import Array
from engine.zones import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.layout import State
    from engine.sense import Sense

SHARD_VERSION = 2
#: What says where a device lies in this process's table, and so means nothing in another.
_OWN = frozenset({"user", "block", "rows", "size"})
#: Before the names of what the table keeps apart, and only while a rule asks for `crossed`.
_USABLE = "usable_"
Fields = list[tuple[str, str]]


class Kept(msgspec.Struct, array_like=True):
    """One device: its columns and its rows as records, its user by name, what it hears."""

    device: bytes
    rows: bytes = b""
    user: str | None = None
    signals: dict[int, Signal] = {}
    beacons: dict[str, int] = {}


class ShardMeta(msgspec.Struct):
    """What is kept of a whole shard.

    `offset` is the last record that its devices reflect, `now_ms` the shard's clock then. `site` is the version in
    force and `seq` its number among the versions. `device` and `row` tell the layout of the values.
    """

    offset: int
    now_ms: int
    site: str
    seq: int
    device: Fields
    row: Fields
    v: int = SHARD_VERSION


class ShardError(ValueError):
    """A shard's state that cannot be read: broken, or of another version."""


_encode = msgspec.msgpack.Encoder().encode
_kept = msgspec.msgpack.Decoder(Kept).decode
_meta = msgspec.msgpack.Decoder(ShardMeta).decode


@cache
def layout() -> tuple[Fields, Fields]:
    """The layout of a device's columns and of its rows, as this program writes them: names and types."""
    device = [(name, kind) for name, kind in _fields(arrays.DEVICE) if name not in _OWN]
    return device + [(_USABLE + name, kind) for name, kind in _fields(arrays.USABLE)], _fields(arrays.WORK)


@cache
def _dtypes() -> tuple[np.dtype[Any], np.dtype[Any]]:
    """The same as types of records."""
    device, row = layout()
    return _dtype(device), _dtype(row)


@cache
def _parts() -> tuple[list[str], list[str]]:
    """The columns of a device's record: those of the table, and those that the table keeps apart."""
    names = [name for name, _ in layout()[0]]
    return [n for n in names if not n.startswith(_USABLE)], [n for n in names if n.startswith(_USABLE)]


def pack_meta(offset: int, now_ms: int, site: str, seq: int) -> bytes:
    """The shard's own value."""
    return _encode(ShardMeta(offset, now_ms, site, seq, *layout()))


def read_meta(data: bytes) -> ShardMeta:
    """Read a shard's own value. Raises `ShardError`.

    >>> read_meta(pack_meta(7, 1000, "abc", 3)).offset
    7
    """
    try:
        meta = _meta(data)
    except msgspec.MsgspecError as error:
        raise ShardError(f"state of a shard cannot be read: {error}") from error
    if meta.v != SHARD_VERSION:
        raise ShardError(f"state of a shard has version {meta.v}, this program reads {SHARD_VERSION}")
    return meta


def pack_devices(sense: Sense, slots: Sequence[int]) -> dict[str, bytes]:
    """The values of these devices, by name."""
    devices, state = sense.devices, sense.devices.state
    at, (device_type, row_type) = np.array(slots, np.int64), _dtypes()
    made = np.empty(at.size, device_type)
    own, usable = _parts()
    for name in own:
        made[name] = state.table[name][at]
    made[usable] = state.usable[at] if state.usable.size else arrays.NO_USABLE
    laid_out, ends = pool.rows_of(state, at)
    records, works = made.tobytes(), laid_out.astype(row_type).tobytes()
    size, work, begin = device_type.itemsize, row_type.itemsize, 0
    packed: dict[str, bytes] = {}
    for i, (slot, number, end) in enumerate(zip(slots, state.table["user"][at].tolist(), ends.tolist(), strict=True)):
        packed[devices.names[slot]] = _encode(
            Kept(
                records[i * size : (i + 1) * size],
                works[begin * work : end * work],
                None if number < 0 else devices.user_names[number],
                sense.signals.get(slot, {}),
                sense.beacons.get(slot, {}),
            )
        )
        begin = end
    return packed


def unpack_devices(sense: Sense, meta: ShardMeta, values: Iterable[tuple[str, bytes]]) -> None:
    """Put kept devices into an empty table, in whatever layout they were written. Raises `ShardError`."""
    dtype, row_dtype = _dtype(meta.device), _dtype(meta.row)
    try:
        kept = [(name, _kept(value)) for name, value in values]
        records = np.frombuffer(b"".join(k.device for _, k in kept), dtype)
        rows = np.frombuffer(b"".join(k.rows for _, k in kept), row_dtype)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ShardError(f"devices of a shard cannot be read: {error}") from error
    devices = sense.devices
    at = np.array([devices.slot(name) for name, _ in kept], np.int64)
    for name in records.dtype.names or ():
        if _is_kept(devices.state, name):  # a column that is new keeps what a stranger has
            _column(devices.state, name)[at] = records[name]
    work = np.zeros(rows.size, arrays.WORK)
    for name in set(rows.dtype.names or ()) & set(arrays.WORK.names or ()):
        work[name] = rows[name]
    end = 0
    for slot, (_, one) in zip(at.tolist(), kept, strict=True):
        start, end = end, end + len(one.rows) // row_dtype.itemsize
        if start < end:
            devices.make_room_for_rows(end - start)
            devices.state.rows[: end - start] = work[start:end]
            pool.put(devices.state, slot, end - start)
    for slot, (_, one) in zip(at.tolist(), kept, strict=True):
        if one.user is not None:
            devices.columns["user"][slot] = devices.user_number(one.user)
        if one.signals:
            sense.signals[slot] = one.signals
        if one.beacons:
            sense.beacons[slot] = one.beacons


def read_device(meta: ShardMeta, value: bytes) -> tuple[str | None, Mapping[str, Any]]:
    """One kept device for people to look at: its user, and its columns by name. Raises `ShardError`."""
    try:
        one = _kept(value)
        record = np.frombuffer(one.device, _dtype(meta.device))
    except (msgspec.MsgspecError, ValueError) as error:
        raise ShardError(f"a device of a shard cannot be read: {error}") from error
    return one.user, {name: record[name][0].item() for name, _ in meta.device}


def _is_kept(state: State, name: str) -> bool:
    """True if the table has such a column now."""
    if name.startswith(_USABLE):
        return bool(state.usable.size)
    return name in (arrays.DEVICE.names or ())


def _column(state: State, name: str) -> Array:
    column: Array = state.usable[name.removeprefix(_USABLE)] if name.startswith(_USABLE) else state.table[name]
    return column


def _fields(dtype: np.dtype[Any]) -> Fields:
    return [(name, dtype[name].str) for name in dtype.names or ()]


def _dtype(fields: Fields) -> np.dtype[Any]:
    return np.dtype([(name, kind) for name, kind in fields])
