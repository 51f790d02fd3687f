"""Activation functions as layers; their formulae are in ``functional``.

Where PyTorch has ``inplace``, it is accepted and changes nothing but ``repr``: results are new arrays all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import functional as F
from ..core.variable import Parameter
from ..dispatch import unwrap
from ..functional.activation import _gelu_tanh
from ..kernels.lines import check_indices
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module


class _Activation(Module):
    """A layer that calls a function with the options that it was made with."""

    function: ClassVar[Any]
    _options: tuple[str, ...] = ()

    def __init__(self) -> None: ...

    def _set(self, **options: Any) -> None:
        self._options = tuple(options)
        vars(self).update(options)

    def forward(self, input: Any) -> Any:
        return type(self).function(input, **{name: getattr(self, name) for name in self._options})

    def as_function(self) -> Callable[[Any], Any] | None:
        """The function of one array that calling the layer is; None where there are options or hooks."""
        if not self._only(_Activation.forward) or (self._options and self._options != ("inplace",)):
            return None
        return type(self).function  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        shown = ((name, getattr(self, name)) for name in self._options)
        return ", ".join(f"{name}={value!r}" for name, value in shown if name != "inplace" or value)


# ---- piecewise linear -----------------------------------------------------------------------------------


class ReLU(_Activation):
    """max(x, 0)."""

    function = staticmethod(F.relu)

    def __init__(self, inplace: bool = False):
        self._set(inplace=inplace)


class ReLU6(_Activation):
    """min(max(x, 0), 6)."""

    function = staticmethod(F.relu6)

    def __init__(self, inplace: bool = False):
        self._set(inplace=inplace)


class LeakyReLU(_Activation):
    """X where x > 0, else ``negative_slope`` x."""

    function = staticmethod(F.leaky_relu)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        self._set(negative_slope=negative_slope, inplace=inplace)


class PReLU(Module):
    """X where x > 0, else w x, for a slope w that is learnt: one, or one for each channel of an input (N, C, ...).

    Source: K. He et al., Delving Deep into Rectifiers (2015).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.PReLU()(np.array([-1.0, 2.0])).data
    array([-0.25,  2.  ])
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, np.float32))

    def forward(self, input: Any) -> Any:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(_Activation):
    """X where x > 0, else a x, for a slope a that is random in training and (``lower`` + ``upper``) / 2 in use."""

    function = staticmethod(F.rrelu)

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False):
        self._set(lower=lower, upper=upper, inplace=inplace)

    def forward(self, input: Any) -> Any:
        return F.rrelu(input, training=self.training, **{name: getattr(self, name) for name in self._options})


class Hardtanh(_Activation):
    """min(max(x, ``min_val``), ``max_val``)."""

    function = staticmethod(F.hardtanh)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        self._set(min_val=min_val, max_val=max_val, inplace=inplace)


class Hardsigmoid(_Activation):
    """min(max(x / 6 + 1/2, 0), 1)."""

    function = staticmethod(F.hardsigmoid)

    def __init__(self, inplace: bool = False):
        self._set(inplace=inplace)


class Hardswish(_Activation):
    """X min(max(x + 3, 0), 6) / 6."""

    function = staticmethod(F.hardswish)

    def __init__(self, inplace: bool = False):
        self._set(inplace=inplace)


class Hardshrink(_Activation):
    """X where abs(x) > ``lambd``, else 0."""

    function = staticmethod(F.hardshrink)

    def __init__(self, lambd: float = 0.5):
        self._set(lambd=lambd)


class Softshrink(_Activation):
    """X - sign(x) ``lambd`` where abs(x) > ``lambd``, else 0."""

    function = staticmethod(F.softshrink)

    def __init__(self, lambd: float = 0.5):
        self._set(lambd=lambd)


class Threshold(_Activation):
    """X where x > ``threshold``, else ``value``."""

    function = staticmethod(F.threshold)

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        self._set(threshold=threshold, value=value, inplace=inplace)


# ---- smooth ---------------------------------------------------------------------------------------------


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    function = staticmethod(F.sigmoid)


class LogSigmoid(_Activation):
    """-log(1 + exp(-x))."""

    function = staticmethod(F.logsigmoid)


class Tanh(_Activation):
    """tanh(x)."""

    function = staticmethod(F.tanh)


class Tanhshrink(_Activation):
    """X - tanh(x)."""

    function = staticmethod(F.tanhshrink)


class Softsign(_Activation):
    """X / (1 + abs(x))."""

    function = staticmethod(F.softsign)


class SiLU(_Activation):
    """X sigmoid(x)."""

    function = staticmethod(F.silu)

    def __init__(self, inplace: bool = False):
        self._set(inplace=inplace)


class GELU(_Activation):
    """X P(Z <= x) for a standard normal Z; ``approximate="tanh"`` for the approximation by a tanh."""

    function = staticmethod(F.gelu)

    def __init__(self, approximate: str = "none"):
        self._set(approximate=approximate)

    def as_function(self) -> Callable[[Any], Any] | None:
        """The function of one array that calling the layer is; None where there are hooks."""
        functions = {"none": F.gelu, "tanh": _gelu_tanh}
        return functions.get(vars(self)["approximate"]) if self._only(_Activation.forward) else None


class Mish(_Activation):
    """X tanh(log(1 + exp(x)))."""

    function = staticmethod(F.mish)

    def __init__(self, inplace: bool = False):
        self._set(inplace=inplace)


class ELU(_Activation):
    """X where x > 0, else ``alpha`` (exp(x) - 1)."""

    function = staticmethod(F.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        self._set(alpha=alpha, inplace=inplace)


class SELU(_Activation):
    """The exponential linear unit, scaled so that layers keep mean 0 and variance 1."""

    function = staticmethod(F.selu)

    def __init__(self, inplace: bool = False):
        self._set(inplace=inplace)


class CELU(_Activation):
    """max(x, 0) + min(0, ``alpha`` (exp(x / alpha) - 1))."""

    function = staticmethod(F.celu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        self._set(alpha=alpha, inplace=inplace)


class Softplus(_Activation):
    """log(1 + exp(``beta`` x)) / beta, and x itself where beta x > ``threshold``."""

    function = staticmethod(F.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        self._set(beta=beta, threshold=threshold)


# ---- along an axis --------------------------------------------------------------------------------------


class GLU(_Activation):
    """A sigmoid(b), for the two halves of the input along ``dim``."""

    function = staticmethod(F.glu)

    def __init__(self, dim: int = -1):
        self._set(dim=dim)


class Softmax(_Activation):
    """Exponentials that sum to one along ``dim``."""

    function = staticmethod(F.softmax)

    def __init__(self, dim: int = -1):
        self._set(dim=dim)


class Softmin(_Activation):
    """Softmax of -x."""

    function = staticmethod(F.softmin)

    def __init__(self, dim: int = -1):
        self._set(dim=dim)


class LogSoftmax(_Activation):
    """Logarithm of the softmax along ``dim``."""

    function = staticmethod(F.log_softmax)

    def __init__(self, dim: int = -1):
        self._set(dim=dim)


class Softmax2d(Module):
    """Softmax over the channels of images (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: the input has another number of axes.
    """

    def forward(self, input: Any) -> Any:
        if input.ndim not in (3, 4):
            raise ValueError(f"expected (N, C, H, W) or (C, H, W), got {input.shape}")
        return F.softmax(input, -3)


class AdaptiveLogSoftmax(NamedTuple):
    """What ``AdaptiveLogSoftmaxWithLoss`` returns: each target's log-probability, (N,), and minus their mean."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of very many classes, the rare ones in clusters: fast where few classes are frequent.

    Classes are numbered by falling frequency. The head decides between the first ``cutoffs[0]`` classes and the clusters;
    the i-th cluster between the classes from ``cutoffs[i]`` to the next cutoff, in in_features / div_value^(i + 1) dimensions.

    Args:
        in_features: length of the input's last axis.
        n_classes: how many classes.
        cutoffs: where clusters begin: rising, each from 1 to n_classes - 1.
        div_value: see above.
        head_bias: whether the head adds a bias.

    Shapes: input (N, in_features) or (in_features,), target (N,) or (), to output (N,) or () and loss ().

    Raises:
        ValueError: the cutoffs are not as said, or the shapes do not belong together.
        IndexError: a target is not from 0 to n_classes - 1.

    Source: E. Grave et al., Efficient Softmax Approximation for GPUs (2016).

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import nn
    >>> _ = cr.random.manual_seed(0)
    >>> layer = nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs=[5, 10])
    >>> layer(np.ones((3, 16), np.float32), np.array([0, 7, 19])).output.shape
    (3,)
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
    ):
        cutoffs = list(cutoffs)
        if not cutoffs or cutoffs != sorted(set(cutoffs)) or cutoffs[0] <= 0 or cutoffs[-1] >= n_classes:
            raise ValueError(f"cutoffs rise, and are from 1 to n_classes - 1 = {n_classes - 1}; they were {cutoffs}")
        self.in_features, self.n_classes, self.div_value, self.head_bias = in_features, n_classes, div_value, head_bias
        self.cutoffs = [*cutoffs, n_classes]
        self.head = Linear(in_features, cutoffs[0] + len(cutoffs), bias=head_bias)
        self.tail = ModuleList()
        for i, (start, stop) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            hidden = int(in_features // div_value ** (i + 1))
            if hidden == 0:
                raise ValueError(f"no dimension is left to cluster {i}: {in_features} // {div_value}^{i + 1} is 0")
            self.tail.append(Sequential(Linear(in_features, hidden, bias=False), Linear(hidden, stop - start, bias=False)))

    def forward(self, input: Any, target: Any) -> AdaptiveLogSoftmax:
        target = unwrap(target)
        if input.shape != (*target.shape, self.in_features) or target.ndim > 1:
            raise ValueError(
                f"expected input (N, {self.in_features}) and target (N,), or ({self.in_features},) and (); "
                f"got {input.shape} and {target.shape}"
            )
        check_indices(target, self.n_classes, "n_classes")
        x, classes = np.reshape(input, (-1, self.in_features)), np.reshape(target, -1)
        cluster = np.searchsorted(self.cutoffs, classes, side="right")
        first = np.where(cluster == 0, classes, self.cutoffs[0] + cluster - 1)
        chosen = -F.nll_loss(F.log_softmax(self.head(x)), first, reduction="none")
        rows = [np.flatnonzero(cluster == i) for i in range(len(self.cutoffs))]
        within = [np.zeros(len(rows[0]), x.dtype)]  # a class of the head has no more to decide
        for tail, start, of_cluster in zip(self.tail, self.cutoffs, rows[1:], strict=False):
            within.append(-F.cross_entropy(tail(x[of_cluster]), classes[of_cluster] - start, reduction="none"))
        output = chosen + np.concatenate(within)[np.argsort(np.concatenate(rows))]
        return AdaptiveLogSoftmax(np.reshape(output, target.shape), -np.mean(output))

    def log_prob(self, input: Any) -> Any:
        """The log-probabilities of all classes: (N, in_features) to (N, n_classes)."""
        head = F.log_softmax(self.head(input))
        frequent = self.cutoffs[0]
        clusters = [F.log_softmax(tail(input)) + head[..., frequent + i : frequent + i + 1] for i, tail in enumerate(self.tail)]
        return np.concatenate([head[..., :frequent], *clusters], axis=-1)

    def predict(self, input: Any) -> Any:
        """The most probable class: (N, in_features) to (N,)."""
        return np.argmax(unwrap(self.log_prob(input)), axis=-1)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, n_classes={self.n_classes}, cutoffs={self.cutoffs[:-1]}"
