"""Four edges of a border at once: what the hot loop asks of them, as vector code.

Owns the arithmetic between a point and the edges of a cell, written once and done for four edges side by side. Must not
know whose edges they are (`entry`). The compiler does not come to this by itself: an edge lies behind the other, and
how many there are shows only at run time. Asked one by one, the processor foresees wrongly where they end, which costs
as much as all the arithmetic.

It is done in float32. Coordinates are whole and below 2^15 in size, so differences are off by less than 0.01, and the
distance of a point from an edge by less than 0.03: a sixtieth of the least tolerance that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

LANES = 4

WORDS = 2 * LANES
"""Words of the edges that are looked at: for each x0 and y0, x1 and y1, int16, low half first."""

_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_INTS, _FLOATS = ir.VectorType(_INT, LANES), ir.VectorType(_FLOAT, LANES)


class _Lanes:
    """A number for each edge, or a truth. Operators write the code that does it for all edges."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @classmethod
    def same(cls, builder: Any, value: Any) -> _Lanes:
        """The value for every edge."""
        first = builder.insert_element(ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined), value, _INT(0))
        return cls(builder, builder.shuffle_vector(first, first, ir.Constant(_INTS, [0] * LANES)))

    def __add__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.fadd(self.value, other.value))

    def __sub__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.fsub(self.value, other.value))

    def __mul__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.fmul(self.value, other.value))

    def __gt__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.fcmp_ordered(">", self.value, other.value))

    def __le__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.fcmp_ordered("<=", self.value, other.value))

    def __and__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.and_(self.value, other.value))

    def __xor__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.xor(self.value, other.value))

    def __abs__(self) -> _Lanes:
        shape = ir.FunctionType(_FLOATS, [_FLOATS])
        absolute = get_or_insert_function(self.builder.module, shape, f"llvm.fabs.v{LANES}f32")
        return _Lanes(self.builder, self.builder.call(absolute, [self.value]))

    def bits(self) -> Any:
        """The truths as the lowest bits of an int64."""
        return self.builder.zext(self.builder.bitcast(self.value, ir.IntType(LANES)), _LONG)


def _ends(builder: Any, edges: Any, end: int) -> tuple[_Lanes, _Lanes]:
    """(x, y) of one end of each edge."""
    words = builder.shuffle_vector(edges, edges, ir.Constant(_INTS, [2 * lane + end for lane in range(LANES)]))
    half = ir.Constant(_INTS, [16] * LANES)
    low, high = builder.ashr(builder.shl(words, half), half), builder.ashr(words, half)
    return _Lanes(builder, builder.sitofp(low, _FLOATS)), _Lanes(builder, builder.sitofp(high, _FLOATS))


def _generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    words, at, first, *numbers, goes_east = args
    data = builder.gep(context.make_array(signature.args[0])(context, builder, words).data, [at])
    edges = builder.load(builder.bitcast(data, ir.VectorType(_INT, WORDS).as_pointer()), align=4)
    (x0, y0), (x1, y1) = _ends(builder, edges, 0), _ends(builder, edges, 1)
    tolerance, x, y = (_Lanes.same(builder, builder.fptrunc(number, _FLOAT)) for number in numbers)
    east, zero = _Lanes.same(builder, goes_east), _Lanes(builder, ir.Constant(_FLOATS, [0.0] * LANES))
    places = ir.Constant(_INTS, list(range(LANES)))
    firsts = _Lanes.same(builder, builder.trunc(first, _INT)).value
    is_asked = _Lanes(builder, builder.icmp_signed(">=", places, firsts))

    dx, dy, ex, ey, fx, fy = x1 - x0, y1 - y0, x - x0, y - y0, x - x1, y - y1
    side = dx * ey - dy * ex
    # e + f is twice the way from the middle of the edge, which reaches half of d to either side
    along = abs(ex + fx) - abs(dx) <= tolerance + tolerance
    level = abs(ey + fy) - abs(dy) <= tolerance + tolerance
    is_near = is_asked & along & level & (abs(side) <= tolerance * (abs(dx) + abs(dy)))
    is_crossed = is_asked & ((y0 > y) ^ (y1 > y)) & ((side > zero) ^ (y1 > y0) ^ east)
    return builder.or_(is_crossed.bits(), builder.shl(is_near.bits(), ir.Constant(_LONG, LANES)))


def _look(typing: Any, words: Any, at: Any, first: Any, tolerance: Any, x: Any, y: Any, goes_east: Any) -> Any:
    real = types.float64
    return types.int64(words, types.int64, types.int64, real, real, real, types.boolean), _generate


_word: Any = intrinsic

look_at_four: Callable[..., Any] = _word(_look)
"""`look_at_four(words, at, first, tolerance, x, y, goes_east)`: of the edges at `words[at]`, those from `first` on.

Bit k of the answer is 1 if the ray from (x, y) crosses edge k, bit LANES + k if the point is within `tolerance` of it.
All WORDS words are read, unchecked, whatever `first` is.
"""
