"""Rules: how a function is recorded and differentiated, and the table in which each function finds its own."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from importlib import import_module
from typing import Any, Literal

import numpy as np

from ..core import config
from ..core.arrays import as_array, is_native
from ..core.batched import Batched, DependsOnValues, NotBatched, current, deepest, is_bare, level_of
from ..core.function import Edge, connect, materialise, of_each, revived_edges, variable_at
from ..core.variable import Variable
from .recorders import MOST_INPUTS, PLAIN, RuleCall, generate, subject

Linear = Literal["jointly", "separately"] | None

#: The rule of each differentiable function, by the function object itself: a Rule, or a composition of other functions.
RULES: dict[Any, Callable[..., Any]] = {}

#: Functions that have no useful gradient (NumPy's, by object): they run on the data and return plain values.
NO_GRADIENT: set[Any] = set()

#: Why a function that NumPy lets us catch cannot be used on a Variable.
UNSUPPORTED: dict[Any, str] = {}

#: Functions that write into their first argument.
WRITES: set[Any] = set()

#: Tables of rules that are imported when a library is in use and a function without a rule is met.
_LATER = {"numpy": "chainrule.calculus.further", "scipy.special": "chainrule.calculus.special"}


def import_more_rules() -> bool:
    """Import the next table that may have a rule; False if there is none."""
    library = next((name for name in _LATER if name in sys.modules), None)
    if library is None:
        return False
    before = dict(RULES)
    import_module(_LATER[library])
    RULES.update(before)  # what users have defined stays
    _LATER.pop(library, None)
    return True


def is_known(function: Any) -> bool:
    """Whether there is a rule for ``function``, or it has no gradient."""
    while function not in RULES and function not in NO_GRADIENT:
        if not import_more_rules():
            return False
    return True


# ---- rules ----------------------------------------------------------------------------------------------


class Derivative:
    """The gradient's way back through one argument: ``fn(g, *names)``.

    The names of ``fn``'s parameters after ``g`` say what it reads, and so what is kept: an argument of the function by
    its own name, ``ans`` for the result, ``<argument>_shape`` for a shape alone. For an argument that is a sequence of
    arrays, the parameter ``i`` is the position of the one in question; one that reads ``<argument>_shapes`` instead
    returns the gradients of all.
    """

    __slots__ = ("fn", "indexed", "names", "of_sequence")

    def __init__(self, fn: Callable[..., Any]):
        code = getattr(fn, "__code__", None)
        every = code.co_varnames[: code.co_argcount] if code else tuple(inspect.signature(fn).parameters)
        self.fn = fn
        self.indexed = "i" in every
        self.names = tuple(n for n in every[1:] if n != "i")
        self.of_sequence = self.indexed or any(n.endswith("_shapes") for n in self.names)


class Rule:
    """How one function is recorded and differentiated.

    Args:
        function: what users call.
        derivatives: for each argument that it is differentiable in, ``fn(g, ...)``; see Derivative.
        ignores: arguments that the gradient doesn't depend on.
        signature: a stand-in whose parameters are the function's, where Python can't tell them.
        linear: whether it is linear in these arguments, all together or each by itself; forward mode then calls it.
        kernel: what computes the function in its place: where it has options, on NumPy's arrays, else on large ones.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        derivatives: dict[str, Callable[..., Any]],
        ignores: Iterable[str] = (),
        signature: Callable[..., Any] | None = None,
        linear: Linear = None,
        kernel: Callable[..., Any] | None = None,
    ):
        self.function = function
        self.forward: Callable[..., Any] = getattr(function, "array_function", function)
        self.kernel = kernel
        self.derivatives = {name: Derivative(fn) for name, fn in derivatives.items()}
        self.ignores = frozenset(ignores)
        self._signature = signature
        self.linear = linear
        self._parameters: tuple[str, ...] | None = None
        self.kinds: tuple[str, ...] = ()  # of each parameter: positional, keyword, variadic, or either
        self.defaults: dict[str, Any] = {}
        self.handled: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return function_name(self.function)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters, found at first use."""
        if self._parameters is None:
            if isinstance(self.function, np.ufunc):
                names = inspect.signature(self._signature).parameters if self._signature else "xyzw"
                self._parameters = tuple(names)[: self.function.nin]
                self.kinds = ("positional",) * self.function.nin
                self.ignores |= {"dtype", "casting", "order", "subok", "axes"}
            else:
                signature = inspect.signature(self._signature or self.forward)
                found = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
                self.defaults = {p.name: p.default for p in found if p.default is not p.empty}
                self.kinds = tuple(_KINDS[p.kind] for p in found)
                self._parameters = tuple(p.name for p in found)
            read = {n for d in self.derivatives.values() for n in d.names}
            reads = {subject(n) for n in read}
            known = {"ans", *(n + end for n in self._parameters for end in ("", "_shape", "_shapes"))}
            if unknown := (read | self.derivatives.keys()) - known:
                raise TypeError(f"the rule of {self.name} speaks of {min(unknown)!r}; the arguments are {self._parameters}")
            self.handled = frozenset(reads | self.derivatives.keys() | self.ignores)
        return self._parameters

    @property
    def is_general(self) -> bool:
        """Whether its calls have to take the general way: too many inputs, or a sequence of arrays that is not the only one."""
        most = 1 if any(d.of_sequence for d in self.derivatives.values()) else MOST_INPUTS
        return "variadic" in self.kinds or len(self.derivatives) > most

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function on the data, and record the call: the general way."""
        parameters = self.parameters
        level = deepest((args, kwargs))
        if level is not None and is_bare(level, (args, kwargs)):
            return call_batched(self.function, args, kwargs)
        if "variadic" in self.kinds:
            bound: dict[str, Any] = {parameters[0]: list(args), **kwargs}
        elif len(args) > len(parameters):
            raise TypeError(f"{self.name} takes {len(parameters)} arguments, not {len(args)}")
        else:
            bound = dict(zip(parameters, args, strict=False)) | kwargs
        edges: dict[tuple[str, int | None], Edge | None] = {}
        for name, value in bound.items():
            if name not in self.handled and not self.is_default(name, value):
                raise self.unhandled(name)
            if name not in self.derivatives:
                bound[name] = self.constant(name, value)
            elif isinstance(value, Variable):
                if level is None or level_of(value) is level:  # one from around the vmap is data
                    edges[name, None], bound[name] = value._edge, value._data
            elif isinstance(self.function, np.ufunc) and value.__class__ is not Batched:
                bound[name] = self.constant(name, value)
            elif isinstance(value, (list, tuple)):
                own = [isinstance(v, Variable) and (level is None or level_of(v) is level) for v in value]
                edges |= {(name, i): v._edge for i, v in enumerate(value) if own[i]}
                bound[name] = [v._data if own[i] else v for i, v in enumerate(value)]
        named = {n: bound[n] for n in kwargs if n not in self.defaults or bound[n] is not self.defaults[n]}
        run = self.forward if level is None else self.function
        if "variadic" in self.kinds:
            ans = run(*bound[parameters[0]], **named)
        else:
            ans = run(*[bound[n] for n in parameters[: len(args)]], **named)
        return self.record(ans, bound, edges)

    def again(self, bound: dict[str, Any], edges: dict[tuple[str, int | None], Edge | None]) -> Any:
        """Take the general way, which knows what to do where the arguments are of different levels of ``vmap``."""
        given = dict(bound)
        for (name, i), edge in edges.items():
            if edge is not None:
                _put(given, (name, i), variable_at(bound[name] if i is None else bound[name][i], edge))
        return self._call(given, self)

    def record(self, ans: Any, bound: dict[str, Any], edges: dict[tuple[str, int | None], Edge | None]) -> Any:
        """Make Variables of the result, and record the call that has made it.

        Args:
            ans: what the function returned: an array, or a tuple or list of them.
            bound: its arguments by name, without Variables.
            edges: for each argument that was a Variable (and position, in a sequence), where its gradient flows to.
        """
        several = isinstance(ans, (tuple, list))
        collect = getattr(ans, "_make", tuple)  # a named tuple stays one
        arrays = tuple(as_array(y) for y in ans) if several else (as_array(ans),)
        needed = {key: edge for key, edge in edges.items() if edge is not None}
        level = level_of(ans)
        if level is not None and any(level_of(bound[name] if i is None else bound[name][i]) is not level for name, i in needed):
            return self.again(bound, edges)
        if not needed or not config.enable_backprop.get():
            made = tuple(Variable(y, requires_grad=False) for y in arrays)
            return collect(made) if several else made[0]
        call = Call()
        call.rule, call.wrt = self, tuple(needed)
        arguments = self.defaults | bound
        reads = dict.fromkeys(read for name, _ in needed for read in self.derivatives[name].names)
        call.saved = {
            read: (arrays if several else arrays[0]) if read == "ans"
            else arguments[read] if read in arguments
            else _shape(arguments[subject(read)])
            for read in reads
        }  # fmt: skip
        reading = [e for (name, _), e in needed.items() if name in reads]
        made = connect(call, tuple(needed.values()), arrays, reading, arguments)
        return collect(made) if several else made[0]

    def linear_jvp(
        self,
        wrt: Sequence[tuple[str, int | None]],
        edges: Sequence[Edge | None],
        tangents: Sequence[Any],
        bound: dict[str, Any],
        recorded: bool,
    ) -> Any:
        """The tangent of a linear function's result: the function itself, of the tangents."""
        if "initial" in bound and not self.is_default("initial", bound["initial"]):
            return None
        if self.linear == "jointly":
            given = bound | {name: _zeros(bound[name]) for name in self.derivatives if name in bound}
            for key, t in zip(wrt, tangents, strict=True):
                _put(given, key, t)
            return self._call(given)
        given = dict(bound)
        if recorded:
            for (name, i), edge in zip(wrt, edges, strict=True):
                _put(given, (name, i), variable_at(given[name] if i is None else given[name][i], edge))
        terms = []
        for key, t in zip(wrt, tangents, strict=True):
            if t is not None:
                changed = dict(given)
                _put(changed, key, t)
                terms.append(self._call(changed))
        return sum(terms[1:], start=terms[0])

    def _call(self, bound: dict[str, Any], function: Callable[..., Any] | None = None) -> Any:
        """The function, of arguments by name."""
        function = self.function if function is None else function
        if "variadic" in self.kinds:
            first = self.parameters[0]
            return function(*bound[first], **{n: v for n, v in bound.items() if n != first})
        positional = [n for n, kind in zip(self.parameters, self.kinds, strict=True) if kind == "positional" and n in bound]
        return function(*[bound[n] for n in positional], **{n: v for n, v in bound.items() if n not in positional})

    def constant(self, name: str, value: Any) -> Any:
        """An argument that has no derivative, without the Variables that may be in it."""
        if isinstance(value, (Variable, Batched)) and value.requires_grad and value.dtype.kind in "fc":
            raise TypeError(f"{self.name} is not differentiable in {name!r}; if no gradient is wanted there, pass v.data")
        return as_array(value) if isinstance(self.function, np.ufunc) and isinstance(value, (list, tuple)) else unwrap(value)

    def is_default(self, name: str, value: Any) -> bool:
        """Whether the value of an argument that no derivative knows changes nothing."""
        if name not in self.defaults:
            return False
        default = self.defaults[name]
        return value is default or (isinstance(default, (str, int, float, bool)) and bool(np.all(value == default)))

    def unhandled(self, name: str) -> TypeError:
        if name == "out":
            return writes_out(self.function)
        if name not in self.parameters:
            return TypeError(f"{self.name}() got an unexpected keyword argument {name!r}")
        return TypeError(f"{self.name}: the argument {name!r} is not supported on a Variable")


def call_batched(function: Any, args: Any, kwargs: Any) -> Any:
    """Call ``function`` on arguments among which there is a Batched that no Variable of its level stands beside."""
    from ..batching.calls import call  # stands above this room, and is imported when it is needed

    return call(function, args, kwargs)


def _zeros(value: Any) -> Any:
    return [np.zeros_like(v) for v in value] if isinstance(value, (list, tuple)) else np.zeros_like(value)


def _put(bound: dict[str, Any], key: tuple[str, int | None], value: Any) -> None:
    """Replace an argument, or one item of an argument that is a sequence; nothing where the value is None."""
    name, i = key
    if value is not None:
        bound[name] = value if i is None else [value if j == i else v for j, v in enumerate(bound[name])]


_KINDS: dict[Any, str] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "either",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_POSITIONAL: "variadic",
}


def _shape(value: Any) -> Any:
    return [np.shape(v) for v in value] if isinstance(value, (list, tuple)) else np.shape(value)


class Call(RuleCall):
    """A recorded call that generated code has no place for."""

    __slots__ = ("rule", "wrt")

    rule: Rule
    wrt: tuple[tuple[str, int | None], ...]

    @property
    def places(self) -> Sequence[tuple[str, int | None]]:
        return self.wrt

    def vjp(self, g: Any) -> Iterable[Any]:
        return self._gradients(g, self.saved)

    def vjp_recorded(self, g: Any) -> Iterable[Any]:
        return self._gradients(g, self.read(recorded=True))

    def read(self, recorded: bool) -> dict[str, Any]:
        saved = dict(self.saved)
        if not recorded:
            return saved
        for place, edge in zip(self.wrt, self.edges or (), strict=True):
            name, i = place
            if name in saved:
                _put(saved, place, variable_at(saved[name] if i is None else saved[name][i], edge))
        if "ans" in saved:
            if self.ports is None:
                saved["ans"] = variable_at(saved["ans"], self)
            else:
                saved["ans"] = [variable_at(y, e) for y, e in zip(saved["ans"], revived_edges(self, saved["ans"]), strict=True)]
        return saved

    def _gradients(self, g: Any, saved: dict[str, Any]) -> list[Any]:
        if self.ports is not None:
            g = materialise(self, g)
        gradients, of_sequences = [], {}
        for name, i in self.wrt:
            derivative = self.rule.derivatives[name]
            values = [saved[n] for n in derivative.names]
            if derivative.indexed:
                gradients.append(derivative.fn(g, i, *values))
            elif derivative.of_sequence:
                if name not in of_sequences:
                    of_sequences[name] = derivative.fn(g, *values)
                gradients.append(of_sequences[name][i])
            else:
                gradients.append(derivative.fn(g, *values))
        return gradients


def define_rule(
    function: Callable[..., Any],
    /,
    *,
    ignores: Iterable[str] = (),
    signature: Callable[..., Any] | None = None,
    linear: Linear = None,
    kernel: Callable[..., Any] | None = None,
    **derivatives: Callable[..., Any],
) -> None:
    """Say how ``function`` is differentiated in each of its arguments.

    Each keyword is an argument of ``function``; its value computes that argument's gradient from ``g``, the gradient of
    the result. Its further parameters say by their names what it reads: arguments of ``function``, ``ans`` for the
    result, ``<argument>_shape``. Of an argument that is a sequence of arrays, ``i`` is the position of the one in question;
    where it reads ``<argument>_shapes`` instead, it returns the gradients of all. It is differentiable itself where it is
    written in NumPy's functions. Broadcasting and promotion are undone for it.

    Args:
        function: a function that NumPy dispatches, or one made by ``primitive``.
        ignores: arguments that the gradient doesn't depend on. Any other that no derivative reads is an error.
        signature: a stand-in with the same parameters, for functions whose signature Python cannot tell.
        linear: ``"jointly"`` if it is linear in all these arguments together, ``"separately"`` if in each by itself (such
            as a product): forward mode then calls it on tangents. Without it, forward mode transposes the derivatives.
        kernel: what computes the function in its place, with the same arguments: on NumPy's arrays where the function has
            options (it is given all of them, by name), on large ones where it has none.

    >>> import numpy as np, chainrule as cr
    >>> @cr.primitive
    ... def scale(x, factor=2.0):
    ...     return factor * x
    >>> cr.define_rule(scale, x=lambda g, factor: factor * g)
    >>> x = cr.Variable(np.array([1.0, 2.0]))
    >>> scale(x, factor=3.0).sum().backward()
    >>> x.grad
    array([3., 3.])
    """
    RULES[function] = Rule(function, derivatives, ignores, signature, linear, kernel)
    RECORDERS.pop(function, None)


def elementwise(ufunc: np.ufunc, *derivatives: Callable[..., Any], kernel: Callable[..., Any] | None = None) -> None:
    """Say how a ufunc is differentiated: for each input, ``g`` times the partial derivative."""
    RULES[ufunc] = Rule(ufunc, dict(zip("xyzw", derivatives, strict=False)), kernel=kernel)


def composite(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Define functions of NumPy's by others: the decorated one has the same arguments, and calls differentiable ones."""

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            RULES[function] = fn
            fn.__qualname__ = function_name(function)  # what Python's own messages call it
        return fn

    return decorate


def primitive(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of arrays one that takes Variables too, for ``define_rule`` to say its derivatives.

    On arrays it runs as it is. On Variables it runs on their data, and the call is recorded.
    """

    @wraps(fn)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Variable) and current.get() is None:  # the usual cases first
            return RECORDERS[dispatch](*args, **kwargs)
        if len(args) == 1 and not kwargs and is_native(args[0]):
            return fn(args[0])
        found = False
        for value in (*args, *kwargs.values()) if kwargs else args:
            if value.__class__ in PLAIN:
                continue
            for x in value if value.__class__ is list or value.__class__ is tuple else (value,):
                if x.__class__ is Batched:
                    return call_batched(dispatch, args, kwargs)
                found = found or isinstance(x, Variable)
        return RECORDERS[dispatch](*args, **kwargs) if found else fn(*args, **kwargs)

    dispatch.array_function = fn  # type: ignore[attr-defined]
    if not (getattr(fn, "__module__", None) or "").startswith("chainrule."):  # ours take no gradients inside
        dispatch.array_function = wraps(fn)(partial(config.apart, fn))  # type: ignore[attr-defined]
    return dispatch


def unwrap(value: Any) -> Any:
    """``value`` with Variables, also in lists, tuples, dicts and those that a Batched holds, replaced by their data."""
    if isinstance(value, Variable):
        value = value._data
    if value.__class__ is np.ndarray:
        return value
    if value.__class__ is Batched:
        return Batched(unwrap(value.inner), value.level, value.mapped)
    if value.__class__ is list or value.__class__ is tuple:
        return value.__class__([unwrap(v) for v in value])
    if value.__class__ is dict:
        return {k: unwrap(v) for k, v in value.items()}
    return value


def function_name(function: Any) -> str:
    """What messages call a function: ``np.linalg.solve``."""
    module = (getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1).replace("np._core", "np")
    name = getattr(function, "__name__", repr(function))
    if isinstance(function, np.ufunc):  # it doesn't know its module
        module = "scipy.special" if getattr(sys.modules.get("scipy.special"), name, None) is function else "np"
    return f"{module}.{name}" if module.startswith(("np", "scipy")) else name


def writes_out(function: Any) -> TypeError:
    return TypeError(
        f"{function_name(function)}(out=...) or an in-place operator on a plain array would lose the gradient; use the value "
        "that it returns (a = a + v instead of a += v), or a Variable as the buffer"
    )


def no_rule(function: Any) -> TypeError:
    name = function_name(function)
    if function in UNSUPPORTED:
        return TypeError(f"{name} does not work on a Variable: {UNSUPPORTED[function]}")
    return TypeError(
        f"{name} has no derivative rule. Define one with chainrule.define_rule({name}, argument=lambda g, ...: ...), "
        "or, if no gradient is wanted, pass v.data"
    )


def _composed(function: Any, composition: Callable[..., Any]) -> Callable[..., Any]:
    """What calls a composition; inside a vmap on each example by itself, where it needs the values."""
    out = _place_of_out(function, composition)

    @wraps(composition)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > out:
            if args[out] is not None:
                raise writes_out(function)
            args = args[:out] + args[out + 1 :]
        try:
            return composition(*args, **kwargs)
        except DependsOnValues:
            raise
        except NotBatched as refused:
            return of_each(call, args, kwargs, refused)  # an example may be a batch itself

    return call


def _place_of_out(function: Any, composition: Callable[..., Any]) -> int:
    """Where ``function`` takes ``out`` by position, which its composition leaves out; beyond all arguments if nowhere."""
    try:
        places = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function in C
        places = []
    own = inspect.signature(composition).parameters.values()
    found = [i for i, p in enumerate(places) if p.name == "out" and p.kind is p.POSITIONAL_OR_KEYWORD]
    return found[0] if found and not any(p.kind is p.VAR_POSITIONAL for p in own) else sys.maxsize


class _Recorders(dict[Any, Callable[..., Any]]):
    """What records a call of each function, made from its rule at first use."""

    def __missing__(self, function: Any) -> Callable[..., Any]:
        if not is_known(function) or function in NO_GRADIENT:
            raise no_rule(function)
        rule = RULES[function]
        made = rule if isinstance(rule, Rule) else _composed(function, rule)
        if isinstance(rule, Rule) and rule.parameters and not rule.is_general:
            made = generate(rule)
        self[function] = made
        return made


RECORDERS = _Recorders()
