"""Several edges of a border at once: what the hot loop asks of them, as vector code.

Owns the arithmetic between a point and the edges of a cell, written once and done for four edges side by side, or for
eight. Must not know whose edges they are (`entry`). The compiler does not come to this by itself: an edge lies behind
the other, and how many there are shows only at run time. Asked one by one, the processor foresees wrongly where they
end, which costs as much as all the arithmetic.

It is done in whole numbers, without any error: x and y are int16 each, and so are the differences between any two of
them, since nobody goes further than COORDINATE_MAX. Products of two differences, and sums of two such products, are
int32. What is in words is told as int32 too: where the point is, as x and y of an edge; and of whom one asks, the
tolerance in the upper half, and in bit 1 whether the ray goes west.
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

COORDINATE_MAX = 16_383
"""No coordinate is further from 0: differences are int16, and less than 2^15 in size."""

_SHORT, _INT, _LONG = ir.IntType(16), ir.IntType(32), ir.IntType(64)

_SIGNS = -0x7FFF8000
"""The sign bits of both halves of an int32."""


class _Edges:
    """Writes code for vectors of pairs (x, y), int16, one pair for each edge; or of an int32 for each edge."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.pairs, self.numbers = ir.VectorType(_SHORT, 2 * lanes), ir.VectorType(_INT, lanes)

    def same(self, value: Any) -> Any:
        """An int32 for every edge."""
        first = self.builder.insert_element(ir.Constant(self.numbers, ir.Undefined), value, _INT(0))
        return self.picked(first, [0] * self.lanes)

    def picked(self, vector: Any, places: list[int]) -> Any:
        """The elements at `places`."""
        return self.builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_INT, len(places)), places))

    def as_pairs(self, vector: Any) -> Any:
        return self.builder.bitcast(vector, self.pairs)

    def as_numbers(self, vector: Any) -> Any:
        return self.builder.bitcast(vector, self.numbers)

    def of_pairs(self, name: str, *args: Any) -> Any:
        """LLVM's `name` of vectors of pairs: sums and differences that stop at the ends of int16, least, most, size."""
        shape = ir.FunctionType(self.pairs, [a.type for a in args])
        of_type = f"llvm.{name}.v{self.pairs.count}i16"
        return self.builder.call(get_or_insert_function(self.builder.module, shape, of_type), args)

    def products(self, a: Any, b: Any) -> Any:
        """x x + y y of pairs: one instruction, where a processor has it."""
        sums = []
        for start in range(2):
            places = list(range(start, 2 * self.lanes, 2))
            halves = (self.builder.sext(self.picked(v, places), self.numbers) for v in (a, b))
            sums.append(self.builder.mul(*halves))
        return self.builder.add(*sums)

    def turned(self, pairs: Any, which: Any) -> Any:
        """(-y, x) or (y, -x) of each pair: `which` is -1 in place of what comes with a minus, and else 0."""
        swapped = self.picked(pairs, [place ^ 1 for place in range(2 * self.lanes)])
        return self.builder.sub(self.builder.xor(swapped, which), which)

    def bits(self, truths: Any) -> Any:
        """The truths of the edges as the lowest bits of an int64."""
        return self.builder.zext(self.builder.bitcast(truths, ir.IntType(self.lanes)), _LONG)


def _generate(lanes: int, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    words, at, first, meta, place = args
    to = _Edges(builder, lanes)
    begin, end = _ends(to, context.make_array(signature.args[0])(context, builder, words).data, at)
    point, metas = to.as_pairs(to.same(builder.trunc(place, _INT))), to.same(builder.trunc(meta, _INT))
    half, zero = to.same(_INT(16)), to.same(_INT(0))
    tolerance = builder.lshr(metas, half)
    reach = to.as_pairs(builder.or_(tolerance, builder.shl(tolerance, half)))
    west = builder.ashr(builder.shl(metas, to.same(_INT(30))), to.same(_INT(31)))

    way, from_begin, from_end = builder.sub(end, begin), builder.sub(point, begin), builder.sub(point, end)
    # towards the west all sides are the other way round
    side = to.products(to.turned(way, to.as_pairs(builder.xor(west, to.same(_INT(0xFFFF))))), from_begin)
    side_size = builder.select(builder.icmp_signed("<", side, zero), builder.sub(zero, side), side)
    size = to.of_pairs("abs", way, ir.Constant(ir.IntType(1), 0))
    in_line = builder.icmp_signed("<=", side_size, to.products(size, reach))
    most = to.of_pairs("sadd.sat", to.of_pairs("smax", begin, end), reach)
    least = to.of_pairs("ssub.sat", to.of_pairs("smin", begin, end), reach)
    # negative where the point is beyond them
    room = builder.or_(to.of_pairs("ssub.sat", most, point), to.of_pairs("ssub.sat", point, least))
    in_box = builder.icmp_signed("==", builder.and_(to.as_numbers(room), to.same(_INT(_SIGNS))), zero)
    # y is the upper half of a pair, so that its sign is that of the pair
    passes, facing = to.as_numbers(builder.xor(from_begin, from_end)), builder.xor(side, to.as_numbers(way))
    is_crossed = builder.icmp_signed("<", builder.and_(passes, builder.not_(facing)), zero)

    crossed = builder.lshr(to.bits(is_crossed), first)
    near = builder.lshr(to.bits(builder.and_(in_box, in_line)), first)
    return builder.or_(builder.and_(builder.ctpop(crossed), _LONG(1)), builder.shl(near, _LONG(1)))


def _ends(to: _Edges, data: Any, at: Any) -> tuple[Any, Any]:
    """(where the edges at `data[at]` begin, where they end)."""
    builder, lanes = to.builder, to.lanes
    halves = []
    for start in range(0, 2 * lanes, lanes):
        place = builder.gep(data, [builder.add(at, _LONG(start))])
        halves.append(builder.load(builder.bitcast(place, to.numbers.as_pointer()), align=4))
    every_other = [ir.Constant(to.numbers, list(range(start, 2 * lanes, 2))) for start in range(2)]
    begin, end = (to.as_pairs(builder.shuffle_vector(*halves, places)) for places in every_other)
    return begin, end


def _look_at(lanes: int) -> Callable[..., Any]:
    def typed(typing: Any, words: Any, at: Any, first: Any, meta: Any, place: Any) -> Any:
        long = types.int64
        return long(words, long, long, long, long), partial(_generate, lanes)

    return typed


_word: Any = intrinsic

look_at_few: Callable[..., Any] = _word(_look_at(FEW))
"""`look_at_few(words, at, first, meta, place)`: of the FEW edges at `words[at]`, those from `first` on.

The lowest bit of the answer is 1 if the ray from the point crosses an odd number of them, and others are set if the
point is within the tolerance of one. Of a point that is not, they are right. All words are read, unchecked, whatever
`first` is.
"""

look_at_many: Callable[..., Any] = _word(_look_at(MANY))
"""The same of MANY edges."""
