"""Function: one recorded call, and what users subclass to define their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar
from weakref import ref

import numpy as np

from . import config
from .arrays import Array, as_array, gradient_dtype, zeros
from .batched import (
    Batched,
    Level,
    NotBatched,
    at,
    at_level,
    deepest,
    everywhere,
    for_each_example,
    is_bare,
    level_of,
    map_items,
    whole,
)
from .variable import Leaf, Variable, as_variable, plain

#: Where a gradient flows: a Function, an Output of one that has several, or a Leaf. Each has ``function``,
#: ``generation``, ``shape``, ``dtype`` and, weakly, ``variable``.
Edge = Any

_CORE = __file__.rsplit("core", 1)[0]


class Function:
    """A differentiable operation; each call of it is recorded as an object of its own.

    A subclass defines ``forward``, arrays in, array (or tuple of arrays) out, and ``backward``, the output's
    gradient in (one for each output), the inputs' gradients out (None where there is none). ``backward``
    reads ``self.inputs[i].data``, ``self.outputs[i].data``, or what ``forward`` has kept on ``self``.

    Under ``create_graph=True`` the very same ``backward`` runs on Variables, ``.data`` included, so it is
    differentiable to any order where it is written in NumPy's functions.

    >>> import numpy as np, chainrule as cr
    >>> class Square(cr.Function):
    ...     def forward(self, x):
    ...         return x ** 2
    ...     def backward(self, gy):
    ...         x = self.inputs[0].data
    ...         return 2 * x * gy
    >>> x = cr.Variable(np.array(3.0))
    >>> Square()(x).backward()
    >>> x.grad
    array(6.)
    """

    # edges: for each input, where its gradient flows to; None if it needs none. None for all once released.
    # saved: what backward reads. variable (weakly), shape, dtype: the output's.
    # ports: None; or, of a call with several outputs, its Outputs, weakly. Then shape and dtype are tuples.
    # watched: the leaves whose data backward reads, each with its version then; or None.
    __slots__ = (
        "__weakref__",
        "dtype",
        "edges",
        "generation",
        "line",
        "ports",
        "saved",
        "shape",
        "variable",
        "watched",
    )

    #: Set to False in a subclass whose ``backward`` doesn't read them, so that they can be freed.
    keeps_inputs: ClassVar[bool] = True
    keeps_outputs: ClassVar[bool] = True
    #: Whether each array that ``vjp`` returns, if it is neither ``g`` nor a view, is new and seen by no one else.
    returns_fresh_arrays: ClassVar[bool] = False

    edges: tuple[Edge | None, ...] | None
    generation: int
    line: str
    ports: Any
    saved: Any
    shape: Any
    dtype: Any
    variable: Any
    watched: tuple[tuple[Leaf, int], ...] | None

    # ---- what a subclass defines ------------------------------------------------------------------------

    def forward(self, *xs: Array) -> Any:
        """Compute the output (or a tuple of outputs) from arrays."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def backward(self, *gys: Array) -> Any:
        """Compute the inputs' gradients (one, or a tuple) from the outputs' gradients."""
        raise NotImplementedError(f"{type(self).__name__} does not define backward, so it cannot be differentiated")

    # ---- calling ----------------------------------------------------------------------------------------

    def __call__(self, *inputs: Any) -> Any:
        level = deepest(inputs)
        if level is not None and is_bare(level, inputs):  # what is differentiated around a vmap is so for each example
            return for_each_example(self, inputs, {}, level)
        if level is not None:
            inputs = tuple(x if level_of(x) is level else self._constant(x) for x in inputs)
        call = _twin(self)
        arrays = tuple(x._data if isinstance(x, Variable) else as_array(x) for x in inputs)
        try:
            result = config.apart(call.forward, *arrays)
        except Exception:
            if level is None or isinstance(self, _OfEach):
                raise
            return _OfEach(self, level, self.name)(*inputs)
        several = isinstance(result, (tuple, list))
        outputs = tuple(as_array(y) for y in (result if several else (result,)))
        edges = tuple(x._edge if isinstance(x, Variable) else None for x in inputs)
        if not config.enable_backprop.get() or all(e is None for e in edges):
            made = tuple(Variable(y, requires_grad=False) for y in outputs)
            return made if several else made[0]
        call.saved = _Saved(self, arrays, outputs)
        made = connect(call, edges, outputs, reads=edges if call.keeps_inputs else ())
        return made if several else made[0]

    def _constant(self, x: Any) -> Any:
        """An input from around the vmap in which this call is differentiated: the gradient around it would be lost."""
        if isinstance(x, (Variable, Batched)) and x.requires_grad:
            raise TypeError(
                f"{self.name} is differentiated inside a vmap, and one of its inputs is differentiated around that; a Function "
                "takes one of the two. Define it by primitive and define_rule, or differentiate in both inside the vmap"
            )
        return plain(x)

    @property
    def function(self) -> Function:
        return self

    @property
    def name(self) -> str:
        """What messages and drawings call this operation."""
        return type(self).__name__

    # ---- what backward reads ----------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """The call's inputs, as they were then."""
        if isinstance(self.saved, _Recorded):
            return self.saved.inputs
        arrays = self.saved.inputs if isinstance(self.saved, _Saved) else None
        edges = self.edges or ()
        return tuple(variable_at(None if arrays is None else arrays[i], e) for i, e in enumerate(edges))

    @property
    def outputs(self) -> tuple[Variable, ...]:
        """The call's outputs, as they were then."""
        if isinstance(self.saved, _Recorded):
            return self.saved.outputs
        arrays = self.saved.outputs if isinstance(self.saved, _Saved) else None
        return tuple(variable_at(None if arrays is None else arrays[i], e) for i, e in enumerate(output_edges(self)))

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        """For each input, whether its gradient is wanted."""
        return tuple(e is not None for e in self.edges or ())

    # ---- what the walk calls ----------------------------------------------------------------------------

    def vjp(self, g: Any) -> Iterable[Any]:
        """The gradient for each edge, on arrays."""
        gys = materialise(self, g)
        gxs = as_tuple(self.backward(*gys))
        if not any(isinstance(gy, Variable) for gy in gys):  # as they are in forward mode, where this is transposed
            gxs = tuple(plain(gx) for gx in gxs)
        return self._checked_gradients(list(gxs))

    def vjp_recorded(self, g: Any) -> Iterable[Any]:
        """The same on Variables, so that it is recorded itself."""
        saved: _Saved = self.saved
        inputs = (
            () if saved.inputs is None else tuple(_recorded(x, e) for x, e in zip(saved.inputs, self.edges or (), strict=True))
        )
        outputs = (
            ()
            if saved.outputs is None
            else tuple(_recorded(y, e) for y, e in zip(saved.outputs, revived_edges(self, saved.outputs), strict=True))
        )
        twin = _twin(self)
        twin.edges, twin.saved = self.edges, _Recorded(inputs, outputs)
        try:
            _replay_kept_arrays(self, twin, saved)
            return self._checked_gradients(list(as_tuple(twin.backward(*materialise(self, g)))))
        except TypeError as error:
            raise TypeError(
                f"{self.name} cannot be differentiated twice: its backward (or the forward whose arrays it reads) "
                f"does not work on Variables. Write it in NumPy's functions. ({error})"
            ) from error

    def jvp(self, tangents: list[Any], bound: dict[str, Any], recorded: bool) -> Any:
        """The result's tangent from those of the edges (None where zero), or None: the transpose of ``vjp`` tells it."""
        return None

    def _checked_gradients(self, gxs: list[Any]) -> list[Any]:
        edges = self.edges or ()
        if len(gxs) != len(edges):
            raise ValueError(f"{self.name}.backward returned {len(gxs)} gradients for {len(edges)} inputs")
        return [gx if gx is None or hasattr(gx, "dtype") else as_array(gx) for gx in gxs]


class Output:
    """One output of a Function that has several: the edge by which its gradient finds its place."""

    __slots__ = ("__weakref__", "dtype", "function", "generation", "index", "shape", "variable")

    def __init__(self, function: Function, index: int, variable: Variable):
        self.function, self.index = function, index
        self.generation, self.variable = function.generation, ref(variable)
        self.shape, self.dtype = variable._data.shape, variable._data.dtype


class _OfEach(Function):
    """A call of a Function that can't take a batch at once: a call for each example, differentiated by itself."""

    def __init__(self, function: Callable[..., Any], level: Level, name: str):
        self._function, self._level, self._name = function, level, name

    @property
    def name(self) -> str:
        return self._name

    def forward(self, *xs: Array) -> Any:
        self.calls = []
        for i in range(self._level.size):
            inputs = [Variable(at_level(as_array(whole(x, self._level)[i]), self._level.outer)) for x in xs]
            with config.enable_grad(), at(self._level.outer):
                self.calls.append((inputs, tuple(map(as_variable, as_tuple(self._function(*inputs))))))
        results = zip(*([y._data for y in ys] for _, ys in self.calls), strict=True)
        made = tuple(Batched(np.stack(each), self._level) for each in results)
        return made[0] if len(made) == 1 else made

    def backward(self, *gys: Array) -> Any:
        from .backward import walk  # the walk stands above this file

        self._require_level(gys)
        gradients = []
        for i, (inputs, ys) in enumerate(self.calls):
            pairs = [(y, whole(gy, self._level)[i]) for y, gy in zip(ys, gys, strict=True) if y.requires_grad]
            with at(self._level.outer):
                found = walk([y for y, _ in pairs], [g for _, g in pairs], retain_graph=True)
            gradients.append([found.get(x._edge, np.zeros(x.shape)) for x in inputs])  # type: ignore[arg-type]
        return tuple(Batched(np.stack(each), self._level) for each in zip(*gradients, strict=True))

    def vjp(self, g: Any) -> Iterable[Any]:
        recorded = any(isinstance(gy, Variable) for gy in as_tuple(g))  # as they are in forward mode, where this is transposed
        return self.vjp_recorded(g) if recorded else super().vjp(g)

    def vjp_recorded(self, g: Any) -> Iterable[Any]:
        """The gradients, as a function of the inputs and of ``g``, computed and differentiated for each example, too."""
        from .backward import walk

        self._require_level(as_tuple(g))
        inputs = [variable_at(x, edge) for x, edge in zip(self.saved.inputs, self.edges or (), strict=True)]

        def pull(*given: Variable) -> tuple[Variable, ...]:
            xs, gys = given[: len(inputs)], given[len(inputs) :]
            ys = map(as_variable, as_tuple(self._function(*xs)))
            pairs = [(y, gy) for y, gy in zip(ys, gys, strict=True) if y.creator is not None]
            found = walk([y for y, _ in pairs], [gy for _, gy in pairs], create_graph=True)
            return tuple(as_variable(found.get(x._edge, np.zeros(x.shape))) for x in xs)  # type: ignore[arg-type]

        return as_tuple(_OfEach(pull, self._level, self._name)(*inputs, *materialise(self, g)))

    def _require_level(self, gys: tuple[Any, ...]) -> None:
        """Refuse rows of a Jacobian inside of the vmap: each comes by itself then."""
        if deepest(gys) not in (None, self._level):
            raise NotBatched(f"{self._name} is differentiated for each example, and for each row of a Jacobian")


def of_each(function: Callable[..., Any], args: Any, kwargs: Any, refused: NotBatched) -> Any:
    """A function of Variables that has refused a batch, for each example by itself, and differentiated so.

    Raises:
        NotBatched: it was refused for another reason, or its results differ in shape.
    """
    level, found = deepest((args, kwargs)), []

    def taken(x: Any) -> Any:
        here = level_of(x) is level
        data = plain(x) if here else x
        if isinstance(data, (Variable, Batched)) and data.requires_grad:  # what is differentiated around a vmap would be lost
            raise refused
        if not here:
            return x
        found.append(x)
        return _Place(len(found) - 1)

    def of_one(*xs: Any) -> Any:
        args, kwargs = map_items(lambda x: xs[x.position] if x.__class__ is _Place else x, given)
        return function(*args, **kwargs)

    if level is None:
        raise refused
    given = map_items(taken, (tuple(args), kwargs))
    try:
        return _OfEach(of_one, level, function.__name__)(*found)
    except (NotBatched, ValueError) as error:
        raise refused from error


class _Place:
    """Where one of the examples' arrays stands among a function's arguments."""

    __slots__ = ("position",)

    def __init__(self, position: int):
        self.position = position


# ---- recording ------------------------------------------------------------------------------------------


def connect(
    call: Function,
    edges: tuple[Edge | None, ...],
    arrays: tuple[Array, ...],
    reads: Iterable[Edge | None],
    bound: dict[str, Any] | None = None,
) -> tuple[Variable, ...]:
    """Record ``call``: set its place in the record, and make the Variables of its output arrays.

    ``reads`` are the edges of those inputs whose data the call's backward needs; ``bound`` its arguments by name.
    """
    call.edges = edges
    call.generation = 1 + max(e.generation for e in edges if e is not None)
    call.watched = tuple((e, e.version) for e in reads if e.__class__ is Leaf) or None
    made = tuple(Variable(y, requires_grad=False) for y in arrays)
    if len(made) == 1:
        (y,) = made
        call.shape, call.dtype, call.variable, call.ports = y._data.shape, y._data.dtype, ref(y), None
        y._edge = call
    else:
        ports = tuple(Output(call, i, y) for i, y in enumerate(made))
        call.shape, call.dtype = tuple(y.shape for y in arrays), tuple(y.dtype for y in arrays)
        call.variable, call.ports = None, tuple(ref(port) for port in ports)
        for y, port in zip(made, ports, strict=True):
            y._edge = port
    if config.debug.get():
        observe(call, arrays, "forward")
    if config.forward.get() is not None:
        config.forward.get().push(call, made, bound)
    return made


def output_edges(call: Function) -> tuple[Edge | None, ...]:
    """Where a gradient of each output flows to; None for an output that nothing uses any more."""
    return (call,) if call.ports is None else tuple(port() for port in call.ports)


def revived_edges(call: Function, arrays: Iterable[Array]) -> tuple[Edge, ...]:
    """``output_edges``, with new ones for outputs that nothing uses any more: a recorded backward reads those too."""
    edges = output_edges(call)
    if call.ports is not None and None in edges:
        edges = tuple(
            Output(call, i, Variable(y, requires_grad=False)) if e is None else e
            for i, (e, y) in enumerate(zip(edges, arrays, strict=True))
        )
        call.ports = tuple(ref(e) for e in edges)
    return edges


def variable_at(data: Array | None, edge: Edge | None) -> Variable:
    """The Variable whose gradient flows to ``edge``: the one in use where it is alive and still holds ``data``."""
    alive: Variable | None = None if edge is None else edge.variable()
    if alive is not None and alive._edge is edge and (data is None or alive._data is data):
        return alive
    made = object.__new__(Variable)
    made._data, made._edge = data, edge
    made._grad = made._seed = made.name = None
    return made


class _Saved:
    """What a subclass's backward reads: the pristine Function, and the call's arrays."""

    __slots__ = ("inputs", "origin", "outputs")

    def __init__(self, origin: Function, inputs: tuple[Array, ...], outputs: tuple[Array, ...]):
        self.origin = origin
        self.inputs = inputs if origin.keeps_inputs else None
        self.outputs = outputs if origin.keeps_outputs else None


class _Recorded:
    __slots__ = ("inputs", "outputs")

    def __init__(self, inputs: tuple[Variable, ...], outputs: tuple[Variable, ...]):
        self.inputs, self.outputs = inputs, outputs


class _Transparent(Variable):
    """A Variable whose ``.data`` is itself, so that a ``backward`` written for arrays is recorded as it stands."""

    __slots__ = ()
    data = property(lambda self: self)  # type: ignore[assignment]


def _recorded(data: Array, edge: Edge | None) -> Variable:
    found = _Transparent(data, requires_grad=False)
    found._edge = edge
    return found


def _twin(function: Function) -> Function:
    twin = object.__new__(type(function))
    twin.__dict__.update(function.__dict__)
    return twin


def as_tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def materialise(call: Function, g: Any) -> tuple[Any, ...]:
    """The gradients that a subclass's backward gets: arrays, and zeros for outputs that were not used."""
    if call.ports is None:
        return (g if isinstance(g, Variable) else as_array(g),)
    like = next((plain(gy) for gy in g if gy is not None), None)
    return tuple(
        zeros(shape, like, gradient_dtype(dtype)) if gy is None else gy if isinstance(gy, Variable) else as_array(gy)
        for gy, shape, dtype in zip(g, call.shape, call.dtype, strict=True)
    )


def _replay_kept_arrays(call: Function, twin: Function, saved: _Saved) -> None:
    """Make the arrays that ``forward`` has kept on itself Variables too, by running it on Variables."""
    before = saved.origin.__dict__
    kept = {name: value for name, value in call.__dict__.items() if before.get(name) is not value}
    if not any(hasattr(item, "dtype") for value in kept.values() for item in as_tuple(value)):
        return
    if saved.inputs is None:
        raise TypeError(f"{call.name} keeps arrays that depend on its inputs, and keeps_inputs is False")
    replay = _twin(saved.origin)
    replay.forward(*twin.inputs)
    for name, value in kept.items():
        again = replay.__dict__.get(name)
        if any(isinstance(item, Variable) for item in as_tuple(again)):
            for old, new in zip(as_tuple(value), as_tuple(again), strict=True):
                if isinstance(new, Variable) and not everywhere(_same(plain(old), plain(new))):
                    raise TypeError(f"forward gives another self.{name} when it is run again")
            twin.__dict__[name] = again


def _same(x: Any, y: Any) -> Any:
    """Whether elements are equal; NaN is equal to NaN."""
    return (x == y) | ((x != x) & (y != y)) if x.shape == y.shape else np.False_


# ---- debug mode, and observers --------------------------------------------------------------------------


def observe(call: Function, arrays: Iterable[Any], direction: str) -> None:
    """Tell of a call's results ("forward") or gradients ("backward"): in debug mode they are checked."""
    observer = config.debug.get()
    if observer is not True:
        observer(call, arrays, direction)
        return
    if direction == "forward":
        call.line = user_line()
    check_finite(call, arrays, direction)


def user_line() -> str:
    """The file and line of the user's code that is running: the innermost frame outside chainrule and NumPy."""
    inside = (_CORE, np.__file__.rsplit("__init__", 1)[0], "<recorder of")
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def check_finite(call: Function, arrays: Iterable[Any], direction: str) -> None:
    """Raise a FloatingPointError that names ``call`` and its line if an array has a NaN or an infinity."""
    for array in arrays:
        array = plain(array)
        if array is not None and array.dtype.kind in "fc" and not everywhere(np.isfinite(array)):
            kind = "infinity" if everywhere(~np.isnan(array)) else "NaN"
            what = "result" if direction == "forward" else "gradient"
            raise FloatingPointError(
                f"{call.name}: first {kind} in the {what} ({direction}), recorded at {getattr(call, 'line', '?')}"
            )
