"""The innermost loops of convolutions whose vectors lie along an image's rows: tiles that stay in vector registers.

All addresses, distances and steps are in bytes, counts in elements. The ``shape`` of a tile is two tuples of zeros of the
dtype, as long as it has rows and columns: their types say for what it is compiled. Nothing beyond a row's ends is read or
written, but for what ``load_rows`` writes.

This module imports Numba and is imported when a kernel that calls it is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import SUMS as SUMS
from .vectors import VECTOR, Vectors

_WORD, _INDEX = ir.IntType(64), ir.IntType(32)


def _plane_tile(seen: bool) -> Any:
    @intrinsic
    def tile(
        typingctx: Any, x: Any, distances: Any, masks: Any, count: Any, weights: Any, start: Any, out: Any, step: Any,
        rest: Any, shape: Any,
    ) -> Any:  # fmt: skip
        """A tile of weighted sums of rows: out[m, j] = start[m] + sum over e of weights[e, m] x[e, j], for j < rest.

        Args:
            x: an address.
            distances: the address of the distance of each row e from ``x``.
            masks: where what is ``seen`` may lie outside: the address of a mask, in bits, for each row e and vector of it. What
                they leave out counts as 0.
            count: how many rows e there are.
            weights: the address of a contiguous (count, rows of the tile) matrix.
            start: the address of as many numbers as the tile has rows.
            out: the address of the result.
            step: the distance between its rows.
            rest: how many elements of a row there are.
            shape: the tile's: rows, and vectors in a row.
        """
        signature = types.void(*[types.intp] * 9, shape)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, distances, bits, count, weights, start, out, step, rest, _ = args
            tile, high, wide = Vectors(builder, shape[0].dtype), len(shape[0]), len(shape[1])

            def multiply(masks: Any) -> None:
                sums = tile.sums(high, wide)
                for m in range(high):
                    first = tile.broadcast(builder.add(start, _WORD(m * tile.size)))
                    for v in range(wide):
                        builder.store(first, sums[m][v])
                weight, bit = (cgutils.alloca_once(builder, _WORD) for _ in range(2))
                builder.store(weights, weight)
                builder.store(bits, bit)
                with cgutils.for_range(builder, count) as row:
                    at = builder.add(x, tile.word(builder.add(distances, builder.mul(row.index, _WORD(8))), 0))
                    if seen:
                        masks = [tile.mask_at(builder.load(bit), v) for v in range(wide)]
                        builder.store(builder.add(builder.load(bit), _WORD(wide * tile.mask_size)), bit)
                    columns = [_load(tile, at, masks, v) for v in range(wide)]
                    factors = builder.load(weight)
                    for m in range(high):
                        factor = tile.broadcast(builder.add(factors, _WORD(m * tile.size)))
                        for v in range(wide):
                            builder.store(tile.multiply_add(factor, columns[v], builder.load(sums[m][v])), sums[m][v])
                    builder.store(builder.add(factors, _WORD(high * tile.size)), weight)
                for m in range(high):
                    to = builder.add(out, builder.mul(step, _WORD(m)))
                    for v in range(wide):
                        if masks:
                            place = builder.add(to, _WORD(v * VECTOR))
                            tile.store_first(builder.load(sums[m][v]), place, builder.sub(rest, _WORD(v * tile.lanes)))
                        else:
                            tile.store(builder.load(sums[m][v]), to, v * VECTOR)

            if seen:
                multiply(None)
            else:
                with builder.if_else(builder.icmp_signed(">=", rest, _WORD(wide * tile.lanes))) as (whole, in_part):
                    with whole:
                        multiply(None)
                    with in_part:
                        multiply([tile.below(builder.sub(rest, _WORD(v * tile.lanes))) for v in range(wide)])
            return context.get_dummy_value()

        return signature, codegen

    return tile


#: Of rows that lie within an array, and of such as may reach beyond its edges.
plane_tile, seen_plane_tile = _plane_tile(False), _plane_tile(True)


def _dot_tile(seen: bool) -> Any:
    @intrinsic
    def tile(
        typingctx: Any,
        g: Any,
        step: Any,
        x: Any,
        distances: Any,
        masks: Any,
        masks_step: Any,
        count: Any,
        sums: Any,
        shape: Any,
    ) -> Any:
        """Add to a tile of dot products of rows, lane by lane: sums[m, e] += sum over j of g[m, j] x[e, j], for j < count.

        Args:
            g: an address.
            step: the distance between the rows m.
            x: an address.
            distances: the address of the distance of each row e from ``x``.
            masks: where what is ``seen`` may lie outside: the address of a mask, in bits, for each row e of the first vectors.
            masks_step: the distance to those of the next vectors.
            count: how many elements a row has.
            sums: the address of the tile, a contiguous (rows, columns, lanes).
            shape: the tile's: rows m and columns e.
        """
        signature = types.void(*[types.intp] * 8, shape)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            g, step, x, distances, bits, bits_step, count, out, _ = args
            tile, high, wide = Vectors(builder, shape[0].dtype), len(shape[0]), len(shape[1])
            sums = tile.sums(high, wide)
            places = [(sums[m][e], (m * wide + e) * VECTOR) for m in range(high) for e in range(wide)]
            for total, place in places:
                builder.store(tile.load(out, place), total)
            left = [builder.add(g, builder.mul(step, _WORD(m))) for m in range(high)]
            right = [builder.add(x, tile.word(distances, e)) for e in range(wide)]

            def add(index: Any, masks: Any) -> None:
                at = builder.mul(index, _WORD(VECTOR))
                rows = [_load(tile, builder.add(a, at), masks, 0) for a in left]
                bit = builder.add(bits, builder.mul(index, bits_step))
                for e, b in enumerate(right):
                    column = _load(tile, builder.add(b, at), [tile.mask_at(bit, e)] if seen else masks, 0)
                    for m, row in enumerate(rows):
                        builder.store(tile.multiply_add(row, column, builder.load(sums[m][e])), sums[m][e])

            whole = builder.udiv(count, _WORD(tile.lanes))
            with cgutils.for_range(builder, whole) as loop:
                add(loop.index, None)
            rest = builder.sub(count, builder.mul(whole, _WORD(tile.lanes)))
            with builder.if_then(builder.icmp_signed(">", rest, _WORD(0))):
                add(whole, [tile.below(rest)])
            for total, place in places:
                tile.store(builder.load(total), out, place)
            return context.get_dummy_value()

        return signature, codegen

    return tile


#: Of rows that lie within an array, and of such as may reach beyond its edges.
dot_tile, seen_dot_tile = _dot_tile(False), _dot_tile(True)


@intrinsic
def load_rows(
    typingctx: Any, source: Any, step: Any, stride: Any, first: Any, stop: Any, out: Any, out_step: Any, count: Any, rows: Any,
    zero: Any,
) -> Any:  # fmt: skip
    """Copy rows with zeros around them: out[r, j] = source[r, stride j] for first <= j < stop, else 0, for j < count.

    Whole vectors are written: beyond the last row's end, less than a vector of anything.

    Args:
        source: an address.
        step: the distance between its rows.
        stride: of its elements, how many further on the next is.
        first, stop: which of them there are.
        out: the address of the result.
        out_step: the distance between its rows.
        count: how many elements a row of it has.
        rows: how many rows there are.
        zero: a number of the dtype.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, step, stride, first, stop, out, out_step, count, rows, _ = args
        tile = Vectors(builder, zero)
        lanes, item = _WORD(tile.lanes), _WORD(tile.size)
        even = ir.Constant(ir.VectorType(_INDEX, tile.lanes), list(range(0, 2 * tile.lanes, 2)))

        def elements(at: Any, start: Any, times: int, whole: bool) -> Any:
            """The vector of the elements from ``start`` on."""
            if whole:
                vectors = [tile.load(at, v * VECTOR) for v in range(times)]
            else:  # of the last element's pair there may be only the first
                begin = builder.mul(builder.sub(first, start), _WORD(times))
                end = builder.sub(builder.mul(builder.sub(stop, start), _WORD(times)), _WORD(times - 1))
                bounds = [
                    (builder.sub(begin, _WORD(v * tile.lanes)), builder.sub(end, _WORD(v * tile.lanes))) for v in range(times)
                ]
                vectors = [tile.load_some(builder.add(at, _WORD(v * VECTOR)), tile.within(*b)) for v, b in enumerate(bounds)]
            return vectors[0] if times == 1 else builder.shuffle_vector(*vectors, even)

        def copied(times: int) -> None:
            vectors = builder.udiv(builder.add(count, _WORD(tile.lanes - 1)), lanes)
            with cgutils.for_range(builder, vectors) as loop:  # from the last on, which reaches into the next row
                start = builder.mul(builder.sub(builder.sub(vectors, _WORD(1)), loop.index), lanes)
                end = builder.add(start, lanes)
                inside = builder.and_(
                    builder.icmp_signed(">=", start, first),
                    builder.icmp_signed("<=" if times == 1 else "<", end, stop),  # of the last pair there may be only one
                )
                begin = builder.add(source, builder.mul(builder.mul(start, item), _WORD(times)))
                to = builder.add(out, builder.mul(start, item))
                with builder.if_else(inside) as branches:
                    for branch, whole in zip(branches, (True, False), strict=True):
                        with branch:
                            at, place = (cgutils.alloca_once(builder, _WORD) for _ in range(2))
                            builder.store(begin, at)
                            builder.store(to, place)
                            with cgutils.for_range(builder, rows):
                                here, there = builder.load(at), builder.load(place)
                                tile.store(elements(here, start, times, whole), there)
                                builder.store(builder.add(here, step), at)
                                builder.store(builder.add(there, out_step), place)

        def copied_one_by_one() -> None:
            with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, count) as loop:
                value = cgutils.alloca_once_value(builder, tile.scalar(0.0))
                builder.store(tile.scalar(0.0), value)
                inside = builder.and_(builder.icmp_signed(">=", loop.index, first), builder.icmp_signed("<", loop.index, stop))
                with builder.if_then(inside):
                    distance = builder.mul(builder.mul(loop.index, stride), item)
                    at = builder.add(builder.add(source, builder.mul(row.index, step)), distance)
                    builder.store(builder.load(builder.inttoptr(at, tile.scalar.as_pointer())), value)
                to = builder.add(builder.add(out, builder.mul(row.index, out_step)), builder.mul(loop.index, item))
                builder.store(builder.load(value), builder.inttoptr(to, tile.scalar.as_pointer()))

        with builder.if_else(builder.icmp_signed("==", stride, _WORD(1))) as (contiguous, apart):
            with contiguous:
                copied(1)
            with apart, builder.if_else(builder.icmp_signed("==", stride, _WORD(2))) as (every_second, further):
                with every_second:
                    copied(2)
                with further:
                    copied_one_by_one()
        return context.get_dummy_value()

    return types.void(*[types.intp] * 9, zero), codegen


@intrinsic
def add_rows(
    typingctx: Any, source: Any, step: Any, shifts: Any, rows: Any, length: Any, start: Any, out: Any, count: Any
) -> Any:
    """Add shifted rows: out[j] = start + sum over l of source[l, j - shifts[l]], for j < count; 0 beyond a row's ends.

    Args:
        source: the address of the rows.
        step: the distance between them.
        shifts: the address of the shift of each, in elements.
        rows: how many there are.
        length: how many elements each has.
        start: a number.
        out: the address of the result.
        count: how many elements it has.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, step, shifts, rows, length, first, out, count = args
        tile = Vectors(builder, start)
        item = _WORD(tile.size)
        total = cgutils.alloca_once(builder, tile.vector)
        vectors = builder.udiv(builder.add(count, _WORD(tile.lanes - 1)), _WORD(tile.lanes))
        with cgutils.for_range(builder, vectors) as loop:
            at = builder.mul(loop.index, _WORD(tile.lanes))
            builder.store(tile.spread(first), total)
            with cgutils.for_range(builder, rows) as row:
                shift = builder.sub(at, tile.word(builder.add(shifts, builder.mul(row.index, _WORD(8))), 0))
                mask = tile.within(builder.neg(shift), builder.sub(length, shift))
                place = builder.add(builder.add(source, builder.mul(row.index, step)), builder.mul(shift, item))
                builder.store(builder.fadd(builder.load(total), tile.load_some(place, mask)), total)
            tile.store_first(builder.load(total), builder.add(out, builder.mul(at, item)), builder.sub(count, at))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5, start, types.intp, types.intp), codegen


@intrinsic
def sum_row(typingctx: Any, x: Any, count: Any, zero: Any) -> Any:
    """The sum of the first ``count`` numbers at an address, of the dtype of ``zero``: in vectors also where there are few."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, count, _ = args
        tile = Vectors(builder, signature.args[2])
        sums, done = tile.sums(1, 4)[0], _WORD(4 * tile.lanes)
        for total in sums:
            builder.store(tile.constant(0), total)
        whole = builder.udiv(count, done)
        with cgutils.for_range(builder, whole) as loop:
            at = builder.add(x, builder.mul(loop.index, _WORD(4 * VECTOR)))
            for v, total in enumerate(sums):
                builder.store(builder.fadd(builder.load(total), tile.load(at, v * VECTOR)), total)
        rest = builder.sub(count, builder.mul(whole, done))
        begin = builder.add(x, builder.mul(whole, _WORD(4 * VECTOR)))
        with cgutils.for_range(builder, builder.udiv(builder.add(rest, _WORD(tile.lanes - 1)), _WORD(tile.lanes))) as loop:
            there = tile.below(builder.sub(rest, builder.mul(loop.index, _WORD(tile.lanes))))
            part = tile.load_some(builder.add(begin, builder.mul(loop.index, _WORD(VECTOR))), there)
            builder.store(builder.fadd(builder.load(sums[0]), part), sums[0])
        first, second, third, fourth = (builder.load(total) for total in sums)
        return tile.total(builder.fadd(builder.fadd(first, second), builder.fadd(third, fourth)))

    return zero(types.intp, types.intp, zero), codegen


@intrinsic
def fill_row(typingctx: Any, out: Any, count: Any, value: Any) -> Any:
    """Write a number ``count`` times, to an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, count, value = args
        tile = Vectors(builder, signature.args[2])
        vector, lanes = tile.spread(value), _WORD(tile.lanes)
        with cgutils.for_range(builder, builder.udiv(builder.add(count, _WORD(tile.lanes - 1)), lanes)) as loop:
            left = builder.sub(count, builder.mul(loop.index, lanes))
            tile.store_first(vector, builder.add(out, builder.mul(loop.index, _WORD(VECTOR))), left)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, value), codegen


def _load(tile: Vectors, at: Any, masks: Any, v: int) -> Any:
    return tile.load_some(tile.builder.add(at, _WORD(v * VECTOR)), masks[v]) if masks else tile.load(at, v * VECTOR)
