"""The fold without I/O, where one fix decides: see `benchmarks/fold.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.fold import folded

if TYPE_CHECKING:
    from contextlib import ExitStack

    from benchmarks.bench import Bench, Size


def bench(size: Size, keep: ExitStack) -> Bench:
    """With `preset: instant`: in on a fix that is in, out on one that is out."""
    return folded("fold_instant", "detection: {preset: instant}", size)
