"""The walk back through the record, in generation order."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np

from . import config, variable
from .arrays import Part, as_array, fit, gradient_dtype, ndarray, owns_its_data
from .batched import deepest, for_each_example
from .function import Edge, Function, Output, observe, output_edges
from .locks import lock
from .memory import copy
from .variable import Leaf, Variable, as_variable

_writing_grads = lock()  # threads may share leaves


def backward(y: Variable, retain_grad: bool, create_graph: bool, retain_graph: bool | None) -> None:
    """Add the gradient of ``y`` to ``.grad`` of every leaf; see ``Variable.backward``."""
    gradients = walk([y], [_seed(y, create_graph)], create_graph, retain_graph, retain_grad)
    with _writing_grads:
        for leaf, g in gradients.items():
            x = leaf.variable()
            if x is not None:
                if x._grad is not None:
                    if g.__class__ is ndarray and x._grad.__class__ is ndarray:
                        g += x._grad  # which no one else has seen yet
                    else:
                        g = x._grad + g
                x._grad = as_variable(g) if create_graph else as_array(g)


variable.walk_back = backward


def walk(
    outputs: Sequence[Variable],
    seeds: Sequence[Any],
    create_graph: bool = False,
    retain_graph: bool | None = None,
    retain_grad: bool = False,
    stop: AbstractSet[Edge] = frozenset(),
    since: int = -1,
) -> dict[Leaf, Any]:
    """Return the gradients of the leaves, given those of ``outputs``.

    At the edges in ``stop`` it ends, as at leaves; outputs may be among them. Edges of generations before ``since`` are
    constants.

    A heap holds the calls to visit, the latest generation first, so that each is visited once, and only after
    all the calls that used its outputs. A table holds the gradients of this walk, by the edge at which they have
    arrived; those in ``own`` share memory with no other array and are added to in place.
    """
    heap: list[tuple[int, int, Function]] = []
    turns = count()  # of one generation, the call that was reached first is visited first: so sums round the same each time
    table: dict[Edge, Any] = {}
    own: set[Edge] = set()
    seen: set[Function] = set()  # calls with several outputs; for the others the table itself says it
    debug = config.debug.get()
    if retain_graph is None:
        retain_graph = create_graph

    for y, seed in zip(outputs, seeds, strict=True):
        edge = y._edge
        if edge is None or (edge.function is None and edge not in stop):
            raise _nothing_recorded(y)
        if edge in table:
            table[edge] = table[edge] + seed
            continue
        table[edge] = seed
        if edge in stop:
            continue
        call = edge.function
        if call not in seen:
            seen.add(call)
            heappush(heap, (-call.generation, next(turns), call))

    token, reverse = config.enable_backprop.set(create_graph), config.reverse.set(create_graph)
    try:
        following: Function | None = None  # the next call, if it is later than all in the heap: spares that in a chain
        while following is not None or heap:
            f = following or heappop(heap)[2]
            following = None
            edges = f.edges
            if edges is None:
                raise _released(f)
            if f.watched is not None:
                for leaf, version in f.watched:
                    if leaf.version != version:
                        raise _changed(f, leaf)
            if f.ports is None:
                g = table.pop(f)
            else:
                g = [None if port is None else table.pop(port, None) for port in output_edges(f)]
            if retain_grad:
                _retain(f, g)
            try:
                gxs = f.vjp_recorded(g) if create_graph else f.vjp(g)
            except Exception:
                gxs = _of_each(f, g, create_graph)
            if debug:
                gxs = list(gxs)
                observe(f, [gx.value if gx.__class__ is Part else gx for gx in gxs], "backward")

            for edge, gx in zip(edges, gxs):  # noqa: B905 (their lengths are checked where they can differ)
                if edge is None or gx is None:
                    continue
                before = table.get(edge)
                if gx.shape != edge.shape or gx.dtype is not edge.dtype:
                    if gx.__class__ is Part:
                        if edge in own and before.__class__ is ndarray:
                            gx.add_to(before)
                            continue
                        gx = gx.among_zeros(edge.shape, edge.dtype)
                        if before is None and not create_graph:
                            own.add(edge)
                    else:
                        try:
                            gx = fit(gx, edge.shape, edge.dtype)
                        except ValueError:
                            raise _misfit(f, gx, edge.shape) from None
                if before is not None:
                    if edge in own and gx.__class__ is ndarray:
                        before += gx
                        table[edge] = before
                    elif create_graph:  # a Variable may come to an array
                        table[edge] = before + gx
                    else:
                        if before.__class__ is ndarray and _is_own(gx, g, f):
                            gx += before
                            table[edge] = gx
                        else:
                            table[edge] = before + gx
                        own.add(edge)
                    continue
                table[edge] = gx
                if edge.__class__ is Leaf or edge.generation < since or (stop and edge in stop):
                    if not create_graph and _is_own(gx, g, f):
                        own.add(edge)
                    continue
                if edge.__class__ is Output:
                    edge = edge.function
                    if edge in seen:
                        continue
                    seen.add(edge)
                if following is None:
                    if heap and edge.generation < -heap[0][0]:
                        heappush(heap, (-edge.generation, next(turns), edge))
                    else:
                        following = edge
                elif edge.generation > following.generation:
                    heappush(heap, (-following.generation, next(turns), following))
                    following = edge
                else:
                    heappush(heap, (-edge.generation, next(turns), edge))
            if not retain_graph:
                f.edges = f.saved = f.watched = None
            gxs, gx, before = (), None, None  # what was summed or added is not kept while the next call works
    finally:
        config.enable_backprop.reset(token)
        config.reverse.reset(reverse)
    return {leaf: g if create_graph or leaf in own else copy(g) for leaf, g in table.items()}


def _of_each(f: Function, g: Any, create_graph: bool) -> Any:
    """The gradients of a call that has failed for a batch of ``g`` (rows of a Jacobian): for each by itself."""
    gs = g if isinstance(g, list) else [g]
    level = deepest(gs)
    kept = [f.saved, *(getattr(f.saved, name, None) for name in ("inputs", "outputs")), *getattr(f, "__dict__", {}).values()]
    if level is None or deepest(kept) is level:
        raise

    def of_one(*gs: Any) -> Any:
        one = list(gs) if isinstance(g, list) else gs[0]
        gxs = zip(f.vjp_recorded(one) if create_graph else f.vjp(one), f.edges or (), strict=True)
        return [gx.among_zeros(e.shape, e.dtype) if e is not None and gx.__class__ is Part else gx for gx, e in gxs]

    return for_each_example(of_one, gs, {}, level)


def _is_own(gx: Any, g: Any, f: Function) -> bool:
    """Whether no one but the walk sees the gradient that a call has returned."""
    return gx.__class__ is ndarray and owns_its_data(gx) and gx is not g and f.ports is None and f.returns_fresh_arrays


def _seed(y: Variable, create_graph: bool) -> Any:
    if y._seed is not None:
        return y._seed if create_graph or not isinstance(y._seed, Variable) else y._seed._data
    if y._data is None:
        raise RuntimeError("backward() of a Variable that has no data")
    return np.ones_like(y._data, dtype=gradient_dtype(y._data.dtype))


def _retain(f: Function, g: Any) -> None:
    """Set ``.grad`` of the call's outputs that are still in use."""
    for port, gy in zip(output_edges(f), g if isinstance(g, list) else [g], strict=True):
        y = None if port is None or gy is None else port.variable()
        if y is not None and y._edge is port:
            y._grad = gy if isinstance(gy, Variable) else copy(gy)


def _changed(f: Function, leaf: Leaf) -> RuntimeError:
    x = leaf.variable()
    return RuntimeError(
        f"the data of {'a Variable' if x is None else _describe(x)} changed after {f.name} had used it, and its gradient "
        "needs the old data; call backward() before the optimizer's step (or compute the result again)"
    )


def _describe(x: Variable) -> str:
    name = "" if x.name is None else f" {x.name!r}"
    return f"the {type(x).__name__}{name} of shape {x.shape}"


def _nothing_recorded(y: Variable) -> RuntimeError:
    if y.requires_grad:
        why = "it is a leaf: no function call made it"
    else:
        why = "it was computed under no_grad(), or from constants alone (arrays, requires_grad=False)"
    return RuntimeError(f"backward() of {_describe(y)}, for which nothing was recorded: {why}")


def _released(f: Function) -> RuntimeError:
    return RuntimeError(
        f"backward() a second time through {f.name}, whose record the first call has released; pass "
        "retain_graph=True to the first call to keep it"
    )


def _misfit(f: Function, gx: Any, shape: tuple[int, ...]) -> ValueError:
    return ValueError(f"{f.name}.backward returned a gradient of shape {gx.shape} for an input of shape {shape}")
