"""Several edges of a border at once: what the hot loop asks of them, as vector code.

Owns the arithmetic between a point and the edges of a cell, written once and done for four edges side by side, or for
eight. Must not know whose edges they are (`entry`). The compiler does not come to this by itself: an edge lies behind
the other, and how many there are shows only at run time. Asked one by one, the processor foresees wrongly where they
end, which costs as much as all the arithmetic.

It is done in whole numbers, without any error: x and y are int16 each, and so are the differences between any two of
them, since nobody goes further than COORDINATE_MAX. Products of two differences, and sums of two such products, are
int32. A word is a pair of int16, x low and y high: where an edge begins, its way from there to its end, where the point
is. Of whom one asks, a word has the tolerance in the upper half, and in bit 1 whether the ray goes west.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import binding, ir
from numba.core import config, types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

FEW, MANY = 4, 8
"""So many edges are looked at side by side. Where a processor has no room for so many, LLVM takes them in parts."""

WORDS = FEW
"""So many words before an entry may be read."""

COORDINATE_MAX = 16_383
"""No coordinate is further from 0: differences are int16, and less than 2^15 in size."""

_SHORT, _INT, _LONG = ir.IntType(16), ir.IntType(32), ir.IntType(64)


def _one_instruction() -> dict[int, str]:
    """By how many edges: LLVM's name of the one instruction for `products`, which it seldom finds by itself."""
    if not binding.get_process_triple().startswith("x86_64"):
        return {}
    told: Any = config
    is_for_this_one = told.CPU_NAME is None and told.CPU_FEATURES is None
    has_wide = is_for_this_one and binding.get_host_cpu_features().get("avx2", False)
    return {FEW: "llvm.x86.sse2.pmadd.wd"} | ({MANY: "llvm.x86.avx2.pmadd.wd"} if has_wide else {})


ONE_INSTRUCTION = _one_instruction()


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

    def called(self, name: str, vector: Any, *others: Any) -> Any:
        """LLVM's `name` of vectors alike."""
        kind = vector.type
        shape = ir.FunctionType(kind, [kind, *(other.type for other in others)])
        of_type = f"llvm.{name}.v{kind.count}{kind.element}"
        return self.builder.call(get_or_insert_function(self.builder.module, shape, of_type), (vector, *others))

    def size(self, vector: Any) -> Any:
        """The size of each number."""
        return self.called("abs", vector, ir.Constant(ir.IntType(1), 0))

    def products(self, a: Any, b: Any) -> Any:
        """x x + y y of pairs."""
        if self.lanes in ONE_INSTRUCTION:
            shape, name = ir.FunctionType(self.numbers, [self.pairs, self.pairs]), ONE_INSTRUCTION[self.lanes]
            return self.builder.call(get_or_insert_function(self.builder.module, shape, name), (a, b))
        sums = []
        for start in range(2):
            places = list(range(start, 2 * self.lanes, 2))
            halves = (self.builder.sext(self.picked(v, places), self.numbers) for v in (a, b))
            sums.append(self.builder.mul(*halves))
        return self.builder.add(*sums)

    def turned(self, pairs: Any) -> Any:
        """(-y, x) of each pair."""
        swapped = self.picked(pairs, [place ^ 1 for place in range(2 * self.lanes)])
        is_first = ir.Constant(self.pairs, [-1, 0] * self.lanes)
        return self.builder.sub(self.builder.xor(swapped, is_first), is_first)

    def bits(self, truths: Any) -> Any:
        """The truths of the edges as the lowest bits of an int64."""
        return self.builder.zext(self.builder.bitcast(truths, ir.IntType(self.lanes)), _LONG)

    def loaded(self, data: Any, at: Any) -> Any:
        """The pairs from `data[at]` on, where they lie."""
        place = self.builder.bitcast(self.builder.gep(data, [at]), self.pairs.as_pointer())
        return self.builder.load(place, align=4)


def _generate(lanes: int, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    words, begins, ways, first, meta, place = args
    to = _Edges(builder, lanes)
    data = context.make_array(signature.args[0])(context, builder, words).data
    begin, way = to.loaded(data, begins), to.loaded(data, ways)
    point, metas = to.as_pairs(to.same(builder.trunc(place, _INT))), to.same(builder.trunc(meta, _INT))
    half, zero = to.same(_INT(16)), to.same(_INT(0))
    tolerance = builder.lshr(metas, half)
    reach = to.as_pairs(builder.or_(tolerance, builder.shl(tolerance, half)))

    from_begin = builder.sub(point, begin)
    from_end = builder.sub(from_begin, way)
    side = to.products(to.turned(way), from_begin)
    size = to.size(way)
    is_off = builder.icmp_signed(">", to.size(side), to.products(size, reach))
    # twice how far the point is from the middle of the edge, up to 2^15, against how far it may be
    away = to.size(to.called("sadd.sat", from_begin, from_end))
    beyond = to.called("usub.sat", away, to.called("sadd.sat", to.called("sadd.sat", reach, reach), size))
    room = builder.or_(builder.sext(is_off, to.numbers), to.as_numbers(beyond))
    is_near = builder.icmp_signed("==", room, zero)
    # y is the upper half of a pair, so that its sign is that of the pair; and west is all the other way round
    passes, west = to.as_numbers(builder.xor(from_begin, from_end)), builder.shl(metas, to.same(_INT(30)))
    facing = builder.xor(builder.xor(side, to.as_numbers(way)), west)
    is_crossed = builder.icmp_signed("<", builder.and_(passes, builder.not_(facing)), zero)

    crossed, near = (builder.lshr(to.bits(truths), first) for truths in (is_crossed, is_near))
    return builder.or_(builder.and_(builder.ctpop(crossed), _LONG(1)), builder.shl(near, _LONG(1)))


def _look_at(lanes: int) -> Callable[..., Any]:
    def typed(typing: Any, words: Any, begins: Any, ways: Any, first: Any, meta: Any, place: Any) -> Any:
        long = types.int64
        return long(words, long, long, long, long, long), partial(_generate, lanes)

    return typed


_word: Any = intrinsic

look_at_few: Callable[..., Any] = _word(_look_at(FEW))
"""`look_at_few(words, begins, ways, first, meta, place)`: of the FEW edges that begin at the pairs `words[begins]` and
go the ways `words[ways]`, those from `first` on.

The lowest bit of the answer is 1 if the ray from the point crosses an odd number of them, and others are set if the
point is within the tolerance of one; perhaps also if that ends beyond int16. Of a point that is not, they are right.
All words are read, unchecked, whatever `first` is.
"""

look_at_many: Callable[..., Any] = _word(_look_at(MANY))
"""The same of MANY edges."""
