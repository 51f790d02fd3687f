"""Objective functions of science, by the definitions of ADBench and GradBench: values and gradients in float64.

Each is written once, against a namespace ``xp`` that holds a framework's functions by NumPy's names.

Sources: F. Srajer, Z. Kukelova, A. Fitzgibbon, A Benchmark of Selected Algorithmic Differentiation Tools on Some Problems in
Computer Vision and Machine Learning (2018); GradBench, https://github.com/gradbench/gradbench.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import lgamma, log, pi
from types import SimpleNamespace
from typing import Any

import numpy as np

Step = Callable[[], list[Any]]
Namespace = Any

#: Relative and absolute difference up to which values and gradients count as equal.
TOLERANCE = (1e-7, 1e-9)

NOTE = (
    "Values are computed without a record: of plain arrays, torch's under no_grad. JAX is left out where it would unroll a "
    "loop that takes it more than a minute to compile."
)

# ---- log-sum-exp, from its elements: no framework's own function with a gradient written by hand --------------------


def log_sum_exp(xp: Namespace, x: Any, axis: int = 0) -> Any:
    largest = xp.max(x, axis=axis, keepdims=True)
    return xp.squeeze(largest, axis) + xp.log(xp.sum(xp.exp(x - largest), axis=axis))


# ---- Gaussian mixture model -----------------------------------------------------------------------------------------


def mixture(xp: Namespace, weights: Any, means: Any, factors: Any, points: Any, lower: Any) -> Any:
    """Log-likelihood of points, with a Wishart prior on the precisions.

    ``factors`` holds, for each component, the logarithms of the diagonal of a triangular matrix and what stands under it;
    ``lower`` says for each place of the matrix where in the latter (with a zero after it) its element is.
    """
    (n, d), k = points.shape, len(weights)
    log_diagonal, rest = factors[:, :d], factors[:, d:]
    diagonal, sums = xp.exp(log_diagonal), xp.sum(log_diagonal, axis=1)
    matrices = xp.take(xp.concatenate([rest, xp.zeros((k, 1))], axis=1), lower, axis=1)
    centred = xp.swapaxes(points, 0, 1)[None, :, :] - means[:, :, None]
    whitened = diagonal[:, :, None] * centred + xp.matmul(matrices, centred)
    terms = (weights + sums)[:, None] - 0.5 * xp.sum(whitened**2, axis=1)
    likelihood = xp.sum(log_sum_exp(xp, terms)) - n * log_sum_exp(xp, weights) - 0.5 * n * d * log(2 * pi)
    gamma, m = 1.0, 0
    freedom = d + m + 1
    log_gamma = 0.25 * d * (d - 1) * log(pi) + sum(lgamma(0.5 * (freedom - j)) for j in range(d))
    prior = 0.5 * gamma**2 * (xp.sum(diagonal**2) + xp.sum(rest**2)) - m * xp.sum(sums)
    return likelihood + prior - k * (freedom * d * (log(gamma) - 0.5 * log(2)) - log_gamma)


def mixture_data(d: int, k: int, n: int = 1000) -> Data:
    rng = np.random.default_rng(0)
    below = d * (d - 1) // 2
    rows, columns = np.tril_indices(d, -1)
    lower = np.full((d, d), below)
    lower[rows, columns] = np.arange(below)
    inputs = [rng.normal(size=k), rng.uniform(size=(k, d)), rng.normal(size=(k, d + below)) / d]
    return inputs, [rng.normal(size=(n, d)), lower]


# ---- k-means --------------------------------------------------------------------------------------------------------


def k_means(xp: Namespace, centres: Any, points: Any) -> Any:
    """The sum of the squared distances of points to the nearest centre."""
    squares = xp.sum(points**2, axis=1)[:, None] + xp.sum(centres**2, axis=1)[None, :]
    return xp.sum(xp.min(squares - 2 * xp.matmul(points, xp.swapaxes(centres, 0, 1)), axis=1))


def k_means_data(k: int, n: int, d: int) -> Data:
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(n, d))
    return [points[rng.choice(n, k, replace=False)] + 0.01], [points]


# ---- a character model: LSTM with diagonal matrices -----------------------------------------------------------------


def lstm_cell(xp: Namespace, weight: Any, bias: Any, hidden: Any, cell: Any, x: Any) -> tuple[Any, Any]:
    b = len(hidden)
    gates = xp.concatenate([x, hidden, x, hidden]) * weight + bias
    forget, ingate, outgate = (xp.sigmoid(gates[i * b : (i + 1) * b]) for i in range(3))
    cell = cell * forget + ingate * xp.tanh(gates[3 * b :])
    return outgate * xp.tanh(cell), cell


def lstm(xp: Namespace, main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    """Mean negative log-likelihood of each character given those before."""
    layers, total = len(state) // 2, 0.0
    states = [state[i] for i in range(2 * layers)]
    for t in range(len(sequence) - 1):
        x = sequence[t] * extra[0]
        for i in range(0, 2 * layers, 2):
            states[i], states[i + 1] = lstm_cell(xp, main[i], main[i + 1], states[i], states[i + 1], x)
            x = states[i]
        predicted = x * extra[1] + extra[2]
        total = total + xp.sum(sequence[t + 1] * (predicted - xp.log(xp.sum(xp.exp(predicted)) + 2)))
    return -total / ((len(sequence) - 1) * len(sequence[0]))


def lstm_data(characters: int, layers: int = 2, b: int = 14) -> Data:
    rng = np.random.default_rng(0)
    sequence = np.eye(b)[rng.integers(b, size=characters)]
    return [rng.normal(size=(2 * layers, 4 * b)), rng.normal(size=(3, b))], [rng.normal(size=(2 * layers, b)), sequence]


# ---- ordinary differential equation: y_0' = x_0, y_i' = x_i y_(i-1) -------------------------------------------------


def runge_kutta(xp: Namespace, x: Any, steps: int) -> Any:
    """The last element of y(2), y(0) = 0, by the classical method of fourth order."""
    h = 2 / steps

    def slope(y: Any) -> Any:
        return xp.concatenate([x[:1], x[1:] * y[:-1]])

    y = 0 * x
    for _ in range(steps):
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y[-1]


def euler(xp: Namespace, x: Any, steps: int) -> Any:
    """The same by Euler's method, an element at a time: the sum of y(2)."""
    h, n = 2 / steps, len(x)
    y = [0 * x[i] for i in range(n)]
    for _ in range(steps):
        y = [y[0] + h * x[0]] + [y[i] + h * x[i] * y[i - 1] for i in range(1, n)]
    return sum(y[1:], start=y[0])


def ode_data(n: int, steps: int) -> Data:
    return [np.random.default_rng(0).uniform(0.5, 1.5, size=n)], [steps]


# ---- bundle adjustment ----------------------------------------------------------------------------------------------


def reprojection(xp: Namespace, camera: Any, point: Any, weight: Any, feature: Any) -> Any:
    """Sum of squared residuals: of the reprojection, weighted, and of the weights. Coordinates stand on the first axis.

    A camera is a rotation (axis times angle), a centre, a focal length, a principal point and two radial distortions.
    """
    rotation, centre, focal, principal, radial = camera[0:3], camera[3:6], camera[6], camera[7:9], camera[9:11]
    angle = xp.sqrt(xp.sum(rotation**2, axis=0))
    u, v = rotation / angle, point - centre
    cross = xp.stack([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])
    rotated = v * xp.cos(angle) + cross * xp.sin(angle) + u * (xp.sum(u * v, axis=0) * (1 - xp.cos(angle)))
    flat = rotated[:2] / rotated[2]
    square = xp.sum(flat**2, axis=0)
    projected = flat * (1 + radial[0] * square + radial[1] * square**2) * focal + principal
    return xp.sum((weight * (projected - feature)) ** 2) + xp.sum((1 - weight**2) ** 2)


def bundle(xp: Namespace, cameras: Any, points: Any, weights: Any, of_camera: Any, of_point: Any, features: Any) -> Any:
    """All observations at once."""
    seen = xp.swapaxes(cameras[of_camera], 0, 1), xp.swapaxes(points[of_point], 0, 1)
    return reprojection(xp, *seen, weights, xp.swapaxes(features, 0, 1))


def bundle_in_turn(xp: Namespace, cameras: Any, points: Any, weights: Any, pairs: Any, _: Any, features: Any) -> Any:
    """One observation after the other."""
    return sum(reprojection(xp, cameras[c], points[p], weights[i], features[i]) for i, (c, p) in enumerate(pairs))


def bundle_data(observations: int, n: int = 21, m: int = 200) -> Data:
    rng = np.random.default_rng(0)
    camera = np.array([0.2, -0.1, 0.3, 0.1, 0.2, -4.0, 500.0, 320.0, 240.0, 0.1, -0.05])
    cameras = camera * (1 + 0.05 * rng.normal(size=(n, 11)))
    inputs = [cameras, rng.normal(size=(m, 3)), rng.uniform(0.5, 1.5, size=observations)]
    of_camera, of_point = rng.integers(n, size=observations), rng.integers(m, size=observations)
    return inputs, [of_camera, of_point, rng.normal(size=(observations, 2)) * 100]


def bundle_in_turn_data(observations: int) -> Data:
    inputs, (of_camera, of_point, features) = bundle_data(observations)
    return inputs, [list(zip(of_camera.tolist(), of_point.tolist(), strict=True)), None, features]


# ---- determinant by minors ------------------------------------------------------------------------------------------


def determinant(xp: Namespace, a: Any) -> Any:
    """Expansion by minors along the first row, and of the minors along theirs."""

    def minor(row: int, columns: Sequence[int]) -> Any:
        if len(columns) == 1:
            return a[row, columns[0]]
        total: Any = 0.0
        for i, column in enumerate(columns):
            total = total + (-1) ** i * (a[row, column] * minor(row + 1, [*columns[:i], *columns[i + 1 :]]))
        return total

    return minor(0, range(len(a)))


def determinant_data(size: int) -> Data:
    return [np.random.default_rng(0).normal(size=(size, size))], []


# ---- each framework's namespace, and how it computes values and gradients -------------------------------------------

Data = tuple[list[np.ndarray], list[Any]]  # what is differentiated in, and constants

NAMES = [
    "concatenate", "cos", "exp", "log", "matmul", "max", "min", "sin", "sqrt", "squeeze", "stack", "sum", "swapaxes", "take",
    "tanh", "zeros",
]  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """An objective ``(xp, *inputs, *constants)``, and its data."""

    objective: Callable[..., Any]
    data: Callable[[], Data]

    def of(self, xp: Namespace, convert: Callable[[np.ndarray], Any]) -> tuple[Callable[..., Any], list[np.ndarray]]:
        """The objective as a function of its inputs alone, and these."""
        inputs, constants = self.data()
        rest = [convert(c) if isinstance(c, np.ndarray) else c for c in constants]
        return lambda *given: self.objective(xp, *given, *rest), inputs


def _namespace(module: Any, sigmoid: Callable[[Any], Any], **others: Any) -> Namespace:
    return SimpleNamespace(**{name: getattr(module, name) for name in NAMES if name not in others}, sigmoid=sigmoid, **others)


def _take(x: Any, indices: Any, axis: int) -> Any:
    """What ``np.take`` is, where there is no such function or it has no derivative."""
    return x[(slice(None),) * axis + (indices,)]


def _chainrule(problem: Problem) -> tuple[Any, ...]:
    import chainrule as cr
    from chainrule import functional

    return cr, *problem.of(_namespace(np, functional.sigmoid), np.asarray)


def chainrule_value(problem: Problem) -> Step:
    _, f, inputs = _chainrule(problem)
    return lambda: [f(*inputs)]


def chainrule_gradient(problem: Problem) -> Step:
    cr, f, inputs = _chainrule(problem)
    gradient = cr.value_and_grad(f, tuple(range(len(inputs))))

    def step() -> list[Any]:
        value, gradients = gradient(*inputs)
        return [value, *gradients]

    return step


def chainrule_second(problem: Problem) -> Step:
    cr, f, inputs = _chainrule(problem)
    gradient = cr.grad(f)

    def sum_of_gradient(x: Any) -> Any:
        found = gradient(x)
        return np.sum(found), found

    second = cr.grad(sum_of_gradient, has_aux=True)
    return lambda: list(reversed(second(*inputs)))


def _torch(problem: Problem) -> tuple[Any, ...]:
    import torch

    xp = _namespace(torch, torch.sigmoid, max=torch.amax, min=torch.amin, take=_take)
    xp.zeros = lambda shape: torch.zeros(shape, dtype=torch.float64)
    f, inputs = problem.of(xp, torch.tensor)
    return torch, f, [torch.tensor(x, requires_grad=True) for x in inputs]


def torch_value(problem: Problem) -> Step:
    torch, f, inputs = _torch(problem)

    def step() -> list[Any]:
        with torch.no_grad():
            return [f(*inputs)]

    return step


def torch_gradient(problem: Problem) -> Step:
    torch, f, inputs = _torch(problem)

    def step() -> list[Any]:
        value = f(*inputs)
        return [value.detach(), *torch.autograd.grad(value, inputs)]

    return step


def torch_second(problem: Problem) -> Step:
    torch, f, inputs = _torch(problem)

    def step() -> list[Any]:
        (gradient,) = torch.autograd.grad(f(*inputs), inputs, create_graph=True)
        return [gradient.detach(), *torch.autograd.grad(gradient.sum(), inputs)]

    return step


def _autograd(problem: Problem) -> tuple[Any, ...]:
    import autograd
    import autograd.numpy as anp

    return autograd, anp, *problem.of(_namespace(anp, lambda x: 1 / (1 + anp.exp(-x)), take=_take), np.asarray)


def autograd_value(problem: Problem) -> Step:
    *_, f, inputs = _autograd(problem)
    return lambda: [f(*inputs)]


def autograd_gradient(problem: Problem) -> Step:
    autograd, _, f, inputs = _autograd(problem)
    gradient = autograd.value_and_grad(lambda inputs: f(*inputs))

    def step() -> list[Any]:
        value, gradients = gradient(inputs)
        return [value, *gradients]

    return step


def autograd_second(problem: Problem) -> Step:
    autograd, anp, f, inputs = _autograd(problem)
    gradient, found = autograd.grad(f), []

    def sum_of_gradient(x: Any) -> Any:
        found[:] = [gradient(x)]
        return anp.sum(found[0])

    second = autograd.grad(sum_of_gradient)

    def step() -> list[Any]:
        hessian = second(*inputs)
        return [found[0]._value, hessian]

    return step


def _jax(problem: Problem) -> tuple[Any, ...]:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    f, inputs = problem.of(_namespace(jnp, jax.nn.sigmoid), jnp.asarray)
    return jax, f, [jnp.asarray(x) for x in inputs]


def jax_value(problem: Problem) -> Step:
    jax, f, inputs = _jax(problem)
    compiled = jax.jit(f)
    return lambda: [compiled(*inputs).block_until_ready()]


def jax_gradient(problem: Problem) -> Step:
    jax, f, inputs = _jax(problem)
    gradient = jax.jit(jax.value_and_grad(f, tuple(range(len(inputs)))))

    def step() -> list[Any]:
        value, gradients = jax.block_until_ready(gradient(*inputs))
        return [value, *gradients]

    return step


def jax_second(problem: Problem) -> Step:
    jax, f, inputs = _jax(problem)
    ones = (jax.numpy.ones_like(inputs[0]),)
    product = jax.jit(lambda *inputs: jax.jvp(jax.grad(f), inputs, ones))
    return lambda: list(jax.block_until_ready(product(*inputs)))


MAKERS: dict[str, dict[str, Callable[[Problem], Step]]] = {
    "value": {"chainrule": chainrule_value, "torch": torch_value, "autograd": autograd_value, "jax": jax_value},
    "gradient": {
        "chainrule": chainrule_gradient,
        "torch": torch_gradient,
        "autograd": autograd_gradient,
        "jax": jax_gradient,
    },
    "gradient and diagonal Hessian": {
        "chainrule": chainrule_second,
        "torch": torch_second,
        "autograd": autograd_second,
        "jax": jax_second,
    },
}

CASES: dict[str, dict[str, Callable[[], Step]]] = {}


def _add(
    name: str, objective: Callable[..., Any], data: Callable[[], Data], compiled: bool = True, second: bool = False
) -> None:
    """Add the cases of a problem. ``compiled``: without JAX where it would unroll a loop too long to compile it."""
    problem = Problem(objective, data)
    for what, makers in MAKERS.items():
        if second or what in ("value", "gradient"):
            CASES[f"{name}: {what}"] = {
                framework: (lambda make=make: make(problem))  # type: ignore[misc]
                for framework, make in makers.items()
                if compiled or framework != "jax"
            }


for _d, _k in ((2, 5), (10, 25), (20, 50), (64, 100)):
    _add(f"Gaussian mixture, d {_d}, k {_k}", mixture, lambda d=_d, k=_k: mixture_data(d, k))  # type: ignore[misc]
for _n in (2500, 160_000, 1_280_000):
    _add(f"log-sum-exp of {_n:,}", log_sum_exp, lambda n=_n: ([np.random.default_rng(0).normal(size=n)], []))  # type: ignore[misc]
for _k, _n, _d in ((10, 1000, 8), (100, 10_000, 16), (1000, 10_000, 16)):
    _add(f"k-means {_k:,} of {_n:,}, d {_d}", k_means, lambda k=_k, n=_n, d=_d: k_means_data(k, n, d), second=True)  # type: ignore[misc]
_add("LSTM, 1,024 characters", lstm, lambda: lstm_data(1024), compiled=False)
_add("Runge-Kutta, 20 elements, 10 steps", runge_kutta, lambda: ode_data(20, 10))
_add("Runge-Kutta, 20 elements, 50 steps", runge_kutta, lambda: ode_data(20, 50), compiled=False)
_add("Euler by elements, 100, 10 steps", euler, lambda: ode_data(100, 10), compiled=False)
_add("bundle adjustment, 500 at once", bundle, lambda: bundle_data(500))
_add("bundle adjustment, 200 in turn", bundle_in_turn, lambda: bundle_in_turn_data(200), compiled=False)
_add("determinant by minors of 5", determinant, lambda: determinant_data(5))
_add("determinant by minors of 6", determinant, lambda: determinant_data(6), compiled=False)
