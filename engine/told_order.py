"""The order in which records of what was told are judged, where names are numbers.

Owns that order, and the reading of records that it needs. Must not know names: it is given numbers that come as they
do. A sort by several columns costs as much for twenty records as for a thousand; here a step that tells of few is cheap
too.
"""

from __future__ import annotations

from engine.kernel import inlined, kernel
from engine.layout import MOVED, Array, wide


@kernel
def put_in_order(records: Array, keys: Array, hands: Array, rank: Array, order: Array, aside: Array) -> bool:
    """Fill `order` with the records' numbers as they are told; True if devices with the same keys stand side by side.

    That is by request, time, `keys` (uint64[records, 2]), `hands` (int64[records], or none: nobody changed hands), kind
    and `rank` of the place; what is equal in all of these stays as it was. `order` and `aside` are int64[records].
    """
    count = records.size
    for at in range(count):
        order[at] = at
    width = 1
    while width < count:
        for first in range(0, count, 2 * width):
            middle = min(first + width, count)
            _merge(records, keys, hands, rank, order, aside, first, middle, min(middle + width, count))
        for at in range(count):
            order[at] = aside[at]
        width *= 2
    for n in range(1, count):
        a, b = order[n - 1], order[n]
        if records[a].slot != records[b].slot and _compared(records, keys, a, b) == 0:
            return True
    return False


@kernel
def arrange(records: Array, order: Array, told: Array) -> None:
    """Fill `told` with the records in their order. Numpy would do it field by field, which takes ten times as long."""
    for at in range(order.size):
        told[at] = records[order[at]]


@kernel
def have(records: Array) -> tuple[bool, bool]:
    """Whether some tell of a change of hands, and whether some name a user."""
    moved, users = False, False
    for at in range(records.size):
        moved |= records[at].kind == MOVED
        users |= records[at].user >= 0
    return moved, users


@kernel
def _merge(
    records: Array, keys: Array, hands: Array, rank: Array, order: Array, aside: Array,
    first: int, middle: int, last: int,
) -> None:  # fmt: skip
    """Put order[first:middle] and order[middle:last], each in order, together into `aside`."""
    left, right = first, middle
    for n in range(first, last):
        if right == last or (left < middle and not _is_before(records, keys, hands, rank, order[right], order[left])):
            aside[n] = order[left]
            left += 1
        else:
            aside[n] = order[right]
            right += 1


@inlined
def _is_before(records: Array, keys: Array, hands: Array, rank: Array, a: int, b: int) -> bool:
    compared = _compared(records, keys, a, b)
    if compared != 0:
        return compared < 0
    if hands.size > 0 and hands[a] != hands[b]:
        return bool(hands[a] < hands[b])
    if records[a].kind != records[b].kind:
        return bool(records[a].kind < records[b].kind)
    # what a change of hands has as its place is a user
    return bool(records[a].kind != MOVED and rank[wide(records[a].place)] < rank[wide(records[b].place)])


@inlined
def _compared(records: Array, keys: Array, a: int, b: int) -> int:
    """Below, at or above 0: by request, time and keys."""
    if records[a].request != records[b].request:
        return -1 if records[a].request < records[b].request else 1
    if records[a].time_ms != records[b].time_ms:
        return -1 if records[a].time_ms < records[b].time_ms else 1
    for k in range(2):
        if keys[a, k] != keys[b, k]:
            return -1 if keys[a, k] < keys[b, k] else 1
    return 0
