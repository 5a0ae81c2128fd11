"""Whether the columns of a frame fit together: kernels read them without looking, so a broken one must not get there.

Owns that check, for frames that others than ourselves may have written. Must not know what becomes of a bad one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.kernel import kernel
from engine.wire import COLUMNS, NAMES, NONE

if TYPE_CHECKING:
    from engine.layout import Array
    from engine.wire import Located

_SIZES = {name: np.dtype(kind).itemsize for name, kind in COLUMNS.items()}
_FAULTS = (
    None, *(f"column `{name}` points out of the table of names" for name in NAMES), "a place lies outside of the map"
)  # fmt: skip


def fault_of(located: Located) -> str | None:
    """What is wrong with the columns, None when nothing is.

    >>> from engine.rows import Rows, columns
    >>> good = columns([Rows(["d"], [5], [1.0], [2.0], ["u"], [None], [8.0], [None], [None], [None], [None])])
    >>> fault_of(good)
    >>> import msgspec
    >>> fault_of(msgspec.structs.replace(good, lat=b""))
    'column `lat` has 0 bytes for 1 rows'
    """
    rows = located.borders[-1] if located.borders else 0
    for name, size in _SIZES.items():
        held = len(getattr(located, name))
        if held != rows * size and not (name == "received" and not held):
            return f"column `{name}` has {held} bytes for {rows} rows"
    if not located.borders:
        return None
    if located.borders[0] < 0 or located.borders != sorted(located.borders):
        return "the requests' borders do not ascend"
    if not rows:
        return None
    device, user, beacon = [located.column(name) for name in NAMES]
    return _FAULTS[_check(device, user, beacon, located.column("lat"), located.column("lng"), len(located.strings))]


@kernel
def _check(device: Array, user: Array, beacon: Array, lat: Array, lng: Array, names: int) -> int:
    """The number of the first fault."""
    for i in range(device.size):
        if not 0 <= device[i] < names:
            return 1
        if not NONE <= user[i] < names:
            return 2
        if not NONE <= beacon[i] < names:
            return 3
        if beacon[i] == NONE and not (abs(lat[i]) <= 90.0 and abs(lng[i]) <= 180.0):  # NaN is not below
            return 4
    return 0
