"""Python's operators and ndarray's methods on a Variable, each by the function that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import ref

import numpy as np

from ..core import config
from ..core.memory import copy
from ..core.variable import Leaf, Parameter, Variable, _would_lose_gradient, as_variable
from ..dispatch import NO_GRADIENT, RECORDERS, unwrap
from .elementwise import cube
from .indexing import get_item, set_item
from .shapes import astype

# ---- operators ------------------------------------------------------------------------------------------

_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "mod": np.remainder, "matmul": np.matmul,
    "floordiv": np.floor_divide, "divmod": np.divmod,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}  # fmt: skip
_COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip
_UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}

#: Exponents for which NumPy has something better than a power.
POWERS: dict[float, Callable[..., Any]] = {2: np.square, 1: np.positive, 3: cube, 0.5: np.sqrt, -1: np.reciprocal}


def _plain(function: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: function(*unwrap(args), **unwrap(kwargs))


def _caller(function: Any) -> Callable[..., Any]:
    """What an operator calls: what records the function, or the function on plain data."""
    return _plain(function) if function in NO_GRADIENT else RECORDERS[function]


def _install(name: str, function: Any, swapped: bool = False) -> None:
    """Give Variable the operator ``name``. What records it is made when it is first used, and then stands there itself."""

    def first_use(*operands: Any, **options: Any) -> Any:
        call = _caller(function)

        def swap(x: Any, y: Any) -> Any:
            return call(y, x)

        method = swap if swapped else call
        setattr(Variable, name, method)
        return method(*operands, **options)

    setattr(Variable, name, first_use)


def _pow(x: Variable, y: Any, modulo: None = None) -> Any:
    if (y.__class__ is int or y.__class__ is float) and y in POWERS and x.dtype.kind in "fc":
        return RECORDERS[POWERS[y]](x)
    return RECORDERS[np.power](x, y)


def _rpow(x: Variable, y: Any) -> Any:
    return RECORDERS[np.power](y, x)


def _assign(x: Variable, made: Variable) -> None:
    """Make ``x`` stand for ``made`` from now on. What was recorded of ``x`` before keeps its own data."""
    if made.dtype != x.dtype:
        if not np.can_cast(made.dtype, x.dtype, "same_kind"):
            raise TypeError(f"in-place result of dtype {made.dtype} does not fit into a Variable of dtype {x.dtype}")
        made = astype(made, x.dtype)
    if made.shape != x.shape:
        raise ValueError(f"in-place result of shape {made.shape} does not fit into a Variable of shape {x.shape}")
    x._data, x._edge = made._data, made._edge
    if made._edge is not None and made.creator is not None:
        made._edge.variable = ref(x)


def _overwrite(x: Variable, compute: Callable[[], Any], write: Callable[[Any], Any]) -> None:
    """Change ``x`` in place: recorded where recording is on, else into a leaf's own array."""
    if config.enable_backprop.get():
        if isinstance(x, Parameter) and x.requires_grad:
            raise RuntimeError(
                "a Parameter was changed in place while gradients are recorded; do it under chainrule.no_grad(), or "
                "compute a new Variable"
            )
        _assign(x, compute())
    elif x.creator is None:
        write(x._data)
        if x._edge.__class__ is Leaf:
            x._edge.changed(x)
    else:
        data = copy(x._data)
        write(data)
        x._data = data


def _in_place(function: Any) -> Callable[..., Any]:
    def operate_in_place(x: Variable, other: Any) -> Variable:
        operate = _pow if function is np.power else _caller(function)
        _overwrite(x, lambda: as_variable(operate(x, other)), lambda data: function(data, unwrap(other), out=data))
        return x

    return operate_in_place


def _setitem(x: Variable, index: Any, value: Any) -> None:
    index = unwrap(index)

    def write(data: Any) -> None:
        data[index] = unwrap(value)

    def compute() -> Any:
        if not (x.requires_grad or isinstance(value, Variable)):
            made = copy(x._data)
            made[index] = value
            return Variable(made, requires_grad=False)
        return set_item(x, index, value)

    _overwrite(x, compute, write)


for _name, _function in _BINARY.items():
    _install(f"__{_name}__", _function)
    _install(f"__r{_name}__", _function, swapped=True)
    if _name != "divmod":
        setattr(Variable, f"__i{_name}__", _in_place(_function))
for _name, _function in (_COMPARISONS | _UNARY).items():
    _install(f"__{_name}__", _function)
Variable.__pow__ = _pow  # type: ignore[method-assign,assignment]
Variable.__rpow__ = _rpow  # type: ignore[method-assign]
Variable.__ipow__ = _in_place(np.power)  # type: ignore[attr-defined]
_install("__getitem__", get_item)
Variable.__setitem__ = _setitem  # type: ignore[method-assign]

# ---- methods --------------------------------------------------------------------------------------------

METHODS = [
    "sum",
    "prod",
    "mean",
    "var",
    "std",
    "max",
    "min",
    "cumsum",
    "cumprod",
    "swapaxes",
    "squeeze",
    "ravel",
    "repeat",
    "take",
    "clip",
    "dot",
    "trace",
    "diagonal",
    "conj",
    "conjugate",
    "argmax",
    "argmin",
    "argsort",
    "argpartition",
    "nonzero",
    "searchsorted",
    "all",
    "any",
    "round",
]


for _name in METHODS:
    _install(_name, getattr(np, _name))


def _spread_arguments(args: tuple[Any, ...]) -> Any:
    """``f(2, 3)`` and ``f((2, 3))`` alike."""
    return args[0] if len(args) == 1 and (args[0] is None or hasattr(args[0], "__len__")) else args


def _reshape(self: Variable, *shape: Any, order: Any = "C", copy: bool | None = None) -> Variable:
    return RECORDERS[np.reshape](self, _spread_arguments(shape), order=order)  # type: ignore[no-any-return]


def _transpose(self: Variable, *axes: Any) -> Variable:
    return RECORDERS[np.transpose](self, _spread_arguments(axes) if axes else None)  # type: ignore[no-any-return]


def _astype(self: Variable, dtype: Any, copy: bool = True) -> Variable:
    return self if not copy and self.dtype == dtype else astype(self, dtype)


def _copy(self: Variable, order: Any = "C") -> Variable:
    return RECORDERS[np.copy](self)  # type: ignore[no-any-return]


def _flatten(self: Variable, order: Any = "C") -> Variable:
    return RECORDERS[np.ravel](self, order)  # type: ignore[no-any-return]


def _sort_in_place(self: Variable, axis: int = -1, kind: Any = None, order: Any = None) -> None:
    _overwrite(self, lambda: np.sort(self, axis, kind, order), lambda data: data.sort(axis=axis, kind=kind))


def _partition_in_place(self: Variable, kth: Any, axis: int = -1) -> None:
    _overwrite(self, lambda: np.partition(self, kth, axis), lambda data: data.partition(kth, axis=axis))


def _fill(self: Variable, value: Any) -> None:
    self[...] = value


for _method_ in (_reshape, _transpose, _astype, _copy, _flatten, _fill):
    setattr(Variable, _method_.__name__[1:], _method_)
Variable.sort = _sort_in_place  # type: ignore[attr-defined]
Variable.partition = _partition_in_place  # type: ignore[attr-defined]
Variable.T = property(lambda self: np.transpose(self))  # type: ignore[attr-defined]
Variable.mT = property(lambda self: np.matrix_transpose(self))  # type: ignore[attr-defined]
Variable.real = property(lambda self: np.real(self))  # type: ignore[attr-defined]
Variable.imag = property(lambda self: np.imag(self))  # type: ignore[attr-defined]

# ---- names that there are not ---------------------------------------------------------------------------

#: What stands for methods that PyTorch's tensors have, and NumPy's arrays by another name.
_INSTEAD = {
    "view": "v.reshape(...)", "view_as": "v.reshape(...)", "permute": "v.transpose(...)", "t": "v.T", "unsqueeze": "v[None]",
    "expand": "np.broadcast_to(v, shape)", "numel": "v.size", "dim": "v.ndim", "clone": "v.copy()", "mm": "v @ w",
    "bmm": "v @ w", "float": "v.astype(np.float32)", "double": "v.astype(np.float64)", "clamp": "np.clip(v, low, high)",
    "pow": "v ** w", "gather": "np.take_along_axis(v, index, axis)", "index_select": "v[index]",
    "masked_fill": "np.where(mask, value, v)", "norm": "np.linalg.norm(v)", "sub": "v - w", "mul": "v * w", "div": "v / w",
}  # fmt: skip


def _no_attribute(self: Variable, name: str) -> Any:
    instead = _INSTEAD.get(name)
    if instead is None and not name.startswith("_"):
        from .. import functional  # stands above this file

        found = [prefix for prefix, module in (("np", np), ("chainrule.functional", functional)) if hasattr(module, name)]
        instead = f"{found[0]}.{name}(v)" if found else None
    hint = f"; write {instead}" if instead else ""
    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)


Variable.__getattr__ = _no_attribute  # type: ignore[method-assign]

# ---- the array API standard -----------------------------------------------------------------------------


def _array_namespace(self: Variable, *, api_version: str | None = None) -> ModuleType:
    """The functions of the array API standard, on Variables."""
    from .. import array_api  # stands above this file

    np.empty(0).__array_namespace__(api_version=api_version)  # type: ignore[arg-type]  # raises if it does not know it
    return array_api


def _to_device(self: Variable, device: Any, /, *, stream: Any = None) -> Variable:
    if device == self.device:
        return self
    if self.requires_grad:
        raise TypeError(f"a move to the device {device!r} is not recorded; make a Variable of v.data.to_device(...)")
    return Variable(self._data.to_device(device, stream=stream), requires_grad=False)


def _dlpack(self: Variable, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
    if self.requires_grad and config.enable_backprop.get():
        raise _would_lose_gradient()
    options = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    return self._data.__dlpack__(**{name: option for name, option in options.items() if option is not None})


Variable.__array_namespace__ = _array_namespace  # type: ignore[attr-defined]
Variable.__dlpack__ = _dlpack  # type: ignore[attr-defined]
Variable.__dlpack_device__ = lambda self: self._data.__dlpack_device__()  # type: ignore[attr-defined]
Variable.to_device = _to_device  # type: ignore[attr-defined]
Variable.device = property(lambda self: getattr(self._data, "device", "cpu"))  # type: ignore[attr-defined]
