"""Forward mode: each call's tangent is computed as the call is recorded, and nothing is kept for a walk back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..core import config
from ..core.backward import walk
from ..core.batched import at_level, level_of
from ..core.function import Edge, Function, Output
from ..core.variable import Variable


class Forward:
    """One forward pass: the tangents of all that is recorded during it, by the edges of the record.

    Args:
        recorded: whether the tangents are recorded themselves, so that they can be differentiated.
    """

    def __init__(self, recorded: bool):
        self.outer: Forward | None = config.forward.get()
        self.recorded = recorded or self.outer is not None
        # by Leaf or Function, and for a Function with several outputs a list: an Output may die and be made anew
        self._tangents: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside, what is recorded gets tangents."""
        token = config.forward.set(self)
        try:
            with config.using_config("enable_backprop", True):
                yield
        finally:
            config.forward.reset(token)

    def start(self, x: Variable, tangent: Any) -> None:
        """Give an input its tangent."""
        self._tangents[x._edge] = tangent

    def tangent(self, y: Any) -> Any:
        """The tangent of a result: zeros where it depends on no input."""
        found = self._at(y._edge) if isinstance(y, Variable) else None
        return np.zeros(y.shape, y.dtype) if found is None else found

    def _at(self, edge: Edge | None) -> Any:
        """The tangent at an edge; None for zero."""
        if edge.__class__ is Output:
            several = self._tangents.get(edge.function)
            return None if several is None else several[edge.index]
        return None if edge is None else self._tangents.get(edge)

    def push(self, call: Function, made: Sequence[Variable], bound: dict[str, Any] | None) -> None:
        """Compute the tangents of a call's results as it has just been recorded; release it if no one else needs it."""
        self.advance(call, made, bound)
        if not self.recorded and not config.reverse.get():
            call.edges = call.saved = call.watched = None

    def advance(self, call: Function, made: Sequence[Variable], bound: dict[str, Any] | None) -> None:
        """The tangents of all passes under way, from the outermost in."""
        if self.outer is not None:
            self.outer.advance(call, made, bound)
        tangents = [self._at(e) for e in call.edges or ()]
        if any(t is not None for t in tangents):
            # the tangents have none of this pass themselves, and their own record is needed where it is transposed
            token, reverse = config.forward.set(self.outer), config.reverse.set(True)
            try:
                results = self._pushed(call, made, tangents, bound)
            finally:
                config.forward.reset(token)
                config.reverse.reset(reverse)
            self._tangents[call] = results[0] if call.ports is None else results

    def _pushed(self, call: Function, made: Sequence[Variable], tangents: list[Any], bound: dict[str, Any] | None) -> list[Any]:
        total = None if bound is None or len(made) > 1 else call.jvp(tangents, bound, self.recorded)
        if total is None:
            return self._transposed(call, made, tangents)
        return [_like(made[0], total)]

    def _transposed(self, call: Function, made: Sequence[Variable], tangents: list[Any]) -> list[Any]:
        """The transpose of the call's vjp, which is linear in g: its gradient in g, started from the tangents."""
        gs = [Variable(at_level(np.zeros(y.shape, y.dtype), level_of(y))) for y in made]
        pull = call.vjp_recorded if self.recorded else call.vjp
        gxs = list(pull(gs[0] if call.ports is None else list(gs)))
        pairs = [
            (gx, _like(gx, t))
            for gx, t in zip(gxs, tangents, strict=True)
            if t is not None and isinstance(gx, Variable) and gx.requires_grad
        ]
        through = [(gx, t) for gx, t in pairs if gx.creator is not None]
        found: dict[Any, Any] = {}
        if through:
            # what the vjp has read lies beyond the call: the walk is to end there
            ys, ts = zip(*through, strict=True)
            found = dict(walk(ys, ts, create_graph=self.recorded, stop={call, *(call.edges or ())}))
        for gx, t in pairs:
            if gx.creator is None:  # g itself
                found[gx._edge] = t if gx._edge not in found else found[gx._edge] + t
        return [found.get(g._edge) for g in gs]


def _like(y: Variable, t: Any) -> Any:
    """A tangent in the shape and dtype of what it is a tangent of."""
    if t.shape != y.shape:
        t = np.broadcast_to(t, y.shape)
    if t.dtype == y.dtype:
        return t
    return (np.real(t) if t.dtype.kind == "c" and y.dtype.kind != "c" else t).astype(y.dtype)
