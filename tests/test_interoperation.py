"""Other libraries on Variables, and other libraries' arrays in them."""

import os
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import Variable

rng = np.random.default_rng(0)

# ---- einops ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def einops():
    pytest.importorskip("einops", reason="pip install einops")
    import chainrule.einops  # noqa: F401

    return pytest.importorskip("einops")


def test_einops_differentiates(einops):
    x = rng.normal(size=(2, 4, 6))
    for f in (
        lambda x: einops.rearrange(x, "b (h p) w -> (b w) p h", p=2),
        lambda x: einops.rearrange([x, x * 2], "n b h w -> b h (n w)"),
        lambda x: einops.reduce(x, "b (h 2) (w 3) -> b h w", "max"),
        lambda x: einops.reduce(x, "b h w -> h", "mean"),
        lambda x: einops.reduce(x, "b h w -> () b w", "prod"),
        lambda x: einops.repeat(x, "b h w -> (b 2) h n w", n=3),
        lambda x: einops.pack([x, x[..., 0]], "b h *")[0],
        lambda x: einops.unpack(x, [(2,), (4,)], "b h *")[1],
        lambda x: einops.einsum(x, x, "b h w, b k w -> b h k"),
    ):
        np.testing.assert_allclose(f(Variable(x)).data, f(x))
        cr.check_grads(f, (x,))


def test_einops_array_api_differentiates(einops):
    from einops import array_api as einx

    x = rng.normal(size=(2, 4, 6))
    cr.check_grads(lambda x: einx.rearrange(x, "b (h p) w -> (b w) p h", p=2), (x,))
    cr.check_grads(lambda x: einx.reduce(x, "b (h p) w -> b h w", "mean", p=2), (x,))
    cr.check_grads(lambda x: einx.repeat(x, "b h w -> b h (w n)", n=2), (x,))


def test_einops_conversion(einops):
    x = Variable(np.ones((2, 3)))
    assert einops.parse_shape(x, "a _") == {"a": 2}
    with pytest.raises(TypeError, match="lose its gradient"):
        einops.asnumpy(x)
    assert type(einops.asnumpy(x.detach())) is np.ndarray
    with pytest.raises(NotImplementedError, match="non-floating"):
        einops.reduce(Variable(np.ones((2, 3), int)), "a b -> a", "mean")


def test_einops_is_imported_only_when_asked_for():
    pytest.importorskip("einops", reason="pip install einops")
    script = """
import sys, numpy as np, chainrule as cr
assert "einops" not in sys.modules
import einops
x = cr.Variable(np.ones((2, 3)))
try:
    einops.rearrange(x, "a b -> b a")
except RuntimeError as error:
    assert "unknown to einops" in str(error)
from chainrule.einops import rearrange
assert rearrange is einops.rearrange
assert einops.rearrange(x, "a b -> b a").shape == (3, 2)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# ---- SciPy and scikit-learn through the array API -------------------------------------------------------

COMPARE = """
import numpy as np, chainrule as cr
from chainrule import Variable

a = np.abs(np.random.default_rng(0).normal(size=(8, 3))) + 0.1

def agree(f, *arrays):
    got, expected = f(*[Variable(x, requires_grad=False) for x in arrays]), f(*arrays)
    many = isinstance(expected, tuple)
    for g, e in zip(got if many else [got], expected if many else [expected], strict=True):
        assert isinstance(g, Variable) or np.ndim(g) == 0, type(g)
        np.testing.assert_allclose(g.data if isinstance(g, Variable) else g, e, atol=1e-9)
"""

SCIPY = """
import scipy.cluster.vq as vq, scipy.fft, scipy.integrate, scipy.ndimage, scipy.signal, scipy.special, scipy.stats as stats
from scipy.spatial.transform import Rotation

for f in (
    scipy.special.expit, scipy.special.gammaln, stats.entropy, stats.jarque_bera, lambda x: vq.vq(x, x[:2]), scipy.fft.dct,
    scipy.signal.detrend, lambda x: scipy.signal.convolve(x, x), lambda x: scipy.ndimage.gaussian_filter(x, 1.0),
    lambda x: stats.ttest_ind(x, 2 * x).statistic,
):
    agree(f, a)

# what SciPy writes in the namespace's functions alone is differentiated
for f in (
    lambda x: scipy.special.logsumexp(x, axis=0), lambda x: scipy.special.softmax(x, axis=0), stats.zscore, stats.skew,
    stats.kurtosis, stats.gmean, stats.hmean, stats.sem, stats.circmean, vq.whiten,
    lambda x: scipy.integrate.trapezoid(x, axis=0), lambda x: scipy.integrate.cumulative_trapezoid(x, axis=0),
    lambda x: Rotation.from_rotvec(x).as_matrix(), lambda x: scipy.signal.fftconvolve(x, x), lambda x: stats.trim_mean(x, 0.1),
):
    agree(f, a)
    cr.check_grads(f, (a,), order=1)

# and what leaves the namespace says so
try:
    scipy.special.expit(Variable(a))
except TypeError as error:
    assert "lose its gradient" in str(error)
else:
    raise AssertionError
"""

SCIKIT_LEARN = """
import sklearn
from sklearn import metrics
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.preprocessing import MinMaxScaler, StandardScaler

y = (a[:, 0] > 0.5).astype(int)
with sklearn.config_context(array_api_dispatch=True):
    for f in (
        lambda x, y: StandardScaler().fit_transform(x), lambda x, y: MinMaxScaler().fit_transform(x),
        lambda x, y: PCA(2, svd_solver="full").fit_transform(x), lambda x, y: Ridge(solver="svd").fit(x, x[:, 0]).predict(x),
        lambda x, y: LinearDiscriminantAnalysis().fit(x, y).predict_proba(x), lambda x, y: metrics.accuracy_score(y, y),
        lambda x, y: metrics.r2_score(x, x * 1.1), lambda x, y: metrics.pairwise.rbf_kernel(x),
    ):
        agree(f, a, y)
"""


@pytest.mark.parametrize(("package", "script"), [("scipy", SCIPY), ("sklearn", SCIKIT_LEARN)], ids=["scipy", "scikit-learn"])
def test_functions_for_any_array(package, script):
    pytest.importorskip(package, reason=f"{package} is not installed")
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}  # read when SciPy is imported
    subprocess.run([sys.executable, "-W", "ignore", "-c", COMPARE + script], check=True, env=environment)


# ---- Dask: arrays in chunks -----------------------------------------------------------------------------


def logistic_loss(w, b, x, t):
    z = x @ w + b
    return np.mean(np.logaddexp(0, z) - t * z) + 0.01 * np.sum(np.square(w))


def gradients(x, t, wrap=lambda a: a):
    w, b = Variable(wrap(np.linspace(-1, 1, 5))), Variable(wrap(np.array(0.1)))
    logistic_loss(w, b, x, t).backward()
    return w.grad, b.grad


@pytest.fixture(scope="module")
def observations():
    return rng.normal(size=(1000, 5)), (rng.random(1000) < 0.5) * 1.0


@pytest.fixture(scope="module")
def da():
    return pytest.importorskip("dask.array", reason="pip install dask[array]")


@pytest.mark.filterwarnings("error::FutureWarning")  # Dask's, where it takes an array into memory
def test_logistic_regression_on_chunks(da, observations):
    x, t = observations
    expected = gradients(x, t)
    chunked = da.from_array(x, chunks=(250, 5)), da.from_array(t, chunks=250)
    constants = [Variable(c, requires_grad=False) for c in chunked]
    for got in (gradients(*chunked), gradients(*constants), gradients(*chunked, wrap=da.from_array)):
        assert isinstance(got[0], da.Array)  # nothing has been computed
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(g.compute(), e)
    images = Variable(chunked[0])
    logistic_loss(np.ones(5), 0.0, images, chunked[1]).backward()
    assert images.grad.chunks == chunked[0].chunks


def test_logistic_regression_on_a_cluster(da, observations):
    distributed = pytest.importorskip("distributed", reason="pip install dask[distributed]")
    x, t = observations
    expected = gradients(x, t)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        got = gradients(da.from_array(x, chunks=(250, 5)), da.from_array(t, chunks=250))
        for g, e in zip(client.gather(client.compute(got)), expected, strict=True):
            np.testing.assert_allclose(g, e)
        # steps of gradient descent, each of them one computation on the cluster
        w, b = Variable(np.zeros(5)), Variable(np.array(0.0))
        losses = []
        for _ in range(3):
            w.reset_grad()
            b.reset_grad()
            loss = logistic_loss(w, b, da.from_array(x, chunks=(250, 5)), da.from_array(t, chunks=250))
            loss.backward()
            value, dw, db = client.gather(client.compute((loss.data, w.grad, b.grad)))
            w.data, b.data = w.data - dw, b.data - db
            losses.append(value)
        assert losses[2] < losses[1] < losses[0]


OF_ONE = """
    negative square reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan arctan sinh cosh tanh arcsinh sqrt cbrt fabs
    absolute sum prod mean var std max min ptp cumsum cumprod transpose ravel flip tril triu squeeze diff
"""
OF_TWO = "add subtract multiply divide remainder power logaddexp arctan2 hypot maximum minimum copysign fmod outer inner"
ON_ANY_ARRAY = {
    **{name: lambda x, y, f=name: getattr(np, f)(x) for name in OF_ONE.split()},
    **{name: lambda x, y, f=name: getattr(np, f)(x, y) for name in OF_TWO.split()},
    "sum over an axis": lambda x, y: x * np.sum(x, axis=1, keepdims=True),
    "slice": lambda x, y: x[1:4],
    "row": lambda x, y: x[2],
    "mask": lambda x, y: x[np.array([True, False] * 3)],
    "concatenate": lambda x, y: np.concatenate([x, x * 2], axis=1),
    "stack": lambda x, y: np.stack([x, x * 3]),
    "split": lambda x, y: np.split(x, 2)[1],
    "tile": lambda x, y: np.tile(x, (2, 1)),
    "pad": lambda x, y: np.pad(x, 1),
    "where": lambda x, y: np.where(x > 1, x, 0.0),
    "clip": lambda x, y: np.clip(x, 0.7, 1.2),
    "matmul": lambda x, y: y @ x.T,
    "tensordot": lambda x, y: np.tensordot(x, y.T, 1),
    "einsum": lambda x, y: np.einsum("ij,kj->ik", x, y),
    "relu": lambda x, y: cr.functional.relu(x - 1),
    "softmax": lambda x, y: cr.functional.softmax(x),
    "layer norm": lambda x, y: cr.functional.layer_norm(x, (4,)),
    "cross entropy": lambda x, y: cr.functional.binary_cross_entropy_with_logits(x, y),
}
A, B = rng.random((2, 6, 4)) + 0.5


def gradients_of(f, array=lambda a: a):
    """The gradients of Σ f(x, y)² in x, and in y where there is one; ``array`` makes the arrays to try."""
    x, y = (Variable(array(a)) for a in (A, B))
    np.sum(np.square(f(x, y))).backward()
    return x.grad, y.grad


@pytest.mark.filterwarnings("error::FutureWarning")
@pytest.mark.parametrize("name", ON_ANY_ARRAY)
def test_functions_on_chunks_stay_lazy(da, name):
    expected = gradients_of(ON_ANY_ARRAY[name])
    got = gradients_of(ON_ANY_ARRAY[name], lambda a: da.from_array(a, chunks=(3, 4)))
    for g, e in zip(got, expected, strict=True):
        assert (g is None) == (e is None)
        if g is not None:
            assert isinstance(g, da.Array)
            np.testing.assert_allclose(g.compute(), e)


def test_what_dask_cannot_do_is_done_in_memory(da):
    x, chunked = Variable(A), Variable(da.from_array(A, chunks=(3, 4)))
    for v in (x, chunked):
        np.sum(np.square(np.take(v, [2, 0, 2], axis=0))).backward()
    np.testing.assert_allclose(chunked.grad, x.grad)


# ---- CuPy, in effigy: an array that speaks NumPy's protocols, and refuses NumPy's arrays ----------------


class Elsewhere(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a device that NumPy cannot reach: nothing goes there or comes back but by saying so."""

    def __init__(self, array):
        self.there = np.asarray(array)

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if any(isinstance(x, Variable) for x in inputs):
            return NotImplemented
        if method == "at":
            return ufunc.at(inputs[0].there, indices(inputs[1]), only_there(inputs[2]))
        return elsewhere(getattr(ufunc, method)(*only_there(inputs), **only_there(options)))

    def __array_function__(self, function, types, args, options):
        if any(issubclass(t, Variable) for t in types):
            return NotImplemented
        return elsewhere(function(*only_there(args), **only_there({n: v for n, v in options.items() if n != "like"})))

    def __getitem__(self, index):
        return Elsewhere(self.there[indices(index)])

    def __setitem__(self, index, value):
        self.there[indices(index)] = only_there(value)

    def __getattr__(self, name):
        found = getattr(self.__dict__["there"], name)
        return (lambda *args, **options: elsewhere(found(*args, **options))) if callable(found) else elsewhere(found)


def only_there(value):
    if isinstance(value, np.ndarray):
        raise TypeError("NumPy's array beside one of elsewhere")
    if isinstance(value, (list, tuple)):
        return type(value)(only_there(v) for v in value)
    if isinstance(value, dict):
        return {name: only_there(v) for name, v in value.items()}
    return value.there if isinstance(value, Elsewhere) else value


def indices(index):
    """Of NumPy's arrays these may be."""
    return tuple(indices(i) for i in index) if isinstance(index, tuple) else getattr(index, "there", index)


def elsewhere(ans):
    if type(ans) in (list, tuple):
        return type(ans)(elsewhere(a) for a in ans)
    return Elsewhere(ans) if isinstance(ans, (np.ndarray, np.generic)) else ans


BY_INDICES = {
    "take": lambda x, y: np.take(x, [2, 0, 2], axis=0),
    "repeat": lambda x, y: np.repeat(x, 2, axis=0),
    "diagonal": lambda x, y: np.diagonal(x),
    "trace": lambda x, y: np.trace(x),
    "sort": lambda x, y: np.sort(x, axis=0),
    "leaky relu": lambda x, y: cr.functional.leaky_relu(x - 1),
}


@pytest.mark.parametrize("name", [*ON_ANY_ARRAY, *BY_INDICES])
def test_rules_bring_no_array_of_numpys(name):
    f = (ON_ANY_ARRAY | BY_INDICES)[name]
    expected, got = gradients_of(f), gradients_of(f, Elsewhere)
    for g, e in zip(got, expected, strict=True):
        assert (g is None) == (e is None)
        if g is not None:
            assert isinstance(g, Elsewhere)
            np.testing.assert_allclose(g.there, e)
