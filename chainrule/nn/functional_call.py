"""A module as a function of its Parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.variable import Parameter
from .module import Module


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other values in the place of its Parameters and buffers: those of the dict (or dicts), by path.

    The module itself is as before when the call is over; during it, it must not be used by another thread. With it,
    ``chainrule.grad`` and its like work on a dict of parameters.

    Args:
        module: the module.
        parameter_and_buffer_dicts: arrays or Variables, by path.
        args: the positional arguments, or the only one.
        kwargs: the others.
        tie_weights: whether a value for one of several paths to the same Parameter holds for all of them.
        strict: whether all Parameters and buffers must be given.

    Raises:
        KeyError: there is no Parameter or buffer at a path, or, if ``strict``, some are not given.

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import nn
    >>> model = nn.Linear(3, 1)
    >>> weights = {name: p.data for name, p in model.named_parameters()}
    >>> def loss(weights):
    ...     return np.sum(nn.functional_call(model, weights, np.ones((4, 3), np.float32)) ** 2)
    >>> {name: g.shape for name, g in cr.grad(loss)(weights).items()}
    {'weight': (1, 3), 'bias': (1,)}
    """
    dicts = [parameter_and_buffer_dicts] if isinstance(parameter_and_buffer_dicts, Mapping) else parameter_and_buffer_dicts
    given = {name: value for each in dicts for name, value in each.items()}
    places = {
        start + name: (within, name, value)
        for start, within in module._paths()
        for name, value in vars(within).items()
        if isinstance(value, Parameter) or (name in within._buffers and value is not None)
    }
    unknown = [name for name in given if name not in places]
    missing = [name for name in places if name not in given] if strict else []
    if unknown or missing:
        parts = [f"{kind}: {', '.join(names)}" for kind, names in (("unknown", unknown), ("missing", missing)) if names]
        raise KeyError(f"functional_call of {type(module).__name__}: {'; '.join(parts)}")
    shared = {id(places[name][2]): value for name, value in given.items()} if tie_weights else {}
    changed = []
    try:
        for path, (within, name, value) in places.items():
            if path in given or id(value) in shared:
                vars(within)[name] = given[path] if path in given else shared[id(value)]
                changed.append((within, name, value))
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for within, name, value in changed:
            vars(within)[name] = value
