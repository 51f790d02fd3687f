"""The elementary functions that kernels are made of."""

import math

import numpy as np
import pytest

from chainrule.kernels import math as elementary

rng = np.random.default_rng(0)

SPECIAL = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e-45, 2, -2, 3, -3, 0.5, -0.5, 1e30, -1e30])

# each in float64 or wider, which is exact as seen from the dtype that is tested
ELEMENTARY = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "erf": lambda x: np.vectorize(math.erf, otypes=[float])(x),
}


def looped(function, arguments=1):
    """A loop over ``function``, and its machine code."""
    numba = pytest.importorskip("numba")

    @numba.njit
    def loop(x, y, out):
        for i in range(x.size):
            out[i] = function(x[i]) if arguments == 1 else function(x[i], y[i])

    def run(x, y=None):
        out = np.empty_like(x)
        loop(x, x if y is None else y, out)
        return out

    run.assembly = lambda: loop.inspect_asm(loop.signatures[-1])
    return run


def units_in_the_last_place(found, exact):
    """The largest error; NaN, infinities and the signs of zeros have to be the same."""
    rounded = exact.astype(found.dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(found[~finite], rounded[~finite])
    zero = exact == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(rounded[zero]))
    error = np.abs(found.astype(exact.dtype) - exact)[finite]
    return np.max(error / np.spacing(np.abs(rounded[finite])).astype(exact.dtype))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions(name):
    run = looped(getattr(elementary, name))

    every_so_often = np.arange(0, 2**32, 2003 if name != "erf" else 50021, dtype=np.uint32).view(np.float32)
    x = np.concatenate([every_so_often, rng.standard_normal(50_000, np.float32), SPECIAL.astype(np.float32)])
    assert units_in_the_last_place(run(x), ELEMENTARY[name](x.astype(np.float64))) <= 2

    x = np.concatenate([rng.standard_normal(50_000) * scale for scale in (0.1, 1, 30, 300)] + [SPECIAL])
    assert units_in_the_last_place(run(x), ELEMENTARY[name](x.astype(np.longdouble if name != "erf" else float))) <= 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTARY)
def test_loops_over_elementary_functions_are_vectorised(name, dtype):
    binding = pytest.importorskip("llvmlite.binding")
    if not binding.get_host_cpu_features().get("avx2"):
        pytest.skip("looks for an instruction of AVX")
    run = looped(getattr(elementary, name))
    run(np.zeros(3, dtype))
    assert ("vmulps" if dtype == np.float32 else "vmulpd") in run.assembly()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pow(dtype):
    run = looped(elementary.pow, 2)
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(SPECIAL, SPECIAL))
    assert units_in_the_last_place(run(x, y), np.power(x.astype(np.float64), y.astype(np.float64))) <= 1
    x, y = rng.lognormal(0, 3, 100_000).astype(dtype), rng.normal(0, 8, 100_000).astype(dtype)
    assert units_in_the_last_place(run(x, y), np.power(x.astype(np.longdouble), y.astype(np.longdouble))) <= 1
