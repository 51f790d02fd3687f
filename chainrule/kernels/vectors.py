"""Vectors of this processor's width, in LLVM's language: what tiles are written in.

This module imports Numba and is imported when a kernel that calls a tile is compiled.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils

_WORD, _INDEX = ir.IntType(64), ir.IntType(32)
_FEATURES = {} if config.CPU_NAME else dict(llvm.get_host_cpu_features())
ARM = llvm.get_process_triple().startswith(("aarch64", "arm64"))
_FUSED = ARM or _FEATURES.get("fma", False)  # without it, a fused product and sum would be a call of the C library

#: Bytes of a vector.
VECTOR = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx") else 16
#: How many sums a tile may have, so that registers are left for what is added to them.
SUMS = 24 if VECTOR == 64 or ARM else 12


class Vectors:
    """A builder of instructions on vectors of a dtype."""

    def __init__(self, builder: Any, dtype: Any):
        self.builder = builder
        self.scalar = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
        self.size = dtype.bitwidth // 8
        self.lanes = VECTOR // self.size
        self.vector = ir.VectorType(self.scalar, self.lanes)
        name = f"llvm.fma.v{self.lanes}f{dtype.bitwidth}"
        self._fma = ir.FunctionType(self.vector, [self.vector] * 3), name

    def word(self, address: Any, index: int) -> Any:
        """The 64-bit number at an address, ``index`` numbers on."""
        return self.builder.load(self._pointer(address, 8 * index, _WORD))

    def load(self, address: Any, distance: int = 0) -> Any:
        loaded = self.builder.load(self._pointer(address, distance, self.vector))
        loaded.align = self.size
        return loaded

    def store(self, vector: Any, address: Any, distance: int = 0) -> None:
        self.builder.store(vector, self._pointer(address, distance, vector.type)).align = self.size

    def below(self, count: Any) -> Any:
        """Which lanes are among the first ``count``."""
        kind = ir.VectorType(_INDEX, self.lanes)
        first = self.builder.insert_element(
            ir.Constant(kind, ir.Undefined), self.builder.trunc(count, _INDEX), ir.Constant(_INDEX, 0)
        )
        counts = self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), ir.Constant(kind, [0] * self.lanes))
        return self.builder.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), counts)

    def load_some(self, address: Any, lanes: Any) -> Any:
        """The numbers at an address in some lanes, and 0 in the others, of which the memory is not read."""
        return self._masked("load", address, lanes, ir.Constant(self.vector, None))

    def store_some(self, vector: Any, address: Any, lanes: Any) -> None:
        """Store some lanes, and leave the memory of the others alone."""
        self._masked("store", address, lanes, vector)

    def _masked(self, what: str, address: Any, lanes: Any, vector: Any) -> Any:
        pointer, mask = self.vector.as_pointer(), ir.VectorType(ir.IntType(1), self.lanes)
        place, align = self._pointer(address, 0, self.vector), ir.Constant(_INDEX, self.size)
        if what == "load":
            result, arguments = self.vector, [place, align, lanes, vector]
            kinds = [pointer, _INDEX, mask, self.vector]
        else:
            result, arguments = ir.VoidType(), [vector, place, align, lanes]
            kinds = [self.vector, pointer, _INDEX, mask]
        name = f"llvm.masked.{what}.v{self.lanes}f{8 * self.size}.p0v{self.lanes}f{8 * self.size}"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, kinds), name)
        return self.builder.call(function, arguments)

    def within(self, first: Any, stop: Any) -> Any:
        """Which lanes are from the one number up to the other."""
        return self.builder.and_(self.builder.not_(self.below(first)), self.below(stop))

    @property
    def mask_size(self) -> int:
        """Bytes of a mask in bits."""
        return max(1, int(self.lanes) // 8)

    def mask_at(self, address: Any, index: int) -> Any:
        """Which lanes the bits at an address say, ``index`` masks on."""
        kind, size = ir.IntType(8 * self.mask_size), self.mask_size
        bits = self.builder.load(self._pointer(address, index * size, kind))
        if self.lanes < 8:
            bits = self.builder.trunc(bits, ir.IntType(self.lanes))
        return self.builder.bitcast(bits, ir.VectorType(ir.IntType(1), self.lanes))

    def store_first(self, vector: Any, address: Any, count: Any) -> None:
        """Store the first ``count`` lanes, or all, for which some processors are faster without a mask."""
        with self.builder.if_else(self.builder.icmp_signed(">=", count, _WORD(self.lanes))) as (whole, in_part):
            with whole:
                self.store(vector, address)
            with in_part, self.builder.if_then(self.builder.icmp_signed(">", count, _WORD(0))):
                self.store_some(vector, address, self.below(count))

    def expect(self, address: Any, distance: int) -> None:
        """Bring a line of the cache here that will be written."""
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INDEX, _INDEX, _INDEX])
        prefetch = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0i8")
        self.builder.call(prefetch, [self._pointer(address, distance, ir.IntType(8)), _INDEX(1), _INDEX(3), _INDEX(1)])

    def broadcast(self, address: Any) -> Any:
        """The number at an address, in all lanes."""
        return self.spread(self.builder.load(self._pointer(address, 0, self.scalar)))

    def constant(self, value: Fraction | int) -> Any:
        return ir.Constant(self.vector, [ir.Constant(self.scalar, float(value))] * self.lanes)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        if not _FUSED:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, *self._fma), [a, b, c])

    def total(self, vector: Any) -> Any:
        """The sum of a vector's lanes, halves first."""
        length = self.lanes
        while length > 1:
            length //= 2
            halves = (list(range(start, start + length)) for start in (0, length))
            lower, upper = (
                self.builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_INDEX, length), half)) for half in halves
            )
            vector = self.builder.fadd(lower, upper)
        return self.builder.extract_element(vector, ir.Constant(_INDEX, 0))

    def sums(self, rows: int, vectors: int) -> list[list[Any]]:
        """Places for a tile of sums, which LLVM makes registers."""
        return [[cgutils.alloca_once(self.builder, self.vector) for _ in range(vectors)] for _ in range(rows)]

    def _pointer(self, address: Any, distance: int, kind: Any) -> Any:
        if distance:
            address = self.builder.add(address, ir.Constant(_WORD, distance))
        return self.builder.inttoptr(address, kind.as_pointer())

    def transposed(self, rows: list[Any]) -> list[Any]:
        """The transpose of a square matrix: blocks off the diagonal of ever larger squares are exchanged."""
        rows, distance = list(rows), 1
        while distance < self.lanes:
            first = [k if not k & distance else self.lanes + k - distance for k in range(self.lanes)]
            second = [k + distance if not k & distance else self.lanes + k for k in range(self.lanes)]
            for i in (i for i in range(self.lanes) if not i & distance):
                pair = rows[i], rows[i + distance]
                rows[i], rows[i + distance] = (
                    self.builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(_INDEX, self.lanes), which))
                    for which in (first, second)
                )
            distance *= 2
        return rows

    def turned(self, vector: Any, length: int, by: int) -> Any:
        """A vector whose groups of ``length`` lanes have been turned: the lane i is from the group's i + ``by``."""
        if by == 0:
            return vector
        lanes = [i - i % length + (i % length + by) % length for i in range(self.lanes)]
        return self.builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_INDEX, self.lanes), lanes))

    def spread(self, scalar: Any) -> Any:
        """A number in all lanes."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(_INDEX, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INDEX, self.lanes), [0] * self.lanes))
