"""How the kernels of the map are compiled: cached on disk, without the interpreter lock, strict IEEE arithmetic.

Owns the decorators, and how those of other packages are made. Never `fastmath`: the exact predicates rest on every
rounding being the written one.

A kernel takes many arrays, and numba counts references to each of them at every call of one by another, and to each row
that is looked at: dearer than the work of a small kernel. Whoever calls from Python holds the arrays anyway, so a
`kernel` counts none; what makes an array of its own, or holds one that was made for it, is a `maker`. Both are said
to numba, which else compiles as the first caller is compiled.

A cached kernel has the kernels that it calls compiled into it, but numba looks only at its own file to see whether it
is still good: after an update that changed `orient.py` alone, `match` would go on with the old predicate. So here the
stamp of every cached kernel is that of all sources of the package.

To load a kernel that is on disk numba first makes ready all that it may want to compile one with, a tenth of a second
in every process. A compilation does that by itself, so here a load goes without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys

import geo
from geo.sources import sources_of

Function = TypeVar("Function", bound=Callable[..., Any])


def _stamp_of_sources() -> bytes:
    digest = hashlib.sha256()
    for _, source in sources_of(geo):
        digest.update(source)
    return digest.digest()


STAMP = _stamp_of_sources()


class _OnDisk(FunctionCache):
    """The compiled forms of one function, on disk."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        untyped: Any = self
        rtsys.initialize(target_context)  # what makers call to get memory
        with untyped._guard_against_spurious_io_errors():
            return untyped._load_overload(sig, target_context)


def compiled(function: Callable[..., Any], *, stamp: bytes = STAMP, **options: bool) -> Any:
    """The kernel of a function, kept on disk for as long as `stamp` stays the same; `options` are numba's."""
    jit: Any = njit
    on_disk: Any = _OnDisk
    made = jit(nogil=True, error_model="numpy", **options)(function)
    if made is function:
        return made  # numba is told to compile nothing
    try:
        made._cache = on_disk(function)
    except RuntimeError:
        return made  # there is no folder that can be written to: then each process compiles for itself
    made._cache._cache_file._source_stamp = stamp
    return made


def kernel(function: Function) -> Function:
    """Compile `function`, which makes no arrays, at its first call, or load it from the cache."""
    return cast(Function, compiled(function, _nrt=False))


def maker(function: Function) -> Function:
    """The same for a function that makes arrays, copies slices, or hands on what another maker made."""
    return cast(Function, compiled(function, _nrt=True))


def inlined(function: Function) -> Function:
    """As `kernel`, and written out where it is called: to hand over many arrays is dear, even uncounted."""
    return cast(Function, compiled(function, _nrt=False, forceinline=True))


def is_cached(function: Callable[..., Any]) -> bool:
    """True if a compiled form of the kernel, made from these very sources, is on disk."""
    file = getattr(getattr(function, "_cache", None), "_cache_file", None)
    return file is not None and bool(file._load_index())
