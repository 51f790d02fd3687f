"""What all optimizers share: groups of parameters with options, the state of each parameter, and the loop over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from ..core.arrays import Array
from ..core.config import enable_grad
from ..core.variable import Variable
from ..dispatch import unwrap

Params = Iterable[Any]  # of Variables, of (name, Variable) pairs, or of dicts that describe groups
State = dict[str, Any]


class Optimizer:
    """Base of the optimizers. A subclass defines ``update``, for one parameter.

    Args:
        params: Variables; or (name, Variable) pairs; or dicts, each a group with ``"params"`` and options of its own.
        defaults: the options of groups that do not say otherwise.

    Raises:
        ValueError: there are no parameters, one is given twice, or an option is out of range.
        TypeError: a parameter is not a Variable.
    """

    #: Options that are negative only by mistake.
    _not_negative: ClassVar[tuple[str, ...]] = ("lr", "weight_decay", "momentum", "eps", "alpha", "lr_decay")

    def __init__(self, params: Params, defaults: dict[str, Any]):
        name = type(self).__name__
        if isinstance(params, (Variable, dict, str)):
            raise TypeError(f"{name} takes an iterable of Variables, such as model.parameters(), not a {type(params).__name__}")
        self.defaults = defaults
        self.state: dict[Variable, State] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError(f"{name} got no parameters; was the iterator used up, or has the model none?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a dict of ``"params"`` and options; options that it lacks are the defaults."""
        params = param_group["params"]
        params = [params] if isinstance(params, Variable) else list(params)
        named = [p if isinstance(p, tuple) else (f"at position {i}", p) for i, p in enumerate(params)]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for name, p in named:
            if not isinstance(p, Variable):
                raise TypeError(f"{type(self).__name__} optimizes Variables; parameter {name} is a {type(p).__name__}")
            if p.creator is not None:
                raise ValueError(f"{type(self).__name__} optimizes leaves; parameter {name} was computed by {p.creator.name}")
            if id(p) in known:
                raise ValueError(f"parameter {name}, of shape {p.shape}, is given twice")
            known.add(id(p))
        group = {**self.defaults, **param_group, "params": [p for _, p in named]}
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: dict[str, Any]) -> None:
        for option in self._not_negative:
            if group.get(option, 0) < 0:
                raise ValueError(f"{option} is not negative, but was {group[option]}")
        for beta in group.get("betas", ()):
            if not 0 <= beta < 1:
                raise ValueError(f"betas are from 0 to below 1, not {group['betas']}")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change each parameter that has a gradient, in place.

        Args:
            closure: computes the loss and the gradients anew; it is called first.

        Returns:
            what ``closure`` has returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                # a view of one axis for 0-d data, on which NumPy's operators would return scalars
                data, g = np.atleast_1d(p.data), np.atleast_1d(unwrap(p.grad))
                if group["maximize"]:
                    g = -g
                self.update(data, self._decayed(data, g, group), self.state.setdefault(p, {}), group)
                p.data = p.data  # tells the tape
        return loss

    def _decayed(self, data: Array, g: Array, group: dict[str, Any]) -> Array:
        """The gradient of the loss plus weight_decay / 2 times the parameters' square."""
        return g + group["weight_decay"] * data if group["weight_decay"] else g

    def update(self, data: Array, g: Array, state: State, group: dict[str, Any]) -> None:
        """Change ``data`` in place, given its gradient ``g`` (not to be changed), its state and its group's options."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.reset_grad()
                elif p.grad is not None:
                    p.grad = np.zeros_like(p.data)

    def state_dict(self) -> dict[str, Any]:
        """The state of each parameter, by its position, and the groups' options, in PyTorch's structure.

        The arrays are the optimizer's own: to keep them as they are, copy them.
        """
        position = {id(p): i for i, p in enumerate(self._parameters())}
        return {
            "state": {
                position[id(p)]: {n: v if n == "step" else np.reshape(v, p.shape) for n, v in state.items()}
                for p, state in self.state.items()
                if state
            },
            "param_groups": [{**group, "params": [position[id(p)] for p in group["params"]]} for group in self.param_groups],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of what ``state_dict`` has returned, for parameters in the same order.

        Raises:
            ValueError: its groups are not as many, or as large, as this optimizer's.
        """
        groups, own = state_dict["param_groups"], self.param_groups
        sizes, own_sizes = [len(g["params"]) for g in groups], [len(g["params"]) for g in own]
        if sizes != own_sizes:
            raise ValueError(f"the state dict has groups of {sizes} parameters, this {type(self).__name__} of {own_sizes}")
        parameters = dict(zip((i for g in groups for i in g["params"]), self._parameters(), strict=True))
        self.state = {
            parameters[i]: {
                name: int(value) if name == "step" else np.atleast_1d(np.asarray(value).astype(parameters[i].dtype))
                for name, value in state.items()
                if value is not None
            }
            for i, state in state_dict["state"].items()
        }
        for group, saved in zip(own, groups, strict=True):
            group.update({name: value for name, value in saved.items() if name != "params"})

    def _parameters(self) -> list[Variable]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [
            ", ".join(f"{name}={value}" for name, value in group.items() if name != "params") for group in self.param_groups
        ]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"
