"""A person's rows in frames: found for an export, taken out for an erasure.

Owns whose a row is: its user's, else the user's that its device's newest row named. Must not know where frames are
kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine.ids import instant
from engine.wire import COLUMNS, NAMES, NONE, Edited, Ended, Erased, Happened, Located, Resent, UserChanged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.wire import Frame, Input

Mask = np.ndarray[Any, Any]


@dataclass(slots=True)
class Whose:
    """Whose the rows are, learned while frames are read in order.

    `devices` are those known to be the user's from outside: they are taken to have been before their first named row.
    """

    user: str
    devices: frozenset[str] = frozenset()
    _holder: dict[str, str] = field(default_factory=dict)

    def rows(self, located: Located) -> Mask:
        """Which rows are the user's. Also learns who holds which device from here on."""
        strings = located.strings
        devices, users = located.column("device"), located.column("user")
        mine: Mask = np.zeros(len(devices), dtype=bool)
        if self.user in strings:
            mine = users == strings.index(self.user)
        known = self.devices | self._holder.keys() | {self.user}
        near = [number for number, text in enumerate(strings) if text in known]
        near += devices[mine].tolist()
        if near:
            for at in np.nonzero(np.isin(devices, near))[0].tolist():
                device = strings[devices[at]]
                if users[at] != NONE:
                    self._holder[device] = strings[users[at]]
                else:
                    mine[at] = self._holds(device)
        return mine

    def _holds(self, device: str) -> bool:
        ours = device == self.user or device in self.devices
        return self._holder.get(device, self.user if ours else None) == self.user


@dataclass(slots=True)
class Found:
    """All that frames hold of a user, in the shapes of the API."""

    pings: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)


def collect(frame: Frame, whose: Whose, found: Found) -> None:
    """Add what a frame holds of the user."""
    for item in frame.inputs:
        match item:
            case Located():
                found.pings += _ping_lines(item, np.nonzero(whose.rows(item))[0], frame.now_ms)
            case Happened() if item.user == whose.user:
                found.events.append(_event_line(item))
            case UserChanged() if item.user == whose.user:
                found.changes.append({"time": instant(frame.now_ms), **_change(item)})
            case _:
                pass


def without(frame: Frame, whose: Whose, *, later: bool, kept: frozenset[str] = frozenset()) -> list[Input] | None:
    """The frame's inputs without the user's; None when it holds nothing of theirs.

    In frames `later` than the erasure only outcomes go, of decisions that are not among the `kept`.
    """
    inputs: list[Input] = []
    changed = False
    for item in frame.inputs:
        left = _left(item, whose, later=later, kept=kept)
        changed |= left is not item
        if left is not None:
            inputs.append(left)
    return inputs if changed else None


def _left(item: Input, whose: Whose, *, later: bool, kept: frozenset[str]) -> Input | None:
    match item:
        case Edited():
            return item
        case Ended() | Resent():
            return item if item.user != whose.user or (later and item.decision in kept) else None
        case _ if later:
            return item
        case Located():
            mine = whose.rows(item)
            return _cut(item, mine) if mine.any() or whose.user in item.strings else item
        case Happened() | UserChanged() | Erased():
            return None if item.user == whose.user else item


def _cut(located: Located, mine: Mask) -> Located:
    """Without some rows, and without the strings that only they used. The borders move along."""
    keep = ~mine
    columns = {name: located.column(name)[keep] for name in _column_names(located)}
    used = np.unique(np.concatenate([columns[name] for name in NAMES]))
    used = used[used != NONE]
    renumber = np.full(len(located.strings) + 1, NONE, dtype=np.int32)
    renumber[used] = np.arange(len(used), dtype=np.int32)
    for name in NAMES:
        columns[name] = renumber[columns[name]]
    before = np.concatenate([[0], np.cumsum(keep)])
    return msgspec.structs.replace(
        located,
        **{name: column.tobytes() for name, column in columns.items()},
        strings=[located.strings[number] for number in used],
        borders=[int(before[border]) for border in located.borders],
    )


def _column_names(located: Located) -> Iterable[str]:
    """The columns that this frame has: those added since its version are empty in it."""
    return [name for name in COLUMNS if getattr(located, name)]


def _ping_lines(located: Located, rows: Mask, now_ms: int) -> list[dict[str, Any]]:
    strings = located.strings
    columns = {name: located.column(name) for name in _column_names(located)}
    lines: list[dict[str, Any]] = []
    for at in rows:
        line: dict[str, Any] = {"device": strings[columns["device"][at]]}
        if columns["user"][at] != NONE:
            line["user"] = strings[columns["user"][at]]
        line["time"] = instant(int(columns["time"][at]))
        line["received"] = instant(int(columns["received"][at]) if "received" in columns else now_ms)
        if columns["beacon"][at] != NONE:
            line["beacon"] = strings[columns["beacon"][at]]
        numbers = ("rssi",) if "beacon" in line else ("lat", "lng", "accuracy", "speed", "heading")
        for name in numbers:
            value = float(columns[name][at])
            if not math.isnan(value):
                line[name] = value if name in ("lat", "lng") else round(value, 3)
        if "beacon" not in line:
            line["mocked"] = bool(columns["mocked"][at])
        lines.append(line)
    return lines


def _event_line(item: Happened) -> dict[str, Any]:
    return {"id": item.id, "user": item.user, "type": item.type, "time": instant(item.time_ms), "data": item.data}


def _change(item: UserChanged) -> dict[str, Any]:
    """The change in the shape of `PUT /v1/users/{id}`: what it did not touch is not there."""
    plain: dict[str, Any] = msgspec.to_builtins(item)
    return {name: plain[name] for name in ("attributes", "consent", "locale", "timezone", "tokens") if plain.get(name)}
