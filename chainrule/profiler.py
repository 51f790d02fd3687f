"""The profiler: time and memory by operation and by module, as a table and as a trace."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Self

from .core import config
from .core.function import Function
from .core.variable import plain
from .nn.module import Module

#: Where time goes that was spent neither in a recorded operation nor in a region.
_OUTSIDE = "(outside of the model)"


class Event(NamedTuple):
    """One operation's call, or its gradient's computation, or a region.

    ``start`` and ``seconds`` are on ``time.perf_counter``'s clock; ``results`` are the bytes of the arrays that it returned,
    views included; ``held``, by how much the memory in use has changed, and ``peak``, how much more than before was in use
    at once, are 0 unless memory was measured.
    """

    name: str
    direction: str
    module: str
    start: float
    seconds: float
    shapes: tuple[Any, ...]
    results: int
    held: int
    peak: int
    thread: int


class profile:
    """Measures what is recorded, and differentiated, in a ``with`` block.

    An operation's time is that from the end of the one before it, or from where its module or a region began, to its own
    end: Python's share is in it. Operations that are not recorded, as under ``no_grad()`` or on plain arrays, are in the time
    of the next one that is. What is neither model nor gradient, such as loading data and the optimizer's step, is left out
    before a call of the model, and counted by ``region``.

    Args:
        model: its modules are told apart; without it, all is of one.
        memory: measure memory too, by ``tracemalloc``, to which NumPy tells of its arrays. That takes time itself: look at
            times in another run.

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    >>> with cr.profiler.profile(model) as prof:
    ...     loss = np.sum(model(np.ones((32, 64), np.float32)))
    ...     loss.backward()
    >>> sorted({(event.name, event.module) for event in prof.events if event.direction == "forward"})
    [('linear', '0'), ('linear', '2'), ('np.sum', '(outside of the model)'), ('tanh', '1')]
    >>> print(prof.table(by="module"))
    module  ...
    """

    def __init__(self, model: Module | None = None, memory: bool = False):
        self.model, self.memory = model, memory
        self.events: list[Event] = []
        self._spans: list[tuple[str, float, float, int]] = []  # of modules: path, start, seconds, thread
        self._modules: dict[int, str] = {}  # of recorded calls, by id: while a call can be walked to, its id is its own
        self._state = threading.local()

    # ---- around a block ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        if self.model is not None:
            for path, module in self.model.named_modules():
                self._stack.enter_context(module.register_forward_pre_hook(self._entering(path)))
                self._stack.enter_context(module.register_forward_hook(self._leave))
        if self.memory and not tracemalloc.is_tracing():
            tracemalloc.start()
            self._stack.callback(tracemalloc.stop)
        token = config.debug.set(self._observe)
        self._stack.callback(config.debug.reset, token)
        self._restart()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @contextmanager
    def region(self, name: str) -> Iterator[None]:
        """Count the time of a ``with`` block under a name, such as "data" or "optimizer"."""
        self._restart()
        try:
            yield
        finally:
            self._add(name, "region", self._path(), (), 0)

    # ---- what happens -----------------------------------------------------------------------------------

    def _observe(self, call: Function, arrays: Iterable[Any], direction: str) -> None:
        made = [array for array in map(plain, arrays) if array is not None]
        if direction == "forward":
            self._modules[id(call)] = self._path()
        module = self._modules.get(id(call), _OUTSIDE)
        results = sum(array.nbytes for array in made)
        self._add(call.name, direction, module, tuple(array.shape for array in made), results)

    def _entering(self, path: str) -> Callable[..., None]:
        def enter(module: Module, args: Any) -> None:
            self._restart()
            self._state.modules.append((path, self._state.last))

        return enter

    def _leave(self, module: Module, args: Any, output: Any) -> None:
        path, start = self._state.modules.pop()
        self._spans.append((path, start, time.perf_counter() - start, threading.get_ident()))

    def _path(self) -> str:
        """The module that is being called."""
        modules = getattr(self._state, "modules", ())
        return modules[-1][0] if modules else "" if self.model is None else _OUTSIDE

    def _restart(self) -> None:
        """What follows begins now."""
        if not hasattr(self._state, "modules"):
            self._state.modules = []
        if self.memory:
            tracemalloc.reset_peak()
            self._state.memory = tracemalloc.get_traced_memory()[0]
        self._state.last = time.perf_counter()

    def _add(self, name: str, direction: str, module: str, shapes: tuple[Any, ...], results: int) -> None:
        now = time.perf_counter()
        last = getattr(self._state, "last", now)
        held = peak = 0
        if self.memory:
            before, (after, most) = getattr(self._state, "memory", 0), tracemalloc.get_traced_memory()
            held, peak = after - before, most - before
        event = Event(name, direction, module, last, now - last, shapes, results, held, peak, threading.get_ident())
        self.events.append(event)
        self._restart()

    # ---- what is shown ----------------------------------------------------------------------------------

    def table(self, by: str = "operation", sort: str = "total", rows: int | None = 20) -> str:
        """The sums as text, the largest first.

        Args:
            by: ``"operation"`` or ``"module"``; forward and backward are told apart.
            sort: ``"total"`` time, number of ``"calls"``, ``"results"``, ``"held"`` or ``"peak"`` bytes.
            rows: how many are shown; None for all.

        Raises:
            ValueError: ``by`` or ``sort`` is something else.
        """
        columns = ["total", "calls", "results", *(["held", "peak"] if self.memory else [])]
        if by not in ("operation", "module") or sort not in columns:
            raise ValueError(f"by is 'operation' or 'module', not {by!r}; sort one of {', '.join(columns)}, not {sort!r}")
        groups: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in self.events:
            groups[event.name if by == "operation" else event.module, event.direction].append(event)
        sums = {
            key: {
                "total": sum(event.seconds for event in events),
                "calls": len(events),
                "results": sum(event.results for event in events),
                "held": sum(event.held for event in events),
                "peak": max(event.peak for event in events),
            }
            for key, events in groups.items()
        }
        whole = sum(entry["total"] for entry in sums.values())
        ordered = sorted(sums.items(), key=lambda item: -item[1][sort])
        lines = [[by, "", "total ms", "share", "calls", "mean us", *(f"{name} kB" for name in columns[2:])]]
        for (name, direction), entry in ordered[:rows]:
            total, calls = entry["total"], entry["calls"]
            share = total / whole if whole else 0
            numbers = [f"{1e3 * total:.3f}", f"{share:.1%}", str(calls), f"{1e6 * total / calls:.1f}"]
            lines.append([name or "(model)", direction, *numbers, *(f"{entry[c] / 1e3:,.1f}" for c in columns[2:])])
        lines.append(["total", "", f"{1e3 * whole:.3f}", "", str(len(self.events)), "", *("" for _ in columns[2:])])
        return _aligned(lines)

    def save_trace(self, path: str | PathLike[str]) -> None:
        """Write the events, and the modules' calls around them, as a trace for ``chrome://tracing`` or ui.perfetto.dev."""
        spans = [
            {"name": path or "(model)", "cat": "module", "ts": start, "dur": seconds, "tid": thread, "args": {}}
            for path, start, seconds, thread in self._spans
        ]
        calls = [
            {
                "name": event.name,
                "cat": event.direction,
                "ts": event.start,
                "dur": event.seconds,
                "tid": event.thread,
                "args": {"module": event.module, "shapes": str(event.shapes), "results": event.results},
            }
            for event in self.events
        ]
        both: list[dict[str, Any]] = sorted(spans + calls, key=lambda entry: (entry["ts"], -entry["dur"]))
        begin = min((entry["ts"] for entry in both), default=0.0)
        for entry in both:
            entry |= {"ph": "X", "pid": 0, "ts": 1e6 * (entry["ts"] - begin), "dur": 1e6 * entry["dur"]}
        Path(path).write_text(json.dumps({"traceEvents": both, "displayTimeUnit": "ms"}), encoding="utf-8")


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns: the first two to the left, the others to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            text.ljust(w) if i < 2 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
