"""What all optimizers share: groups of parameters with options, the state of each parameter, and the loop over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from ..core.arrays import Array, is_array
from ..core.config import enable_grad
from ..core.variable import Variable, changed, forget_gradients
from ..dispatch import unwrap
from ..nn.lazy import UninitializedParameter

Params = Iterable[Any]  # of Variables, of (name, Variable) pairs, or of dicts that describe groups
State = dict[str, Any]
Group = dict[str, Any]


class Optimizer:
    """Base of the optimizers. A subclass defines ``update``, for one parameter; or see ``ElementwiseOptimizer``.

    Args:
        params: Variables; or (name, Variable) pairs; or dicts, each a group with ``"params"`` and options of its own.
        defaults: the options of groups that do not say otherwise.

    Names are kept as the group's ``"param_names"``.

    Raises:
        ValueError: there are no parameters, one is given twice, only some have names, or an option is out of range.
        TypeError: a parameter is not a Variable.
    """

    #: What a parameter's state holds that is a number; all else in it are arrays, or lists of them.
    scalars: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(self, params: Params, defaults: dict[str, Any]):
        name = type(self).__name__
        if isinstance(params, (Variable, dict, str)):
            raise TypeError(f"{name} takes an iterable of Variables, such as model.parameters(), not a {type(params).__name__}")
        self.defaults = defaults
        self.state: dict[Variable, State] = {}
        self.param_groups: list[Group] = []
        groups = list(params)
        if not groups:
            raise ValueError(f"{name} got no parameters; was the iterator used up, or has the model none?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Add a dict of ``"params"`` and options; options that it lacks are the defaults."""
        params = param_group["params"]
        params = [params] if isinstance(params, Variable) else list(params)
        has_names = [isinstance(p, tuple) for p in params]
        if any(has_names) != all(has_names) or any(("param_names" in g) != any(has_names) for g in self.param_groups):
            raise ValueError(f"{type(self).__name__}: (name, Variable) pairs for all parameters of all groups, or for none")
        named = [p if isinstance(p, tuple) else (f"at position {i}", p) for i, p in enumerate(params)]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for name, p in named:
            if not isinstance(p, Variable):
                raise TypeError(f"{type(self).__name__} optimizes Variables; parameter {name} is a {type(p).__name__}")
            if isinstance(p, UninitializedParameter):
                raise ValueError(
                    f"{type(self).__name__}: parameter {name} has no shape yet; call the model on a batch before its "
                    "optimizer is made"
                )
            if p.creator is not None:
                raise ValueError(f"{type(self).__name__} optimizes leaves; parameter {name} was computed by {p.creator.name}")
            if id(p) in known:
                raise ValueError(f"parameter {name}, of shape {p.shape}, is given twice")
            known.add(id(p))
        group = {name: _number(name, value) for name, value in {**self.defaults, **param_group}.items() if name != "params"}
        group["params"] = [p for _, p in named]
        if any(has_names):
            group["param_names"] = [name for name, _ in named]
        self.check(group)
        self.param_groups.append(group)

    #: Options that are negative only by mistake.
    _not_negative: ClassVar[tuple[str, ...]] = ("lr", "weight_decay", "momentum", "eps", "alpha", "lr_decay", "momentum_decay")

    def check(self, group: Group) -> None:
        """Raise a ValueError if an option of a new group is out of range."""
        for option in self._not_negative:
            value = group.get(option, 0)
            if isinstance(value, (int, float)) and value < 0:
                raise ValueError(f"{option} is not negative, but was {value}")
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
            params = [p for p in group["params"] if p.grad is not None]
            self.update_group(params, group)
            changed(params)
        return loss

    def update_group(self, params: list[Variable], group: Group) -> None:
        """Change the data of the parameters of a group that have a gradient, in place."""
        for p in params:
            g = ascent(p)
            self.update(p.data, -g if group.get("maximize") else g, self.state.setdefault(p, {}), group)

    def update(self, data: Array, g: Array, state: State, group: Group) -> None:
        """Change ``data`` in place, given its gradient ``g`` (not to be changed), its state and its group's options."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set them to zero, in place."""
        forget_gradients(self._parameters(), set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The state of each parameter, by its position, and the groups' options, in PyTorch's structure.

        The arrays are the optimizer's own: to keep them as they are, copy them.
        """
        position = {id(p): i for i, p in enumerate(self._parameters())}
        return {
            "state": {position[id(p)]: dict(state) for p, state in self.state.items() if state},
            "param_groups": [{**group, "params": [position[id(p)] for p in group["params"]]} for group in self.param_groups],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of what ``state_dict`` has returned, PyTorch's also, for parameters in the same order.

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
                name: _scalar(name, value) if name in self.scalars else _copy(value, parameters[i].data)
                for name, value in state.items()
                if value is not None
            }
            for i, state in state_dict["state"].items()
        }
        for group, saved in zip(own, groups, strict=True):
            group.update({name: _number(name, value) for name, value in saved.items() if name != "params"})

    def _parameters(self) -> list[Variable]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [
            ", ".join(f"{name}={value}" for name, value in group.items() if name != "params") for group in self.param_groups
        ]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


def ascent(p: Variable) -> Array:
    """The direction in which the loss rises most: the gradient, and the conjugate of a complex one (du/dx - i du/dy)."""
    g = unwrap(p.grad)
    return g.conj() if g.dtype.kind == "c" else g


def _number(option: str, value: Any) -> Any:
    """An option whose numbers are Python's own, also where they were given as arrays or NumPy's scalars."""
    if isinstance(value, tuple):
        return tuple(_number(option, v) for v in value)
    if not hasattr(value, "item"):
        return value
    if np.size(np.asarray(value)) != 1:
        raise ValueError(f"{option} is one number, not an array of shape {np.shape(value)}; give groups to have several")
    return value.item()


def _scalar(name: str, value: Any) -> float:
    return int(value) if name == "step" else float(value)


def _copy(value: Any, data: Array) -> Any:
    """An array of a state, with the dtype of the parameter's data, and its order in memory where it has its shape."""
    if isinstance(value, list):
        return [_copy(v, data) for v in value]
    if not (is_array(value) or hasattr(value, "__array__")):
        return value
    array = np.asarray(value).astype(data.dtype)
    if array.shape != data.shape:
        return array
    copy = np.empty_like(data)
    copy[...] = array
    return copy
