"""Up to eight words sorted at once: by a network, as vector code, in which there is nothing to foresee wrongly.

Owns the network: Batcher's odd-even merge sort for eight (Knuth, 5.3.4), 19 comparisons in 6 steps, the comparisons of
a step side by side. One by one they take five times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

WORDS = 8

STEPS = (
    ((0, 1), (2, 3), (4, 5), (6, 7)),
    ((0, 2), (1, 3), (4, 6), (5, 7)),
    ((1, 2), (5, 6)),
    ((0, 4), (1, 5), (2, 6), (3, 7)),
    ((2, 4), (3, 5)),
    ((1, 2), (3, 4), (5, 6)),
)  # fmt: skip
"""Which places are compared, and their words swapped if they are the wrong way round."""

LAST = 0x7FFFFFFF
"""Behind every word."""

_INT = ir.IntType(32)
_INTS = ir.VectorType(_INT, WORDS)


def _generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    source, at, count, out, to = args
    read, written = (
        builder.gep(context.make_array(kind)(context, builder, array).data, [index])
        for kind, array, index in ((signature.args[0], source, at), (signature.args[3], out, to))
    )
    before = builder.load(builder.bitcast(read, _INTS.as_pointer()), align=4)
    first = builder.insert_element(ir.Constant(_INTS, ir.Undefined), builder.trunc(count, _INT), _INT(0))
    counts = builder.shuffle_vector(first, first, ir.Constant(_INTS, [0] * WORDS))
    is_of_row = builder.icmp_signed("<", ir.Constant(_INTS, list(range(WORDS))), counts)
    words = builder.select(is_of_row, before, ir.Constant(_INTS, [LAST] * WORDS))
    for pairs in STEPS:
        other = list(range(WORDS))
        for low, high in pairs:
            other[low], other[high] = high, low
        facing = builder.shuffle_vector(words, words, ir.Constant(_INTS, other))
        is_less = builder.icmp_signed("<", words, facing)
        least, most = builder.select(is_less, words, facing), builder.select(is_less, facing, words)
        taken = [lane if lane <= other[lane] else WORDS + lane for lane in range(WORDS)]
        words = builder.shuffle_vector(least, most, ir.Constant(_INTS, taken))
    found = builder.select(is_of_row, words, before)
    builder.store(found, builder.bitcast(written, _INTS.as_pointer()), align=4)
    return context.get_dummy_value()


def _sort(typing: Any, source: Any, at: Any, count: Any, out: Any, to: Any) -> Any:
    return types.void(source, types.int64, types.int64, out, types.int64), _generate


_word: Any = intrinsic

sort_few: Callable[..., Any] = _word(_sort)
"""`sort_few(source, at, count, out, to)`: the `count` words at `source[at]`, WORDS at most, sorted, to `out[to]`.

WORDS words are read and written, unchecked: behind the sorted ones those that follow in `source`.
"""
