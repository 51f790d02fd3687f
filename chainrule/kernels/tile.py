"""The tile of a matrix product, whose sums stay in vector registers, and the transposition that copies what it reads.

This module imports Numba and is imported when a kernel that calls them is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import ARM, VECTOR, Vectors

_WORD = ir.IntType(64)
#: The tile's rows and its columns in vectors: as many sums as there are registers for.
TILE_ROWS, TILE_VECTORS = {64: 12, 32: 6, 16: 8 if ARM else 4}[VECTOR], 2
#: Rows of a tile for products of few rows, such as those of a batch.
LOW_TILE_ROWS = 8 if TILE_ROWS == 12 else 4


def _tile(rows: int) -> Any:
    @intrinsic
    def tile(typingctx: Any, like: Any, k: Any, a: Any, a_row: Any, a_step: Any, b: Any, b_step: Any, out: Any, out_row: Any,
             plus: Any, plus_row: Any, alpha: Any) -> Any:  # fmt: skip
        """Compute out = alpha a b + plus for a tile: all its sums stay in registers over the whole of ``k``.

        ``a``, ``b``, ``out`` and ``plus`` are addresses, steps count numbers, and ``like`` is an array of their dtype. The rows
        of ``b``, ``out`` and ``plus`` are contiguous.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            k, a, *steps_and_places, alpha = args[1:]
            v = Vectors(builder, like.dtype)
            a_row, a_step, b, b_step, out, out_row, plus, plus_row = steps_and_places
            a_row, a_step, b_step, out_row, plus_row = (
                builder.mul(n, _WORD(v.size)) for n in (a_row, a_step, b_step, out_row, plus_row)
            )
            sums = v.sums(rows, TILE_VECTORS)
            for place in (place for row in sums for place in row):
                builder.store(v.constant(0), place)
            with cgutils.for_range(builder, k) as loop:
                left, right = (builder.add(x, builder.mul(loop.index, n)) for x, n in ((a, a_step), (b, b_step)))
                columns = [v.load(right, j * VECTOR) for j in range(TILE_VECTORS)]
                for r, row in enumerate(sums):
                    x = v.broadcast(builder.add(left, builder.mul(a_row, _WORD(r))))
                    for column, place in zip(columns, row, strict=True):
                        builder.store(v.multiply_add(x, column, builder.load(place)), place)
            alphas = v.spread(alpha)
            for r, row in enumerate(sums):
                to, added = (builder.add(x, builder.mul(n, _WORD(r))) for x, n in ((out, out_row), (plus, plus_row)))
                for j, place in enumerate(row):
                    v.store(v.multiply_add(alphas, builder.load(place), v.load(added, j * VECTOR)), to, j * VECTOR)
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 10, like.dtype), codegen

    return tile


def _part_of_tile(vectors: int, rows: int) -> Any:
    @intrinsic
    def part_of_tile(typingctx: Any, like: Any, k: Any, a: Any, a_row: Any, a_step: Any, b: Any, b_step: Any, out: Any,
                     out_row: Any, plus: Any, plus_row: Any, alpha: Any, height: Any, width: Any) -> Any:  # fmt: skip
        """Compute out = alpha a b + plus for the first rows and columns of a tile; nothing beyond them is read or written.

        The arguments are those of a tile, then how many rows, of which there is at least one, and how many columns.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            k, a, a_row, a_step, b, b_step, out, out_row, plus, plus_row, alpha, height, width = args[1:]
            v = Vectors(builder, like.dtype)
            a_row, a_step, b_step, out_row, plus_row = (
                builder.mul(n, _WORD(v.size)) for n in (a_row, a_step, b_step, out_row, plus_row)
            )
            last = builder.sub(height, _WORD(1))
            # a row that is not there is computed as the last one, and not stored
            row_of = [builder.select(builder.icmp_signed("<", _WORD(r), last), _WORD(r), last) for r in range(rows)]
            lefts = [builder.mul(a_row, r) for r in row_of]
            there = [v.below(builder.sub(width, _WORD(j * v.lanes))) for j in range(vectors)]
            sums = v.sums(rows, vectors)
            for place in (place for row in sums for place in row):
                builder.store(v.constant(0), place)
            with cgutils.for_range(builder, k) as loop:
                left, right = (builder.add(x, builder.mul(loop.index, n)) for x, n in ((a, a_step), (b, b_step)))
                columns = [v.load_some(builder.add(right, _WORD(j * VECTOR)), there[j]) for j in range(vectors)]
                for at, row in zip(lefts, sums, strict=True):
                    x = v.broadcast(builder.add(left, at))
                    for column, place in zip(columns, row, strict=True):
                        builder.store(v.multiply_add(x, column, builder.load(place)), place)
            alphas = v.spread(alpha)
            for r, row in enumerate(sums):
                with builder.if_then(builder.icmp_signed(">", height, _WORD(r))):
                    to, added = (builder.add(x, builder.mul(n, _WORD(r))) for x, n in ((out, out_row), (plus, plus_row)))
                    for j, place in enumerate(row):
                        known = v.load_some(builder.add(added, _WORD(j * VECTOR)), there[j])
                        total = v.multiply_add(alphas, builder.load(place), known)
                        v.store_some(total, builder.add(to, _WORD(j * VECTOR)), there[j])
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 10, like.dtype, types.intp, types.intp), codegen

    return part_of_tile


def _transposition(count_of: Any) -> Any:
    @intrinsic
    def transpose(typingctx: Any, like: Any, source: Any, source_step: Any, out: Any, out_step: Any) -> Any:
        """Transpose a small matrix: ``count`` rows, each as long as a vector, become the columns of as many rows.

        ``source`` and ``out`` are addresses, the steps between rows count bytes, and ``like`` is an array of their dtype.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, source, source_step, out, out_step = args
            v = Vectors(builder, like.dtype)
            lanes, count = v.lanes, count_of(v.lanes)

            def at(base: Any, step: Any, i: int) -> Any:
                return builder.add(base, builder.mul(step, _WORD(i)))

            def shuffled(a: Any, b: Any, lanes_of: list[int]) -> Any:
                return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes_of)), lanes_of))

            rows = [v.load(at(source, source_step, i)) for i in range(count)]
            rows += [ir.Constant(v.vector, ir.Undefined)] * (lanes - count)
            for i, row in enumerate(v.transposed(rows)):
                lane = 0
                while lane < count:  # in powers of two, so that nothing is written past the end
                    length = 1 << ((count - lane).bit_length() - 1)
                    part = row if length == lanes else shuffled(row, row, list(range(lane, lane + length)))
                    v.store(part, at(out, out_step, i), lane * v.size)
                    lane += length
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 4), codegen

    return transpose


def _number(rows: int) -> Any:
    @intrinsic
    def number(typingctx: Any) -> Any:
        return types.intp(), lambda context, builder, signature, args: _WORD(rows)

    return number


#: Of a vector's length of rows, and of those that a tile has beyond.
transpose, transpose_rest = _transposition(lambda lanes: lanes), _transposition(lambda lanes: TILE_ROWS % lanes)

tile, low_tile, row_tile = (_tile(rows) for rows in (TILE_ROWS, LOW_TILE_ROWS, 1))
#: Each with as many sums as it takes that none waits for another.
PART_ROWS, NARROW_PART_ROWS = 4, 8
narrow_tile = _part_of_tile(1, TILE_ROWS)
part_of_tile, narrow_part_of_tile = _part_of_tile(TILE_VECTORS, PART_ROWS), _part_of_tile(1, NARROW_PART_ROWS)

#: The number of rows of a tile and of a low one, and the most rows of a part of a tile and of a narrow one.
tile_rows, low_tile_rows, part_rows, narrow_part_rows = map(_number, (TILE_ROWS, LOW_TILE_ROWS, PART_ROWS, NARROW_PART_ROWS))


@intrinsic
def vector_length(typingctx: Any, like: Any) -> Any:
    """How many numbers of an array's dtype a vector holds."""
    return types.intp(like), lambda context, builder, signature, args: _WORD(VECTOR * 8 // like.dtype.bitwidth)


@intrinsic
def tile_columns(typingctx: Any, like: Any) -> Any:
    """The number of columns of a tile in an array's dtype."""
    return types.intp(like), lambda context, builder, signature, args: _WORD(TILE_VECTORS * VECTOR * 8 // like.dtype.bitwidth)
