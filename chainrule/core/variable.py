"""Variable: an array, its gradient, and the call that made it."""

from __future__ import annotations

import sys
from opcode import opmap
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from . import config
from .arrays import Array, as_array, fit, is_array, is_numeric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .function import Edge, Function

#: What ``Variable.backward`` does: backward.py, which stands above this file, puts it here.
walk_back: Any = None


class Variable:
    """An array that is differentiated.

    Calls of NumPy's and chainrule's functions on a Variable are recorded; ``backward()`` on a result
    then fills ``.grad`` of the Variables that it was computed from. Arrays and scalars beside
    Variables are constants.

    Args:
        data: an array (NumPy's, CuPy's, Dask's), or None for a Variable that gets its data later.
        name: a name for messages and drawings.
        requires_grad: False makes it a constant that no gradient is computed for.

    Raises:
        TypeError: ``data`` is not an array, or holds objects, strings or dates.

    >>> import numpy as np, chainrule as cr
    >>> x = cr.Variable(np.array([1.0, 2.0, 3.0]))
    >>> y = np.sum(np.square(x))
    >>> y.backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    # _seed: the gradient that a user has set, which backward() starts from. _edge: where this Variable's gradient
    # flows to: the Function that made it, one Output of such a Function, or its own Leaf; None for a constant.
    __slots__ = ("__weakref__", "_data", "_edge", "_grad", "_seed", "name")
    __array_priority__ = 1000
    __hash__ = object.__hash__

    def __init__(self, data: Array | None, name: str | None = None, requires_grad: bool = True):
        self._data: Any = None if data is None else _checked(data)
        self._edge: Edge | None = Leaf(self) if requires_grad else None
        self._grad: Any = None
        self._seed: Any = None
        self.name = name

    # ---- the record -------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The array. Assigning to it (also ``v.data -= step``) is not recorded."""
        return self._data

    @data.setter
    def data(self, value: Array | None) -> None:
        leaf = self._edge
        if leaf is not None and leaf.function is not None and value is self._data:
            raise RuntimeError(
                "the array of a recorded intermediate Variable was changed in place (v.data -= ...), and the "
                "record may still need its old values; compute a new Variable instead, or detach() first"
            )
        # arithmetic of 0-d arrays, such as v.data - step, makes a NumPy scalar
        self._data = None if value is None else _checked(np.asarray(value) if isinstance(value, np.generic) else value)
        if leaf.__class__ is Leaf:
            leaf.changed(self)

    @property
    def grad(self) -> Any:
        """The gradient: an array of the data's shape, a Variable after ``create_graph=True``, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            value = value if isinstance(value, Variable) else as_array(value)
            if self._data is not None and value.shape != self._data.shape:
                raise ValueError(f"a gradient has its Variable's shape {self._data.shape}, not {value.shape}")
            if self._data is not None:
                value = fit(value, self._data.shape, self._data.dtype)
        self._grad = self._seed = value

    def reset_grad(self) -> None:
        """Forget the gradient."""
        self._grad = self._seed = None

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Variable. Setting it to False makes a leaf a constant."""
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.creator is not None:
            raise RuntimeError("requires_grad of a computed Variable cannot be set; use detach() for a constant")
        if value != (self._edge is not None):
            self._edge = Leaf(self) if value else None

    @property
    def creator(self) -> Function | None:
        """The recorded call that made this Variable; None for a leaf or a constant."""
        return None if self._edge is None else self._edge.function

    def set_creator(self, function: Function) -> None:
        """Make this Variable the output of ``function``."""
        self._edge = function

    @property
    def generation(self) -> int:
        """How many calls lie between this Variable and the leaves, along the longest way."""
        return 0 if self._edge is None else self._edge.generation + 1

    def backward(
        self,
        retain_grad: bool = False,
        create_graph: bool = False,
        retain_graph: bool | None = None,
    ) -> None:
        """Add this Variable's gradient to ``.grad`` of each leaf that it was computed from.

        It starts from ones, or from ``self.grad`` where that was set. Gradients of leaves accumulate over
        calls until ``reset_grad()``.

        Args:
            retain_grad: also set ``.grad`` of the Variables in between, to this call's gradient.
            create_graph: record the gradient's own computation, so that it can be differentiated.
            retain_graph: keep the record for another call. By default it is kept if ``create_graph``.

        Raises:
            RuntimeError: nothing was recorded (a leaf, or a result under ``no_grad()``), the record has
                been released, or data that it needs has changed since.
        """
        walk_back(self, retain_grad, create_graph, retain_graph)

    def detach(self) -> Variable:
        """A constant Variable of the same data, apart from the record."""
        return Variable(self._data, name=self.name, requires_grad=False)

    # ---- the array --------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self._data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self._data.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        return self._data.itemsize  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        return self._data.nbytes  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Variable]:
        if self.ndim == 0:
            raise TypeError("a 0-d Variable cannot be iterated over")
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._data)

    def __int__(self) -> int:
        return int(self._to_number())

    def __float__(self) -> float:
        return float(self._to_number())

    def __complex__(self) -> complex:
        return complex(self._to_number())

    def _to_number(self) -> Array:
        # NumPy asks for a number also in buffer[i] = v, where the gradient would be lost in silence
        if self._edge is not None and config.enable_backprop.get():
            caller = sys._getframe(2)
            if caller.f_code.co_code[caller.f_lasti] == _STORE_SUBSCR:
                raise _would_lose_gradient()
        return self._data

    def __index__(self) -> int:
        return self._data.__index__()  # type: ignore[no-any-return]

    def __format__(self, spec: str) -> str:
        return format(self._data[()], spec) if self.ndim == 0 else format(str(self), spec)

    def __contains__(self, value: Any) -> bool:
        return (value._data if isinstance(value, Variable) else value) in self._data

    def item(self, *index: int) -> Any:
        """The one element (or the element at ``index``) as a Python scalar."""
        return self._data.item(*index)

    def tolist(self) -> Any:
        """The elements as nested lists of Python scalars."""
        return self._data.tolist()

    def tobytes(self) -> bytes:
        """The elements' bytes in C order."""
        return self._data.tobytes()  # type: ignore[no-any-return]

    def numpy(self) -> Array:
        """The array itself, without the record: the same as ``.data``."""
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self._edge is not None and config.enable_backprop.get():
            raise _would_lose_gradient()
        return np.array(self._data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        if self._data is None:
            return f"{type(self).__name__}(None{name})"
        text = repr(self._data).removeprefix("array(").removesuffix(")")
        text = text.replace("\n      ", "\n" + " " * len(type(self).__name__))
        return f"{type(self).__name__}({text}{name})"

    def __str__(self) -> str:
        return str(self._data)

    def __getstate__(self) -> tuple[Any, ...]:
        if self.creator is not None:
            raise TypeError("a computed Variable cannot be pickled or copied with its record; use v.detach() or v.data")
        return (self._data, self._grad, self.name, self.requires_grad)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._data, self._grad, self.name, requires_grad = state
        self._seed, self._edge = None, Leaf(self) if requires_grad else None

    if TYPE_CHECKING:  # operators and methods that calculus/methods.py installs

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Variable: ...
        def __radd__(self, other: Any) -> Variable: ...
        def __sub__(self, other: Any) -> Variable: ...
        def __rsub__(self, other: Any) -> Variable: ...
        def __mul__(self, other: Any) -> Variable: ...
        def __rmul__(self, other: Any) -> Variable: ...
        def __truediv__(self, other: Any) -> Variable: ...
        def __rtruediv__(self, other: Any) -> Variable: ...
        def __floordiv__(self, other: Any) -> Variable: ...
        def __rfloordiv__(self, other: Any) -> Variable: ...
        def __mod__(self, other: Any) -> Variable: ...
        def __rmod__(self, other: Any) -> Variable: ...
        def __divmod__(self, other: Any) -> tuple[Variable, Variable]: ...
        def __rdivmod__(self, other: Any) -> tuple[Variable, Variable]: ...
        def __pow__(self, other: Any) -> Variable: ...
        def __rpow__(self, other: Any) -> Variable: ...
        def __matmul__(self, other: Any) -> Variable: ...
        def __rmatmul__(self, other: Any) -> Variable: ...
        def __neg__(self) -> Variable: ...
        def __pos__(self) -> Variable: ...
        def __abs__(self) -> Variable: ...
        def __invert__(self) -> Variable: ...
        def __lt__(self, other: Any) -> Variable: ...
        def __le__(self, other: Any) -> Variable: ...
        def __gt__(self, other: Any) -> Variable: ...
        def __ge__(self, other: Any) -> Variable: ...
        def __getitem__(self, index: Any) -> Variable: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...


class Leaf:
    """Where the gradient of a Variable that no call has made flows to.

    It is the record's side of such a Variable. It knows the Variable only weakly, so that no cycle arises when the
    Variable is assigned to (``x[0] = f(x)``) and becomes the result of a call itself.
    """

    __slots__ = ("__weakref__", "dtype", "generation", "shape", "variable", "version")
    function = None

    def __init__(self, variable: Variable):
        self.variable = ref(variable)
        self.version = self.generation = -1
        self.changed(variable)

    def changed(self, variable: Variable) -> None:
        """Take note that the Variable has other data now; a record that still reads the old is out of date."""
        self.version += 1
        if variable._data is not None:
            self.shape, self.dtype = variable._data.shape, variable._data.dtype


def changed(leaves: Iterable[Variable]) -> None:
    """Take note that the arrays of leaves were written into; a record that still reads the old values is out of date."""
    for x in leaves:
        leaf = x._edge
        if leaf.__class__ is Leaf:
            leaf.version += 1  # type: ignore[union-attr]


def forget_gradients(variables: Iterable[Variable], set_to_none: bool) -> None:
    """Forget the gradients of Variables, or set them to zero: in place, where they are arrays in memory."""
    for x in variables:
        if set_to_none or x._grad is None:
            x.reset_grad()
        elif x._grad.__class__ is np.ndarray:
            x._grad[...] = 0
        else:
            x.grad = np.zeros_like(x._data)


class Parameter(Variable):
    """A Variable that a module owns and an optimizer updates; ``requires_grad=False`` freezes it.

    It takes attributes of one's own, by which an optimizer's groups may be told apart; copies have them, too.

    >>> import copy, numpy as np
    >>> p = Parameter(np.zeros(3))
    >>> p.no_weight_decay = True
    >>> copy.deepcopy(p).no_weight_decay
    True
    """

    def __getstate__(self) -> tuple[Any, ...]:
        return *super().__getstate__(), vars(self)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        super().__setstate__(state[:-1])
        vars(self).update(state[-1])


_STORE_SUBSCR = opmap["STORE_SUBSCR"]


def _would_lose_gradient() -> TypeError:
    return TypeError(
        "converting a Variable to a plain array would lose its gradient in silence; use v.data for the array, np.stack or "
        "chainrule.array to build an array from Variables, and a Variable as the buffer for buffer[i] = v; "
        "SciPy's functions that NumPy cannot dispatch stand in chainrule.scipy"
    )


def _checked(data: Any) -> Array:
    if isinstance(data, Variable) or not is_array(data):
        raise TypeError(
            f"Variable needs an array, not {type(data).__name__}; "
            + ("use it as it is, or its .data" if isinstance(data, Variable) else "use np.array(...) or as_array(...)")
        )
    if not is_numeric(data):
        raise TypeError(f"Variable cannot hold an array of dtype {data.dtype}; convert it to numbers first")
    return data


def plain(x: Any) -> Any:
    """The data of a Variable; anything else as it is."""
    return x._data if isinstance(x, Variable) else x


def as_variable(x: Any) -> Variable:
    """Return ``x`` as a Variable; arrays and scalars become constants."""
    return x if isinstance(x, Variable) else Variable(as_array(x), requires_grad=False)
