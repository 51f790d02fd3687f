"""Each family of functions on arrays of any shape, dtype and order of memory: the value is NumPy's own, the gradient the same in
any order of memory and in both modes, and that of finite differences.
"""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.special as sp
from hypothesis import HealthCheck, given, settings

import chainrule as cr
from chainrule import Variable, check_grads

few = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)
DTYPES = st.sampled_from([np.float32, np.float64, np.complex128])
REAL = st.sampled_from([np.float32, np.float64])


def spread_out(shape, dtype=np.float64, seed=0, positive=False):
    """Numbers no two of which are equal or near each other, or near an integer, in a random order."""
    rng, n = np.random.default_rng(seed), int(np.prod(shape))
    x = rng.permutation(np.linspace(0.17 if positive else -2.03, 2.11, n) + 0.01 * rng.uniform(size=n))
    x = x.reshape(shape)
    return (x + 1j * np.flip(x) * 0.7 if np.dtype(dtype).kind == "c" else x).astype(dtype)


def orders(x):
    """The same array in C and Fortran order, strided, and backwards in memory."""
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return [np.ascontiguousarray(x), np.asfortranarray(x), wide[..., ::2], np.flip(np.flip(x).copy())]


def check(f, *args, order=1):
    """The value, the gradients by order of memory and dtype, and finite differences."""
    expected = f(*args)
    gradients = []
    for given_ in zip(*map(orders, args), strict=True):
        xs = [Variable(x) for x in given_]
        y = f(*xs)
        data = y.data if isinstance(y, Variable) else y
        np.testing.assert_allclose(data, expected, rtol=1e-5 if args[0].dtype == np.float32 else 1e-12, atol=1e-6)
        assert data.dtype in (np.asarray(expected).dtype, args[0].dtype)  # float32 stays float32, also where NumPy's does not
        assert data.shape == np.shape(expected)
        np.sum(np.real(y * np.conj(y)) if data.dtype.kind == "c" else y * y).backward()
        for x in xs:
            assert x.grad is None or (x.grad.shape, x.grad.dtype) == (x.shape, x.dtype)
        gradients.append([x.grad for x in xs if x.grad is not None])
    for others in gradients[1:]:
        for g, h in zip(gradients[0], others, strict=True):
            scale = max(1.0, float(np.max(np.abs(g), initial=0)))
            np.testing.assert_allclose(g / scale, h / scale, rtol=1e-4 if g.dtype == np.float32 else 1e-9, atol=1e-5)
    if all(a.dtype != np.float32 for a in args):
        check_grads(f, args, order=order)


def named(*names):
    return pytest.mark.parametrize("name", " ".join(names).split())


# ---- element by element ---------------------------------------------------------------------------------


@named("sin cos tan exp expm1 square negative sinh cosh tanh arctan arcsinh reciprocal conjugate sqrt log log1p absolute")
@given(shape=SHAPES, dtype=DTYPES)
@few
def test_functions_of_one_array(name, shape, dtype):
    check(getattr(np, name), spread_out(shape, dtype, positive=name in ("sqrt", "log", "log1p", "reciprocal", "tan")))


@named("add subtract multiply divide power hypot arctan2 logaddexp maximum minimum remainder")
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=1, max_dims=3, max_side=3), dtype=REAL)
@few
def test_functions_of_two_arrays(name, shapes, dtype):
    x, y = (spread_out(shape, dtype, seed, positive=True) for seed, shape in enumerate(shapes.input_shapes))
    check(getattr(np, name), x, y + dtype(2.2) if name in ("maximum", "minimum", "remainder") else y)


# ---- along axes -----------------------------------------------------------------------------------------


@named("sum prod mean var std max min cumsum cumprod median ptp sort nansum nanmean")
@given(data=st.data(), shape=SHAPES, dtype=REAL)
@few
def test_reductions(name, data, shape, dtype):
    axis = data.draw(st.sampled_from([None, *range(-len(shape), len(shape))]))
    options = {"keepdims": data.draw(st.booleans())} if name not in ("cumsum", "cumprod", "sort") else {}
    x = spread_out(shape, dtype, positive=name in ("prod", "cumprod"))
    if name == "std" and x.shape[axis or 0] == 1:
        return  # at 0 finite differences are no measure
    check(lambda x: getattr(np, name)(x, axis=axis, **options), x)


# ---- shapes ---------------------------------------------------------------------------------------------


@named("reshape ravel transpose moveaxis roll flip repeat tile pad concatenate stack broadcast_to tril rot90 split take delete")
@given(data=st.data(), shape=hnp.array_shapes(min_dims=2, max_dims=3, max_side=4), dtype=DTYPES)
@few
def test_shapes(name, data, shape, dtype):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    order = data.draw(st.sampled_from("CF"))
    f = {
        "reshape": lambda x: np.reshape(x, (-1, shape[axis]), order=order), "ravel": lambda x: np.ravel(x, order),
        "transpose": lambda x: np.transpose(x, np.roll(range(len(shape)), axis).tolist()),
        "moveaxis": lambda x: np.moveaxis(x, axis, 0), "roll": lambda x: np.roll(x, 2, axis), "flip": lambda x: np.flip(x, axis),
        "repeat": lambda x: np.repeat(x, 2, axis), "tile": lambda x: np.tile(x, (2, 1)),
        "pad": lambda x: np.pad(x, 1, mode="constant"), "concatenate": lambda x: np.concatenate([x, 2 * x], axis),
        "stack": lambda x: np.stack([x, 2 * x], axis), "broadcast_to": lambda x: np.broadcast_to(x, (2, *shape)),
        "tril": lambda x: np.tril(x, axis), "rot90": lambda x: np.rot90(x, axis), "split": lambda x: np.array_split(x, 2, axis)[0],
        "take": lambda x: np.take(x, [0, 0, -1], axis), "delete": lambda x: np.delete(x, 0, axis),
    }[name]  # fmt: skip
    check(f, spread_out(shape, dtype))


@given(data=st.data(), shape=SHAPES, dtype=DTYPES)
@settings(few, max_examples=30)
def test_indexing(data, shape, dtype):
    index = data.draw(st.one_of(hnp.basic_indices(shape, allow_newaxis=True), hnp.integer_array_indices(shape)))
    x = spread_out(shape, dtype)
    if np.size(x[index]):
        check(lambda x: x[index], x)


# ---- matrices -------------------------------------------------------------------------------------------


@named("matmul einsum tensordot inner dot")
@given(n=st.integers(1, 3), m=st.integers(1, 3), k=st.integers(1, 3), dtype=DTYPES)
@few
def test_products(name, n, m, k, dtype):
    x, y = spread_out((n, m), dtype), spread_out((m, k), dtype, 1)
    f = {"einsum": lambda x, y: np.einsum("ij,jk->ki", x, y), "tensordot": lambda x, y: np.tensordot(x, y, 1),
         "inner": lambda x, y: np.inner(x, y.T)}.get(name, getattr(np, name))  # fmt: skip
    check(f, x, y)


@named("inv det solve cholesky eigvalsh svdvals norm pinv slogdet matrix_power")
@given(n=st.integers(1, 3), stack=st.sampled_from([(), (2,)]), dtype=DTYPES)
@few
def test_linear_algebra(name, n, stack, dtype):
    a = spread_out((*stack, n, n), dtype) + 4 * np.diag(np.arange(1, n + 1)).astype(dtype)

    def f(a):
        if name in ("cholesky", "eigvalsh"):
            a = a @ np.conj(np.swapaxes(a, -1, -2))
        more = {"solve": (np.ones((n, 1), a.dtype),), "matrix_power": (2,)}.get(name, ())
        made = getattr(np.linalg, name)(a, *more)
        return made.logabsdet if name == "slogdet" else made

    if dtype != np.float32:  # which inverts to too few digits for the bounds of all
        check(f, a)


@named("fft ifft rfft irfft hfft ihfft")
@given(data=st.data(), shape=SHAPES, norm=st.sampled_from([None, "ortho", "forward"]))
@few
def test_fourier_transforms(name, data, shape, norm):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    n = data.draw(st.sampled_from([None, 3, 4]))
    if name in ("irfft", "hfft") and n is None and shape[axis] == 1:
        return  # of no points
    x = spread_out(shape, np.float64 if name in ("rfft", "ihfft") else np.complex128)
    check(lambda x: getattr(np.fft, name)(x, n, axis, norm), x)


# ---- statistics, polynomials, special functions ---------------------------------------------------------


@named("quantile average cov corrcoef diff gradient trapezoid interp convolve correlate")
@given(n=st.integers(3, 5), m=st.integers(3, 4), dtype=REAL, q=st.floats(0, 1))
@few
def test_samples(name, n, m, dtype, q):
    x, w = spread_out((n, m), dtype), spread_out((n, m), dtype, 1, positive=True)
    f = {
        "quantile": lambda x, w: np.quantile(x, dtype(q), axis=0), "average": lambda x, w: np.average(x, 0, w),
        "gradient": lambda x, w: np.gradient(x, axis=1), "diff": lambda x, w: np.diff(x, axis=0),
        "trapezoid": lambda x, w: np.trapezoid(x, w, axis=0), "convolve": lambda x, w: np.convolve(x[0], w[0]),
        "correlate": lambda x, w: np.correlate(x[0], w[0], "same"), "cov": lambda x, w: np.cov(x * w),
        "corrcoef": lambda x, w: np.corrcoef(x * w),
        "interp": lambda x, w: np.interp(x, np.array([-3, -1.001, 0.501, 3], dtype), w[0, [0, 1, 2, 0]]),
    }[name]  # fmt: skip
    check(f, x, w)


@named("polyval polyadd polymul polyder polyint vander polydiv")
@given(n=st.integers(2, 5), dtype=REAL)
@few
def test_polynomials(name, n, dtype):
    p, x = spread_out((n,), dtype, positive=True), spread_out((3,), dtype, 1, positive=True)
    f = {"polyder": lambda p, x: np.polyder(p), "polyint": lambda p, x: np.polyint(p), "vander": lambda p, x: np.vander(p, 3),
         "polydiv": lambda p, x: np.polydiv(p, x[:2])[0]}.get(name, getattr(np, name))  # fmt: skip
    check(f, p, x)


@named("gammaln psi erf erfc ndtr log_ndtr expit log_expit logit entr j0 j1 i0e k0 exp1 dawsn ellipk spence")
@given(shape=SHAPES, dtype=REAL)
@few
def test_special_functions(name, shape, dtype):
    x = spread_out(shape, dtype, positive=True)
    check(getattr(sp, name), x / 3 if name in ("logit", "ellipk") else x)


@given(shape=SHAPES, dtype=REAL, axis=st.integers(0, 0))
@few
def test_batches(shape, dtype, axis):
    def f(x):
        return np.sum(np.tanh(x) * np.cumsum(x, axis=axis), axis=-1)

    x = spread_out((3, *shape), dtype)
    for given_ in orders(x):
        np.testing.assert_allclose(cr.vmap(f)(given_), np.stack([f(v) for v in x]), rtol=1e-5)
        moved = np.moveaxis(given_, 0, -1)
        np.testing.assert_allclose(cr.vmap(f, in_axes=-1, out_axes=-1)(moved), np.stack([f(v) for v in x], axis=-1), rtol=1e-5)
        gradient = cr.vmap(cr.grad(lambda x: np.sum(f(x))))(given_)
        np.testing.assert_allclose(gradient, np.stack([cr.grad(lambda x: np.sum(f(x)))(v) for v in x]), rtol=1e-4, atol=1e-5)
