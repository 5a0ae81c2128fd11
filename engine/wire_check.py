"""Whether the columns of a frame fit together: kernels read them without looking, so a broken one must not get there.

Owns that check, for frames that others than ourselves may have written. Must not know what becomes of a bad one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.wire import COLUMNS, NONE

if TYPE_CHECKING:
    from engine.wire import Located

_SIZES = {name: np.dtype(kind).itemsize for name, kind in COLUMNS.items()}


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
    if any(a > b for a, b in zip([0, *located.borders], located.borders, strict=False)):
        return "the requests' borders do not ascend"
    if not rows:
        return None
    for name, least in (("device", 0), ("user", NONE), ("beacon", NONE)):
        numbers = located.column(name)
        if numbers.min() < least or numbers.max() >= len(located.strings):
            return f"column `{name}` points out of the table of names"
    fixes = located.column("beacon") == NONE
    lat, lng = located.column("lat")[fixes], located.column("lng")[fixes]
    if not bool(np.all((np.abs(lat) <= 90.0) & (np.abs(lng) <= 180.0))):  # NaN is not below
        return "a place lies outside of the map"
    return None
