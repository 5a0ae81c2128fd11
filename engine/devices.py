"""The table of devices: who is where, in arrays.

Owns the state of each device (its clock, its newest fix, its user) and its rows, one for each fence that it is in or
is about to enter: the arrays of `engine/layout.py`, how they grow, and the names of slots and users. Must not know what
the rows mean: `engine/presence.py` does. Slots are numbers given in order of appearance; those of forgotten devices are
given again.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine import layout, pool
from engine.layout import FAR, NEVER, NONE, Array, State
from engine.name_keys import NameKeys

if TYPE_CHECKING:
    from engine.layout import Asks

_FIRST_SLOTS = 256


class Row(msgspec.Struct, gc=False):
    """What is known of one device at one fence: a record of `layout.WORK`. `entered_ms` is None until it entered."""

    fence: int
    entered_ms: int | None = None
    count: int = 0
    row_ms: int = 0
    dwelled_ms: int = 0
    waits: bool = False


class Devices:
    """All devices. `columns` are those of the table, as views."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.names: list[str] = []
        self.users: dict[str, int] = {}
        self.user_names: list[str] = []
        self.vacant: list[int] = []
        self.name_keys = NameKeys()
        self.columns: dict[str, Array] = {}
        none = np.zeros(0, np.int64)
        book = np.zeros(5, np.int64)
        book[layout.NOTES_FREE] = NONE
        self.state = State(
            none, none, none, none, none, none, np.full(layout.SIZES.size, NONE, np.int32), book, none, none, none
        )
        self._hold(
            table=np.zeros(_FIRST_SLOTS, layout.DEVICE),
            due=np.full(_FIRST_SLOTS, FAR, np.int64),
            aside=np.zeros(_FIRST_SLOTS, np.uint8),
            usable=np.zeros(0, layout.USABLE),
            pool=np.zeros(_FIRST_SLOTS, layout.ROW),
            notes=np.zeros(_FIRST_SLOTS, layout.NOTE),
            queue=np.zeros(_FIRST_SLOTS, layout.TIMER),
            told=np.zeros(_FIRST_SLOTS, layout.TOLD),
            rows=np.zeros(_FIRST_SLOTS, layout.WORK),
        )

    def _hold(self, **arrays: Array) -> None:
        self.state = self.state._replace(**arrays)
        self.columns = {name: self.state.table[name] for name in layout.DEVICE.names or ()}

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def slots_used(self) -> int:
        """Slots below this are, or were, those of a device."""
        return len(self.names)

    # -- names -----------------------------------------------------------------------------------------------------

    def slots_of(self, names: list[str]) -> Array:
        """The slots of devices as int32, new ones for those never heard of."""
        found = found_all(self.slots, names)
        if found is not None:
            return found
        self._add([name for name in dict.fromkeys(names) if name not in self.slots])
        return self.slots_of(names)

    def slot(self, name: str) -> int:
        """The device's slot, a new one if it was never heard of."""
        if name not in self.slots:
            self._add([name])
        return self.slots[name]

    def _add(self, names: list[str]) -> None:
        """Give slots to devices never heard of: those of forgotten ones first, then new ones."""
        again = [self.vacant.pop() for _ in names[: len(self.vacant)]]
        first, new = len(self.names), names[len(again) :]
        for slot, name in zip(again, names, strict=False):
            self.names[slot] = name
        self.names += new
        self.grow_table(len(self.names))
        slots = [*again, *range(first, len(self.names))]
        self.slots.update(zip(names, slots, strict=True))
        self.state.table[slots] = layout.STRANGER[0]
        if self.state.usable.size:
            self.state.usable[slots] = layout.NO_USABLE[0]

    def users_of(self, names: list[str]) -> Array:
        """The numbers of users as int32, new ones for those never heard of."""
        found = found_all(self.users, names)
        return np.array([self.user_number(name) for name in names], np.int32) if found is None else found

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

    def of_user(self, user: str) -> list[int]:
        """The slots of a user's devices: those whose newest ping named the user, or that bear the user's name."""
        slots: list[int] = []
        number = self.users.get(user)
        if number is not None:
            slots += np.nonzero(self.columns["user"][: self.slots_used] == number)[0].tolist()
        own = self.slots.get(user)
        if own is not None and self.columns["user"][own] < 0:
            slots.append(own)
        return slots

    # -- rows ------------------------------------------------------------------------------------------------------

    def load(self, slot: int) -> list[Row]:
        """The device's rows, in ascending order of fence."""
        self._fit(rows=int(self.columns["rows"][slot]))
        work = self.state.rows[: pool.take(self.state, slot)].tolist()
        return [
            Row(fence, None if entered_ms == NEVER else entered_ms, count, row_ms, dwelled_ms, bool(waits))
            for entered_ms, row_ms, dwelled_ms, fence, count, waits in work
        ]

    def lay_out(self, rows: list[Row]) -> int:
        """Put rows, in ascending order of fence, where the kernels work on them; returns how many."""
        self._fit(rows=len(rows))
        for at, row in enumerate(rows):
            entered_ms = NEVER if row.entered_ms is None else row.entered_ms
            self.state.rows[at] = (entered_ms, row.row_ms, row.dwelled_ms, row.fence, row.count, row.waits)
        return len(rows)

    def inside(self, fences: list[int], count: int) -> list[tuple[int, int, int]]:
        """Who is in any of these fences, of `count` in all: (slot, fence, entered_ms) of each, by slot."""
        wanted = np.zeros(count, np.bool_)
        wanted[fences] = True
        return [(slot, fence, ms) for slot, fence, ms in pool.inside(self.state, self.slots_used, wanted).tolist()]

    # -- forgetting ------------------------------------------------------------------------------------------------

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
        """Make the device as if it had never been heard of."""
        del self.slots[self.names[slot]]
        self.names[slot] = ""
        self.name_keys.forget(slot)
        pool.put(self.state, slot, 0)
        self.state.table[slot] = layout.STRANGER[0]
        self.state.due[slot] = FAR
        if self.state.usable.size:
            self.state.usable[slot] = layout.NO_USABLE[0]
        self.vacant.append(slot)

    # -- growth ----------------------------------------------------------------------------------------------------

    def make_room(self, asks: Asks, slot: int, matched: int = 0) -> None:
        """Have the arrays take whatever one fix in `matched` fences, or one tick, may do to a device."""
        rows = int(self.columns["rows"][slot]) + matched + 1
        self._fit(rows=rows, told=rows * (asks.dwells_most + 3) + asks.crossings.size, timers=1)

    def make_room_for_rows(self, rows: int) -> None:
        """Have the arrays take so many rows of one device more."""
        self._fit(rows=rows)

    def make_room_for_timers(self, timers: int) -> None:
        """Have the queue take so many entries more."""
        if self.state.book[layout.QUEUED] + timers >= self.state.queue.size:
            self._fit(timers=timers)

    def keep_usable(self, wanted: bool) -> None:
        """Keep the fix that a way may start from, or do so no longer."""
        if wanted != bool(self.state.usable.size):
            self._hold(usable=np.repeat(layout.NO_USABLE, self.state.table.size if wanted else 0))

    def grow_table(self, slots: int) -> None:
        """Have the table take so many slots."""
        state, size = self.state, enough(self.state.table.size, slots)
        if size == state.table.size:
            return
        self._hold(
            table=longer(state.table, size),
            due=longer(state.due, size, FAR),
            aside=longer(state.aside, size, 0),
            usable=longer(state.usable, size, layout.NO_USABLE[0]) if state.usable.size else state.usable,
        )

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take over the used parts of the arrays, as they were kept; timers are put anew by who calls."""
        self.grow_table(arrays["table"].size)
        for name in ("table", "book", "free"):
            getattr(self.state, name)[: arrays[name].size] = arrays[name]
        self._hold(**{name: arrays[name].copy() for name in ("pool", "notes")})
        self.keep_usable(arrays["usable"].size > 0)
        self.state.usable[: arrays["usable"].size] = arrays["usable"]

    def _fit(self, *, rows: int = 0, told: int = 0, timers: int = 0) -> None:
        """Grow what has no room for a device of so many rows, so much told and so many timers."""
        state, book = self.state, self.state.book
        block = int(layout.SIZES[np.searchsorted(layout.SIZES, rows)])
        needs = {
            "rows": rows + 1,
            "pool": int(book[layout.POOL_USED]) + block,
            "notes": int(book[layout.NOTES_USED]) + rows,
            "told": int(book[layout.TOLDS]) + told + 1,
            "queue": int(book[layout.QUEUED]) + timers + 1,
        }
        grown: dict[str, Any] = {}
        for name, need in needs.items():
            array = getattr(state, name)
            if need > array.size:
                grown[name] = longer(array, enough(array.size, need))
        if grown:
            self._hold(**grown)


def found_all(numbers: dict[str, int], names: list[str]) -> Array | None:
    """The numbers of some names as int32; None when one of them has none.

    >>> found_all({"a": 1, "b": 2}, ["b", "a"]), found_all({"a": 1}, ["b"])
    (array([2, 1], dtype=int32), None)
    """
    try:  # of one name an `itemgetter` gets no tuple
        found = itemgetter(*names)(numbers) if len(names) > 1 else [numbers[name] for name in names]
    except KeyError:
        return None
    return np.fromiter(found, np.int32, len(names))


def enough(size: int, need: int) -> int:
    """A size of at least `need`: as it is, or half as large again, or as needed."""
    return size if need <= size else max(need, size + size // 2)


def longer(array: Array, size: int, fill: Any = None) -> Array:
    """An array with more at its end; what is not filled is zero, and takes no memory until it is touched."""
    longer = np.zeros(size, array.dtype)
    longer[: array.size] = array
    if fill is not None:
        longer[array.size :] = fill
    return longer
