"""How the engine's kernels are compiled: as the map's are, and kept for as long as no source of theirs changes.

Owns the decorators. A kernel has those that it calls compiled into it, the map's too, so its stamp is of them all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import engine
from geo import kernel as geo_kernel
from geo.sources import sources_of

Function = TypeVar("Function", bound=Callable[..., Any])


def _stamp_of_sources() -> bytes:
    digest = hashlib.sha256(geo_kernel.STAMP)
    for name, source in sources_of(engine):
        if b"engine.kernel" in source or name == "layout":  # the constants and types that kernels are made with
            digest.update(source)
    return digest.digest()


_STAMP = _stamp_of_sources()


def kernel(function: Function) -> Function:
    """Compile `function`, which makes no arrays, at its first call, or load it from the cache."""
    return cast(Function, geo_kernel.compiled(function, stamp=_STAMP, _nrt=False))


def inlined(function: Function) -> Function:
    """As `kernel`, and written out where it is called: to hand over the state, some hundred words, is dear."""
    return cast(Function, geo_kernel.compiled(function, stamp=_STAMP, _nrt=False, forceinline=True))


def maker(function: Function) -> Function:
    """The same for a function that makes arrays."""
    return cast(Function, geo_kernel.compiled(function, stamp=_STAMP, _nrt=True))
