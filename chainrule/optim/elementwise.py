"""Optimizers that do the same to each element of each parameter, declared by a function of one element."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.variable import Variable
from ..kernels import optimizers as kernels
from .optimizer import Group, Optimizer, State, ascent


class ElementwiseOptimizer(Optimizer):
    """Base of the optimizers that do the same to each element. A subclass says

    - ``rule(p, g, state, constants)``, which returns an element's next p and next state, a tuple. It is written in arithmetic
      and NumPy's functions, without branches, so that it works on arrays and can be compiled for one element. ``maximize``
      and ``weight_decay`` are seen to before;
    - ``arrays``, the names of what its state holds;
    - ``constants``, a tuple of numbers, the same for all elements of parameters that have come equally far.

    >>> import numpy as np, chainrule as cr
    >>> class SignDescent(ElementwiseOptimizer):
    ...     @staticmethod
    ...     def rule(p, g, state, constants):
    ...         (lr,) = constants
    ...         return p - lr * np.sign(g), state
    ...     def constants(self, group, state):
    ...         return (group["lr"],)
    >>> p = cr.Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([20.0, -3.0])
    >>> SignDescent([p], {"lr": 0.5}).step()
    >>> p.data
    array([0.5, 2.5])
    """

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        """An element's next p and next state."""
        raise NotImplementedError("an ElementwiseOptimizer defines rule")

    def arrays(self, group: Group) -> dict[str, float | None]:
        """The first value of each array in a parameter's state; None if these options do without it: the rule gets 0."""
        return {}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        """The rule's constants, from the options and the scalars in the state, which may be changed.

        ``state["step"]`` has counted this step already. Of an optimizer that keeps no count it is 1 where the arrays
        are new, and else 2.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define constants")

    def update_group(self, params: list[Variable], group: Group) -> None:
        first = self.arrays(group)
        kept = [name for name, value in first.items() if value is not None]
        alike: dict[tuple[float, ...], list[tuple[Variable, State]]] = {}
        for p in params:
            state = self.state.setdefault(p, {})
            new = [name for name in kept if name not in state]
            if new or not state:
                self._begin(p, state, {name: first[name] for name in new}, group)
            scalars = tuple([state[name] for name in self.scalars]) or (0 if new else 1,)
            alike.setdefault(scalars, []).append((p, state))
        lr, decay = group["lr"], group.get("weight_decay", 0)
        decoupled = group.get("decoupled_weight_decay", False)
        shell = (-1.0 if group.get("maximize") else 1.0, 0.0 if decoupled else decay, 1 - lr * decay if decoupled else 1.0)
        for scalars, members in alike.items():
            state = dict(zip(self.scalars or ("step",), scalars, strict=True))
            if "step" in state:
                state["step"] += 1
            constants = self.constants(group, state)
            arrays = [
                (p.data, ascent(p), tuple([None if value is None else own[name] for name, value in first.items()]))
                for p, own in members
            ]
            kernels.update(type(self).rule, arrays, (*shell, *constants))
            if self.scalars:
                for _, own in members:
                    own.update(state)

    def _begin(self, p: Variable, state: State, arrays: dict[str, Any], group: Group) -> None:
        """Put the first values into a parameter's state."""
        for name in self.scalars:
            state.setdefault(name, self.first_scalar(name, group))
        for name, value in arrays.items():
            array = state[name] = np.zeros_like(p.data)
            if value:
                kernels.real(array)[...] = value

    def first_scalar(self, name: str, group: Group) -> float:
        """What a scalar of the state is at first."""
        return 0
