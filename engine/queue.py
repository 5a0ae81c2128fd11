"""The timers of devices, by the machine's clock: a heap in an array.

Owns when a device is looked at. Must not know what is due then. There is one valid entry a device, the earliest; those
that an earlier one replaced stay until their time and are passed over.
"""

from __future__ import annotations

from engine.kernel import inlined, kernel
from engine.layout import FAR, QUEUED, State


@inlined
def own_due_ms(s: State, d: int) -> int:
    """When the next timer of a device is due, on its own clock."""
    device = s.table[d]
    quiet_ms = device.clock_ms + device.quiet_ms if device.quiet_ms < FAR else FAR
    return int(min(device.timer_ms, quiet_ms))


@inlined
def due_ms(s: State, d: int) -> int:
    """When that is by the machine's clock: a device's own runs on from when its newest ping was received."""
    due = own_due_ms(s, d)
    return FAR if due >= FAR else due + s.table[d].recv_ms - s.table[d].clock_ms


@inlined
def schedule(s: State, d: int) -> None:
    """Have a device looked at when its next timer is due. There must be room for one entry more."""
    due = due_ms(s, d)
    if due < s.due[d]:
        s.due[d] = due
        _push(s, due, d)


@inlined
def is_due(s: State, until_ms: int) -> bool:
    """True if the first entry is due by `until_ms`."""
    return bool(s.book[QUEUED] > 0 and s.queue[0].due_ms <= until_ms)


@kernel
def pop(s: State) -> bool:
    """Take the first entry out; false if it was replaced, true if its device is to be looked at."""
    due, d = s.queue[0].due_ms, s.queue[0].slot
    _drop_first(s)
    if s.due[d] != due:
        return False
    s.due[d] = FAR
    return True


@inlined
def _push(s: State, due: int, d: int) -> None:
    at = s.book[QUEUED]
    s.book[QUEUED] += 1
    while at > 0:
        above = (at - 1) >> 1
        if s.queue[above].due_ms <= due:
            break
        s.queue[at] = s.queue[above]
        at = above
    s.queue[at].due_ms = due
    s.queue[at].slot = d


@kernel
def _drop_first(s: State) -> None:
    s.book[QUEUED] -= 1
    size = s.book[QUEUED]
    due = s.queue[size].due_ms
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and s.queue[below + 1].due_ms < s.queue[below].due_ms:
            below += 1
        if s.queue[below].due_ms >= due:
            break
        s.queue[at] = s.queue[below]
        at = below
    s.queue[at] = s.queue[size]


@kernel
def schedule_all(s: State, used: int) -> None:
    """Put the timers of all devices anew. There must be room for one entry each."""
    s.book[QUEUED] = 0
    for d in range(used):
        s.due[d] = FAR
        schedule(s, d)
