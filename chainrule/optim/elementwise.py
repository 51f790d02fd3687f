"""Optimizers that do the same to each element of each parameter, declared by a function of one element."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import is_native, ndarray
from ..core.memory import empty_like
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
        first, names = self.arrays(group), self.scalars
        kept = tuple([value is not None for value in first.values()])
        held = [name for name, value in first.items() if value is not None]
        # by the scalars of their states, for parameters that have come equally far take a step together
        alike: dict[Any, tuple[list[State], list[kernels.Parameter]]] = {}
        for p in params:
            new = False
            try:
                state = self.state[p]
                arrays = [state[name] for name in held]
                scalars: Any = tuple([state[name] for name in names])
            except KeyError:
                new, state = True, self._begin(p, self.state.setdefault(p, {}), group)
                arrays, scalars = [state[name] for name in held], tuple([state[name] for name in names])
            scalars = scalars or new
            if scalars not in alike:
                alike[scalars] = [], []
            states, parameters = alike[scalars]
            states.append(state)
            g = p.grad
            parameters.append((p.data, ascent(p) if g.__class__ is not ndarray or g.dtype.kind == "c" else g, arrays))
        lr, decay = group["lr"], group.get("weight_decay", 0)
        decoupled = group.get("decoupled_weight_decay", False)
        shell = (-1.0 if group.get("maximize") else 1.0, 0.0 if decoupled else decay, 1 - lr * decay if decoupled else 1.0)
        for scalars, (states, parameters) in alike.items():
            known = dict(zip(names, scalars, strict=True)) if names else {"step": 0 if scalars else 1}
            if "step" in known:
                known["step"] += 1
            kernels.update(self.rule, parameters, kept, (*shell, *self.constants(group, known)))
            if names:
                for state in states:
                    state.update(known)

    def _begin(self, p: Variable, state: State, group: Group) -> State:
        """Put the first values of what is missing into a parameter's state."""
        for name in self.scalars:
            state.setdefault(name, self.first_scalar(name, group))
        for name, value in self.arrays(group).items():
            if value is not None and name not in state:
                state[name] = empty_like(p.data) if is_native(p.data) else np.empty_like(p.data)
                kernels.real(state[name])[...] = value
        return state

    def first_scalar(self, name: str, group: Group) -> float:
        """What a scalar of the state is at first."""
        return 0
