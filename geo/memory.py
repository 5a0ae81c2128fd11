"""How kernels read and write where they know what they do: without a look at the sign of an index, and ahead of need.

Owns the words for it. An index that may be negative counts from the end in Python, so numba compares each one
with 0 that it cannot prove to be positive: in loops that do little else, a third of the work. Whoever says `peek` or
`poke` has an index from 0 on, within the array; nobody checks it.

A `fetch` asks for a line of the cache and waits for nothing: reads that are known some hundred points ahead are all
under way at once, where loads would fill up the processor's queue and stop it. It is asked into the second cache, since
what so many points need is more than the first one holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

BYTE_AT, INT = ir.IntType(8).as_pointer(), ir.IntType(32)

INTO_FIRST, INTO_SECOND = 3, 2
"""LLVM's names for how near a line shall come: 3 is the first cache, 2 the second."""


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """The address of an element."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _peek(typing: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *args))

    return array.dtype(array, types.int64), generate


def _poke(typing: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, signature.args[0], *args[:2]))
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), generate


def _fetch(near: int) -> Callable[..., Any]:
    def typed(typing: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            shape = ir.FunctionType(ir.VoidType(), [BYTE_AT, INT, INT, INT])
            prefetch = get_or_insert_function(builder.module, shape, "llvm.prefetch.p0")
            place = builder.bitcast(_place(context, builder, signature.args[0], *args), BYTE_AT)
            to_read, data = ir.Constant(INT, 0), ir.Constant(INT, 1)
            builder.call(prefetch, [place, to_read, ir.Constant(INT, near), data])
            return context.get_dummy_value()

        return types.void(array, types.int64), generate

    return typed


_word: Any = intrinsic

peek: Callable[..., Any] = _word(_peek)
"""`peek(array, index)`: the element of a contiguous array, counted on through its rows; `index` is not checked."""

poke: Callable[..., Any] = _word(_poke)
"""`poke(array, index, value)`: set the element; `index` is not checked, `value` is made the array's type."""

fetch: Callable[..., Any] = _word(_fetch(INTO_SECOND))
"""`fetch(array, index)`: have the line of the element in the second cache soon. Of any contiguous array: of records
too, and of rows, where the index counts elements."""

fetch_near: Callable[..., Any] = _word(_fetch(INTO_FIRST))
"""The same into the first cache: for what is read within the next few points."""
