"""Forecast the carbon dioxide above Mauna Loa by a Gaussian process whose hyperparameters maximise the marginal likelihood.

    pip install 'chainrule[scipy,viz]'
    python examples/gaussian_process.py

Fitted to the annual means until 1995, 2005 and 2015, it forecasts the years until 2025; the errors are in ppm:

    fitted until years ahead rms error last error its deviation within 2
            1995          30      0.81       1.82          5.88     100%
            2005          20      1.60       3.47          2.40     100%
            2015          10      1.97       3.15          1.20      50%

The forecasts from 1995 and 2005 are good, and the rise since 2015 is steeper than the model would have it. The covariance of
years s and t, counted from 1992, is that of a parabola with unknown coefficients, and of irregularities of a few years:

    a² (o² + st)² + b² (1 + √3 d) exp(-√3 d),    d = |s - t| / m

and the noise is the measurements' stated uncertainty. Source: C. Rasmussen and C. Williams, Gaussian Processes for Machine
Learning (2006), chapters 4 and 5. The test compares likelihood and gradient with scikit-learn's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize

import chainrule as cr

# Annual means in ppm, 1959 to 2025, on the scale WMO CO2 X2019: X. Lan and P. Tans, NOAA Global Monitoring Laboratory
# (gml.noaa.gov/ccgg/trends), and R. Keeling, Scripps Institution of Oceanography (scrippsco2.ucsd.edu).
CO2 = np.array([
    315.98, 316.91, 317.64, 318.45, 318.99, 319.62, 320.04, 321.37, 322.18, 323.05, 324.62, 325.68, 326.32, 327.46, 329.68,
    330.19, 331.13, 332.03, 333.84, 335.41, 336.84, 338.76, 340.12, 341.48, 343.15, 344.87, 346.35, 347.61, 349.31, 351.69,
    353.20, 354.45, 355.70, 356.54, 357.21, 358.96, 360.97, 362.74, 363.88, 366.84, 368.54, 369.71, 371.32, 373.45, 375.98,
    377.70, 379.98, 382.09, 384.02, 385.83, 387.64, 390.10, 391.85, 394.06, 396.74, 398.81, 401.01, 404.41, 406.76, 408.72,
    411.65, 414.21, 416.41, 418.53, 421.08, 424.61, 427.35,
])  # fmt: skip
UNCERTAINTY = 0.12  # of each annual mean, as NOAA states it
YEARS = np.arange(1959.0, 1959 + len(CO2))
CENTRE, LEVEL = 1992.0, 350.0  # years and ppm are counted from here

NAMES = ("curvature a, ppm/year²", "offset o, years", "irregularities b, ppm", "their duration m, years")
START = np.log([0.01, 30.0, 1.0, 3.0])


def covariance(log_theta: Any, s: np.ndarray, t: np.ndarray) -> Any:
    """The covariance of the concentrations in years ``s`` and ``t``, of shape (len(s), len(t))."""
    a, o, b, m = np.exp(log_theta)
    d = np.sqrt(3) * np.abs(s[:, None] - t) / m
    return a**2 * (o**2 + (s - CENTRE)[:, None] * (t - CENTRE)) ** 2 + b**2 * (1 + d) * np.exp(-d)


def factor(log_theta: Any, t: np.ndarray) -> Any:
    """The Cholesky factor of the covariance of measurements in years ``t``."""
    return np.linalg.cholesky(covariance(log_theta, t, t) + UNCERTAINTY**2 * np.eye(len(t)))


def log_marginal_likelihood(log_theta: Any, t: np.ndarray, y: np.ndarray) -> Any:
    """The logarithm of p(y | theta) of the measurements ``y``; Rasmussen and Williams, algorithm 2.1."""
    root = factor(log_theta, t)
    white = np.linalg.solve(root, y - LEVEL)
    return -np.sum(white**2) / 2 - np.sum(np.log(np.diagonal(root))) - len(t) / 2 * np.log(2 * np.pi)


def predict(log_theta: np.ndarray, t: np.ndarray, y: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of measurements in the years ``at``, given those in the years ``t``."""
    root = factor(log_theta, t)
    across = np.linalg.solve(root, covariance(log_theta, t, at))
    mean = LEVEL + across.T @ np.linalg.solve(root, y - LEVEL)
    variance = np.diagonal(covariance(log_theta, at, at)) - np.sum(across**2, axis=0) + UNCERTAINTY**2
    return mean, np.sqrt(variance)


def fit(t: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The logarithms of the hyperparameters, and their standard errors."""

    def loss(log_theta: Any) -> Any:
        return -log_marginal_likelihood(log_theta, t, y)

    found = minimize(cr.value_and_grad(loss), START, jac=True, method="BFGS", options={"gtol": 1e-4})
    return found.x, np.sqrt(np.diag(np.linalg.inv(cr.hessian(loss)(found.x))))


def draw(forecasts: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]], path: Path) -> None:
    """Save a picture of the measurements, and of each forecast with its band of two standard deviations."""
    figure = Figure(figsize=(4 * len(forecasts), 3.2), layout="constrained")
    for axes, (last, (years, mean, error)) in zip(
        figure.subplots(1, len(forecasts), sharey=True, squeeze=False)[0], forecasts.items(), strict=True
    ):
        axes.fill_between(years, mean - 2 * error, mean + 2 * error, color="tab:blue", alpha=0.2, label="± 2 deviations")
        axes.plot(years, mean, color="tab:blue", label="forecast")
        for seen, color in ((True, "black"), (False, "tab:red")):
            these = (last >= YEARS) == seen
            axes.plot(YEARS[these], CO2[these], ".", color=color, markersize=3, label="fitted to" if seen else "measured later")
        axes.set(title=f"from {last}", xlabel="year", xlim=(1980, years[-1]), ylim=(330, 480), ylabel="CO2, ppm")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left", fontsize=8)
    figure.savefig(path, dpi=100)


def main(argv: list[str] | None = None) -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", type=int, nargs="+", default=[1995, 2005, 2015], help="last years to fit to")
    parser.add_argument("--out", type=Path, default=Path("runs/gaussian_process"), help="folder for the picture")
    args = parser.parse_args(argv)

    log_theta, errors = fit(YEARS, CO2)
    print(f"{len(YEARS)} years: log marginal likelihood {log_marginal_likelihood(log_theta, YEARS, CO2):.3f}")
    for name, value, error in zip(NAMES, np.exp(log_theta), errors, strict=True):
        print(f"  {name:24} {value:8.3g}  (times or divided by {np.exp(error):.2f})")

    forecasts = {}
    print(f"{'fitted until':>12} {'years ahead':>11} {'rms error':>9} {'last error':>10} {'its deviation':>13} {'within 2':>8}")
    for last in args.until:
        seen = last >= YEARS
        log_theta, _ = fit(YEARS[seen], CO2[seen])
        ahead = np.arange(last + 1.0, 2051)
        mean, deviation = predict(log_theta, YEARS[seen], CO2[seen], ahead)
        forecasts[last] = ahead, mean, deviation
        wrong, deviation = CO2[~seen] - mean[: sum(~seen)], deviation[: sum(~seen)]
        print(
            f"{last:12} {len(wrong):11} {np.sqrt(np.mean(wrong**2)):9.2f} {wrong[-1]:10.2f} {deviation[-1]:13.2f} "
            f"{np.mean(np.abs(wrong) < 2 * deviation):8.0%}"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    draw(forecasts, args.out / "forecasts.png")
    print(f"Drew {args.out / 'forecasts.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
