"""Several edges of a border at once: what the hot loop asks of them, as vector code.

Owns the arithmetic between a point and the edges of a cell, written once and done for four edges side by side, or for
eight. Must not know whose edges they are (`entry`). The compiler does not come to this by itself: an edge lies behind
the other, and how many there are shows only at run time. Asked one by one, the processor foresees wrongly where they
end, which costs as much as all the arithmetic.

It is done in float32. Coordinates are whole and below 2^15 in size, so differences are off by less than 0.01, and the
distance of a point from an edge by less than 0.03: a sixtieth of the least tolerance that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

FEW, MANY = 4, 8
"""So many edges are looked at side by side. Where a processor has no room for so many, LLVM takes them in parts."""

WORDS = 2 * FEW
"""Words of the few: for each edge x0 and y0, x1 and y1, int16, low half first. So many may be read before an entry."""

_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()


class _Lanes:
    """A number for each edge, or a truth. Operators write the code that does it for all edges."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @classmethod
    def same(cls, builder: Any, value: Any, lanes: int) -> _Lanes:
        """The value for every edge."""
        first = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, _INT(0))
        return cls(builder, builder.shuffle_vector(first, first, _ints([0] * lanes)))

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
        shape = ir.FunctionType(self.value.type, [self.value.type])
        absolute = get_or_insert_function(self.builder.module, shape, f"llvm.fabs.v{self.value.type.count}f32")
        return _Lanes(self.builder, self.builder.call(absolute, [self.value]))

    def bits(self) -> Any:
        """The truths as the lowest bits of an int64."""
        return self.builder.zext(self.builder.bitcast(self.value, ir.IntType(self.value.type.count)), _LONG)


def _ints(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_INT, len(numbers)), numbers)


def _ends(builder: Any, edges: Any, end: int, lanes: int) -> tuple[_Lanes, _Lanes]:
    """(x, y) of one end of each edge."""
    words = builder.shuffle_vector(edges, edges, _ints([2 * lane + end for lane in range(lanes)]))
    half, floats = _ints([16] * lanes), ir.VectorType(_FLOAT, lanes)
    low, high = builder.ashr(builder.shl(words, half), half), builder.ashr(words, half)
    return _Lanes(builder, builder.sitofp(low, floats)), _Lanes(builder, builder.sitofp(high, floats))


def _generate(lanes: int, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    words, at, first, *numbers, goes_east = args
    data = builder.gep(context.make_array(signature.args[0])(context, builder, words).data, [at])
    edges = builder.load(builder.bitcast(data, ir.VectorType(_INT, 2 * lanes).as_pointer()), align=4)
    (x0, y0), (x1, y1) = _ends(builder, edges, 0, lanes), _ends(builder, edges, 1, lanes)
    tolerance, x, y = (_Lanes.same(builder, builder.fptrunc(number, _FLOAT), lanes) for number in numbers)
    east, zero = _Lanes.same(builder, goes_east, lanes), _Lanes.same(builder, _FLOAT(0.0), lanes)
    firsts = _Lanes.same(builder, builder.trunc(first, _INT), lanes).value
    is_asked = _Lanes(builder, builder.icmp_signed(">=", _ints(list(range(lanes))), firsts))

    dx, dy, ex, ey, fx, fy = x1 - x0, y1 - y0, x - x0, y - y0, x - x1, y - y1
    side = dx * ey - dy * ex
    # e + f is twice the way from the middle of the edge, which reaches half of d to either side
    along = abs(ex + fx) - abs(dx) <= tolerance + tolerance
    level = abs(ey + fy) - abs(dy) <= tolerance + tolerance
    is_near = is_asked & along & level & (abs(side) <= tolerance * (abs(dx) + abs(dy)))
    is_crossed = is_asked & ((y0 > y) ^ (y1 > y)) & ((side > zero) ^ (y1 > y0) ^ east)
    odd = builder.and_(builder.ctpop(is_crossed.bits()), _LONG(1))
    return builder.or_(odd, builder.shl(is_near.bits(), _LONG(1)))


def _look_at(lanes: int) -> Callable[..., Any]:
    def typed(typing: Any, words: Any, at: Any, first: Any, tolerance: Any, x: Any, y: Any, goes_east: Any) -> Any:
        real = types.float64
        return types.int64(words, types.int64, types.int64, real, real, real, types.boolean), partial(_generate, lanes)

    return typed


_word: Any = intrinsic

look_at_few: Callable[..., Any] = _word(_look_at(FEW))
"""`look_at_few(words, at, first, tolerance, x, y, goes_east)`: of the FEW edges at `words[at]`, those from `first` on.

The lowest bit of the answer is 1 if the ray from (x, y) crosses an odd number of them, and bit 1 + k if the point is
within `tolerance` of edge k. All words are read, unchecked, whatever `first` is.
"""

look_at_many: Callable[..., Any] = _word(_look_at(MANY))
"""The same of MANY edges."""
