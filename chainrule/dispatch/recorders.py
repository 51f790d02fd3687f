"""What computes a function and records the call: generated from the function's rule.

Small arrays spend their time in Python. So the code that records a function is generated from its rule at first use, with no
loop over arguments or names left in it: for ``np.multiply`` it reads as one would write it by hand. Calls that the generated
code has no place for take the general way in rules.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import ref

import numpy as np

from ..core import config
from ..core.arrays import as_array, ndarray, sum_to
from ..core.batched import Batched, deepest
from ..core.function import Edge, Function, observe, variable_at
from ..core.variable import Leaf, Variable
from ..kernels.arithmetic import Large, array_of, large
from ..kernels.reduction import total

if TYPE_CHECKING:
    from .rules import Rule

#: Generated code has a branch for each set of inputs that may need a gradient: too many beyond so many inputs.
MOST_INPUTS = 3

#: Elements from which on a ufunc's kernel is asked: of one that works element by element, and of a product of matrices.
_LARGE, _LARGE_MATRIX = 16384, 2048


class RuleCall(Function):
    """A recorded call of a function in the table."""

    __slots__ = ()
    returns_fresh_arrays = True

    rule: Rule

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def places(self) -> Sequence[tuple[str, int | None]]:
        """For each edge the argument, and the position where that is a sequence."""
        raise NotImplementedError

    def read(self, recorded: bool) -> dict[str, Any]:
        """What was saved, by name; as Variables where gradients flow to it, if that is to be recorded."""
        raise NotImplementedError

    def jvp(self, tangents: list[Any], bound: dict[str, Any], recorded: bool) -> Any:
        rule = self.rule
        if rule.linear:
            return rule.linear_jvp(self.places, self.edges or (), tangents, bound, recorded)
        if not isinstance(rule.function, np.ufunc) or self.dtype.kind == "c":
            return None
        # the Jacobian of an element-wise function is diagonal, so it is its own transpose
        saved = self.read(recorded)
        derivatives = ((rule.derivatives[name], t) for (name, _), t in zip(self.places, tangents, strict=True) if t is not None)
        return reduce(np.add, (d.fn(t, *[saved[n] for n in d.names]) for d, t in derivatives))


class RecordedCall(RuleCall):
    """A recorded call by generated code. There is a subclass for each function and set of inputs that need a gradient."""

    __slots__ = ()

    rule: ClassVar[Rule]  # type: ignore[misc]
    wrt: ClassVar[tuple[str, ...]]  # the inputs that need a gradient, in the order of the edges
    reads: ClassVar[tuple[str, ...]]  # the names of what is saved
    flows_to: ClassVar[tuple[int | None, ...]]  # for each of these, the place of its edge; -1 for the result's, None for none

    @property
    def places(self) -> Sequence[tuple[str, int | None]]:
        return [(name, None) for name in self.wrt]

    def read(self, recorded: bool) -> dict[str, Any]:
        return dict(zip(self.reads, self._saved_variables() if recorded else self.saved, strict=True))

    def vjp_recorded(self, g: Any) -> Iterable[Any]:
        twin = object.__new__(type(self))
        twin.edges, twin.saved = self.edges, self._saved_variables()
        return twin.vjp(g)

    def _saved_variables(self) -> tuple[Any, ...]:
        """What was saved, as Variables where gradients flow to it."""
        edges = (*(self.edges or ()), self)
        return tuple(
            [value if i is None else variable_at(value, edges[i]) for value, i in zip(self.saved, self.flows_to, strict=True)]
        )


class RecordedSequenceCall(RecordedCall):
    """A recorded call of a function whose one input is a sequence of arrays: there is an edge, or None, for each of them."""

    __slots__ = ()

    @property
    def places(self) -> Sequence[tuple[str, int | None]]:
        return [(self.wrt[0], i) for i in range(len(self.edges or ()))]

    def _saved_variables(self) -> tuple[Any, ...]:
        every = dict(zip(self.reads, self.saved, strict=True))
        if "ans" in every:
            every["ans"] = variable_at(every["ans"], self)
        if self.wrt[0] in every:
            pairs = zip(every[self.wrt[0]], self.edges or (), strict=True)
            every[self.wrt[0]] = [v if e is None else variable_at(v, e) for v, e in pairs]
        return tuple(every.values())


def generate(rule: Rule) -> Callable[..., Any]:
    """Generate what computes the rule's function and records the call."""
    inputs = tuple(name for name in rule.parameters if name in rule.derivatives)
    of_sequence = any(d.of_sequence for d in rule.derivatives.values())
    scope: dict[str, Any] = {  # underscores: a function's parameters may have any other names
        "_Batched": Batched,
        "_Leaf": Leaf,
        "_Variable": Variable,
        "_array": np.array,
        "_as_array": as_array,
        "_constant": _constant,
        "_debugging": config.debug.get,
        "_function": rule.forward,
        "_given": _given,
        "_kernel": rule.kernel,
        "_native": {ndarray},
        "_ndarray": ndarray,
        "_new": object.__new__,
        "_note": _note,
        "_plain": PLAIN,
        "_recording": config.enable_backprop.get,
        "_forward": config.forward.get,
        "_general": (tuple, list, Batched),
        "_generic": np.generic,
        "_ref": ref,
        "_rule": rule,
        "_shape": np.shape,
        "_watch": _watch,
    }
    is_ufunc = isinstance(rule.function, np.ufunc)
    elementwise = isinstance(rule.function, np.ufunc) and rule.function.signature is None and rule.kernel is not None
    branches = []
    for needed in product((True, False), repeat=len(inputs)):
        wrt = tuple(x for x, needs in zip(inputs, needed, strict=True) if needs)
        if not wrt:
            continue
        call = "Call_" + "_".join(wrt)
        scope[call] = _call_type(rule, wrt)
        if elementwise:
            scope["Large" + call] = _of_large_arrays(scope[call])
        branches.append(
            _BRANCH.format(
                condition=" and ".join(f"{x}_edge is {'not ' * n}None" for x, n in zip(inputs, needed, strict=True)),
                call=f"(Large{call} if _large else {call})" if elementwise else call,
                edges="".join(f"{'*' * of_sequence}{x}_edge, " for x in wrt),
                generation=_generation(wrt, of_sequence),
                saved="".join(f"{_saved(name, rule)}, " for name in scope[call].reads),
                watched=_watched([x for x in wrt if x in scope[call].reads], of_sequence),
            )
        )
    bound = "{" + ", ".join(f"{name!r}: {name}" for name in rule.parameters) + "}"
    edges = "{" + ", ".join((_PLACES if of_sequence else "({x!r}, None): {x}_edge").format(x=x) for x in inputs) + "}"
    prepare = [(_UNWRAP_SEQUENCE if of_sequence else _UNWRAP).format(x=x) for x in inputs]
    if is_ufunc:
        prepare += [
            _CONSTANT.format(x=x, other=y, bound=bound, edges=edges)
            for x, y in zip(inputs, inputs[1:] + inputs[:1], strict=True)
            if x != y
        ]
        if rule.kernel is not None:
            each = (_IS_LARGE.format(x=x, most=_LARGE if elementwise else _LARGE_MATRIX) for x in inputs)
            prepare.append(f"\n    _large = {' or '.join(each)}")
    others = [name for name in rule.parameters if name not in inputs]
    prepare += [
        (_OTHER if is_ufunc or name in rule.handled else _UNHANDLED).format(
            x=name, bound=bound, edges=edges, given=f"{name} is not default_{name} and " * (name in rule.defaults)
        )
        for name in others
    ]
    scope |= {f"default_{name}": value for name, value in rule.defaults.items()}
    source = _RECORDER.format(
        parameters=_parameters(rule, "{x}=default_{x}"),
        prepare="".join(prepare),
        compute=_computation(rule, inputs, of_sequence),
        branches="\n    el".join(branches),
        bound=bound,
        edges=edges,
    )
    exec(compile(source, f"<recorder of {rule.name}>", "exec"), scope)
    record: Callable[..., Any] = scope["record"]
    record.__qualname__ = rule.name  # what Python's own messages call it
    return record


def _call_type(rule: Rule, wrt: tuple[str, ...]) -> type[RecordedCall]:
    """The class that records calls in which the inputs ``wrt`` need a gradient, with its ``vjp`` generated."""
    derivatives = {name: rule.derivatives[name] for name in wrt}
    reads = tuple(dict.fromkeys(read for d in derivatives.values() for read in d.names))
    unpack = f"{', '.join(reads)}, = _self.saved" if reads else ""
    of_sequence = any(d.of_sequence for d in derivatives.values())
    gradients = "".join(
        (_ONE_BY_ONE if d.indexed else "_d_{x}({reads})" if of_sequence else "_d_{x}({reads}), ").format(
            x=name, reads=", ".join(("_g", *("_i",) * d.indexed, *d.names))
        )
        for name, d in derivatives.items()
    )
    scope = {f"_d_{name}": d.fn for name, d in derivatives.items()}
    exec(f"def vjp(_self, _g):\n    {unpack}\n    return {gradients}", scope)
    flows_to = tuple(wrt.index(name) if name in wrt else -1 if name == "ans" else None for name in reads)
    members = {"__slots__": (), "rule": rule, "wrt": wrt, "reads": reads, "flows_to": flows_to, "vjp": scope["vjp"]}
    return type(rule.name.rpartition(".")[2], (RecordedSequenceCall if of_sequence else RecordedCall,), members)


#: The gradients of a sequence's arrays by a derivative that gives one at a time.
_ONE_BY_ONE = "[None if _e is None else _d_{x}({reads}) for _i, _e in enumerate(_self.edges)]"


def _of_large_arrays(call: type[RecordedCall]) -> type[RecordedCall]:
    """The class for calls with large arrays: gradients lie in memory that is used again, and are summed by kernels."""

    def vjp(self: RecordedCall, g: Any) -> Iterable[Any]:
        if g.__class__ is not ndarray:
            return call.vjp(self, g)
        twin, edges = object.__new__(call), cast(tuple[Edge, ...], self.edges)
        twin.edges, twin.saved = edges, [large(value, _LARGE) for value in self.saved]
        gradients = map(array_of, call.vjp(twin, Large(g)))
        return [sum_to(gx, e.shape, total) if gx.shape != e.shape else gx for gx, e in zip(gradients, edges, strict=True)]

    return type(call.__name__, (call,), {"__slots__": (), "vjp": vjp})


_RECORDER = """
def record({parameters}):{prepare}
    ans = {compute}
    if ans.__class__ is not _ndarray:
        if isinstance(ans, _generic):  # NumPy makes these of 0-d arrays
            ans = _array(ans)
        elif isinstance(ans, _general):
            return _rule.record(ans, {bound}, {edges})
        else:
            ans = _as_array(ans)
    _made = _new(_Variable)
    _made._data = ans
    _made._grad = _made._seed = _made.name = _made._edge = None
    if not _recording():
        return _made
    {branches}
    else:
        return _made
    _call.shape = ans.shape
    _call.dtype = ans.dtype
    _call.variable = _ref(_made)
    _call.ports = None
    _made._edge = _call
    if _debugging():
        _note(_call, ans)
    if _forward() is not None:
        _forward().push(_call, (_made,), {bound})
    return _made
"""

_UNWRAP = """
    if isinstance({x}, _Variable):
        {x}_edge = {x}._edge
        {x} = {x}._data
    else:
        {x}_edge = None"""

_UNWRAP_SEQUENCE = """
    {x}_edge = [v._edge if isinstance(v, _Variable) else None for v in {x}]
    {x} = [v._data if isinstance(v, _Variable) else v for v in {x}]
    if {x}_edge.count(None) == len({x}_edge):
        {x}_edge = None"""

_PLACES = "**{{({x!r}, _i): _e for _i, _e in enumerate({x}_edge or ())}}"

_CONSTANT = """
    if {x}_edge is None and {x}.__class__ is not _ndarray:
        if {x}.__class__ is _Batched:
            return _rule.again({bound}, {edges})
        {x} = _constant({x}, {other})"""

_IS_LARGE = "{x}.__class__ is _ndarray and {x}.size > {most}"

_OTHER = """
    if {given}{x}.__class__ not in _plain and not ({x}.__class__ is tuple and _plain.issuperset(map(type, {x}))):
        if {x}.__class__ is _Batched or ({x}.__class__ is tuple and _Batched in [*map(type, {x})]):
            return _rule.again({bound}, {edges})
        {x} = _rule.constant("{x}", {x})"""

_UNHANDLED = """
    if {x} is not default_{x} and not _rule.is_default("{x}", {x}):
        raise _rule.unhandled("{x}")"""

_SHAPE = "({x}.shape if {x}.__class__ is _ndarray else _shape({x}))"  # np.shape takes long to dispatch

_BRANCH = """if {condition}:
        _call = {call}()
        _call.edges = ({edges})
        _call.generation = {generation} + 1
        _call.saved = ({saved})
        _call.watched = {watched}"""

#: Types of arguments that hold no Variable.
PLAIN = frozenset(
    {int, float, bool, str, type, slice, type(None), type(Ellipsis), type(np._NoValue), np.dtype, ndarray}  # type: ignore[attr-defined]
)


#: Arguments of a kernel: NumPy's arrays, and numbers that are weak beside them.
_PLAIN_NUMBERS = frozenset({ndarray, int, float, np.float32, np.float64})


def _parameters(rule: Rule, with_default: str) -> str:
    """The function's parameters, as they stand in a definition."""
    if isinstance(rule.function, np.ufunc):
        return ", ".join(rule.parameters)
    parts, kinds = [], rule.kinds
    for i, name in enumerate(rule.parameters):
        if kinds[i] == "keyword" and (i == 0 or kinds[i - 1] != "keyword"):
            parts.append("*")
        parts.append(with_default.format(x=name) if name in rule.defaults else name)
        if kinds[i] == "positional" and (i + 1 == len(kinds) or kinds[i + 1] != "positional"):
            parts.append("/")
    return ", ".join(parts)


def _computation(rule: Rule, inputs: Iterable[str], of_sequence: bool) -> str:
    """The expression that calls the function."""
    arguments = ", ".join(
        f"{name}={name}" if kind == "keyword" else name for name, kind in zip(rule.parameters, rule.kinds, strict=True)
    )
    if isinstance(rule.function, np.ufunc):
        return f"({'_kernel if _large else ' if rule.kernel else ''}_function)({arguments})"
    plain = "{{*map(type, {0})}} == _native" if of_sequence else "({0}.__class__ is _ndarray or {0} is None)"
    native = " and ".join(plain.format(x) for x in inputs)
    bound = ", ".join(f"{name!r}: {name}" for name in rule.parameters)
    call = f"_function({arguments})"
    if rule.kernel is not None:  # its options may stand in another order
        call = f"_kernel({', '.join(f'{name}={name}' if name in rule.defaults else name for name in rule.parameters)})"
    return f"{call} if {native} else _given(_rule, {{{bound}}})"


def _given(rule: Rule, arguments: dict[str, Any]) -> Any:
    """Call the function with those arguments alone that are not its defaults: another library's may know no more."""
    function = rule.forward if deepest(arguments.values()) is None else rule.function
    required = [value for name, value in arguments.items() if name not in rule.defaults]
    if rule.kernel is not None and _PLAIN_NUMBERS.issuperset(map(type, arguments.values())):  # numbers beside arrays
        return rule.kernel(*required, **{n: arguments[n] for n in rule.defaults})
    given = {n: value for n, value in arguments.items() if n in rule.defaults and value is not rule.defaults[n]}
    return function(*required, **given)


def _generation(wrt: tuple[str, ...], of_sequence: bool) -> str:
    """The expression for the latest generation among the inputs."""
    if of_sequence:
        return f"max([_e.generation for _e in {wrt[0]}_edge if _e is not None])"
    if len(wrt) == 2:
        x, y = (f"{x}_edge.generation" for x in wrt)
        return f"({x} if {x} > {y} else {y})"
    each = ", ".join(f"{x}_edge.generation" for x in wrt)
    return each if len(wrt) == 1 else f"max({each})"


def _saved(name: str, rule: Rule) -> str:
    """The expression for what a derivative reads by ``name``."""
    if name == "ans" or name in rule.parameters:
        return name
    x = subject(name)
    if x in rule.derivatives and rule.derivatives[x].of_sequence:
        return "[" + _SHAPE.format(x="_v") + f" for _v in {x}]"
    return _SHAPE.format(x=x)


def subject(name: str) -> str:
    """The argument that a derivative reads by ``name``."""
    return name.removesuffix("_shapes").removesuffix("_shape")


def _watched(reads: list[str], of_sequence: bool) -> str:
    """The expression for ``Function.watched``, where the inputs ``reads`` are saved."""
    if len(reads) > 2 or (reads and of_sequence):
        star = "*" * of_sequence
        return f"_watch({', '.join(f'{star}{x}_edge' for x in reads)})"
    leaf = [f"{x}_edge.__class__ is _Leaf" for x in reads]
    entry = [f"({x}_edge, {x}_edge.version)" for x in reads]
    if len(reads) == 2:
        return (
            f"(({entry[0]}, {entry[1]}) if {leaf[1]} else ({entry[0]},)) if {leaf[0]} else ({entry[1]},) if {leaf[1]} else None"
        )
    return f"({entry[0]},) if {leaf[0]} else None" if reads else "None"


def _watch(*edges: Edge) -> Any:
    return tuple((e, e.version) for e in edges if e.__class__ is Leaf) or None


def _constant(x: Any, other: Any) -> Any:
    """An operand that is neither a Variable nor a NumPy array, in the form that is fastest and that rules can read.

    A Python number is weak (it takes the other's dtype), and NumPy is slow to find that out from the number itself.
    """
    if x.__class__ is float or x.__class__ is int:
        return np.array(x, other.dtype) if other.__class__ is ndarray and other.dtype.kind == "f" else x
    return x if isinstance(x, (complex, bool, np.generic)) else as_array(x)


def _note(call: Function, ans: Any) -> None:
    observe(call, [ans], "forward")
