"""The innermost loops of products and convolutions: tiles that stay in this processor's vector registers.

What BLAS does not know: rows that lie anywhere (so that convolution needs no copy of what its window sees), and the widest
vectors of a processor that BLAS takes for an older one. The loops are written for LLVM, in vectors, as Numba's own loops do not
keep a tile of sums in registers. All addresses and distances are in bytes. The ``shape`` of a tile is two tuples of zeros of
the dtype, one as long as it has rows and one as it has vectors in a row: their types say for what it is compiled.

This module imports Numba and is imported when a kernel that calls it is compiled.

Sources: F. Van Zee, R. van de Geijn, BLIS: A Framework for Rapidly Instantiating BLAS Functionality (2015); M. Dukhan, The
Indirect Convolution Algorithm (2019); B. Barabasz, A. Anderson, K. Soodhalter, D. Gregg, Error Analysis and Improving the
Accuracy of Winograd Convolution for Deep Neural Networks (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import ARM, VECTOR, Vectors
from .vectors import SUMS as SUMS

_WORD = ir.IntType(64)
#: How many rows a tile may have. With the most, and two vectors to a row, all but a few of the registers hold sums.
HEIGHTS = (14, 8) if VECTOR == 64 or ARM else (6,)


def _product_tile(strided: bool) -> Any:
    @intrinsic
    def multiply_tile(
        typingctx: Any,
        base: Any,
        rows: Any,
        parts: Any,
        count: Any,
        length: Any,
        step: Any,
        weights: Any,
        bias: Any,
        out: Any,
        places: Any,
        columns: Any,
        shape: Any,
    ) -> Any:
        """A tile of a product of gathered rows: out[m] = bias + sum over p, i of x[m, p, i] weights[p length + i].

        Args:
            base: an address in x.
            rows: the address of the distance of each row m from ``base``.
            parts: the address of the distances of each part p from a row's beginning, and of its weights from ``weights``.
            count: how many parts.
            length: how many elements of x a part has.
            step: their distance, where it is ``strided``; else they lie one after the other.
            weights: the address of contiguous (length, width) matrices.
            bias: the address of as many numbers as there are columns.
            out: an address in the result.
            places: the address of the distance of each row of the result from ``out``.
            columns: how many of the tile's columns there are in the bias and the result, if not all.
            shape: the tile's.
        """
        signature = types.void(*[types.intp] * 11, shape)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            base, rows, parts, count, length, step, weights, bias, out, places, columns, _ = args
            tile, high, wide = Vectors(builder, shape[0].dtype), len(shape[0]), len(shape[1])
            sums = tile.sums(high, wide)
            # which lanes of each vector there are; the last vector may have fewer
            there = [tile.below(builder.sub(columns, _WORD(v * tile.lanes))) for v in range(wide)]
            for v in range(wide):
                start = tile.load_some(builder.add(bias, _WORD(v * VECTOR)), there[v])
                for m in range(high):
                    builder.store(start, sums[m][v])
            results = [builder.add(out, tile.word(places, m)) for m in range(high)]
            for result in results:
                for v in range(wide):
                    tile.expect(result, v * VECTOR)
            weight = cgutils.alloca_once(builder, _WORD)
            with cgutils.for_range(builder, count) as part:
                its = builder.add(parts, builder.mul(part.index, _WORD(16)))
                shift = builder.add(base, tile.word(its, 0))
                builder.store(builder.add(weights, tile.word(its, 1)), weight)
                starts = [builder.add(shift, tile.word(rows, m)) for m in range(high)]

                def add(first: Any, several: int, starts: list[Any] = starts) -> None:
                    at = builder.load(weight)
                    factors = [[tile.load(at, (i * wide + v) * VECTOR) for v in range(wide)] for i in range(several)]
                    builder.store(builder.add(at, _WORD(several * wide * VECTOR)), weight)
                    distances = [
                        builder.mul(builder.add(first, _WORD(i)), step if strided else _WORD(tile.size)) for i in range(several)
                    ]
                    for m in range(high):
                        for distance, its in zip(distances, factors, strict=True):
                            x = tile.broadcast(builder.add(starts[m], distance))
                            for v in range(wide):
                                builder.store(tile.multiply_add(x, its[v], builder.load(sums[m][v])), sums[m][v])

                # several at a time, where there are more rows than registers for where they begin
                several = 4 if wide == 1 else 1
                with cgutils.for_range(builder, builder.udiv(length, _WORD(several))) as loop:
                    add(builder.mul(loop.index, _WORD(several)), several)
                if several > 1:
                    rest = builder.urem(length, _WORD(several))
                    with cgutils.for_range(builder, rest) as loop:
                        add(builder.add(builder.sub(length, rest), loop.index), 1)
            with builder.if_else(builder.icmp_signed(">=", columns, _WORD(wide * tile.lanes))) as (whole, partly):
                with whole:
                    for m, result in enumerate(results):
                        for v in range(wide):
                            tile.store(builder.load(sums[m][v]), result, v * VECTOR)
                with partly:
                    for m, result in enumerate(results):
                        for v in range(wide):
                            tile.store_some(builder.load(sums[m][v]), builder.add(result, _WORD(v * VECTOR)), there[v])
            return context.get_dummy_value()

        return signature, codegen

    return multiply_tile


multiply_tile, multiply_strided_tile = _product_tile(False), _product_tile(True)


@intrinsic
def correlate_tile(
    typingctx: Any,
    x: Any,
    starts: Any,
    g: Any,
    places: Any,
    count: Any,
    out: Any,
    shape: Any,
) -> Any:
    """Add a tile of a sum of outer products: out[m] += sum over p of x[p, m] g[p].

    Args:
        x: an address.
        starts: the address of the distance of each p from ``x``; from there on its elements m are contiguous.
        g: an address.
        places: the address of the distance of each p from ``g``; from there on its elements are contiguous.
        count: how many p.
        out: the address of the tile, which is contiguous.
        shape: the tile's.
    """
    signature = types.void(*[types.intp] * 6, shape)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, starts, g, places, count, out, _ = args
        tile, high, wide = Vectors(builder, shape[0].dtype), len(shape[0]), len(shape[1])
        sums = tile.sums(high, wide)
        for m in range(high):
            for v in range(wide):
                builder.store(tile.load(out, (m * wide + v) * VECTOR), sums[m][v])
        with cgutils.for_range(builder, count) as loop:
            index = builder.mul(loop.index, _WORD(8))
            left = builder.add(x, tile.word(builder.add(starts, index), 0))
            right = builder.add(g, tile.word(builder.add(places, index), 0))
            columns = [tile.load(right, v * VECTOR) for v in range(wide)]
            for m in range(high):
                factor = tile.broadcast(builder.add(left, _WORD(m * tile.size)))
                for v in range(wide):
                    builder.store(tile.multiply_add(factor, columns[v], builder.load(sums[m][v])), sums[m][v])
        for m in range(high):
            for v in range(wide):
                tile.store(builder.load(sums[m][v]), out, (m * wide + v) * VECTOR)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def scale_tile(
    typingctx: Any, x: Any, lines: Any, count: Any, distances: Any, along: Any, apart: Any, steps: Any, columns: Any,
    weights: Any, bias: Any, out: Any, places: Any, zeros: Any, shape: Any,
) -> Any:  # fmt: skip
    """A tile of a convolution of groups of few channels: out[m] = bias + sum over r, e of x[m, r, e] weights[r, e].

    Element by element, if a group is one channel. Else x and weights are multiplied so, too, but for each of a group's channels
    t in turn: what belongs to the lane i of a group is then found in its lane i + t.

    Args:
        x: the address of an image's channels.
        lines: the address of the lines r that are seen: for each the distance of its first pixel, and of its weights.
        count: how many lines.
        distances: the address of the distance of the pixel m that the column e of the kernel sees from a line's first one, for
            each e and m; negative where there is none, and 0 is seen.
        along, apart: if there are all, and the pixels of m and of e follow each other at one distance, these; else 0.
        steps: the address of the distance of the weights of each e from those of the line.
        columns: how many e.
        weights: an address; those of each t follow each other.
        bias: an address.
        out: the address of the results.
        places: the address of the distance of each m from ``out``.
        zeros: the address of as many zeros as a row of the tile has.
        shape: the tile's; behind rows and vectors, a tuple as long as a group has channels.
    """
    signature = types.void(*[types.intp] * 13, shape)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, lines, count, distances, along, apart, steps, columns, weights, bias, out, places, zeros, _ = args
        tile, high, wide, turns = Vectors(builder, shape[0].dtype), len(shape[0]), len(shape[1]), len(shape[2])
        sums = [tile.sums(wide, turns) for _ in range(high)]
        for v in range(wide):
            start = tile.load(bias, v * VECTOR)
            for m in range(high):
                for t in range(turns):
                    builder.store(tile.constant(0) if t else start, sums[m][v][t])

        def add(places: list[Any], factors_at: Any) -> None:
            factors = [[tile.load(factors_at, (t * wide + v) * VECTOR) for t in range(turns)] for v in range(wide)]
            for m, at in enumerate(places):
                for v in range(wide):
                    seen = tile.load(at, v * VECTOR)
                    for factor, total in zip(factors[v], sums[m][v], strict=True):
                        builder.store(tile.multiply_add(seen, factor, builder.load(total)), total)

        with cgutils.for_range(builder, count) as row:
            line = builder.add(lines, builder.mul(row.index, _WORD(16)))
            begin, factors_at = builder.add(x, tile.word(line, 0)), builder.add(weights, tile.word(line, 1))

            def weights_of(column: Any, factors_at: Any = factors_at) -> Any:
                return builder.add(factors_at, tile.word(builder.add(steps, builder.mul(column, _WORD(8))), 0))

            with builder.if_else(builder.icmp_signed("!=", apart, _WORD(0))) as (regular, by_table):
                with regular:
                    first = builder.add(begin, tile.word(distances, 0))
                    firsts = [builder.add(first, builder.mul(along, _WORD(m))) for m in range(high)]
                    with cgutils.for_range(builder, columns) as column:
                        shift = builder.mul(column.index, apart)
                        add([builder.add(at, shift) for at in firsts], weights_of(column.index))
                with by_table, cgutils.for_range(builder, columns) as column:
                    its = builder.add(distances, builder.mul(column.index, _WORD(8 * high)))
                    found = [tile.word(its, m) for m in range(high)]
                    outside = [builder.icmp_signed("<", distance, _WORD(0)) for distance in found]
                    seen = [builder.select(o, zeros, builder.add(begin, d)) for o, d in zip(outside, found, strict=True)]
                    add(seen, weights_of(column.index))
        for m in range(high):
            place = builder.add(out, tile.word(places, m))
            for v in range(wide):
                total = builder.load(sums[m][v][0])
                for t in range(1, turns):
                    total = builder.fadd(total, tile.turned(builder.load(sums[m][v][t]), turns, t))
                tile.store(total, place, v * VECTOR)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def scale_sums_tile(
    typingctx: Any, x: Any, lines: Any, count: Any, distances: Any, pixels: Any, g: Any, g_line: Any, g_pixel: Any, zeros: Any,
    out: Any, step: Any, shape: Any,
) -> Any:  # fmt: skip
    """Add the gradient of the weight of groups of few channels: out[e] += sum over lines r and pixels p of x[r, p, e] g[r, p].

    As for ``scale_tile``, the channels of g's groups take turns: out[e, t] is for x's lane i and g's lane i + t.

    Args:
        x: the address of some channels of the first image.
        lines: the address of the distance of what the element e sees of each line r of results, for each r and e; negative
            where there is none, and 0 is seen.
        count: how many lines.
        distances: the address of the distance of what e sees from each pixel p, for each p and e; negative as before.
        pixels: how many pixels a line has.
        g: the address of the same channels of the first line of results.
        g_line: the distance between its lines.
        g_pixel: the distance between its pixels.
        zeros: the address of as many zeros as a row of the tile has.
        out: the address of the sums.
        step: the distance between their rows.
        shape: the tile's: elements e, vectors of channels, and a tuple as long as a group has channels.
    """
    signature = types.void(*[types.intp] * 11, shape)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, lines, count, distances, pixels, g, g_line, g_pixel, zeros, out, step, _ = args
        tile, high, wide, turns = Vectors(builder, shape[0].dtype), len(shape[0]), len(shape[1]), len(shape[2])
        sums = tile.sums(high * turns, wide)
        at = [builder.add(out, builder.mul(step, _WORD(m))) for m in range(high * turns)]
        for place, row_sums in zip(at, sums, strict=True):
            for v in range(wide):
                builder.store(tile.load(place, v * VECTOR), row_sums[v])
        none = _WORD(-(1 << 62))
        with cgutils.for_range(builder, count) as row:
            line = builder.add(lines, builder.mul(row.index, _WORD(8 * high)))
            begins = []
            for e in range(high):  # below 0 for what is not there, with any pixel's distance
                distance = tile.word(line, e)
                outside = builder.icmp_signed("<", distance, _WORD(0))
                begins.append(builder.select(outside, none, builder.add(x, distance)))
            right = builder.add(g, builder.mul(row.index, g_line))
            with cgutils.for_range(builder, pixels) as pixel:
                given = builder.add(right, builder.mul(pixel.index, g_pixel))
                factors = [tile.load(given, v * VECTOR) for v in range(wide)]
                turned = [[tile.turned(factor, turns, t) for factor in factors] for t in range(turns)]
                its = builder.add(distances, builder.mul(pixel.index, _WORD(8 * high)))
                for e in range(high):
                    distance = tile.word(its, e)
                    place = builder.add(begins[e], distance)
                    outside = builder.icmp_signed("<", builder.or_(distance, place), _WORD(0))
                    seen = builder.select(outside, zeros, place)
                    for v in range(wide):
                        column = tile.load(seen, v * VECTOR)
                        for t in range(turns):
                            total = sums[e * turns + t][v]
                            builder.store(tile.multiply_add(column, turned[t][v], builder.load(total)), total)
        for place, row_sums in zip(at, sums, strict=True):
            for v in range(wide):
                tile.store(builder.load(row_sums[v]), place, v * VECTOR)
        return context.get_dummy_value()

    return signature, codegen


def _transposition(scattered: bool) -> Any:
    @intrinsic
    def transpose(typingctx: Any, x: Any, step: Any, height: Any, width: Any, out: Any, places: Any, zero: Any) -> Any:
        """Transpose a matrix of at most as many rows and columns as a vector has lanes; nothing beyond it is read or written.

        Args:
            x: an address.
            step: the bytes from row to row.
            height: how many rows.
            width: how many columns.
            out: an address.
            places: the bytes from row to row of the result; where it is ``scattered``, the address of each row's distance.
            zero: of the dtype.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, step, height, width, out, places, _ = args
            vectors = Vectors(builder, zero)
            none = _WORD(0)

            def lanes(i: int, count: Any, length: Any) -> Any:
                """Which lanes of a row there are."""
                return vectors.below(builder.select(builder.icmp_signed("<", _WORD(i), count), length, none))

            def present(i: int, count: Any) -> Any:
                """The row's number, or the first one's if it is not there."""
                return builder.select(builder.icmp_signed("<", _WORD(i), count), _WORD(i), none)

            rows = [
                vectors.load_some(builder.add(x, builder.mul(step, present(i, height))), lanes(i, height, width))
                for i in range(vectors.lanes)
            ]
            for i, row in enumerate(vectors.transposed(rows)):
                k = present(i, width)
                distance = (
                    vectors.word(builder.add(places, builder.mul(k, _WORD(8))), 0) if scattered else builder.mul(places, k)
                )
                vectors.store_some(row, builder.add(out, distance), lanes(i, width, height))
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6, zero), codegen

    return transpose


transpose_part, transpose_to = _transposition(False), _transposition(True)


_Matrix = tuple[tuple[Fraction, ...], ...]


def _between(matrix: _Matrix, last: bool = False) -> Any:
    """The intrinsic that puts a matrix T on both sides of a small square one, element by element of vectors: T x T' + bias.

    Its arguments are addresses: of x and of the distances of its n * n elements, each ``count`` numbers in a row; the same of
    the result; of ``bias``, as many numbers; of ``trace``, one vector, to which 0 times each result is added, so that it is NaN
    from the first result on that is not finite; ``count``, a multiple of a vector's lanes; and a zero of the dtype. Only the
    ``last`` transforms have a bias and a trace, the others ignore them.
    """
    height, width = len(matrix), len(matrix[0])

    def times(tile: Vectors, columns: Sequence[Any]) -> list[Any]:
        results = []
        for row in matrix:
            total = None
            for factor, x in sorted(
                ((f, x) for f, x in zip(row, columns, strict=True) if f), key=lambda pair: abs(pair[0]) != 1
            ):
                if total is None:
                    total = x if factor == 1 else tile.builder.fmul(x, tile.constant(factor))
                elif abs(factor) == 1:
                    total = (tile.builder.fadd if factor == 1 else tile.builder.fsub)(total, x)
                else:
                    total = tile.multiply_add(x, tile.constant(factor), total)
            results.append(total)
        return results

    @intrinsic
    def between(
        typingctx: Any, x: Any, elements: Any, out: Any, places: Any, bias: Any, trace: Any, count: Any, zero: Any
    ) -> Any:
        signature = types.void(*[types.intp] * 7, zero)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, elements, out, places, bias, trace, count, _ = args
            tile = Vectors(builder, zero)
            zeros = tile.constant(0)
            with cgutils.for_range(builder, builder.udiv(count, _WORD(tile.lanes))) as block:
                shift = builder.mul(block.index, _WORD(VECTOR))
                start, to = builder.add(x, shift), builder.add(out, shift)
                grid = [
                    [tile.load(builder.add(start, tile.word(elements, i * width + j))) for i in range(width)]
                    for j in range(width)
                ]
                half = [times(tile, column) for column in grid]  # of each column j, the rows of T x
                added, traced = (tile.load(builder.add(bias, shift)), tile.load(trace)) if last else (None, None)
                for i in range(height):
                    for j, result in enumerate(times(tile, [half[k][i] for k in range(width)])):
                        if last:
                            result = builder.fadd(result, added)
                            traced = tile.multiply_add(result, zeros, traced)
                        tile.store(result, builder.add(to, tile.word(places, i * height + j)))
                if last:
                    tile.store(traced, trace)
            return context.get_dummy_value()

        return signature, codegen

    return between


def _winograd(points: Sequence[Fraction], outputs: int, taps: int) -> tuple[_Matrix, _Matrix, _Matrix]:
    """The matrices B', G and A' of F(outputs, taps): of polynomials that are multiplied by their values at points.

    A tile's polynomial is interpolated at ``points`` and at infinity, which makes outputs + taps - 1.
    """
    image, weight = [], []
    for i, p in enumerate(points):
        others = [q for j, q in enumerate(points) if j != i]
        image.append((*_with_roots(others), Fraction(0)))
        weight.append(tuple(p**k / prod(p - q for q in others) for k in range(taps)))
    image.append(_with_roots(points))
    weight.append(tuple(Fraction(k == taps - 1) for k in range(taps)))
    output = [(*(p**k for p in points), Fraction(k == outputs - 1)) for k in range(outputs)]
    return tuple(image), tuple(weight), tuple(output)


def _with_roots(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The coefficients, lowest first, of the polynomial that is 0 there and whose highest coefficient is 1."""
    coefficients = [Fraction(1)]
    for root in roots:
        coefficients = [
            high - root * low for high, low in zip([Fraction(0), *coefficients], [*coefficients, Fraction(0)], strict=True)
        ]
    return tuple(coefficients)


def _transposed(matrix: _Matrix) -> _Matrix:
    return tuple(zip(*matrix, strict=True))


# points of similar size keep rounding errors small: a quarter of those with 0, 1, -1, 2, -2
_INPUT, _WEIGHT, _OUTPUT = _winograd([Fraction(n, 4) for n in (0, 3, -3, 6, -6)], 4, 3)
winograd_input, winograd_weight, winograd_output = _between(_INPUT), _between(_WEIGHT), _between(_OUTPUT, last=True)
winograd_output_transposed = _between(_transposed(_OUTPUT))
winograd_weight_transposed = _between(_transposed(_WEIGHT), last=True)


@intrinsic
def expect(typingctx: Any, x: Any, places: Any, count: Any, size: Any, zero: Any) -> Any:
    """Bring ``size`` bytes at each of ``count`` distances from an address here, to be written soon."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, places, count, size, _ = args
        tile = Vectors(builder, zero)
        with cgutils.for_range(builder, count) as place:
            start = builder.add(x, tile.word(builder.add(places, builder.mul(place.index, _WORD(8))), 0))
            with cgutils.for_range(builder, builder.udiv(size, _WORD(64))) as line:
                tile.expect(builder.add(start, builder.mul(line.index, _WORD(64))), 0)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, zero), codegen


@intrinsic
def claim(typingctx: Any, taken: Any, count: Any) -> Any:
    """Find a number from 0 to ``count`` - 1 that no other thread has, and take it: ``taken`` is where as many zeros were."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        taken, count = args
        found = cgutils.alloca_once_value(builder, _WORD(0))
        trial, done = builder.append_basic_block("trial"), builder.append_basic_block("done")
        following = builder.append_basic_block("next")
        builder.branch(trial)
        builder.position_at_end(trial)
        place = builder.add(taken, builder.mul(builder.load(found), _WORD(8)))
        was = builder.atomic_rmw("xchg", builder.inttoptr(place, _WORD.as_pointer()), _WORD(1), "acquire")
        builder.cbranch(builder.icmp_unsigned("==", was, _WORD(0)), done, following)
        builder.position_at_end(following)
        builder.store(builder.urem(builder.add(builder.load(found), _WORD(1)), count), found)
        builder.branch(trial)
        builder.position_at_end(done)
        return builder.load(found)

    return types.intp(types.intp, types.intp), codegen


@intrinsic
def give_back(typingctx: Any, taken: Any, number: Any) -> Any:
    """Let other threads have the number that ``claim`` has found."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.add(args[0], builder.mul(args[1], _WORD(8)))
        builder.atomic_rmw("xchg", builder.inttoptr(place, _WORD.as_pointer()), _WORD(0), "release")
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen
