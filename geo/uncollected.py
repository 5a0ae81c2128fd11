"""Memory that is not searched for garbage while it fills: what is read has no cycles, what is imported stays.

Owns these switches of the interpreter.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_USUAL: Final = gc.get_threshold()
#: So many values are made before the collector looks: a start has it look a dozen times, not thousands.
_SELDOM: Final = 100_000


@contextmanager
def uncollected() -> Iterator[None]:
    """Within, the collector does not look again and again through millions of values that all are in use."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def collect_seldom() -> None:
    """From now on, while a process starts, the collector looks seldom."""
    gc.set_threshold(_SELDOM)


def collect_as_usual() -> None:
    """From now on the collector looks as usual, and not at what is there: that stays as long as the process."""
    gc.freeze()
    gc.set_threshold(*_USUAL)
    gc.enable()
