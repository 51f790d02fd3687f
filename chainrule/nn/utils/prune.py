"""Pruning: parts of a weight that are held at zero, chosen by their size or at random.

A pruned Parameter ``weight`` is the product of ``weight_orig``, which is trained, and ``weight_mask``, a buffer of zeros and
ones; both are in the state dict. To prune again prunes some of what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from ...core.arrays import Array
from ...core.variable import Parameter, plain
from ...random import generator
from ..module import Module
from .computed import compute
from .reparametrized import keep

M = TypeVar("M", bound=Module)
Amount = int | float


class BasePruningMethod:
    """Base of the methods, which choose what is pruned. A subclass defines ``compute_mask``.

    ``PRUNING_TYPE`` says what that is given: ``"unstructured"`` the elements that are left, in a row; ``"structured"`` what is
    left along the axis ``self.dim`` that has anything left; ``"global"`` everything.
    """

    PRUNING_TYPE: ClassVar[str] = "global"
    dim: int

    def compute_mask(self, t: Array, default_mask: Array) -> Array:
        """Ones for what stays and zeros for the rest, given how much each element of ``t`` counts, and the mask until now."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute_mask")

    def mask(self, scores: Array, before: Array) -> Array:
        """The mask after one that was there before."""
        if scores.shape != before.shape:
            raise ValueError(f"importance_scores have the shape of what is pruned, {before.shape}, not {scores.shape}")
        left: Any = ...
        if self.PRUNING_TYPE == "unstructured":
            left = before == 1
        elif self.PRUNING_TYPE == "structured":
            axis = _axis(self.dim, before)
            left = (slice(None),) * axis + (np.any(before, axis=tuple(i for i in range(before.ndim) if i != axis)),)
        after = before.copy()
        after[left] = self.compute_mask(scores[left], before[left])
        return after

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Self:
        """Prune a module's Parameter; further arguments are the method's own."""
        method = cls(*args, **kwargs)
        value = plain(getattr(module, name))
        scores = value if importance_scores is None else plain(importance_scores)
        mask = method.mask(scores, _mask(module, name))
        if f"{name}_mask" not in module._buffers:
            delattr(module, name)
            setattr(module, f"{name}_orig", Parameter(value))
            module.register_buffer(f"{name}_mask", mask)
            compute(module, name, lambda self: getattr(self, f"{name}_orig") * getattr(self, f"{name}_mask"))
        setattr(module, f"{name}_mask", mask)
        return method


class Identity(BasePruningMethod):
    """Prunes nothing yet."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Array, default_mask: Array) -> Array:
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes elements at random: so many, or such a part of them."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: Amount):
        self.amount = amount

    def compute_mask(self, t: Array, default_mask: Array) -> Array:
        return _without_least(generator().random(t.shape), self.amount, default_mask)


class L1Unstructured(RandomUnstructured):
    """Prunes the elements nearest to zero: so many, or such a part of them."""

    def compute_mask(self, t: Array, default_mask: Array) -> Array:
        return _without_least(np.abs(t), self.amount, default_mask)


class RandomStructured(BasePruningMethod):
    """Prunes slices along an axis at random: so many, or such a part of them."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Amount, dim: int = -1):
        self.amount, self.dim = amount, dim

    def score(self, slices: Array) -> Array:
        """How much each of the slices counts, which are rows here."""
        return generator().random(len(slices))

    def compute_mask(self, t: Array, default_mask: Array) -> Array:
        axis = _axis(self.dim, t)
        scores = self.score(np.moveaxis(t, axis, 0).reshape(t.shape[axis], -1))
        kept = _without_least(scores, self.amount, np.ones_like(scores, default_mask.dtype))
        return default_mask * kept.reshape(-1, *[1] * (t.ndim - axis - 1))


class LnStructured(RandomStructured):
    """Prunes the slices along an axis whose n-norm is least: so many, or such a part of them."""

    def __init__(self, amount: Amount, n: float | str, dim: int = -1):
        super().__init__(amount, dim)
        self.n = float(n) if n in ("inf", "-inf") else n

    def score(self, slices: Array) -> Array:
        order: Any = 2 if self.n == "fro" else self.n
        norms: Array = np.linalg.vector_norm(slices, ord=order, axis=1)
        return norms


class CustomFromMask(BasePruningMethod):
    """Prunes what a mask says, besides what is pruned already."""

    def __init__(self, mask: Any):
        self._given = plain(mask)

    def compute_mask(self, t: Array, default_mask: Array) -> Array:
        if self._given.shape != default_mask.shape:
            raise ValueError(f"a mask has the shape of what is pruned, {default_mask.shape}, not {self._given.shape}")
        return default_mask * self._given.astype(default_mask.dtype)


def identity(module: M, name: str) -> M:
    """Give a Parameter a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: M, name: str, amount: Amount) -> M:
    """Prune elements at random.

    Args:
        module: the module, which is returned.
        name: its Parameter.
        amount: how many, an int; or which part of those that are left, a float.

    Raises:
        ValueError: there are not so many.
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: M, name: str, amount: Amount, importance_scores: Any = None) -> M:
    """Prune the elements nearest to zero. Arguments as ``random_unstructured``, and

    Args:
        importance_scores: how much each element counts, in the Parameter's shape; by default the Parameter itself.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> layer = nn.Linear(3, 2, bias=False)
    >>> layer.weight.data[...] = [[0.1, -0.5, 0.2], [0.4, -0.1, 0.3]]
    >>> nn.utils.prune.l1_unstructured(layer, "weight", amount=0.5).weight.data
    array([[ 0. , -0.5,  0. ],
           [ 0.4, -0. ,  0.3]], dtype=float32)
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: M, name: str, amount: Amount, dim: int) -> M:
    """Prune slices along the axis ``dim`` at random: so many, or such a part of those that are left."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: M, name: str, amount: Amount, n: float | str, dim: int, importance_scores: Any = None) -> M:
    """Prune the slices along the axis ``dim``, channels say, whose ``n``-norm is least; else as ``l1_unstructured``."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: M, name: str, mask: Any) -> M:
    """Prune where ``mask``, of the Parameter's shape, is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Callable[..., BasePruningMethod],
    importance_scores: Mapping[tuple[Module, str], Any] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several Parameters as if they were one.

    Args:
        parameters: modules and their Parameters' names.
        pruning_method: ``L1Unstructured`` or ``RandomUnstructured``, or one of one's own.
        importance_scores: how much the elements count, by module and name; by default the Parameters themselves.
        kwargs: the method's arguments.

    Raises:
        TypeError: the method is not of elements.
    """
    method, pairs, given = pruning_method(**kwargs), list(parameters), importance_scores or {}
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(f"only methods of elements prune Parameters of several shapes, not {type(method).__name__}")
    scores = [plain(given.get((module, name), getattr(module, name))) for module, name in pairs]
    before = [_mask(module, name) for module, name in pairs]
    flat = [np.concatenate([a.reshape(-1) for a in arrays]) for arrays in (scores, before)]
    ends = np.cumsum([mask.size for mask in before])[:-1]
    for (module, name), mask, old in zip(pairs, np.split(method.mask(*flat), ends), before, strict=True):
        custom_from_mask(module, name, mask.reshape(old.shape))


def remove(module: M, name: str) -> M:
    """Make a Parameter of its own of a pruned one: the zeros stay, and may be trained.

    Raises:
        ValueError: it is not pruned.
    """
    return keep(module, name, "pruned", ("_orig", "_mask"))


def is_pruned(module: Module) -> bool:
    """Whether a Parameter of the module, or of one below it, is pruned."""
    return any(f"{name}_mask" in m._buffers for m in module.modules() for name in _originals(m))


def _originals(module: Module) -> list[str]:
    return [name.removesuffix("_orig") for name in vars(module) if name.endswith("_orig")]


def _mask(module: Module, name: str) -> Array:
    """The mask until now."""
    found = getattr(module, f"{name}_mask", None)
    return np.ones_like(plain(getattr(module, name))) if found is None else found


def _axis(dim: int, t: Array) -> int:
    axes: int = t.ndim
    if axes < 2 or not -axes <= dim < axes:
        raise ValueError(f"slices along axis {dim} of a Parameter of shape {t.shape} cannot be pruned")
    return dim % axes


def _without_least(scores: Array, amount: Amount, mask: Array) -> Array:
    """A mask without those elements whose scores are least."""
    whole = not isinstance(amount, float)
    if amount < 0 or amount > (scores.size if whole else 1):
        raise ValueError(
            f"amount is from 0 to the {scores.size} that are left, or from 0.0 to 1.0 for a part of them, not {amount}"
        )
    mask = mask.copy()
    mask[np.argsort(scores, kind="stable")[: amount if whole else round(amount * scores.size)]] = 0
    return mask
