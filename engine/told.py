"""What was told, in the order in which it is judged: columns, of which objects are made when somebody looks.

Owns the ids of transitions, their shape, and what their order goes by (`told_order` puts them in it). Must not know how
they were found nor what they cause. Most transitions are at places that no rule names: they are counted, and never
become objects. Instants are epoch milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, overload

import msgspec
import numpy as np

from engine.batch import NO_REQUEST
from engine.ids import episode_id
from engine.layout import CROSSED, DWELLED, ENTERED, EXITED, MOVED, TOLD, TOLDS, WITH, Array
from engine.told_order import arrange, have, put_in_order
from rules.facts import Kind
from rules.ids import h

if TYPE_CHECKING:
    from engine.devices import Devices
    from rules.place import Place

#: Kinds by their numbers in `engine/layout.py`.
KINDS = {DWELLED: Kind.DWELLED, EXITED: Kind.EXITED, ENTERED: Kind.ENTERED, CROSSED: Kind.CROSSED}
_NO_HANDS = np.empty(0, np.int64)
#: Causes by their numbers in `engine/layout.py`.
CAUSES = ("fix", "timer", "silent", "edited", "sighting")


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A device entered, dwelled at, crossed or left a place. `accuracy_m` and `mocked` are its newest fix's."""

    id: str
    episode: str
    device: str
    user: str
    place: Place
    kind: Kind
    time_ms: int
    cause: str
    entered_ms: int
    dwell_ms: int | None = None
    accuracy_m: float | None = None
    mocked: bool = False
    request: int = NO_REQUEST
    now_ms: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """A device changed hands while it was in `places` (id, entered_ms): a ping named another user."""

    device: str
    user_from: str
    user_to: str
    time_ms: int
    places: tuple[tuple[str, int], ...]
    request: int


class Telling(msgspec.Struct, frozen=True, eq=False):
    """What was told, as records of `layout.TOLD` in order, with the names of its devices and users.

    `places` has the places by the number in the records, `takers` the new user of each change of hands by its record.
    """

    records: Array
    devices: list[str]
    users: list[str]
    places: Sequence[Place]
    takers: dict[int, str]

    def __len__(self) -> int:
        return len(self.devices)

    def transition(self, at: int) -> Transition:
        """The transition that record `at` tells of."""
        return self._transition(at, self.records[at].item())

    def transitions(self) -> Iterator[Transition]:
        """All transitions, in order."""
        for at, record in enumerate(self.records.tolist()):
            if record[9] > WITH:
                yield self._transition(at, record)

    def _transition(self, at: int, record: tuple[Any, ...]) -> Transition:
        time_ms, entered_ms, dwell_ms, now_ms, accuracy, _, _, number, request, kind, cause, mocked = record
        device, place, word, waited_ms = self.devices[at], self.places[number], KINDS[kind], None
        if kind == CROSSED:
            episode, made = "", h(device, place.id, str(time_ms), word)
        elif kind == DWELLED:
            episode, waited_ms = episode_id(device, place.id, entered_ms), dwell_ms
            made = h(episode, word, str(dwell_ms))
        else:
            episode = episode_id(device, place.id, entered_ms)
            made = h(episode, word)
        return Transition(
            made, episode, device, self.users[at], place, word, time_ms, CAUSES[cause], entered_ms, waited_ms,
            None if accuracy != accuracy else accuracy, bool(mocked), request, now_ms,
        )  # fmt: skip

    def moved(self, at: int) -> Moved:
        """The change of hands that record `at`, a MOVED, tells of."""
        records = self.records
        after = at + 1
        while after < len(self) and records["kind"][after] == WITH:
            after += 1
        places = records[["place", "entered_ms"]][at + 1 : after].tolist()
        return Moved(
            self.devices[at],
            self.users[at],
            self.takers[at],
            int(records["time_ms"][at]),
            tuple((self.places[number].id, entered_ms) for number, entered_ms in places),
            int(records["request"][at]),
        )

    def concerned(self) -> set[str]:
        """The users whom this is about."""
        return {*self.users, *self.takers.values()}

    def narrowed(self, users: Set[str]) -> Telling:
        """The part of it that is about these users."""
        keep, moved = [], False
        for at, kind in enumerate(self.records["kind"].tolist()):
            if kind != WITH:
                moved = kind == MOVED and self.takers[at] in users
            if self.users[at] in users or moved:
                keep.append(at)
        takers = {new: self.takers[at] for new, at in enumerate(keep) if at in self.takers}
        names = [self.devices[at] for at in keep]
        return Telling(self.records[keep], names, [self.users[at] for at in keep], self.places, takers)

    def groups(self, wanted: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
        """What one device did at one instant of one request, where records of `wanted` (ascending) are among it.

        Each as the record after its last one, and those wanted.
        """
        if not wanted:
            return
        records = self.records
        begins = np.zeros(len(self) + 1, np.bool_)
        begins[-1] = True
        for name in ("request", "time_ms", "slot"):
            column = records[name]
            begins[1:-1] |= column[1:] != column[:-1]
        after = np.nonzero(begins)[0]
        ends = after[np.searchsorted(after, np.array(wanted), side="right")]
        for end, group in groupby(zip(ends.tolist(), wanted, strict=True), key=itemgetter(0)):
            yield end, [at for _, at in group]


def tellings_of(devices: Devices, places: Sequence[Place], rank: Array, before: int = 0) -> list[Telling]:
    """What the kernels have told since this was asked last, in order; nothing when they told nothing.

    It goes by request, time and device; what a device did at one instant by kind and place, but nothing is moved past
    a change of hands, nor past the first records, told `before` the others. `rank[n]` is the rank of `places[n]` by id.
    """
    count = int(devices.state.book[TOLDS])
    if not count:
        return []
    devices.state.book[TOLDS] = 0
    told = devices.state.told
    parts = (told[:before], told[before:count]) if before else (told[:count],)
    return [_telling(devices, part, places, rank) for part in parts]


def tellings_of_each(
    devices: Devices, places: Sequence[Place], rank: Array, ends: Array
) -> list[tuple[int, list[Telling]]]:
    """The same of frames that were joined, as numbers of frames with what each told by itself.

    The requests of frame n end before request `ends[n]`; all was told by requests, in the order of frames.
    """
    count = int(devices.state.book[TOLDS])
    if not count:
        return []
    devices.state.book[TOLDS] = 0
    told = devices.state.told[:count]
    frames = np.searchsorted(ends, told["request"], side="right")
    cuts = [0, *(np.flatnonzero(np.diff(frames)) + 1).tolist(), count]
    return [(int(frames[i]), [_telling(devices, told[i:k], places, rank)]) for i, k in pairwise(cuts)]


def _telling(devices: Devices, records: Array, places: Sequence[Place], rank: Array) -> Telling:
    has_moved, has_users = have(records)
    order, told = _order(records, devices, has_moved, rank), np.empty(records.size, TOLD)
    arrange(records, order, told)
    records = told
    names = [devices.names[slot] for slot in records["slot"].tolist()]
    known, users = devices.user_names, names
    if has_users:
        users = [known[user] if user >= 0 else name for user, name in zip(records["user"].tolist(), names, strict=True)]
    moves = np.nonzero(records["kind"] == MOVED)[0].tolist() if has_moved else []
    takers = {at: known[int(records["place"][at])] for at in moves}
    return Telling(records, names, users, places, takers)


def _order(records: Array, devices: Devices, has_moved: bool, rank: Array) -> Array:
    """The order in which records are told."""
    slots, names = records["slot"], devices.names
    hands = _hands(records) if has_moved else _NO_HANDS
    order, aside = np.empty(records.size, np.int64), np.empty(records.size, np.int64)
    if put_in_order(records, devices.name_keys.of(records, names), hands, rank, order, aside):
        # names of one beginning at one instant of a request: only now are they worth to be looked at
        by_name = {slot: n for n, slot in enumerate(sorted(set(slots.tolist()), key=names.__getitem__))}
        keys = np.zeros((records.size, 2), np.uint64)
        keys[:, 0] = [by_name[slot] for slot in slots.tolist()]
        put_in_order(records, keys, hands, rank, order, aside)
    return order


def _hands(records: Array) -> Array:
    """How often a device had changed hands at the instant of each record, by then."""
    hands = np.zeros(records.size, np.int64)
    seen: dict[tuple[int, int, int], int] = {}
    for at, record in enumerate(records.tolist()):
        time_ms, slot, request, kind = record[0], record[5], record[8], record[9]
        key = request, time_ms, slot
        if kind == MOVED:
            seen[key] = seen.get(key, 0) + 1
        hands[at] = seen.get(key, 0)
    return hands


class Transitions(Sequence[Transition]):
    """The transitions of a step, in order; they become objects when they are looked at."""

    def __init__(self, tellings: Iterable[Telling] = ()) -> None:
        self._tellings = list(tellings)
        self._made: list[Transition] | None = None

    @property
    def tellings(self) -> Sequence[Telling]:
        """What they were told by."""
        return self._tellings

    def add(self, telling: Telling) -> None:
        """Add what was told next."""
        self._tellings.append(telling)
        self._made = None

    def counts(self) -> dict[Kind, int]:
        """How many there are of each kind."""
        found = dict.fromkeys(KINDS.values(), 0)
        for telling in self._tellings:
            numbers = np.bincount(telling.records["kind"], minlength=CROSSED + 1).tolist()
            for number, kind in KINDS.items():
                found[kind] += numbers[number]
        return found

    def __len__(self) -> int:
        return sum(self.counts().values())

    def __iter__(self) -> Iterator[Transition]:
        return iter(self._all())

    @overload
    def __getitem__(self, at: int) -> Transition: ...
    @overload
    def __getitem__(self, at: slice) -> list[Transition]: ...
    def __getitem__(self, at: int | slice) -> Transition | list[Transition]:
        return self._all()[at]

    def _all(self) -> list[Transition]:
        if self._made is None:
            self._made = [made for telling in self._tellings for made in telling.transitions()]
        return self._made


def count_kinds(transitions: Iterable[Transition]) -> Mapping[Kind, int]:
    """How many transitions there are of each kind."""
    if isinstance(transitions, Transitions):
        return transitions.counts()
    return Counter(transition.kind for transition in transitions)
