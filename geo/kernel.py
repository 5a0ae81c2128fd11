"""How the kernels of the map are compiled: cached on disk, without the interpreter lock, strict IEEE arithmetic.

Owns the one decorator. Never `fastmath`: the exact predicates rest on every rounding being the written one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

_compiled = njit(cache=True, nogil=True, error_model="numpy")


def kernel(function: Function) -> Function:
    """Compile `function` at its first call, or load it from the cache."""
    return cast(Function, _compiled(function))


_inlined = njit(cache=True, nogil=True, error_model="numpy", inline="always")


def inlined(function: Function) -> Function:
    """As `kernel`, and written out where it is called: for what takes many arrays, which are dear to hand over."""
    return cast(Function, _inlined(function))
