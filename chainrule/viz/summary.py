"""A model's layers in a table: shapes, parameters, multiply-adds, and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..core import config
from ..core.arrays import Array
from ..core.function import Function
from ..core.variable import Variable
from ..dispatch import unwrap
from ..nn.module import Module
from ..random import using
from ..trees import leaves

Shape = tuple[int, ...]

#: How many multiply-adds a call takes, by the function's name: from its arguments' shapes and its result's.
_MULTIPLY_ADDS: dict[str, Callable[[dict[str, Any], Shape], int]] = {
    "np.matmul": lambda a, y: prod(y) * np.shape(a["x"])[-1],
    "linear": lambda a, y: prod(y) * np.shape(a["weight"])[-1],
    "_convolve": lambda a, y: prod(y) * prod(np.shape(a["weight"])[1:]),
    "_convolve_input": lambda a, y: prod(np.shape(a["g"])) * prod(np.shape(a["weight"])[1:]),
    "_contract": lambda a, y: _contraction(a),
}


def _contraction(arguments: dict[str, Any]) -> int:
    """One for each value of all indices together."""
    of_x, of_y, _ = arguments["terms"]
    return prod(dict(zip(of_x + of_y, np.shape(arguments["x"]) + np.shape(arguments["y"]), strict=True)).values())


@dataclass
class Layer:
    """A module's row: what it computes and owns by itself, without the modules in it."""

    path: str
    kind: str
    output: str = ""
    parameters: int = 0
    multiply_adds: int = 0
    kept: int = 0  # bytes


@dataclass
class Summary:
    """What ``summary`` returns: the layers in order, and the sums. ``print`` shows it as a table.

    ``kept`` are the bytes of the results that training keeps for the gradients, besides parameters and inputs;
    ``weights`` those of the parameters.
    """

    layers: list[Layer]
    parameters: int
    trained: int
    weights: int

    @property
    def multiply_adds(self) -> int:
        """Those of all layers, for this input."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def kept(self) -> int:
        """The bytes that all layers keep."""
        return sum(layer.kept for layer in self.layers)

    def __str__(self) -> str:
        rows = [["layer", "output", "parameters", "multiply-adds", "kept"]]
        for layer in self.layers:
            depth = layer.path.count(".") + 1 if layer.path else 0
            name = f"{'  ' * depth}{layer.path.rpartition('.')[2]} ({layer.kind})" if layer.path else layer.kind
            numbers = (f"{layer.parameters:,}", f"{layer.multiply_adds:,}", _bytes(layer.kept))
            rows.append([name, layer.output, *("" if text in ("0", "0 B") else text for text in numbers)])
        rows.append(["total", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", _bytes(self.kept)])
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            "  ".join([*(row[i].ljust(widths[i]) for i in (0, 1)), *(row[i].rjust(widths[i]) for i in (2, 3, 4))]).rstrip()
            for row in rows
        ]
        rule = "-" * max(map(len, lines))
        trained = f"{self.trained:,} of the parameters are trained; they take {_bytes(self.weights)}"
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], trained])

    __repr__ = __str__


def summary(model: Module, *inputs: Any, **options: Any) -> Summary:
    """Run a model, and tell of each of its modules the output's shape, parameters, multiply-adds and memory.

    Multiply-adds are those of matrix products, convolutions and ``einsum``, by which models are compared; what is done to
    one element after the other is not counted. Memory is what training keeps of the results for the gradients. The model,
    its running statistics and the random state are left as they are.

    Args:
        model: a module.
        inputs: the arguments of its call: arrays, or a tuple of ints for an array of that shape.
        options: further arguments of its call.

    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 26 * 26, 10))
    >>> print(summary(model, (1, 1, 28, 28)))
    layer          output          parameters  multiply-adds     kept
    -----------------------------------------------------------------
    Sequential     (1, 10)
      0 (Conv2d)   (1, 8, 26, 26)          80         48,672
      1 (ReLU)     (1, 8, 26, 26)                             21.6 kB
      2 (Flatten)  (1, 5408)
      3 (Linear)   (1, 10)             54,090         54,080
    -----------------------------------------------------------------
    total                              54,170        102,752  21.6 kB
    54,170 of the parameters are trained; they take 216.7 kB
    """
    arrays = [np.zeros(x, np.float32) if _is_shape(x) else unwrap(x) for x in inputs]
    given = [Variable(x) if isinstance(x, np.ndarray) and x.dtype.kind in "fc" else x for x in arrays]
    parameters = dict.fromkeys(model.parameters())
    observer = _Observer(model, [*arrays, *(p.data for p in parameters)])
    with _all_trained(list(parameters)):
        # as an operation that has a kernel it is known what is kept, as the composition of others how much it computes
        for mode, observe in ((config.debug, observer.look_at_kept), (config.forward, observer)):
            with observer.watching(mode, observe):
                model(*given, **options)
    return Summary(
        list(observer.layers.values()),
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if p.requires_grad),
        sum(p.nbytes for p in parameters),
    )


class _Observer:
    """Is told of each module's call and, as debug mode or a forward pass of derivatives are, of each that is recorded."""

    def __init__(self, model: Module, known: Sequence[Array]):
        self.layers = {module: Layer(path, type(module).__name__) for path, module in model.named_modules()}
        counted: set[int] = set()
        for module, layer in self.layers.items():
            for parameter in module.parameters(recurse=False):
                if id(parameter) not in counted:
                    counted.add(id(parameter))
                    layer.parameters += parameter.size
        self.under_way: list[Layer] = []
        self.roots = {id(_root(array)): _root(array) for array in known if isinstance(array, np.ndarray)}

    @contextmanager
    def watching(self, mode: ContextVar[Any], observe: Any) -> Iterator[None]:
        modes: dict[ContextVar[Any], Any] = {mode: observe, config.recomputing: True, config.enable_backprop: True}
        tokens = [(mode, mode.set(value)) for mode, value in modes.items()]
        try:
            with ExitStack() as stack:
                stack.enter_context(using(0))
                for module in self.layers:
                    stack.enter_context(module.register_forward_pre_hook(self._enter))
                    stack.enter_context(module.register_forward_hook(self._leave))
                yield
        finally:
            for mode, token in reversed(tokens):
                mode.reset(token)

    def _enter(self, module: Module, args: Any) -> None:
        self.under_way.append(self.layers[module])

    def _leave(self, module: Module, args: Any, output: Any) -> None:
        shapes = [str(np.shape(y)) for y in leaves(output) if hasattr(y, "shape")]
        self.under_way.pop().output = ", ".join(shapes)

    def push(self, call: Function, made: Sequence[Variable], bound: dict[str, Any] | None) -> None:
        """A call was recorded: its results, and its arguments by name."""
        count = _MULTIPLY_ADDS.get(call.name)
        if count is not None and bound is not None and self.under_way:
            self.under_way[-1].multiply_adds += count(unwrap(bound), made[0].shape)

    def look_at_kept(self, call: Function, arrays: Any, direction: str) -> None:
        """A call was recorded: what it keeps that none before has kept."""
        for value in _arrays((call.saved, getattr(call, "__dict__", None))):
            root = _root(value)
            if id(root) not in self.roots:
                self.roots[id(root)] = root
                if self.under_way:
                    self.under_way[-1].kept += root.nbytes


def _arrays(saved: Any) -> Iterator[Array]:
    """The arrays that a call's gradient reads."""
    if isinstance(saved, np.ndarray):
        yield saved
    elif isinstance(saved, (tuple, list)):
        for item in saved:
            yield from _arrays(item)
    elif isinstance(saved, dict):
        yield from _arrays(list(saved.values()))
    elif hasattr(saved, "inputs"):
        yield from _arrays([saved.inputs, saved.outputs])


def _root(array: Array) -> Array:
    """The array whose memory a view looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


@contextmanager
def _all_trained(parameters: Sequence[Variable]) -> Iterator[None]:
    """Let gradients flow to frozen parameters too, so that what is computed from them is recorded."""
    frozen = [p for p in parameters if not p.requires_grad]
    for p in frozen:
        p.requires_grad = True
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad = False


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple) and len(x) > 0 and all(isinstance(n, int) for n in x)


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} B" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
