"""A drawing of the record, in Graphviz's language."""

from __future__ import annotations

from typing import Any

from ..core.function import Function
from ..core.variable import Leaf, Variable


def draw_graph(y: Variable) -> str:
    r"""Return the record behind ``y`` as DOT text: calls as boxes, Variables as ellipses with their shapes.

    Leaves are filled. Constants are not in the record, and so not in the drawing; neither is what came before a call
    that ``backward()`` has released. To look at it: ``dot -Tsvg graph.dot -o graph.svg``.

    Args:
        y: a Variable that was computed from others.

    Raises:
        ValueError: nothing was recorded for ``y``.

    >>> import numpy as np, chainrule as cr
    >>> x = cr.Variable(np.ones(3), name="x")
    >>> print(draw_graph(np.exp(x)))
    digraph {
      v0 [label="(3,) float64"]
      f0 [label="np.exp", shape=box]
      v1 -> f0
      f0 -> v0
      v1 [label="x\n(3,) float64", style=filled]
    }
    """
    if y.creator is None:
        raise ValueError("draw_graph needs a Variable that was computed from others; nothing was recorded for this one")
    variables: dict[Any, str] = {y._edge: "v0"}  # by the edges that stand for them in the record
    calls: dict[Function, str] = {}
    lines: list[str] = []
    to_draw: list[Any] = [y._edge]
    while to_draw:
        edge = to_draw.pop()
        variable, call = variables[edge], edge.function
        lines.append(f'{variable} [label="{_label(edge)}"{", style=filled" if edge.__class__ is Leaf else ""}]')
        if call is None:
            continue
        if call not in calls:
            calls[call] = f"f{len(calls)}"
            lines.append(f'{calls[call]} [label="{_escaped(call.name)}", shape=box]')
            for source in call.edges or ():
                if source is None:
                    continue
                if source not in variables:
                    variables[source] = f"v{len(variables)}"
                    to_draw.append(source)
                lines.append(f"{variables[source]} -> {calls[call]}")
        lines.append(f"{calls[call]} -> {variable}")
    return "\n  ".join(["digraph {", *lines]) + "\n}"


def _label(edge: Any) -> str:
    variable = edge.variable()
    name = "" if variable is None or variable.name is None else f"{_escaped(variable.name)}\\n"
    return f"{name}{edge.shape} {edge.dtype}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
