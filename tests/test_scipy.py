"""The functions in chainrule.scipy beside SciPy's own: values, types, and derivatives to second order."""

import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import Variable, check_grads

pytest.importorskip("scipy")

import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.signal
import scipy.sparse
import scipy.special
import scipy.stats

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(3, 4))
A = rng.normal(size=(4, 4)) + 4 * np.eye(4)
C = A + 1j * rng.normal(size=(4, 4))
SPD = A @ A.T
B, b = rng.normal(size=(4, 2)), rng.normal(size=4)
POSITIVE = np.array([0.5, 3.5])
UNIT = np.array([0.1, 0.4, 0.8, 0.95])
SHAPE, OTHER = np.array([1.2, 2.5, 0.7, 4.0]), np.array([0.8, 1.9, 2.5, 1.1])
LOC, SCALE = np.array([0.05, -0.1, 0.03, 0.02]), np.array([0.9, 1.1, 1.7, 1.2])


def check(module, call, *args, order=2):
    """``call(module, *args)``, with ours and with SciPy's module: on Variables and on arrays, and its derivatives."""
    ours, scipys = getattr(cr.scipy, module), getattr(scipy, module)
    expected = call(scipys, *args)
    for given in ([Variable(a) for a in args], args):
        got = call(ours, *given)
        for y, want in zip(*[v if isinstance(v, tuple) else (v,) for v in (got, expected)], strict=True):
            assert isinstance(y, Variable) == (given is not args)
            assert y.dtype == want.dtype
            if given is args:
                assert type(y) is type(want)
            np.testing.assert_allclose(getattr(y, "_data", y), want, rtol=1e-9, atol=1e-12)
    check_grads(lambda *xs: call(ours, *xs), args, order)


# ---- special --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_sums_of_exponentials(axis, keepdims):
    check("special", lambda m, x: m.logsumexp(x, axis, keepdims=keepdims), X)
    check("special", lambda m, x, b: m.logsumexp(x, axis, b, keepdims), X, np.abs(X[0]))
    check("special", lambda m, x, b: m.logsumexp(x, axis, b, keepdims, True), X, X[::-1].copy())
    check("special", lambda m, x: m.softmax(x, axis), X)
    check("special", lambda m, x: m.log_softmax(x, axis), X)


def test_logsumexp_with_infinities():
    x = Variable(np.array([[-np.inf, -np.inf], [-np.inf, 1.0], [0.0, 0.0]]))
    y = cr.scipy.special.logsumexp(x, axis=1)
    np.testing.assert_array_equal(y.data, [-np.inf, 1, np.log(2)])
    y.backward()
    np.testing.assert_array_equal(x.grad, [[0, 0], [0, 1], [0.5, 0.5]])
    assert cr.scipy.special.logsumexp(Variable(X.astype("f4"))).dtype == np.float32
    b = np.array([0.0, 2.0])
    np.testing.assert_allclose(cr.scipy.special.logsumexp(np.array([np.inf, 1.0]), b=b), 1 + np.log(2))


def test_logsumexp_takes_the_dtype_of_wider_factors():
    a, b = X.astype("f4"), np.abs(X[0])
    y = cr.scipy.special.logsumexp(a, 1, b)
    expected = scipy.special.logsumexp(a, 1, b)
    assert y.dtype == expected.dtype == np.float64
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    of_a, of_b = cr.grad(lambda a, b: np.sum(cr.scipy.special.logsumexp(a, 1, b)), (0, 1))(a, b)
    terms = b * np.exp(a.astype(float))
    np.testing.assert_allclose(of_a, terms / terms.sum(1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(of_b, (terms / terms.sum(1, keepdims=True) / b).sum(0), rtol=1e-14)
    assert of_a.dtype == np.float32 and of_b.dtype == np.float64


@pytest.mark.parametrize("n", [0, 1, 3])
def test_functions_that_are_no_ufuncs(n):
    check("special", lambda m, a: m.polygamma(n, a), np.array([2.0, 3.5, -0.7]))
    check("special", lambda m, q: m.zeta(n + 1.5, q), POSITIVE)
    check("special", lambda m, a: m.multigammaln(a, n + 1), POSITIVE + 1.5)
    for name in ("jvp", "yvp", "ivp", "kvp", "h1vp", "h2vp"):
        check("special", lambda m, z, name=name: getattr(m, name)(1.5, z, n), POSITIVE)
    for name in ("spherical_jn", "spherical_yn", "spherical_in", "spherical_kn"):
        for derivative in (False, True):
            check("special", lambda m, z, name=name, d=derivative: getattr(m, name)(n, z, d), POSITIVE)


def test_lambertw():
    check("special", lambda m, z: m.lambertw(z), POSITIVE)
    check("special", lambda m, z: m.lambertw(z, 1), POSITIVE + 1j)


# ---- linalg ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trans", [0, 1, 2, "T"])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("unit_diagonal", [False, True])
def test_solve_triangular(trans, lower, unit_diagonal):
    for a, right in ((A, b), (A, B), (C, b)):
        check("linalg", lambda m, a, b: m.solve_triangular(a, b, trans, lower, unit_diagonal), a, right)
    for a, right in ((np.stack([A, 2 * A]), np.stack([B, B])), (np.stack([A, C]), B), (A, np.stack([B, 2 * B]))):
        check_grads(lambda a, b: cr.scipy.linalg.solve_triangular(a, b, trans, lower, unit_diagonal), [a, right])


@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize("shape", [(9, 5, 5), (2, 4, 6, 6), (3, 40, 40), (40, 40), (1, 1)])
def test_triangular_systems_in_any_order_of_memory(shape, dtype):
    """Small stacks go by substitution, others by LAPACK; either reads matrices as they lie."""
    rng = np.random.default_rng(0)
    a = (0.3 * rng.normal(size=shape) + 2 * np.eye(shape[-1])).astype(dtype)
    right = rng.normal(size=(*shape[:-1], 3)).astype(dtype)
    for matrices, columns in ((a, right), (np.ascontiguousarray(a.mT).mT, np.asfortranarray(right)), (a, right[..., :1])):
        for trans, lower in ((0, True), (1, True), (0, False), (1, False)):
            half = np.tril(a) if lower else np.triu(a)
            expected = np.linalg.solve(half.mT if trans else half, columns)
            found = cr.scipy.linalg.solve_triangular(matrices, columns, trans, lower)
            assert found.dtype == dtype
            np.testing.assert_allclose(
                found, expected, rtol=1e-4 if dtype in "fF" else 1e-10, atol=1e-5 if dtype in "fF" else 1e-12
            )
    solve = cr.scipy.linalg.solve_triangular
    if dtype == "d" and shape == (9, 5, 5):
        check_grads(solve, [a[:, :3, :3], right[:, :3]])
        np.testing.assert_allclose(cr.vmap(solve)(a, right), solve(a, right))
        np.testing.assert_allclose(cr.vmap(solve, in_axes=(None, 0))(a[0], right), solve(np.stack([a[0]] * 9), right))
        rows = cr.vmap(cr.jacobian(solve), in_axes=(0, None))(a, right[0, :, 0])
        np.testing.assert_allclose(rows[2], cr.jacobian(solve, mode="forward")(a[2], right[0, :, 0]), atol=1e-12)


def test_triangular_systems_that_have_no_solution():
    solve = cr.scipy.linalg.solve_triangular
    for a in (np.zeros((3, 3)), np.zeros((9, 3, 3))):
        with pytest.raises(np.linalg.LinAlgError, match="(?i)singular"):
            solve(a, np.ones((*a.shape[:-1], 1)))
    for a, right, message in (
        (np.ones((3, 2)), np.ones(3), "square"),
        (np.eye(3), np.ones(4), "square"),
        (np.full((3, 3), np.nan), np.ones(3), "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            solve(a, right)
    assert solve(np.zeros((0, 0)), np.zeros(0)).shape == (0,)
    assert solve(np.eye(3, dtype=int), np.arange(3)).dtype == np.float64


@pytest.mark.parametrize("lower", [False, True])
def test_cholesky(lower):
    check("linalg", lambda m, a, b: m.cho_solve(m.cho_factor(a @ a.T, lower), b), A, b)
    check("linalg", lambda m, a, b: m.cho_solve(m.cho_factor(a @ np.conjugate(a.T), lower), b), C, B)


@pytest.mark.parametrize("l_and_u", [(1, 1), (2, 1), (0, 2), (1, 0)])
def test_solve_banded(l_and_u):
    ab = rng.normal(size=(sum(l_and_u) + 1, 4))
    ab[l_and_u[1]] += 4
    for right in (b, B, b + 1j):
        check("linalg", lambda m, ab, b: m.solve_banded(l_and_u, ab, b), ab, right)


def test_functions_of_matrices():
    for a in (A, C):
        check("linalg", lambda m, a, b, q: m.solve_sylvester(a, b, q), a, SPD[:2, :2], B)
    for a in (A / 4, C / 4, np.stack([A, SPD]) / 8):
        check("linalg", lambda m, a: m.expm(a), a)
    for a in (SPD, A, C):
        check("linalg", lambda m, a: m.sqrtm(a), a)


def test_special_matrices():
    check("linalg", lambda m, *blocks: m.block_diag(*blocks), A, b, B, np.array(2.0))
    check("linalg", lambda m, c: m.toeplitz(c), b)
    check("linalg", lambda m, c: m.toeplitz(c), b + 2j * b**2)
    check("linalg", lambda m, c, r: m.toeplitz(c, r), b, X[0, :3])


# ---- signal ---------------------------------------------------------------------------------------------

SIGNALS = [(b, b[:3]), (b[:3], b), (X, X[:2, :3]), (X[:2], X), (X[None], X[None, :2, 1:]), (b + 1j * b**2, B[:2, 0] + 0.5j)]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "fftconvolve", "correlate"])
def test_convolution(name, mode):
    for x, y in SIGNALS:
        check("signal", lambda m, x, y: getattr(m, name)(x, y, mode), x, y)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolution_along_axes(mode):
    x = rng.normal(size=(4, 5))
    check("signal", lambda m, x, y: m.fftconvolve(x, y, mode, 0), x, x[:2])
    check("signal", lambda m, x, y: m.fftconvolve(x, y, mode, axes=[-1]), x, x[:1, :3])
    check("signal", lambda m, x, y: m.convolve(x, y, mode, "direct"), x.astype("f4"), x[:2, :2].astype("f4"))


def test_convolution_errors():
    v = Variable(b)
    with pytest.raises(ValueError, match="1 and 2 dimensions"):
        cr.scipy.signal.convolve(v, X)
    with pytest.raises(ValueError, match="mode is"):
        cr.scipy.signal.convolve(v, b, "valied")
    with pytest.raises(ValueError, match="as large as the other"):
        cr.scipy.signal.convolve(X, X.T, "valid")
    with pytest.raises(TypeError, match="gradient"):
        scipy.signal.convolve(v, b)


# ---- stats ----------------------------------------------------------------------------------------------

#: For each distribution places, and shape parameters; is the distribution function differentiable in those too?
CONTINUOUS = {
    "norm": (X[0], (), True), "t": (X[0], (SHAPE,), False), "gamma": (OTHER, (SHAPE,), False), "chi2": (OTHER, (SHAPE,), False),
    "beta": (UNIT * 0.8 + 0.1, (SHAPE, OTHER), False), "expon": (OTHER, (), True), "uniform": (UNIT * 0.7 + 0.1, (), True),
    "laplace": (X[0], (), True), "logistic": (X[0], (), True), "cauchy": (X[0], (), True), "lognorm": (OTHER, (SHAPE,), True),
    "halfnorm": (OTHER, (), True), "halfcauchy": (OTHER, (), True), "weibull_min": (OTHER, (SHAPE,), True),
    "invgamma": (OTHER, (SHAPE,), False),
}  # fmt: skip
DISCRETE = {"poisson": ((), OTHER), "binom": ((4,), UNIT), "bernoulli": ((), UNIT)}
PLACES = np.array([-3.0, -0.5, 0.2, 0.999, 1.001, 5.0])


@pytest.mark.parametrize("method", ["logpdf", "pdf", "cdf", "sf", "logcdf", "logsf"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name, method):
    def call(stats, *args, **kwargs):
        return getattr(getattr(stats, name), method)(*args, **kwargs)

    x, shapes, in_shapes = CONTINUOUS[name]
    if in_shapes or method.endswith("pdf"):
        check("stats", call, x, *shapes, LOC, SCALE)
    else:
        check("stats", lambda m, x, loc, scale: call(m, x, *shapes, loc, scale), x, LOC, SCALE)
        with pytest.raises(TypeError, match="not differentiable"):
            call(cr.scipy.stats, x, *map(Variable, shapes))
    first = [float(s[0]) for s in shapes]
    check("stats", lambda m, x: call(m, x, *first, scale=1.3), np.array(0.5))
    np.testing.assert_allclose(
        call(cr.scipy.stats, Variable(PLACES), *first).data, call(scipy.stats, PLACES, *first), rtol=1e-9, atol=1e-15
    )


@pytest.mark.parametrize("method", ["logpmf", "pmf", "cdf", "sf"])
@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distributions(name, method):
    fixed, p = DISCRETE[name]
    k = np.array([0.0, 1.0, 3.0, 2.0]) if name != "bernoulli" else np.array([0.0, 1.0, 0.0, 1.0])
    check("stats", lambda m, p: getattr(getattr(m, name), method)(k, *fixed, p), p)
    places = np.array([-1, 0, 0.5, 1, 2, 7])
    for loc in (0, 1):
        got, expected = (getattr(getattr(m, name), method)(places, *fixed, 0.3, loc) for m in (cr.scipy.stats, scipy.stats))
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-15)


def test_gradients_outside_of_the_support_are_zero():
    for call in (
        lambda m, x: m.expon.pdf(x), lambda m, x: m.gamma.pdf(x, 0.5), lambda m, x: m.beta.pdf(x - 2, 0.5, 2.0),
        lambda m, x: m.uniform.cdf(x), lambda m, x: m.lognorm.cdf(x, 1.0), lambda m, x: m.chi2.cdf(x, 1.0),
    ):  # fmt: skip
        x = Variable(np.array([-2.0, -1e-3]))
        np.testing.assert_array_equal(call(cr.scipy.stats, x).data, 0)
        call(cr.scipy.stats, x).backward()
        np.testing.assert_array_equal(x.grad, 0)


def test_single_precision_stays_single():
    x = Variable(X.astype("f4"))
    for y in (cr.scipy.stats.norm.logpdf(x), cr.scipy.stats.norm.cdf(x, 0.5, 2.0), cr.scipy.linalg.expm(x[:, :3])):
        assert y.dtype == np.float32
    cr.scipy.stats.norm.pdf(x).backward()
    assert x.grad.dtype == np.float32


def test_distributions_say_which_parameters_they_have():
    stats = cr.scipy.stats
    with pytest.raises(TypeError, match="gamma needs the parameter a"):
        stats.gamma.pdf(1.0)
    with pytest.raises(TypeError, match="norm has no parameter std; it has loc, scale"):
        stats.norm.pdf(1.0, std=2.0)
    with pytest.raises(TypeError, match="norm takes 2 parameters, loc, scale, not 3"):
        stats.norm.pdf(1.0, 0.0, 1.0, 2.0)
    with pytest.raises(TypeError, match="poisson has no parameter scale"):
        stats.poisson.pmf(1, 2.0, scale=2.0)


@pytest.mark.parametrize("method", ["logpdf", "pdf"])
def test_distributions_of_several_variables(method):
    def normal(m, x, mean, a):
        return getattr(m.multivariate_normal, method)(x, mean, a @ a.T)

    def dirichlet(m, x, alpha):
        return getattr(m.dirichlet, method)(x, alpha)

    a, mean, shares = A[:3, :3], SHAPE[:3], rng.dirichlet([1.0, 2.0, 3.0], 4).T
    check("stats", normal, X[0, :3], mean, a)
    check("stats", normal, rng.normal(size=(2, 4, 3)), mean, a)
    check("stats", lambda m, x: getattr(m.multivariate_normal, method)(x), b)
    check("stats", lambda m, x: getattr(m.multivariate_normal, method)(x), np.array(0.4))
    check("stats", lambda m, x, mean, cov: getattr(m.multivariate_normal, method)(x, mean, cov), X[0], b, SHAPE)
    check("stats", lambda m, alpha: dirichlet(m, shares, alpha), mean)
    check("stats", lambda m, alpha: dirichlet(m, shares[:, 0], alpha), mean)
    check("stats", dirichlet, shares[:2], mean)
    check("stats", lambda m, a: m.multivariate_normal.entropy(np.zeros(3), a @ a.T), a)


def test_a_normal_distribution_on_a_plane():
    stats = cr.scipy.stats
    plane, inside, outside = A[:3, :2], np.array([0.3, -0.2]), np.array([0.0, 0.0, 1.0])

    def on_it(m, a, z, mean):
        return m.multivariate_normal.logpdf(mean + a @ z, mean, a @ a.T, allow_singular=True)

    check("stats", lambda m, a: on_it(m, a, inside, np.zeros(3)), plane)
    check("stats", on_it, A[:3, :3], SHAPE[:3], b[:3])
    assert stats.multivariate_normal.logpdf(plane @ inside + outside, None, plane @ plane.T, allow_singular=True) == -np.inf
    with pytest.raises(np.linalg.LinAlgError, match="not positive semidefinite"):
        stats.multivariate_normal.logpdf(outside, None, -np.eye(3), allow_singular=True)


# ---- interpolate ----------------------------------------------------------------------------------------

GRID = [np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 2.0, 2.5])]
VALUES, INSIDE = rng.normal(size=(3, 4)), np.array([[0.2, 0.3], [2.2, -0.4], [1.5, 2.4]])


@pytest.mark.parametrize("fill_value", [None, 7.0])
def test_interpn(fill_value):
    def interpn(m, values, xi, grid=GRID, **options):
        return m.interpn(grid, values, xi, **options)

    check("interpolate", interpn, VALUES, INSIDE)
    check("interpolate", interpn, rng.normal(size=(3, 4, 2)), INSIDE)
    check("interpolate", interpn, VALUES, INSIDE[0])
    check("interpolate", lambda m, v, x: interpn(m, v, x, GRID[:1]), VALUES, INSIDE[:, 0])
    check("interpolate", lambda m, v, x, y: interpn(m, v, (x, y)), VALUES, INSIDE[:, 0], INSIDE[:, 1])
    check("interpolate", lambda m, v, x: interpn(m, v, x, bounds_error=False, fill_value=fill_value), VALUES, INSIDE * 2)
    with pytest.raises(ValueError, match="outside of the grid"):
        interpn(cr.scipy.interpolate, VALUES, Variable(INSIDE * 2))


# ---- integrate ------------------------------------------------------------------------------------------

TIGHT = {"rtol": 1e-11, "atol": 1e-12}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def pendulum(y, t, w, friction):
    return [y[1], -w * np.sin(y[0]) * np.exp(-0.1 * t) - np.sum(friction * y)]


def test_odeint_in_all_its_arguments():
    args = (np.array([0.5, 0.1]), np.array([0.0, 0.4, 1.1, 1.5]), np.array(1.3), np.array([0.2, -0.1]))

    def solve(y0, t, w, friction):
        return cr.scipy.integrate.odeint(pendulum, y0, t, (w, friction), **TIGHT)

    expected = scipy.integrate.odeint(pendulum, *args[:2], args[2:], **TIGHT)
    np.testing.assert_array_equal(solve(*map(Variable, args)).data, expected)
    assert type(solve(*args)) is np.ndarray
    check_grads(solve, args, order=1, **CLOSE)
    check_grads(lambda y0, w: solve(y0, args[1][::-1].copy(), w, args[3]), (args[0], args[2]), order=1, **CLOSE)
    check_grads(lambda y0, t, w: solve(y0, t, w, args[3])[-1], (args[0], args[1][:2], args[2]), **CLOSE)


def test_odeint_beside_a_solution_in_closed_form():
    y0, t, rate = Variable(np.array([1.5, -0.5])), Variable(np.array([0.5, 2.0])), Variable(np.array(0.7))
    y = cr.scipy.integrate.odeint(lambda t, y, unused, rate: -rate * y, y0, t, ("unused", rate), tfirst=True, **TIGHT)
    decay = np.exp(-0.7 * 1.5)
    np.testing.assert_allclose(y.data[-1], y0.data * decay, rtol=1e-8)
    y[-1].backward()
    np.testing.assert_allclose(y0.grad, [decay, decay], rtol=1e-8)
    np.testing.assert_allclose(t.grad, [0.7 * decay, -0.7 * decay], rtol=1e-8)
    np.testing.assert_allclose(rate.grad, -1.5 * decay, rtol=1e-8)


def test_odeint_with_a_derivative_in_its_function():
    def hamilton(y, t, k):
        gradient = cr.grad(lambda y: 0.5 * k * y[0] ** 2 + 0.5 * y[1] ** 2)(y)
        return [gradient[1], -gradient[0]]

    def end(k):
        return cr.scipy.integrate.odeint(hamilton, np.array([1.0, 0.0]), np.array([0.0, 1.0]), (k,), **TIGHT)[-1, 0]

    k = np.array(2.0)
    np.testing.assert_allclose(cr.grad(end)(k), -np.sin(np.sqrt(k)) / (2 * np.sqrt(k)), rtol=1e-6)


def test_odeint_errors():
    hidden, y0, t = Variable(np.array(1.0)), np.array([1.0]), np.array([0.0, 1.0])
    odeint = cr.scipy.integrate.odeint
    with pytest.raises(TypeError, match="not among its arguments"):
        odeint(lambda y, t: hidden * y, y0, t)
    with pytest.raises(TypeError, match="full_output is not supported"):
        odeint(lambda y, t: y, y0, t, full_output=True)
    with pytest.raises(ValueError, match=r"returns shape \(2,\)"):
        odeint(lambda y, t: np.ones(2), Variable(y0), t)
    with pytest.raises(ValueError, match="one dimension"):
        odeint(lambda y, t: y, Variable(np.array(1.0)), t)


# ---- sparse ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csr_array", "csc_array", "coo_array", "dia_array", "csr_matrix"])
def test_sparse_products(kind):
    cr.scipy.sparse  # noqa: B018
    a = getattr(scipy.sparse, kind)(X)
    for f, x in ((lambda v, a: a @ v, b), (lambda v, a: a @ v, B), (lambda v, a: v @ a, X[:, 0]), (lambda v, a: v @ a, X.T)):
        np.testing.assert_allclose(f(Variable(x), a).data, f(x, X))
        check_grads(lambda v, f=f: f(v, a), (x,))
        check_grads(lambda v, f=f: f(v, a) * np.sum(f(v, X)), (x,))
    np.testing.assert_allclose(cr.scipy.sparse.matmul(a, Variable(b)).data, X @ b)
    np.testing.assert_allclose((Variable(X) @ b).data, X @ b)
    check_grads(lambda v: cr.scipy.sparse.spsolve(scipy.sparse.csr_array(A), v), (b,))
    with pytest.raises(TypeError, match="one sparse array and one dense"):
        cr.scipy.sparse.matmul(X, X)
    with pytest.raises(TypeError, match="gradient"):
        np.asarray(Variable(b))


# ---- imports --------------------------------------------------------------------------------------------


def test_without_scipy_the_error_says_how_to_install_it():
    script = """
import sys, chainrule as cr
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "scipy":
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
sys.meta_path.insert(0, Absent())
try:
    cr.scipy.special
except ImportError as error:
    print(error)
"""
    assert (
        "pip install 'chainrule[scipy]'"
        in subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    )
