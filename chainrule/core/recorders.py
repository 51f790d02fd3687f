"""The short way for ufuncs of one or two arrays: the code that records them is generated.

Small arrays spend their time in Python. So what records a ufunc is generated from its rule at first use, with no loop over
arguments or names left in it: for ``np.multiply`` it reads as one would write it by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import ref

import numpy as np

from . import config
from .arrays import as_array, ndarray
from .function import Function, check_finite, user_line, variable_at
from .variable import Leaf, Variable

if TYPE_CHECKING:
    from .dispatch import Rule


class UfuncCall(Function):
    """A recorded call of a ufunc. There is a subclass for each ufunc and each set of inputs that need a gradient."""

    __slots__ = ()
    returns_fresh_arrays = True
    ports = None

    rule: ClassVar[Rule]
    wrt: ClassVar[tuple[str, ...]]  # the inputs that need a gradient, in the order of the edges
    reads: ClassVar[tuple[str, ...]]  # the names of what is saved

    @property
    def name(self) -> str:
        return self.rule.name

    def vjp_recorded(self, g: Any) -> Iterable[Any]:
        edges = {"ans": self, **dict(zip(self.wrt, self.edges or (), strict=True))}
        twin = object.__new__(type(self))
        twin.saved = tuple(
            variable_at(value, edges[name]) if name in edges else value
            for name, value in zip(self.reads, self.saved, strict=True)
        )
        return twin.vjp(g)


def ufunc_recorder(rule: Rule) -> Callable[..., Variable]:
    """Generate what computes the rule's ufunc and records the call."""
    names = rule.parameters
    scope: dict[str, Any] = {
        "Leaf": Leaf, "Variable": Variable, "as_array": as_array, "constant": _constant, "ndarray": ndarray,
        "new": object.__new__, "note": _note, "ref": ref, "shape": np.shape, "ufunc": rule.function,
        "debugging": config.debug.get, "recording": config.enable_backprop.get,
    }  # fmt: skip
    branches = []
    for wrt in [names] if len(names) == 1 else [names, names[:1], names[1:]]:
        call = _call_type(rule, wrt)
        scope["Call_" + "_".join(wrt)] = call
        branches.append(
            _BRANCH.format(
                condition=" and ".join(f"{x}_edge is not None" for x in wrt),
                call="Call_" + "_".join(wrt),
                edges="".join(f"{x}_edge, " for x in wrt),
                generation=" if x_edge.generation > y_edge.generation else ".join(f"{x}_edge.generation" for x in wrt),
                saved="".join(f"shape({n[:-6]}), " if n.endswith("_shape") else f"{n}, " for n in call.reads),
                watched=_watched([x for x in wrt if x in call.reads]),
            )
        )
    source = _RECORDER.format(
        inputs=", ".join(names),
        unwrap="".join(_UNWRAP.format(x=x) for x in names)
        + "".join(_CONSTANT.format(x=x, other=other) for x, other in zip(names, names[::-1], strict=True) if x != other),
        branches="\n    el".join(branches),
    )
    exec(compile(source, f"<recorder of {rule.name}>", "exec"), scope)
    return scope["record"]  # type: ignore[no-any-return]


def _call_type(rule: Rule, wrt: tuple[str, ...]) -> type[UfuncCall]:
    """The class that records calls in which the inputs ``wrt`` need a gradient, with its ``vjp`` generated."""
    derivatives = {name: rule.derivatives[name] for name in wrt}
    reads = tuple(dict.fromkeys(read for d in derivatives.values() for read in d.names))
    unpack = f"{', '.join(reads)}, = self.saved" if reads else ""
    gradients = "".join(f"d_{name}({', '.join(('g', *d.names))}), " for name, d in derivatives.items())
    scope = {f"d_{name}": d.fn for name, d in derivatives.items()}
    exec(f"def vjp(self, g):\n    {unpack}\n    return {gradients}", scope)
    members = {"__slots__": (), "rule": rule, "wrt": wrt, "reads": reads, "vjp": scope["vjp"]}
    return type(rule.name.rpartition(".")[2], (UfuncCall,), members)


_RECORDER = """
def record({inputs}):{unwrap}
    ans = ufunc({inputs})
    if ans.__class__ is not ndarray:
        ans = as_array(ans)
    made = new(Variable)
    made._data = ans
    made._grad = made._seed = made.name = made._edge = None
    if not recording():
        return made
    {branches}
    else:
        return made
    f.shape = ans.shape
    f.dtype = ans.dtype
    f.variable = ref(made)
    made._edge = f
    if debugging():
        note(f, ans)
    return made
"""

_UNWRAP = """
    if isinstance({x}, Variable):
        {x}_edge = {x}._edge
        {x} = {x}._data
    else:
        {x}_edge = None"""

_CONSTANT = """
    if {x}_edge is None and {x}.__class__ is not ndarray:
        {x} = constant({x}, {other})"""

_BRANCH = """if {condition}:
        f = new({call})
        f.edges = ({edges})
        f.generation = ({generation}) + 1
        f.saved = ({saved})
        f.watched = {watched}"""


def _watched(reads: list[str]) -> str:
    """The expression for ``Function.watched``, where the inputs ``reads`` are saved."""
    leaf = [f"{x}_edge.__class__ is Leaf" for x in reads]
    entry = [f"({x}_edge, {x}_edge.version)" for x in reads]
    if not reads:
        return "None"
    if len(reads) == 1:
        return f"({entry[0]},) if {leaf[0]} else None"
    return f"(({entry[0]}, {entry[1]}) if {leaf[1]} else ({entry[0]},)) if {leaf[0]} else ({entry[1]},) if {leaf[1]} else None"


def _constant(x: Any, other: Any) -> Any:
    """An operand that is neither a Variable nor a NumPy array, in the form that is fastest and that rules can read.

    A Python number is weak (it takes the other's dtype), and NumPy is slow to find that out from the number itself.
    """
    if x.__class__ is float or x.__class__ is int:
        return np.array(x, other.dtype) if other.__class__ is ndarray and other.dtype.kind == "f" else x
    return x if isinstance(x, (complex, bool, np.generic)) else as_array(x)


def _note(call: Function, ans: Any) -> None:
    call.line = user_line()
    check_finite(call, [ans], "forward")
