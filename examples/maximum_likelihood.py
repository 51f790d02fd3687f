"""Logit and probit regression by maximum likelihood, with standard errors from the Hessian: what statsmodels prints, in a page.

    pip install 'chainrule[scipy,viz]'
    python examples/maximum_likelihood.py

Did a new way of teaching economics (PSI) raise grades? 32 students, their grade point average (GPA), their score in a test at
the beginning (TUCE), and whether they were taught so. All coefficients and standard errors are those of statsmodels 0.15,
to all the digits that it prints; its documentation has the same numbers for the logit:

    Logit: log-likelihood -12.890 after 8 steps
               estimate    error     statsmodels   error
      const    -13.0213    4.931       -13.0213    4.931
      GPA        2.8261    1.263         2.8261    1.263
      TUCE       0.0952    0.142         0.0952    0.142
      PSI        2.3787    1.065         2.3787    1.065
      mean effect on the probability
      GPA        0.3626    0.109         0.3626    0.109
      TUCE       0.0122    0.018         0.0122    0.018
      PSI        0.3052    0.092         0.3052    0.092
    Probit: log-likelihood -12.819 after 7 steps
               estimate    error     statsmodels   error
      const     -7.4523    2.542        -7.4523    2.542
      GPA        1.6258    0.694         1.6258    0.694
      TUCE       0.0517    0.084         0.0517    0.084
      PSI        1.4263    0.595         1.4263    0.595
      mean effect on the probability
      GPA        0.3608    0.113         0.3608    0.113
      TUCE       0.0115    0.018         0.0115    0.018
      PSI        0.3165    0.090         0.3165    0.090

The marginal effects are derivatives themselves, and their standard errors are derivatives of these: one line of code each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_ndtr, ndtr

import chainrule as cr

# L. C. Spector and M. Mazzeo, Probit Analysis and Economic Education, Journal of Economic Education 11 (1980) 37-44; W. Greene
# prints the data in Econometric Analysis. GPA, TUCE, PSI, and whether the grade improved.
STUDENTS = np.array([
    (2.66, 20, 0, 0), (2.89, 22, 0, 0), (3.28, 24, 0, 0), (2.92, 12, 0, 0), (4.00, 21, 0, 1), (2.86, 17, 0, 0),
    (2.76, 17, 0, 0), (2.87, 21, 0, 0), (3.03, 25, 0, 0), (3.92, 29, 0, 1), (2.63, 20, 0, 0), (3.32, 23, 0, 0),
    (3.57, 23, 0, 0), (3.26, 25, 0, 1), (3.53, 26, 0, 0), (2.74, 19, 0, 0), (2.75, 25, 0, 0), (2.83, 19, 0, 0),
    (3.12, 23, 1, 0), (3.16, 25, 1, 1), (2.06, 22, 1, 0), (3.62, 28, 1, 1), (2.89, 14, 1, 0), (3.51, 26, 1, 0),
    (3.54, 24, 1, 1), (2.83, 27, 1, 1), (3.39, 17, 1, 1), (2.67, 24, 1, 0), (3.65, 21, 1, 1), (4.00, 23, 1, 1),
    (3.10, 21, 1, 0), (2.39, 19, 1, 1),
])  # fmt: skip
X, IMPROVED = STUDENTS[:, :3], STUDENTS[:, 3]
NAMES = ("const", "GPA", "TUCE", "PSI")


@dataclass
class Model:
    """A distribution function and its logarithm, and what statsmodels 0.15 prints."""

    probability: Callable[..., Any]
    log_probability: Callable[..., Any]
    coefficients: tuple[float, ...]
    errors: tuple[float, ...]
    effects: tuple[float, ...]
    effect_errors: tuple[float, ...]

    def log_likelihood(self, b: Any) -> Any:
        """The logarithm of p(improved | b); both distributions are symmetric, so that 1 - F(z) = F(-z)."""
        return np.sum(self.log_probability((2 * IMPROVED - 1) * (b[0] + X @ b[1:])))

    def predict(self, b: Any, x: Any = X) -> Any:
        """The probability that the grade improves."""
        return self.probability(b[0] + x @ b[1:])

    def mean_effects(self, b: Any) -> Any:
        """The derivative of the probability in GPA, TUCE and PSI, on average over the students."""
        return np.mean(cr.elementwise_grad(self.predict, argnums=1)(b, X), axis=0)


LOGIT = Model(
    expit, log_expit, (-13.0213, 2.8261, 0.0952, 2.3787), (4.931, 1.263, 0.142, 1.065),
    (0.3626, 0.0122, 0.3052), (0.109, 0.018, 0.092),
)  # fmt: skip
PROBIT = Model(
    ndtr, log_ndtr, (-7.4523, 1.6258, 0.0517, 1.4263), (2.542, 0.694, 0.084, 0.595),
    (0.3608, 0.0115, 0.3165), (0.113, 0.018, 0.090),
)  # fmt: skip


def fit(model: Model) -> tuple[np.ndarray, np.ndarray, int]:
    """The coefficients, their covariance, and the number of steps: Newton's method, with exact second derivatives."""

    def loss(b: Any) -> Any:
        return -model.log_likelihood(b)

    hessian = cr.hessian(loss)
    found = minimize(cr.value_and_grad(loss), np.zeros(4), jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-8})
    return found.x, np.linalg.inv(hessian(found.x)), found.nit


def transformed_errors(f: Callable[..., Any], b: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Standard errors of f(b), by the delta method: of the diagonal of J C Jᵀ."""
    jacobian = cr.jacobian(f)(b)
    return np.sqrt(np.einsum("ki,ij,kj->k", jacobian, covariance, jacobian))


def show(names: tuple[str, ...], found: Any, errors: Any, published: Any, published_errors: Any) -> None:
    """Print a table of ours beside statsmodels'."""
    for name, value, error, theirs, their_error in zip(names, found, errors, published, published_errors, strict=True):
        print(f"  {name:6} {value:10.4f} {error:8.3f}     {theirs:10.4f} {their_error:8.3f}")


def draw(fits: dict[str, tuple[Model, np.ndarray, np.ndarray]], path: Path) -> None:
    """Save a picture of the probability against GPA, at the mean TUCE, with bands of two standard errors."""
    gpa = np.linspace(2, 4, 81)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (name, (model, b, covariance)) in zip(figure.subplots(1, len(fits), sharey=True), fits.items(), strict=True):
        for psi, color in ((0, "tab:grey"), (1, "tab:blue")):
            x = np.stack([gpa, np.full(gpa.shape, X[:, 1].mean()), np.full(gpa.shape, psi)], axis=1)
            index, errors = b[0] + x @ b[1:], transformed_errors(lambda b, x=x: b[0] + x @ b[1:], b, covariance)
            axes.plot(gpa, model.probability(index), color=color, label="PSI" if psi else "taught as before")
            band = (model.probability(index + sign * 2 * errors) for sign in (-1, 1))
            axes.fill_between(gpa, *band, color=color, alpha=0.15)
            taught = X[:, 2] == psi
            axes.plot(X[taught, 0], IMPROVED[taught], "o", color=color, markersize=4)
        axes.set(title=name, xlabel="grade point average", ylabel="probability of a better grade")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc=(0.02, 0.75))
    figure.savefig(path, dpi=100)


def main(argv: list[str] | None = None) -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/maximum_likelihood"), help="folder for the picture")
    args = parser.parse_args(argv)

    fits = {}
    for name, model in (("Logit", LOGIT), ("Probit", PROBIT)):
        b, covariance, steps = fit(model)
        fits[name] = model, b, covariance
        print(f"{name}: log-likelihood {model.log_likelihood(b):.3f} after {steps} steps")
        print(f"  {'':6} {'estimate':>10} {'error':>8}     {'statsmodels':>10} {'error':>7}")
        show(NAMES, b, np.sqrt(np.diag(covariance)), model.coefficients, model.errors)
        print("  mean effect on the probability")
        effects, errors = model.mean_effects(b), transformed_errors(model.mean_effects, b, covariance)
        show(NAMES[1:], effects, errors, model.effects, model.effect_errors)
    args.out.mkdir(parents=True, exist_ok=True)
    draw(fits, args.out / "probabilities.png")
    print(f"Drew {args.out / 'probabilities.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
