"""Where everybody is, and was: the stays of each person, in arrays.

Owns who is inside of what, and the visits that rules count. Must not know what else is known of a person:
`engine/people.py` does. It follows what was told, in the order in which it is judged. A person's stays hang on the
number of the user that their devices name, and on the slot of the device that bears their name; most have only one of
the two. Instants are epoch milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.devices import enough, longer
from engine.kernel import kernel
from engine.layout import ENTERED, EXITED, MOVED, NONE, WITH, Array, wide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.devices import Devices
    from engine.told import Telling
    from rules.place import Place

#: One stay. `mark` is the place's number, shifted, and the flag; `next` leads to the person's next one.
STAY = np.dtype([("entered_ms", np.int64), ("mark", np.int32), ("next", np.int32)], align=True)
#: Where the stays of a holder begin: those that go on, those that are past; and how many visits there are among both.
#: NONE visits: the holder was never told of.
HEAD = np.dtype([("open", np.int32), ("past", np.int32), ("visits", np.int32)])
#: The stay began with an entered of this very person's, and not with a device that they took over.
VISIT, _SHIFT = 1, 1
_USED, _FREE = 0, 1
_NOBODY = np.array([(NONE, NONE, NONE)], HEAD)


class Stays(NamedTuple):
    """The arrays: heads by slot, heads by user, the stays, and (used, first free one)."""

    own: Array
    users: Array
    stays: Array
    book: Array


class Whereabouts:
    """The stays of the people of a table of devices: it follows what was told of these, and of no others."""

    def __init__(self, devices: Devices) -> None:
        self.devices = devices
        self.places: list[str] = []
        self.arrays = Stays(np.repeat(_NOBODY, 0), np.repeat(_NOBODY, 0), np.zeros(0, STAY), np.array([0, NONE]))
        self._numbers: dict[str, int] = {}
        self._known: tuple[Sequence[Place], Array] = ((), np.zeros(0, np.int32))

    def follow(self, telling: Telling, first: int, end: int) -> None:
        """Note where everybody is after the records from `first` to `end`.

        Raises `ValueError` when they tell of devices, users or places that are not there: nothing is noted then.
        """
        self._fit(end - first)
        records, numbers = telling.records[first:end], self._numbers_of(telling.places)
        if not follow(self.arrays, records, numbers):
            raise ValueError("what was told is of another table of devices, or of another site")

    def inside(self, name: str) -> dict[str, list[int]]:
        """Where a person is: place id to [devices of theirs in it, time entered last]."""
        inside: dict[str, list[int]] = {}
        for heads, holder in self._holders(name):
            at = int(heads["open"][holder])
            while at != NONE:
                entered_ms, mark, at = self.arrays.stays[at].item()
                held = inside.setdefault(self.places[mark >> _SHIFT], [0, entered_ms])
                held[0], held[1] = held[0] + 1, max(held[1], entered_ms)
        return inside

    def visits(self, name: str) -> list[tuple[int, str]]:
        """The visits of a person, (time, place id) by time."""
        found = []
        for heads, holder in self._holders(name):
            for at in (int(heads["open"][holder]), int(heads["past"][holder])):
                while at != NONE:
                    entered_ms, mark, at = self.arrays.stays[at].item()
                    if mark & VISIT:
                        found.append((entered_ms, self.places[mark >> _SHIFT]))
        return sorted(found)

    def forget_old(self, upto_ms: int) -> None:
        """Forget the visits up to an instant; who came then and is there yet stays there."""
        forget_old(self.arrays, upto_ms)

    def met(self) -> list[str]:
        """Everybody who was ever told of."""
        own, users = self.arrays.own, self.arrays.users
        names = [self.devices.names[slot] for slot in np.nonzero(own["visits"] != NONE)[0].tolist()]
        return names + [self.devices.user_names[user] for user in np.nonzero(users["visits"] != NONE)[0].tolist()]

    def has_met(self, name: str) -> bool:
        """True if the person was ever told of."""
        return any(heads["visits"][holder] != NONE for heads, holder in self._holders(name))

    def forget(self, user: str, forget_devices: Callable[[str], list[str]]) -> list[str]:
        """Forget a user's stays, and their devices by `forget_devices`, whose answer is returned.

        Who was known by the name of one of these devices, before it named the user, is another person and stays known.
        """
        for heads, holder in self._holders(user):
            drop(self.arrays, heads, holder)
        for slot in self.devices.of_user(user):
            if slot < self.arrays.own.size and self.arrays.own["visits"][slot] != NONE:
                number = self.devices.user_number(self.devices.names[slot])
                self._fit(0)
                take_over(self.arrays, number, slot)
        return forget_devices(user)

    def restore(self, places: list[str], arrays: Stays) -> None:
        """Take over what was kept."""
        self.places, self.arrays = places, arrays
        self._numbers = {place: number for number, place in enumerate(places)}

    def take_in(self, name: str, stays: Sequence[tuple[str, str, int]], visits: Sequence[tuple[int, str]]) -> None:
        """Take over a person of whom nothing is known here: stays (place, device, when it entered), visits by time."""
        devices, left = self.devices, list(visits)
        heads: list[tuple[bool, int]] = []
        for _, device, _ in stays:
            slot = devices.slots[device]
            is_own = device == name and int(devices.columns["user"][slot]) == NONE
            heads.append((is_own, slot if is_own else devices.user_number(name)))
        main = heads[0] if heads else self._main(name)
        self._fit(len(stays) + len(visits))
        _meet(*self._head(main))
        for (place, _, entered_ms), head in zip(stays, heads, strict=True):
            flag = VISIT if (entered_ms, place) in left else 0
            if flag:
                left.remove((entered_ms, place))
            self._begin(head, place, entered_ms, flag)
        for entered_ms, place in left:
            self._begin(main, place, entered_ms, VISIT)
            array, holder = self._head(main)
            _leave(self.arrays, array, holder, self._numbers[place], entered_ms)

    def _begin(self, head: tuple[bool, int], place: str, entered_ms: int, flag: int) -> None:
        """A stay begins, of a holder that may be met for the first time."""
        array, holder = self._head(head)
        _meet(array, holder)
        _arrive(self.arrays, array, holder, self._number(place), entered_ms, flag)
        array[holder]["visits"] += flag

    def _main(self, name: str) -> tuple[bool, int]:
        """Where a person's stays hang who is nowhere now."""
        slot = self.devices.slots.get(name)
        own = slot is not None and name not in self.devices.users
        return (True, slot) if own and slot is not None else (False, self.devices.user_number(name))

    def _head(self, head: tuple[bool, int]) -> tuple[Array, int]:
        is_own, holder = head
        return (self.arrays.own if is_own else self.arrays.users), holder

    def _number(self, place: str) -> int:
        """Our number of a place, a new one if it was never heard of."""
        if place not in self._numbers:
            self._numbers[place] = len(self._numbers)
            self.places.append(place)
        return self._numbers[place]

    def _holders(self, name: str) -> list[tuple[Array, int]]:
        found: list[tuple[Array, int]] = []
        for heads, holder in (
            (self.arrays.users, self.devices.users.get(name)),
            (self.arrays.own, self.devices.slots.get(name)),
        ):
            if holder is not None and holder < heads.size:
                found.append((heads, holder))
        return found

    def _numbers_of(self, places: Sequence[Place]) -> Array:
        """Our numbers of the places of a site, which outlast its versions."""
        if places is not self._known[0]:
            numbered = self._numbers.setdefault
            numbers = np.array([numbered(place.id, len(self._numbers)) for place in places], np.int32)
            self.places = list(self._numbers)
            self._known = (places, numbers)
        return self._known[1]

    def _fit(self, stays: int) -> None:
        """Grow what has no room for so many stays more, or for a device or user that is new."""
        own, users, used = self.devices.slots_used, len(self.devices.user_names), int(self.arrays.book[_USED]) + stays
        held = self.arrays
        if own <= held.own.size and users <= held.users.size and used <= held.stays.size:
            return
        needs = {"own": own, "users": users, "stays": used}
        grown: dict[str, Any] = {}
        for name, need in needs.items():
            array = getattr(self.arrays, name)
            if need > array.size:
                fill = None if name == "stays" else _NOBODY[0]
                grown[name] = longer(array, enough(array.size, need), fill)
        if grown:
            self.arrays = self.arrays._replace(**grown)


@kernel
def fits(s: Stays, records: Array, places: int) -> bool:
    """True if every number of the records leads to something that is there: kernels look at no bounds."""
    for at in range(records.size):
        record = records[at]
        if record.slot < 0 or record.slot >= s.own.size or record.user >= s.users.size or record.place < 0:
            return False
        if record.place >= (s.users.size if record.kind == MOVED else places):
            return False
    return True


@kernel
def follow(s: Stays, records: Array, numbers: Array) -> bool:
    """Follow records of `layout.TOLD`, in order; `numbers` has our number of each place of theirs.

    False when one of them leads to nothing that is there: none is followed then.
    """
    if not fits(s, records, numbers.size):
        return False
    heads, holder, taker = s.own, 0, 0
    for at in range(records.size):
        record = records[at]
        if record.kind == WITH:
            place = numbers[record.place]
            _leave(s, heads, holder, place, record.entered_ms)
            _arrive(s, s.users, taker, place, record.entered_ms, 0)
            continue
        if record.user >= 0:
            heads, holder = s.users, wide(record.user)
        else:
            heads, holder = s.own, wide(record.slot)
        _meet(heads, holder)
        if record.kind == MOVED:
            taker = wide(record.place)
            _meet(s.users, taker)
        elif record.kind == ENTERED:
            _arrive(s, heads, holder, numbers[record.place], record.time_ms, VISIT)
            heads[holder].visits += 1
        elif record.kind == EXITED:
            _leave(s, heads, holder, numbers[record.place], record.entered_ms)
    return True


@kernel
def drop(s: Stays, heads: Array, holder: int) -> None:
    """Forget all stays of a holder."""
    head = heads[holder]
    for first in (head.open, head.past):
        at = first
        while at != NONE:
            after = s.stays[at].next
            _free(s, at)
            at = after
    head.open, head.past, head.visits = NONE, NONE, NONE


@kernel
def take_over(s: Stays, user: int, slot: int) -> None:
    """Hang the stays of a slot on a user."""
    _meet(s.users, user)
    mine, theirs = s.users[user], s.own[slot]
    mine.open, mine.past = _joined(s, theirs.open, mine.open), _joined(s, theirs.past, mine.past)
    mine.visits += theirs.visits
    theirs.open, theirs.past, theirs.visits = NONE, NONE, NONE


@kernel
def _joined(s: Stays, one: int, other: int) -> int:
    """Where the list of all stays of two lists begins."""
    if one == NONE:
        return other
    at = one
    while s.stays[at].next != NONE:
        at = s.stays[at].next
    s.stays[at].next = other
    return one


@kernel
def _meet(heads: Array, holder: int) -> None:
    if heads[holder].visits == NONE:
        heads[holder].visits = 0


@kernel
def _arrive(s: Stays, heads: Array, holder: int, place: int, entered_ms: int, flag: int) -> None:
    at = s.book[_FREE]
    if at != NONE:
        s.book[_FREE] = s.stays[at].next
    else:
        at = s.book[_USED]
        s.book[_USED] += 1
    stay = s.stays[at]
    stay.entered_ms, stay.mark, stay.next = entered_ms, place << _SHIFT | flag, heads[holder].open
    heads[holder].open = at


@kernel
def _leave(s: Stays, heads: Array, holder: int, place: int, entered_ms: int) -> None:
    """End the stay at a place that began then; if none did, the one that began last."""
    best, before_best, before = NONE, NONE, NONE
    at = wide(heads[holder].open)
    while at != NONE:
        stay = s.stays[at]
        if stay.mark >> _SHIFT == place:
            if best == NONE or stay.entered_ms == entered_ms or stay.entered_ms > s.stays[best].entered_ms:
                best, before_best = at, before
            if stay.entered_ms == entered_ms:
                break
        before, at = at, wide(stay.next)
    if best == NONE:
        return
    stay = s.stays[best]
    if before_best == NONE:
        heads[holder].open = stay.next
    else:
        s.stays[before_best].next = stay.next
    if stay.mark & VISIT:
        stay.next = heads[holder].past
        heads[holder].past = best
    else:
        _free(s, best)


@kernel
def forget_old(s: Stays, upto_ms: int) -> None:
    """Forget the visits up to an instant."""
    for slot in range(s.own.size):
        _prune(s, s.own, slot, upto_ms)
    for user in range(s.users.size):
        _prune(s, s.users, user, upto_ms)


@kernel
def _prune(s: Stays, heads: Array, holder: int, upto_ms: int) -> None:
    head = heads[holder]
    at = head.open
    while at != NONE:
        stay = s.stays[at]
        if stay.mark & VISIT and stay.entered_ms <= upto_ms:
            stay.mark &= ~VISIT
            head.visits -= 1
        at = stay.next
    at, head.past = head.past, NONE
    while at != NONE:
        stay, after = s.stays[at], s.stays[at].next
        if stay.entered_ms > upto_ms:
            stay.next = head.past
            head.past = at
        else:
            head.visits -= 1
            _free(s, at)
        at = after


@kernel
def _free(s: Stays, at: int) -> None:
    s.stays[at].next = s.book[_FREE]
    s.book[_FREE] = at
