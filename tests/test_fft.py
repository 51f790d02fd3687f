"""np.fft on Variables: values as NumPy's, gradients to second order, and beside PyTorch's."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from chainrule import Variable, check_grads

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(3, 4, 5))
Z = X + 1j * rng.normal(size=X.shape)

OVER_ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
OVER_SEVERAL = ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"]
TAKES_REAL = ("rfft", "ihfft", "rfft2", "rfftn")


def nonlinear(name, **options):
    """A function of the transform that has second derivatives, and the value beside NumPy's own."""
    f = getattr(np.fft, name)

    def g(x):
        y = f(x, **options)
        np.testing.assert_allclose(y.data, f(x.data, **options), atol=1e-12)
        return y * y

    return g


def inputs(name):
    return [X] if name in TAKES_REAL else [Z, X]


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", OVER_ONE)
def test_over_one_axis(name, norm):
    for x in inputs(name):
        x = x[0]
        for axis, n in [(-1, None), (0, None), (1, 3), (-1, 4), (-2, 7), (0, 6), (0, 1), (-1, 2)]:
            check_grads(nonlinear(name, n=n, axis=axis, norm=norm), (x[:2] if axis == -1 else x[:, :2],))


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", OVER_SEVERAL)
def test_over_several_axes(name, norm):
    cases = [
        {},
        {"axes": (0, 1)},
        {"s": (3, 4), "axes": (-1, 0)},
        {"s": (2, 5), "axes": (0, -2)},
        {"s": (3, -1), "axes": (2, 1)},
    ]
    if name.endswith("n"):
        cases += [{"axes": (1,)}, {"axes": (1, 1, -1)}]
    for x in inputs(name):
        for options in cases:
            check_grads(nonlinear(name, norm=norm, **options), (x[:2, :2, :3],), order=1 if options else 2)


@given(
    name=st.sampled_from(OVER_ONE),
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    n=st.none() | st.integers(2, 9),
    norm=st.sampled_from(["backward", "ortho", "forward"]),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_the_gradient_is_the_transpose(name, shape, n, norm, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    if n is None and name in ("irfft", "hfft"):
        shape[axis] += 1
    f, draw = getattr(np.fft, name), np.random.default_rng(1)
    x = Variable(draw.normal(size=shape) + (0 if name in TAKES_REAL else 1j * draw.normal(size=shape)))
    y = f(x, n, axis, norm)
    y.grad = draw.normal(size=y.shape) + (0 if y.dtype.kind == "f" else 1j * draw.normal(size=y.shape))
    seed = y.grad
    y.backward()
    dx = draw.normal(size=shape) + (0 if name in TAKES_REAL else 1j * draw.normal(size=shape))
    np.testing.assert_allclose(np.sum(seed * f(dx, n, axis, norm)).real, np.sum(x.grad * dx).real, atol=1e-10)


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 2), (1,), [0, 1]], ids=str)
def test_shifts(axes):
    for name in ("fftshift", "ifftshift"):
        f = getattr(np.fft, name)
        np.testing.assert_array_equal(f(Variable(X), axes=axes).data, f(X, axes=axes))
        check_grads(lambda x, f=f: f(x * x, axes=axes), (X[:2, :3, :2],))


@pytest.mark.parametrize("name", OVER_ONE + OVER_SEVERAL)
def test_single_precision_stays(name):
    x = Variable(inputs(name)[0].astype("F" if name not in TAKES_REAL else "f"))
    y = getattr(np.fft, name)(x)
    assert y.dtype == getattr(np.fft, name)(x.data).dtype
    assert y.dtype.char in "fF"
    np.sum(np.square(np.abs(y))).backward()
    assert x.grad.dtype == x.dtype
    x = Variable(x.data)
    np.sum(np.square(np.abs(getattr(np.fft, name)(x)))).backward(create_graph=True)
    assert x.grad.dtype == x.dtype


def test_convolution_by_transforms_and_integers():
    check_grads(lambda x, k: np.fft.irfft(np.fft.rfft(x, 8) * np.fft.rfft(k, 8), 8), (X[0, 0], X[0, 1, :3]))
    x = Variable(np.arange(4))
    np.sum(np.abs(np.fft.fft(x)) ** 2).backward()
    np.testing.assert_allclose(x.grad, 8.0 * np.arange(4))


def test_errors():
    x = Variable(X)
    with pytest.raises(ValueError, match="2 lengths for 1 axes"):
        np.fft.fftn(x, s=(2, 2), axes=(0,))
    with pytest.raises(ValueError, match="Invalid number"):
        np.fft.fft(x, n=0)
    with pytest.raises(TypeError, match="out="):
        np.fft.fft(x, out=np.zeros(X.shape, complex))
    for name in OVER_ONE:
        with pytest.raises(ValueError, match="norm"):
            getattr(np.fft, name)(x, norm="other")


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("name", OVER_ONE + OVER_SEVERAL)
def test_beside_torch(name, norm):
    torch = pytest.importorskip("torch")
    x = inputs(name)[0]
    weight = rng.normal(size=getattr(np.fft, name)(x).shape)

    ours = Variable(x)
    np.sum(weight * np.abs(getattr(np.fft, name)(ours, norm=norm)) ** 2).backward()
    theirs = torch.tensor(x, requires_grad=True)
    (torch.from_numpy(weight) * getattr(torch.fft, name)(theirs, norm=norm).abs() ** 2).sum().backward()
    np.testing.assert_allclose(ours.grad, theirs.grad.conj().resolve_conj().numpy(), atol=1e-10)
