"""The table of devices: who is where, in columns.

Owns the state of each device (its clock, its newest fix, its user) and its rows, one for each fence that it is in or
is about to enter. Must not know what the rows mean: `engine/presence.py` does. Slots are numbers given in order of
appearance.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from engine.fast import FAR, NEVER

_FIRST_SLOTS = 256
_FIRST_BLOCK = 4
#: Counts beyond any setting are all the same.
_COUNT_MAX = 32_000

Array = np.ndarray[Any, Any]


class Row(msgspec.Struct, gc=False):
    """What is known of one device at one fence.

    `entered_ms` is None until it has entered: then `count` counts fixes in a row that are in, else those surely out,
    the first of them at `row_ms`. `dwelled_ms` is the longest dwell time already told (or skipped), `waits` says that
    a dwell time is past but the device had been silent, so that the next fix that is in tells it.
    """

    fence: int
    entered_ms: int | None = None
    count: int = 0
    row_ms: int = 0
    dwelled_ms: int = 0
    waits: bool = False


#: Columns by device: name, type, value of a device that was never heard of.
DEVICE_COLUMNS: tuple[tuple[str, Any, Any], ...] = (
    ("clock_ms", np.int64, NEVER),  # time of the newest fix or sighting
    ("recv_ms", np.int64, NEVER),  # when that was received
    ("fix_ms", np.int64, NEVER),  # time of the newest fix
    ("lat", np.float64, np.nan),
    ("lng", np.float64, np.nan),
    ("accuracy", np.float64, np.nan),
    ("mocked", np.uint8, 0),
    ("usable_ms", np.int64, NEVER),  # newest fix that `crossed` may start from
    ("usable_lat", np.float64, np.nan),
    ("usable_lng", np.float64, np.nan),
    ("usable_accuracy", np.float64, np.nan),
    ("user", np.int32, -1),  # number of the user, -1: the device's own id
    ("busy", np.uint8, 0),  # 1: each fix needs the machine (a count is running, a zone holds it)
    ("timer_ms", np.int64, FAR),  # earliest timer of its rows and zones, on its own clock; silence apart
    ("quiet_ms", np.int64, FAR),  # shortest `silence` of its rows
    ("block", np.int32, 0),  # its rows: pool[block : block + rows]
    ("rows", np.int32, 0),
    ("room", np.int32, 0),
)
#: Columns by row, in the pool.
ROW_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("fence", np.int32),
    ("owner", np.int32),
    ("entered_ms", np.int64),
    ("row_ms", np.int64),
    ("dwelled_ms", np.int64),
    ("count", np.int16),
    ("waits", np.uint8),
)


#: One record a device, and one a row: what a ping touches lies together.
_DEVICE = np.dtype([(name, dtype) for name, dtype, _ in DEVICE_COLUMNS], align=True)
_ROW = np.dtype(list(ROW_COLUMNS), align=True)
_STRANGER = np.array([tuple(empty for _, _, empty in DEVICE_COLUMNS)], _DEVICE)
_VACANT = np.zeros(1, _ROW)
_VACANT["owner"] = -1


class Devices:
    """All devices, in a table that grows. A device's rows stand together in a pool, in ascending order of fence.

    `columns` and `pool` are the columns of both, as views.
    """

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.names: list[str] = []
        self.users: dict[str, int] = {}
        self.user_names: list[str] = []
        self.columns: dict[str, Array] = {}
        self.pool: dict[str, Array] = {}
        self._hold(np.repeat(_STRANGER, _FIRST_SLOTS), np.repeat(_VACANT, _FIRST_SLOTS * 4))
        self.pool_used = 0
        self.free: dict[int, list[int]] = {}

    def _hold(self, table: Array, rows: Array) -> None:
        self._table, self._rows = table, rows
        self.columns = {name: table[name] for name, _, _ in DEVICE_COLUMNS}
        self.pool = {name: rows[name] for name, _ in ROW_COLUMNS}

    def __len__(self) -> int:
        return len(self.names)

    def slot(self, name: str) -> int:
        """The device's slot, a new one if it was never heard of."""
        found = self.slots.get(name)
        if found is not None:
            return found
        slot = self.slots[name] = len(self.names)
        self.names.append(name)
        if slot >= len(self.columns["clock_ms"]):
            self.grow_columns()
        return slot

    def user_number(self, name: str) -> int:
        """The user's number, a new one if it was never heard of."""
        found = self.users.get(name)
        if found is None:
            found = self.users[name] = len(self.user_names)
            self.user_names.append(name)
        return found

    def user_of(self, slot: int) -> str:
        """The person behind a device: the user its newest ping named, else the device's own id."""
        number = int(self.columns["user"][slot])
        return self.names[slot] if number < 0 else self.user_names[number]

    def load(self, slot: int) -> list[Row]:
        """The device's rows, in ascending order of fence."""
        start = int(self.columns["block"][slot])
        stored = self._rows[start : start + int(self.columns["rows"][slot])].tolist()
        return [
            Row(fence, None if entered_ms == NEVER else entered_ms, count, row_ms, dwelled_ms, bool(waits))
            for fence, _, entered_ms, row_ms, dwelled_ms, count, waits in stored
        ]

    def save(self, slot: int, rows: list[Row]) -> None:
        """Put the device's rows back; they must be in ascending order of fence."""
        start = self._block_for(slot, len(rows))
        if rows:
            self._rows[start : start + len(rows)] = [
                (
                    row.fence,
                    slot,
                    NEVER if row.entered_ms is None else row.entered_ms,
                    row.row_ms,
                    row.dwelled_ms,
                    min(row.count, _COUNT_MAX),
                    row.waits,
                )
                for row in rows
            ]
        self.columns["rows"][slot] = len(rows)

    def inside(self, fences: Array) -> list[tuple[int, int, int]]:
        """Who is in any of these fences: (slot, fence, entered_ms) of each, in order of the pool."""
        used = slice(0, self.pool_used)
        pool = self.pool
        hit = (pool["owner"][used] >= 0) & (pool["entered_ms"][used] != NEVER) & np.isin(pool["fence"][used], fences)
        at = np.nonzero(hit)[0]
        return list(
            zip(
                pool["owner"][at].tolist(),
                pool["fence"][at].tolist(),
                pool["entered_ms"][at].tolist(),
                strict=True,
            )
        )

    def of_user(self, user: str) -> list[int]:
        """The slots of a user's devices: those whose newest ping named the user, or that bear the user's name."""
        slots: list[int] = []
        number = self.users.get(user)
        if number is not None:
            slots += np.nonzero(self.columns["user"][: len(self)] == number)[0].tolist()
        own = self.slots.get(user)
        if own is not None and self.columns["user"][own] < 0:
            slots.append(own)
        return slots

    def forget_user(self, user: str) -> dict[int, str]:
        """Forget a user's name and devices; returns the slots that were theirs, with the devices' names."""
        slots = {slot: self.names[slot] for slot in self.of_user(user)}
        for slot in slots:
            self.forget(slot)
        number = self.users.pop(user, None)
        if number is not None:
            self.user_names[number] = ""
        return slots

    def forget(self, slot: int) -> None:
        """Make the device as if it had never been heard of: if it comes again, it gets a new slot."""
        del self.slots[self.names[slot]]
        self.names[slot] = ""
        self.save(slot, [])
        for name, _, empty in DEVICE_COLUMNS:
            if name not in ("block", "room"):
                self.columns[name][slot] = empty

    def _block_for(self, slot: int, rows: int) -> int:
        """Where `rows` rows of this device go: its block, or a larger one when they no longer fit."""
        start, room = int(self.columns["block"][slot]), int(self.columns["room"][slot])
        if rows <= room:
            self.pool["owner"][start + rows : start + room] = -1
            return start
        if room:
            self.pool["owner"][start : start + room] = -1
            self.free.setdefault(room, []).append(start)
        room = _FIRST_BLOCK
        while room < rows:
            room *= 2
        spare = self.free.get(room)
        if spare:
            start = spare.pop()
        else:
            start = self.pool_used
            self.pool_used += room
            while self.pool_used > len(self.pool["fence"]):
                self.grow_pool()
        self.columns["block"][slot], self.columns["room"][slot] = start, room
        self.pool["owner"][start + rows : start + room] = -1
        return start

    def grow_columns(self) -> None:
        """Make room for as many devices again."""
        self._hold(np.concatenate([self._table, np.repeat(_STRANGER, len(self._table))]), self._rows)

    def grow_pool(self) -> None:
        """Make room for as many rows again."""
        self._hold(self._table, np.concatenate([self._rows, np.repeat(_VACANT, len(self._rows))]))
