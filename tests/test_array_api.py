"""The array API standard: every function of its namespace beside array-api-strict, which holds to the letter of it."""

import inspect
import operator
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import Variable, array_api

strict = pytest.importorskip("array_api_strict", reason="pip install array-api-strict")

DTYPES = array_api._DTYPES.split()
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:array_api_strict")
ITS_OWN = {"Device", "set_array_api_strict_flags", "get_array_api_strict_flags", "reset_array_api_strict_flags",
           "ArrayAPIStrictFlags", "__version__"}  # fmt: skip

# Each case is a call of f with arrays x and y of shape (3, 4) and one dtype; xp is the namespace, s a square matrix that is
# symmetric and positive definite, v a vector.
UNARY = """
    abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log log10
    log1p log2 logical_not negative positive real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc
    empty_like ones_like zeros_like matrix_transpose nonzero argmax argmin all any max min sum prod mean std var
    count_nonzero unique_all unique_counts unique_inverse unique_values argsort sort flip tril triu linalg.matrix_transpose
"""
BINARY = """
    add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide greater
    greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum minimum multiply nextafter not_equal
    pow remainder subtract isin vecdot linalg.vecdot meshgrid broadcast_arrays
"""
CASES = {
    "argmax": [lambda f, x: f(x, axis=1, keepdims=True)],
    "argmin": [lambda f, x: f(x, axis=0)],
    "argsort": [lambda f, x: f(x, axis=0), lambda f, x: f(x, descending=True), lambda f, x: f(x, axis=0, stable=False)],
    "sort": [lambda f, x: f(x, axis=0), lambda f, x: f(x, descending=True)],
    "astype": [lambda f, x, xp: f(x, xp.float32), lambda f, x, xp: f(x, xp.complex128, copy=False)],
    "asarray": [lambda f, x: f(x), lambda f, x, xp: f(x, dtype=x.dtype, copy=True), lambda f: f([[1, 2], [3, 4]])],
    "from_dlpack": [lambda f, x: f(x)],
    "broadcast_to": [lambda f, x: f(x, (2, 3, 4))],
    "clip": [lambda f, x, y: f(x, min=y), lambda f, x, y: f(x, max=y), lambda f, x: f(x, 1, 2)],
    "concat": [lambda f, x, y: f([x, y]), lambda f, x, y: f((x, y), axis=1), lambda f, x, y: f([x, y], axis=None)],
    "cumulative_prod": [lambda f, x: f(x, axis=1), lambda f, x: f(x, axis=0, include_initial=True)],
    "cumulative_sum": [lambda f, x: f(x, axis=1), lambda f, x: f(x, axis=0, include_initial=True), lambda f, v: f(v)],
    "diff": [lambda f, x: f(x), lambda f, x, y: f(x, axis=0, n=2, prepend=y)],
    "expand_dims": [lambda f, x: f(x, axis=1)],
    "flip": [lambda f, x: f(x, axis=0)],
    "full_like": [lambda f, x: f(x, 1), lambda f, x, xp: f(x, 2.0, dtype=xp.float32)],
    "matmul": [lambda f, x, s: f(x, s), lambda f, v, s: f(v, s), lambda f, v: f(v, v)],
    "moveaxis": [lambda f, x: f(x, 0, 1)],
    "permute_dims": [lambda f, x: f(x, (1, 0))],
    "repeat": [lambda f, x: f(x, 2, axis=1), lambda f, v, xp: f(v, xp.asarray([1, 0, 2, 1]))],
    "reshape": [lambda f, x: f(x, (2, -1)), lambda f, x: f(x, (12,), copy=True)],
    "roll": [lambda f, x: f(x, 1), lambda f, x: f(x, (1, 2), axis=(0, 1))],
    "searchsorted": [lambda f, v, x, xp: f(xp.sort(v), xp.reshape(x, (12,)), side="right")],
    "squeeze": [lambda f, x: f(x[None, ...], axis=0)],
    "stack": [lambda f, x, y: f([x, y], axis=-1)],
    "take": [lambda f, x, xp: f(x, xp.asarray([2, 0]), axis=0), lambda f, v, xp: f(v, xp.asarray([1, 1]))],
    "take_along_axis": [lambda f, x, xp: f(x, xp.argsort(x, axis=1), axis=1)],
    "tensordot": [lambda f, x, y: f(x, y, axes=((0,), (0,))), lambda f, x, s: f(x, s, axes=1)],
    "tile": [lambda f, x: f(x, (2, 1))],
    "unstack": [lambda f, x: f(x), lambda f, x: f(x, axis=1)],
    "where": [lambda f, x, y: f(x > y, x, y), lambda f, x, y, xp: f(xp.equal(x, y), x, 0)],
    "vecdot": [lambda f, x, y: f(x, y, axis=0)],
    "bitwise_left_shift": [lambda f, x: f(x, 1)],
    "pow": [lambda f, x: f(x, 2)],
    "count_nonzero": [lambda f, x: f(x, axis=1)],
    **{
        name: [lambda f, x: f(x, axis=1), lambda f, x: f(x, axis=(0, 1), keepdims=True)]
        for name in ("all", "any", "max", "min", "sum", "prod", "mean")
    },
    **{name: [lambda f, x: f(x, axis=0, correction=1.0)] for name in ("std", "var")},
    "sum": [lambda f, x, xp: f(x, dtype=xp.complex128)],
    # creation, data types
    "arange": [lambda f: f(5), lambda f: f(1, 9, 2), lambda f: f(0.0, 1.0, 0.25), lambda f, xp: f(3, dtype=xp.float32)],
    "empty": [lambda f: f((2, 0)), lambda f, xp: f((0,), dtype=xp.int8)],
    "eye": [lambda f: f(3), lambda f: f(2, 3, k=1), lambda f, xp: f(2, dtype=xp.float32)],
    "full": [lambda f: f((2, 3), 1.5), lambda f: f(2, True), lambda f, xp: f((), 3, dtype=xp.uint8)],
    "linspace": [lambda f: f(0, 1, 5), lambda f: f(0, 1, 4, endpoint=False)],
    "ones": [lambda f: f(3), lambda f, xp: f((2, 1), dtype=xp.int16)],
    "zeros": [lambda f: f(3), lambda f, xp: f((2, 1), dtype=xp.complex64)],
    "tril": [lambda f, x: f(x, k=1)],
    "triu": [lambda f, x: f(x, k=-1)],
    "meshgrid": [lambda f, v: f(v, v, indexing="ij")],
    "broadcast_shapes": [lambda f: f((2, 1), (3,))],
    "can_cast": [lambda f, x: f(x, x.dtype), lambda f, xp: f(xp.int8, xp.uint8), lambda f, xp: f(xp.int8, xp.int16)],
    "finfo": [lambda f, x: [f(x).bits, f(x).eps, f(x).max, f(x).smallest_normal], lambda f, xp: f(xp.float32).min],
    "iinfo": [lambda f, x: [f(x).bits, f(x).max, f(x).min]],
    "isdtype": [lambda f, x: f(x.dtype, "real floating"), lambda f, x: f(x.dtype, ("integral", "bool"))],
    "result_type": [lambda f, x, xp: str(f(x, xp.int8)).rpartition(".")[2]],
    "__array_namespace_info__": [lambda f: f().default_device() is not None, lambda f: sorted(f().dtypes(kind="integral"))],
    # extensions
    "linalg.cholesky": [lambda f, s: f(s), lambda f, s: f(s, upper=True)],
    "linalg.cross": [lambda f, x: f(x[:, :3], x[:, 1:])],
    "linalg.det": [lambda f, s: f(s)],
    "linalg.diagonal": [lambda f, x: f(x, offset=1)],
    "linalg.eig": [lambda f, s: f(s).eigenvalues],
    "linalg.eigvals": [lambda f, s: f(s)],
    "linalg.eigh": [lambda f, s: f(s).eigenvalues],
    "linalg.eigvalsh": [lambda f, s: f(s)],
    "linalg.inv": [lambda f, s: f(s)],
    "linalg.matmul": [lambda f, x, s: f(x, s)],
    "linalg.matrix_norm": [lambda f, x: f(x), lambda f, x: f(x, ord="nuc", keepdims=True), lambda f, x: f(x, ord=1)],
    "linalg.matrix_power": [lambda f, s: f(s, 3), lambda f, s: f(s, -1), lambda f, s: f(s, 0)],
    "linalg.matrix_rank": [lambda f, x: f(x), lambda f, s: f(s, rtol=0.9)],
    "linalg.outer": [lambda f, v: f(v, v)],
    "linalg.pinv": [lambda f, x: f(x), lambda f, x: f(x, rtol=0.1)],
    "linalg.qr": [lambda f, x: f(x).R, lambda f, x: f(x, mode="complete").Q],
    "linalg.slogdet": [lambda f, s: f(s), lambda f, s: f(s).logabsdet],
    "linalg.solve": [lambda f, s, v: f(s, v), lambda f, s, x: f(s, x.mT)],
    "linalg.svd": [lambda f, x: f(x).S, lambda f, x: f(x, full_matrices=False).S],
    "linalg.svdvals": [lambda f, x: f(x)],
    "linalg.tensordot": [lambda f, x, y: f(x, y)],
    "linalg.trace": [lambda f, x: f(x, offset=-1)],
    "linalg.vector_norm": [lambda f, x: f(x), lambda f, x: f(x, axis=1, ord=1, keepdims=True), lambda f, x: f(x, ord=np.inf)],
    **{f"fft.{name}": [lambda f, x: f(x), lambda f, x: f(x, axis=0, norm="ortho"), lambda f, x: f(x, n=5)]
       for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{f"fft.{name}": [lambda f, x: f(x), lambda f, x: f(x, s=(2, 4), axes=(0, 1), norm="forward")]
       for name in ("fftn", "ifftn", "rfftn", "irfftn")},
    "fft.fftfreq": [lambda f: f(5), lambda f, xp: f(4, d=0.5, dtype=xp.float32)],
    "fft.rfftfreq": [lambda f: f(5), lambda f, xp: f(4, dtype=xp.float32)],
    "fft.fftshift": [lambda f, x: f(x), lambda f, x: f(x, axes=1)],
    "fft.ifftshift": [lambda f, x: f(x)],
}  # fmt: skip
for _name in UNARY.split():
    CASES.setdefault(_name, []).append(lambda f, x: f(x))
for _name in BINARY.split():
    CASES.setdefault(_name, []).append(lambda f, x, y: f(x, y))


def names(namespace):
    """What the standard has in its namespace and the two extensions, by array-api-strict's lists."""
    yield from (name for name in namespace.__all__ if name not in ITS_OWN | {"linalg", "fft"})
    yield from (f"linalg.{name}" for name in namespace.linalg.__all__)
    yield from (f"fft.{name}" for name in namespace.fft.__all__)


def found(namespace, name):
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


FUNCTIONS = [name for name in names(strict) if callable(found(strict, name)) and name not in DTYPES]


def inputs(dtype):
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype).kind
    x, y, s = rng.integers(0, 4, (3, 4)), rng.integers(1, 4, (3, 4)), np.eye(4) * 3 + 1
    if kind in "fc":
        x, y = x + rng.random((3, 4)) - 0.5, y + rng.random((3, 4)) / 2
    if kind == "c":
        x, y = x + 1j * y, y - 1j * x
    return {"x": x.astype(dtype), "y": y.astype(dtype), "s": s.astype(dtype), "v": y[0].astype(dtype)}


def run(case, xp, name, dtype, wrap):
    arrays = {**inputs(dtype), "xp": xp, "f": found(xp, name)}
    return case(*(wrap(arrays[p]) if p in "xysv" else arrays[p] for p in inspect.signature(case).parameters))


def agree(got, expected, name):
    if isinstance(expected, (tuple, list)):
        assert len(got) == len(expected)
        if hasattr(expected, "_fields"):
            assert got._fields == expected._fields
        for g, e in zip(got, expected, strict=True):
            agree(g, e, name)
    elif isinstance(expected, strict._array_object.Array):
        assert isinstance(got, Variable), f"{name} returned {type(got)}"
        assert got.dtype == expected.dtype._np_dtype
        assert got.shape == expected.shape
        if not name.startswith("empty"):
            np.testing.assert_allclose(got.data, expected._array, rtol=1e-4, atol=1e-4)
    else:
        assert got == expected


@pytest.mark.parametrize("grad", [False, True], ids=["constant", "recorded"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_beside_array_api_strict(name, grad):
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in DTYPES:
            if grad and np.dtype(dtype).kind not in "fc":
                continue
            for case in CASES[name]:
                try:
                    expected = run(case, strict, name, dtype, strict.asarray)
                except (TypeError, ValueError, np.linalg.LinAlgError):  # not for this dtype
                    continue
                if name == "from_dlpack" and grad:
                    continue
                got = run(case, array_api, name, dtype, lambda a: Variable(a, requires_grad=grad))
                agree(got, expected, name)
                compared += 1
    assert compared or grad


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)], ids=str)
def test_no_axes_and_no_elements(shape):
    for name in array_api._ELEMENTWISE.split():
        f, g = found(array_api, name), found(strict, name)
        for dtype in ("bool", "int64", "float32", "complex128"):
            arrays = [np.ones(shape, dtype)] * (1 if name in UNARY.split() or name == "clip" else 2)
            with np.errstate(all="ignore"):
                try:
                    expected = g(*map(strict.asarray, arrays))
                except TypeError:
                    continue
                agree(f(*[Variable(a, requires_grad=False) for a in arrays]), expected, name)


def test_every_name_of_the_standard_is_there():
    missing = {name for name in names(strict) if not _has(name)}
    assert not missing


def _has(name):
    try:
        found(array_api, name)
    except AttributeError:
        return False
    return True


def test_parameters_are_those_of_the_standard():
    for name in FUNCTIONS:
        if name == "__array_namespace_info__":
            continue
        try:
            ours = inspect.signature(found(array_api, name))
        except ValueError:  # NumPy doesn't tell
            continue
        for i, p in enumerate(inspect.signature(found(strict, name)).parameters.values()):
            if p.kind is p.KEYWORD_ONLY and not any(q.kind is q.VAR_KEYWORD for q in ours.parameters.values()):
                assert p.name in ours.parameters, f"{name}({p.name}=...)"
            if p.kind is p.POSITIONAL_OR_KEYWORD:
                assert list(ours.parameters)[i] == p.name, f"{name}: parameter {i}"


# ---- the array object -----------------------------------------------------------------------------------


def test_what_the_array_object_has():
    x = Variable(np.ones((2, 3), "f4"))
    its_own = {"__annotations__", "__buffer__"} | {n for n in dir(strict.asarray(1.0)) if n[0] == "_" != n[1]}
    assert {name for name in dir(strict.asarray(1.0)) if not hasattr(x, name)} == its_own
    assert x.__array_namespace__(api_version="2023.12") is array_api
    with pytest.raises(ValueError, match="1999"):
        x.__array_namespace__(api_version="1999.12")
    assert x.device == array_api.__array_namespace_info__().default_device()
    assert x.to_device(x.device) is x
    with pytest.raises(TypeError, match="not recorded"):
        x.to_device("elsewhere")
    assert (x.mT.shape, x.T.shape) == ((3, 2), (3, 2))
    assert complex(Variable(np.array(1 + 2j))) == 1 + 2j


OF_TWO = "add sub mul truediv floordiv mod pow and_ or_ xor lshift rshift lt le gt ge eq ne matmul"


@pytest.mark.parametrize("name", [*OF_TWO.split(), "neg", "pos", "abs", "invert"])
def test_operators(name):
    operate = getattr(operator, name)
    for dtype in DTYPES:
        given = inputs(dtype)
        x, y = given["x"], given["s" if name == "matmul" else "y"]
        number = y.flat[0].item()
        for operands in ((x, y), (x, number), (number, x)) if name in OF_TWO.split() else ((x,),):
            try:
                expected = operate(*[strict.asarray(a) if a is x or a is y else a for a in operands])
            except (TypeError, ValueError):  # not for this dtype
                continue
            for grad in (False, True):
                with np.errstate(all="ignore"):
                    got = operate(*[Variable(a, requires_grad=grad) if a is x or a is y else a for a in operands])
                agree(array_api.asarray(got), expected, name)


IN_PLACE = "iadd isub imul itruediv ifloordiv imod ipow iand ior ixor ilshift irshift"


@pytest.mark.parametrize("name", IN_PLACE.split())
def test_operators_in_place_keep_the_array(name):
    operate = getattr(operator, name)
    for dtype in DTYPES:
        given = inputs(dtype)
        for other in (given["y"], given["y"].flat[0].item()):
            try:
                expected = operate(strict.asarray(given["x"].copy()), strict.asarray(other) if other is given["y"] else other)
            except TypeError:  # not for this dtype
                continue
            for grad in (False, True):
                x = Variable(given["x"].copy(), requires_grad=grad)
                with np.errstate(all="ignore"):
                    assert operate(x, other) is x
                agree(x, expected, name)
                with cr.no_grad(), np.errstate(all="ignore"):
                    x = Variable(given["x"].copy(), requires_grad=grad)
                    data = x.data
                    assert operate(x, other) is x and x.data is data
                agree(x, expected, name)


def test_steps_in_place_end_the_record():
    x = Variable(np.array([3.0, 5.0]))
    y = x * x
    before = np.sum(y)
    y //= 2
    assert not y.requires_grad
    np.testing.assert_array_equal(y, [4.0, 12.0])
    before.backward()
    np.testing.assert_array_equal(x.grad, [6.0, 10.0])
    i = Variable(np.array([6, 7]))
    with pytest.raises(TypeError, match="dtype float64 does not fit"):
        i //= 2.5
    with pytest.raises(RuntimeError, match="no_grad"):
        weight = cr.Parameter(np.ones(2))
        weight //= 2


def test_dlpack_takes_what_numpy_takes():
    x = Variable(np.arange(3.0), requires_grad=False)
    copied = np.from_dlpack(x, copy=True)
    assert not np.shares_memory(copied, x.data)
    np.testing.assert_array_equal(copied, x.data)
    assert np.shares_memory(np.from_dlpack(x, copy=False), x.data)
    assert set(inspect.signature(x.__dlpack__).parameters) == {"stream", "max_version", "dl_device", "copy"}


def test_dlpack_would_lose_the_gradient():
    x = Variable(np.arange(3.0))
    with pytest.raises(TypeError, match="lose its gradient"):
        np.from_dlpack(x)
    with cr.no_grad():
        assert np.shares_memory(np.from_dlpack(x), x.data)
    np.testing.assert_array_equal(np.from_dlpack(x.detach()), x.data)
    assert x.__dlpack_device__() == x.data.__dlpack_device__()


# ---- the letter of the standard, where NumPy has another ------------------------------------------------


def test_limits_are_numbers_of_python():
    for dtype in ("float32", "float64", "complex64", "complex128"):
        for given in (getattr(array_api, dtype), array_api.ones((), dtype=getattr(array_api, dtype))):
            info = array_api.finfo(given)
            expected = strict.finfo(getattr(strict, dtype))
            assert type(info.bits) is int and info.bits == expected.bits
            for name in ("eps", "max", "min", "smallest_normal"):
                assert type(getattr(info, name)) is float and getattr(info, name) == getattr(expected, name)
            assert info.dtype == expected.dtype._np_dtype


def test_clip_takes_its_bounds_by_position_or_name():
    x = Variable(np.array([-2.0, 0.5, 3.0]))
    for clipped in (array_api.clip(x, -1, 1), array_api.clip(x, -1, max=1), array_api.clip(x, max=1, min=-1)):
        np.testing.assert_array_equal(clipped.data, [-1.0, 0.5, 1.0])
    np.testing.assert_array_equal(array_api.clip(x, max=np.array(1.0)).data, [-2.0, 0.5, 1.0])
    cr.check_grads(lambda x: array_api.clip(x, -1, max=1) ** 2, (x.data,))


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="NumPy 2.0 wants a bound")
def test_clip_without_bounds_is_a_copy():
    x = Variable(np.array([-2.0, np.nan]))
    same = array_api.clip(x)
    np.testing.assert_array_equal(same.data, x.data)
    assert same.requires_grad


@pytest.mark.parametrize("grad", [False, True], ids=["constant", "recorded"])
@pytest.mark.parametrize("lengths", [((3,), (1,)), ((0,), (1,)), ((2, 3), (1, 1))], ids=str)
def test_vectors_of_a_product_have_one_length(lengths, grad):
    x, y = (Variable(np.ones(shape), requires_grad=grad) for shape in lengths)
    for vecdot in (array_api.vecdot, array_api.linalg.vecdot):
        with pytest.raises(ValueError, match="vecdot"):
            vecdot(x, y)


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, -2.0, 2.5, -3.0, 7.0]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("grad", [False, True], ids=["constant", "recorded"])
@pytest.mark.parametrize("name", array_api._ELEMENTWISE.split())
def test_special_values(name, grad):
    """NaN, infinities and zeros of both signs, every one with every other one, as numbers and as their components."""
    f, g = found(array_api, name), found(strict, name)
    real, imaginary = np.meshgrid(SPECIAL, SPECIAL)
    z = np.empty(real.shape, complex)
    z.real, z.imag = real, imaginary
    for arrays, dtypes in (((real, imaginary), ("float32", "float64")), ((z, z[::-1, ::-1]), ("complex64", "complex128"))):
        if name == "sign" and arrays[0] is z:  # of a complex infinity: NumPy's own
            continue
        for dtype in dtypes:
            given = [a.astype(dtype) for a in arrays][: 1 if name in UNARY.split() else 2]
            try:
                expected = g(*map(strict.asarray, given))._array
            except (TypeError, ValueError):  # not for this dtype
                continue
            got = f(*[Variable(a, requires_grad=grad) for a in given]).data
            assert got.dtype == expected.dtype
            for ours, theirs in ((got.real, expected.real), (got.imag, expected.imag)):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5 if dtype in ("float32", "complex64") else 1e-13)
                zeros = theirs == 0
                np.testing.assert_array_equal(np.signbit(ours[zeros]), np.signbit(theirs[zeros]))


# ---- gradients ------------------------------------------------------------------------------------------


def softmax(x):
    xp = x.__array_namespace__()
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def test_code_for_any_array_is_differentiated():
    a = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(softmax(Variable(a)).data, softmax(a))
    cr.check_grads(softmax, (a,))
    cr.check_grads(lambda x: array_api.sort(x, axis=0, descending=True), (a,))
    cr.check_grads(lambda x: array_api.where(array_api.greater(x, 0), x, array_api.zeros_like(x)), (a,))


STEPS = "ceil floor floor_divide nextafter round sign trunc unique_all unique_counts unique_inverse unique_values"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_gradient_is_lost(name):
    """Real results of what needs a gradient do too, but for creation functions and steps."""
    if name in f"{array_api._CREATION} {STEPS}".split() and name not in ("meshgrid", "tril", "triu"):
        return
    for case in CASES[name]:
        if name in ("from_dlpack", "linalg.matrix_power") or not {"x", "y", "s", "v"} & set(inspect.signature(case).parameters):
            continue
        try:
            got = run(case, array_api, name, "float64", Variable)
        except (TypeError, ValueError):  # not for real numbers
            continue
        for g in got if isinstance(got, (tuple, list)) else [got]:
            assert not isinstance(g, Variable) or g.dtype.kind not in "fc" or g.requires_grad


def test_what_is_recorded_and_what_is_constant():
    x = Variable(np.array([1.0, 2.0]))
    assert array_api.asarray(x) is x
    assert array_api.asarray(x, copy=True).requires_grad
    assert array_api.asarray(x, dtype=np.float32).requires_grad
    with pytest.raises(ValueError, match="copy=False"):
        array_api.asarray(x, dtype=np.float32, copy=False)
    nested = array_api.asarray([[x[0], 1.0], [2.0, x[1]]])
    assert nested.requires_grad and nested.shape == (2, 2)
    constants = [array_api.asarray([1.0]), array_api.zeros(2), array_api.ones_like(x), array_api.less(x, 2), array_api.argmax(x),
                 array_api.sin(x.detach())]  # fmt: skip
    assert all(isinstance(c, Variable) and not c.requires_grad for c in constants)
    with cr.no_grad():
        assert not array_api.sin(x).requires_grad
    with pytest.raises(AttributeError, match="no 'sinc'"):
        array_api.sinc  # noqa: B018
    assert dir(array_api) == sorted(array_api.__all__)


# ---- libraries that are written in the standard ----------------------------------------------------------

EXTRA = {
    "at": lambda xpx, xp, x: xpx.at(x)[1:].multiply(2.0, copy=True),
    "at a mask": lambda xpx, xp, x: xpx.at(x)[x > 0].set(1.0, copy=True),
    "apply_where": lambda xpx, xp, x: xpx.apply_where(xp.greater(x, 0), x, xp.log, fill_value=-1.0),
    "atleast_nd": lambda xpx, xp, x: xpx.atleast_nd(x, ndim=3),
    "cov": lambda xpx, xp, x: xpx.cov(x),
    "create_diagonal": lambda xpx, xp, x: xpx.create_diagonal(x[0], offset=1),
    "kron": lambda xpx, xp, x: xpx.kron(x, x[0]),
    "nan_to_num": lambda xpx, xp, x: xpx.nan_to_num(x),
    "pad": lambda xpx, xp, x: xpx.pad(x, ((1, 0), (0, 2)), constant_values=3.0),
    "sinc": lambda xpx, xp, x: xpx.sinc(x),
}


@pytest.mark.parametrize("name", EXTRA)
def test_array_api_extra(name):
    xpx = pytest.importorskip("array_api_extra", reason="pip install array-api-extra")
    a = np.random.default_rng(0).normal(size=(3, 4))
    expected = EXTRA[name](xpx, np, a)
    for grad in (False, True):
        got = EXTRA[name](xpx, array_api, Variable(a, requires_grad=grad))
        assert isinstance(got, Variable) and got.requires_grad == grad
        np.testing.assert_allclose(got.data, expected)
    cr.check_grads(lambda x: EXTRA[name](xpx, array_api, x), (a,))


def test_array_api_compat():
    compat = pytest.importorskip("array_api_compat", reason="pip install array-api-compat")
    x = Variable(np.ones((2, 3)))
    assert compat.array_namespace(x, array_api.zeros(2), 1.0) is array_api
    assert compat.is_array_api_obj(x) and not compat.is_lazy_array(x)
    assert (compat.device(x), compat.size(x)) == ("cpu", 6)
    assert compat.to_device(x, "cpu") is x
