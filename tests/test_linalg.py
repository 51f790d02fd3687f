"""np.linalg on Variables: values as NumPy's, gradients to second order, and beside PyTorch's.

Outputs that are given up to a choice (signs, phases, a basis) are tested through functions to which it makes no difference.
"""

import gc

import numpy as np
import pytest

import chainrule as cr
from chainrule import Variable, check_grads
from chainrule.kernels import small_matrices

L = np.linalg
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def matrices(*shape, dtype="d", seed=0):
    """Random matrices whose singular values are well apart."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=shape) + (1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else 0)
    u, _, vh = L.svd(a, full_matrices=False)
    k = min(shape[-2:])
    return ((u * np.linspace(0.6, 0.6 + 0.7 * k, k)[::-1]) @ vh).astype(dtype)


def hermitian(a):
    return a + np.conj(a.mT)


def positive(a):
    return a @ np.conj(a.mT) + 0.5 * np.eye(a.shape[-1], dtype=a.dtype)


def values(f, *args):
    """The function on Variables beside the function on arrays."""
    ours, numpys = f(*map(Variable, args)), f(*args)
    several = isinstance(numpys, tuple)
    for y, expected in zip(ours if several else [ours], numpys if several else [numpys], strict=True):
        y = getattr(y, "data", y)
        np.testing.assert_allclose(y, expected, atol=1e-10)
        assert np.shape(y) == np.shape(expected)
        assert np.asarray(y).dtype.kind == np.asarray(expected).dtype.kind


SQUARE = [matrices(*shape, dtype=dtype) for shape in [(3, 3), (2, 2, 2), (1, 1)] for dtype in "dD"]
RECTANGULAR = [matrices(*shape, dtype=dtype) for shape in [(3, 2), (2, 3), (2, 3, 2), (1, 3)] for dtype in "dD"]


def case_id(a):
    return f"{a.dtype.char}{a.shape}".replace(" ", "") if hasattr(a, "dtype") else None


over_square = pytest.mark.parametrize("a", SQUARE, ids=case_id)
over_all = pytest.mark.parametrize("a", SQUARE + RECTANGULAR, ids=case_id)

# ---- inverses and determinants --------------------------------------------------------------------------

OF_SQUARE = {
    "inv": L.inv,
    "det": L.det,
    "slogdet": L.slogdet,
    "matrix_power 0": lambda a: L.matrix_power(a, 0) * a,
    "matrix_power 1": lambda a: L.matrix_power(a, 1),
    "matrix_power 2": lambda a: L.matrix_power(a, 2),
    "matrix_power 5": lambda a: L.matrix_power(a, 5),
    "matrix_power -3": lambda a: L.matrix_power(a, -3),
    "eigvals": lambda a: L.eigvals(a),
    "trace": lambda a: L.trace(a),
    **{f"cond {p}": lambda a, p=p: L.cond(a, p) for p in (None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc")},
}


@over_square
@pytest.mark.parametrize("name", OF_SQUARE)
def test_of_square_matrices(name, a):
    if name != "cond nuc" or a.dtype == float:  # slow
        check_grads(OF_SQUARE[name], (a,))
    values(OF_SQUARE[name], a)


SOLVED = [
    ((3, 3), (3,)),
    ((3, 3), (3, 2)),
    ((2, 3, 3), (3,)),
    ((2, 3, 3), (2, 3, 1)),
    ((2, 3, 3), (3, 2)),
    ((3, 3), (2, 3, 2)),
    ((2, 1, 2, 2), (3, 2, 2)),
    ((1, 1), (1,)),
]


@pytest.mark.parametrize("shapes", SOLVED, ids=str)
@pytest.mark.parametrize("dtypes", ["dd", "DD", "dD", "Dd"])
def test_solve(shapes, dtypes):
    a, b = (matrices(*shapes[0], dtype=dtypes[0]), matrices(*shapes[1][-2:], 2, dtype=dtypes[1])[..., 0])
    b = np.random.default_rng(1).normal(size=shapes[1]).astype(dtypes[1]) * (1 + 0.5j if dtypes[1] == "D" else 1)
    check_grads(L.solve, (a, b), order=2 if "D" not in dtypes else 1)
    check_grads(lambda a: L.solve(a, b), (a,))
    check_grads(lambda b: L.solve(a, b) ** 2, (b,))
    values(L.solve, a, b)


@pytest.mark.parametrize("shapes", [[(24, 24), (24, 2)], [(24, 24), (3, 24, 2)], [(2, 24, 24), (2, 24, 1)], [(4, 4), (4, 0)]])
@pytest.mark.parametrize("dtypes", ["dd", "DD", "Dd", "dD", "fd"])
def test_one_factorisation_serves_all_orders(shapes, dtypes):
    """Of matrices in C order, in Fortran's, and strided; beside a general path that has no LAPACK of SciPy's."""
    a, b = (np.random.default_rng(i).normal(size=s).astype(t) for i, (s, t) in enumerate(zip(shapes, dtypes, strict=True)))
    a += 6 * np.eye(a.shape[-1], dtype=a.dtype)
    strided = np.zeros((*a.shape, 2), a.dtype)
    strided[..., 0] = a
    tolerance = 1e-4 if "f" in dtypes else 1e-9
    for same in (a, np.asfortranarray(a), np.ascontiguousarray(a.mT).mT, strided[..., 0]):
        for f in (
            L.solve,
            lambda a, b: L.inv(a) @ b,
            lambda a, b: L.det(a / 6) * b,
            lambda a, b: L.slogdet(a)[1][..., None, None] * b,
        ):
            np.testing.assert_allclose(f(Variable(same), Variable(b)).data, f(a, b), rtol=tolerance, atol=tolerance)
    if dtypes == "dd" and b.size:
        direction = 0.1 * np.random.default_rng(3).normal(size=a.shape)
        check_grads(lambda t, b: L.solve(a + t * direction, b), [np.array(0.3), b])
        check_grads(lambda b: L.solve(a, b), [b])
        check_grads(lambda t: L.slogdet(a + t * direction)[1] + L.det((a + t * direction) / 6), [np.array(0.3)])


def test_solve_inside_of_transforms():
    a, b = matrices(4, 20, 20) + 2 * np.eye(20), matrices(4, 20, 3)
    one = cr.grad(lambda a, b: np.sum(np.sin(L.solve(a, b))), (0, 1))
    for axes, args in [((0, 0), (a, b)), ((0, None), (a, b[0])), ((None, 0), (a[0], b))]:
        pairs = [(a[i if axes[0] == 0 else 0], b[i if axes[1] == 0 else 0]) for i in range(4)]
        for made, expected in zip(
            cr.vmap(one, in_axes=axes)(*args), zip(*[one(*pair) for pair in pairs], strict=True), strict=True
        ):
            np.testing.assert_allclose(made, np.stack(expected), atol=1e-10)
    forward, reverse = (cr.jacobian(L.solve, mode=mode)(a[0, :5, :5], b[0, :5]) for mode in ("forward", "reverse"))
    np.testing.assert_allclose(forward, reverse, atol=1e-10)


def test_solve_with_lists():
    a = Variable(np.array([[2.0, 0.0], [0.0, 4.0]]))
    np.testing.assert_allclose(L.solve(a, [2, 4]).data, [1, 1])
    b = Variable(np.array([2.0, 4.0]))
    np.sum(L.solve([[2, 0], [0, 4]], b)).backward()
    np.testing.assert_allclose(b.grad, [0.5, 0.25])


@pytest.mark.parametrize("dtype", ["d", "D"])
def test_det_of_singular_matrices(dtype):
    a = matrices(3, 3, dtype=dtype)
    a[2] = a[0] * 2 - a[1]
    a[:, 2] = 0  # an exact zero among the pivots
    assert L.det(a) == 0
    check_grads(L.det, (a,))
    check_grads(L.det, (np.stack([a, matrices(3, 3, dtype=dtype), np.eye(3, dtype=dtype)]),))
    for rank in (0, 1):
        check_grads(L.det, (matrices(3, 3, dtype=dtype) * (np.arange(3) < rank),))
    check_grads(L.det, (np.zeros((1, 1), dtype),))
    x = Variable(np.zeros((3, 3), dtype))
    L.det(x).backward()
    np.testing.assert_array_equal(x.grad, 0)


def test_matrix_power_0_is_constant():
    with pytest.raises(RuntimeError, match="constants"):
        L.matrix_power(Variable(np.eye(2)), 0).backward()
    with pytest.raises(TypeError):
        L.matrix_power(Variable(np.eye(2)), 0.5)


@over_all
@pytest.mark.parametrize("options", [{}, {"rcond": 1e-3}, {"rtol": 1e-3}], ids=str)
def test_pinv(a, options):
    check_grads(lambda a: L.pinv(a, **options), (a,), order=1 if options else 2)
    values(lambda a: L.pinv(a, **options), a)


@over_square
def test_pinv_of_hermitian(a):
    check_grads(lambda a: L.pinv(a, hermitian=True), (hermitian(a),))
    values(lambda a: L.pinv(a, hermitian=True), hermitian(a))


def test_pinv_of_deficient_rank():
    u, vh = matrices(4, 2), matrices(2, 3)
    check_grads(lambda u, vh: L.pinv(u @ vh, rcond=1e-6), (u, vh))


@over_all
def test_lstsq(a):
    if a.ndim > 2:
        return
    for b in (np.arange(1.0, len(a) + 1), matrices(len(a), 2, dtype=a.dtype, seed=1)):
        check_grads(lambda a, b: [y for y in L.lstsq(a, b) if isinstance(y, Variable)], (a, b))
        values(L.lstsq, a, b)
    *_, rank, _ = L.lstsq(Variable(a), b)
    assert rank == min(a.shape)


def test_lstsq_rcond_and_rank():
    a = np.array([[1.0, 1.0], [2.0, 2.0], [0.5, 0.5]])
    values(L.lstsq, a, np.arange(3.0))
    values(lambda a, b: L.lstsq(a, b, rcond=0.5), np.diag([1.0, 0.1])[[0, 1, 1]], np.arange(3.0))
    values(lambda a, b: L.lstsq(a, b, rcond=-1), matrices(3, 2), np.arange(3.0))
    with pytest.raises(ValueError):
        L.lstsq(Variable(a), np.ones(2))
    with pytest.raises(L.LinAlgError, match="must be a matrix"):
        L.lstsq(Variable(np.ones((2, 3, 3))), np.ones(3))


def test_lstsq_of_dependent_columns():
    u, v, b = matrices(5, 2), matrices(2, 3, seed=1), matrices(5, 2, seed=2)
    check_grads(lambda u, v, b: L.lstsq(u @ v, b, rcond=1e-6)[0], [u, v, b])
    check_grads(lambda u, v: L.lstsq(u @ v, b[:, 0], rcond=1e-6)[0], [u + 0.3j, v])


def test_lstsq_inside_of_transforms():
    a, b = matrices(4, 5, 3), matrices(4, 5)
    made = cr.vmap(lambda a, b: L.lstsq(a, b)[0])(a, b)
    np.testing.assert_allclose(made, [L.lstsq(x, y)[0] for x, y in zip(a, b, strict=True)], atol=1e-12)
    modes = [cr.jacobian(lambda a: L.lstsq(a, b[0])[0], mode=mode)(a[0]) for mode in ("forward", "reverse")]
    np.testing.assert_allclose(*modes, atol=1e-12)


def test_tensorsolve_and_tensorinv():
    a = matrices(6, 6)
    b = np.arange(1.0, 7.0)
    for shape, of_b, axes in [
        ((2, 3, 6), (2, 3), None),
        ((6, 2, 3), (6,), None),
        ((2, 6, 3), (2, 3), (1,)),
        ((6, 3, 2), (3, 2), (0,)),
    ]:

        def f(a, b, shape=shape, of_b=of_b, axes=axes):
            return L.tensorsolve(np.reshape(a, shape), np.reshape(b, of_b), axes)

        check_grads(f, (a, b), order=1 if axes else 2)
        values(f, a, b)
    for shape, ind in [((2, 3, 6), 2), ((6, 3, 2), 1)]:
        values(lambda a, shape=shape, ind=ind: L.tensorinv(np.reshape(a, shape), ind), a)
        check_grads(lambda a, shape=shape, ind=ind: L.tensorinv(np.reshape(a, shape), ind), (a,), order=1)
    with pytest.raises(L.LinAlgError, match="not square"):
        L.tensorsolve(Variable(a), np.ones(3))
    with pytest.raises(ValueError, match="positive"):
        L.tensorinv(Variable(a), 0)


# ---- triangular factors ---------------------------------------------------------------------------------


@over_square
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(a, upper):
    check_grads(lambda a: L.cholesky(a, upper=upper), (positive(a),))
    values(lambda a: L.cholesky(a, upper=upper), positive(a))


@over_all
@pytest.mark.parametrize("mode", ["reduced", "r"])
def test_qr(a, mode):
    check_grads(lambda a: L.qr(a, mode), (a,))
    values(lambda a: L.qr(a, mode), a)


@pytest.mark.parametrize("dtype", ["d", "D"])
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (4, 2), (2, 3, 1)], ids=str)
def test_complete_qr(shape, dtype):
    a = matrices(*shape, dtype=dtype)
    values(lambda a: L.qr(a, "complete"), a)

    def invariant(a):
        q, r = L.qr(a, mode="complete")
        n = r.shape[-1]
        rest = q[..., n:]
        return q[..., :n], r, rest @ np.conj(rest.mT)

    check_grads(invariant, (a,))


def test_complete_qr_where_it_has_no_gradient():
    a = matrices(4, 2)
    q, _ = L.qr(Variable(a), mode="complete")
    with pytest.raises(TypeError, match=r"qr\(mode='complete'\).*basis.*reduced"):
        np.sum(q[:, 2:] * np.arange(8.0).reshape(4, 2)).backward()
    check_grads(lambda a: L.qr(a, mode="complete"), (matrices(3, 2),))  # the one column that is left is fixed but for its sign
    with pytest.raises(TypeError, match="mode 'raw'"):
        L.qr(Variable(a), mode="raw")


# ---- eigenvalues and singular values --------------------------------------------------------------------


@over_square
@pytest.mark.parametrize("UPLO", ["L", "U", "u"])
def test_eigh(a, UPLO):
    a = hermitian(a)
    a = np.tril(a) if UPLO == "L" else np.triu(a)  # NumPy reads no more
    matrix = np.array([[0.3, -0.2, 0.5], [0.1, 0.7, 0.4], [-0.6, 0.2, 0.9]])[: a.shape[-1], : a.shape[-1]]

    def invariant(a):
        w, v = L.eigh(a, UPLO)
        return w, np.abs(v), (v * np.exp(w)[..., None, :]) @ np.conj(v.mT), np.abs(matrix @ v)

    check_grads(invariant, (a,))
    check_grads(lambda a: L.eigvalsh(a, UPLO), (a,))
    values(lambda a: L.eigvalsh(a, UPLO), a)
    values(lambda a: L.eigh(a, UPLO), a)
    if a.dtype == float:  # signs don't turn
        check_grads(lambda a: L.eigh(a, UPLO), (a,))


@over_square
def test_eig(a):
    matrix = np.array([[0.3, -0.2, 0.5], [0.1, 0.7, 0.4], [-0.6, 0.2, 0.9]])[: a.shape[-1], : a.shape[-1]]

    def invariant(a):
        w, v = L.eig(a)
        return w, np.abs(v), np.abs(matrix @ v), (v * np.exp(w)[..., None, :]) @ L.inv(v)

    check_grads(invariant, (a,))
    values(L.eig, a)
    values(L.eigvals, a)


def test_eig_of_real_matrices_with_real_and_with_complex_eigenvalues():
    real = matrices(3, 3) @ np.diag([1.0, 2.0, 4.0]) @ L.inv(matrices(3, 3))
    if np.lib.NumpyVersion(np.__version__) < "2.5.0":  # since then they are complex always
        assert L.eig(real).eigenvalues.dtype == float
    check_grads(L.eig, (real,))
    turning = np.array([[0.5, -2.0], [1.0, 0.3]])
    assert L.eig(turning).eigenvalues.dtype == complex
    check_grads(L.eigvals, (turning,))


@over_all
@pytest.mark.parametrize("full_matrices", [False, True])
def test_svd(a, full_matrices):
    k = min(a.shape[-2:])
    matrix = np.array([[0.3, -0.2, 0.5], [0.1, 0.7, 0.4], [-0.6, 0.2, 0.9]])

    def invariant(a):
        u, s, vh = L.svd(a, full_matrices)
        u1, v1, u2, v2 = u[..., :k], np.conj(vh.mT)[..., :k], u[..., k:], np.conj(vh.mT)[..., k:]
        m, n = a.shape[-2:]
        parts = [s, (u1 * np.log(s)[..., None, :]) @ np.conj(v1.mT), np.abs(matrix[:m, :m] @ u1), np.abs(matrix[:n, :n] @ v1)]
        return parts + [x @ np.conj(x.mT) for x in (u2, v2) if x.shape[-1]]

    check_grads(invariant, (a,))
    values(lambda a: L.svd(a, full_matrices), a)
    if a.dtype == float and max(a.shape[-2:]) - k < 2:
        check_grads(lambda a: L.svd(a, full_matrices), (a,))


@over_all
def test_singular_values(a):
    for f in (L.svdvals, lambda a: L.svd(a, compute_uv=False), lambda a: L.svd(a, full_matrices=False, compute_uv=False)):
        values(f, a)
    check_grads(L.svdvals, (a,))


@over_square
def test_svd_of_hermitian(a):
    a = np.tril(hermitian(a) - 0.3 * np.eye(a.shape[-1]))

    def invariant(a):
        u, s, vh = L.svd(a, hermitian=True)
        return s, np.abs(u), (u * s[..., None, :] ** 2) @ vh

    check_grads(invariant, (a,))
    values(lambda a: L.svd(a, hermitian=True), a)
    values(lambda a: L.svd(a, compute_uv=False, hermitian=True), a)


def test_svd_where_it_has_no_gradient():
    for a, part in ((matrices(4, 2), 0), (matrices(2, 4), 2)):
        made = L.svd(Variable(a))[part]
        null = made[:, 2:] if part == 0 else made[2:]
        with pytest.raises(TypeError, match=r"full_matrices=True.*null space.*reduced"):
            np.sum(null * np.arange(8.0).reshape(null.shape)).backward()


def test_the_null_vector_of_a_full_svd():
    """The least-squares solution of A x = 0: the last row of Vᴴ, of one row less than columns."""
    check_grads(lambda a: L.svd(a).Vh[-1], (matrices(3, 4),))


def test_equal_eigenvalues_and_singular_values():
    q = L.qr(matrices(4, 4)).Q
    a = (q * np.array([1.0, 1.0, 1.0, 3.0])) @ q.T
    weight = np.random.default_rng(2).normal(size=(4, 4))
    top = q[:, 3:]
    for name, f, expected in [
        ("trace", lambda a: np.sum(L.eigvalsh(a)), np.eye(4)),
        ("trace", lambda a: np.sum(L.eigvals(a)), np.eye(4)),
        ("squares", lambda a: np.sum(L.eigvalsh(a) ** 2), 2 * a),
        ("exponentials", lambda a: np.sum(np.exp(L.eigh(a).eigenvalues)), (q * np.exp([1.0, 1.0, 1.0, 3.0])) @ q.T),
        ("nuclear norm", lambda a: L.norm(a, "nuc"), np.eye(4)),
        ("frobenius", lambda a: np.sum(L.svd(a).S ** 2), 2 * a),
        ("largest", lambda a: L.eigvalsh(a)[-1], top @ top.T),
    ]:
        x = Variable(a)
        f((x + x.T) / 2 if name != "nuclear norm" else x).backward()
        np.testing.assert_allclose(x.grad, expected, atol=1e-9, err_msg=name)

    def onto_eigenspace(a):
        v = L.eigh((a + a.T) / 2).eigenvectors[:, :3]
        return np.sum(weight * (v @ v.T))

    check_grads(onto_eigenspace, (a,), order=1)
    check_grads(lambda a: np.sum(L.svdvals(a)), (q,), order=1)
    for x in (np.eye(3), np.zeros((3, 3)), np.eye(3) + 0j):
        for f in (L.eigh, L.svd, L.eig):
            v = Variable(x)
            sum(np.sum(np.abs(y)) for y in f(v)).backward(create_graph=True)
            assert np.isfinite(v.grad.data).all()


def test_named_results():
    a = Variable(positive(matrices(3, 3)))
    assert L.eigh(a)._fields == L.eig(a)._fields == ("eigenvalues", "eigenvectors")
    assert L.svd(a)._fields == ("U", "S", "Vh")
    assert L.slogdet(a)._fields == ("sign", "logabsdet")
    assert L.qr(a)._fields == L.qr(a[:2])._fields == ("Q", "R")
    assert type(L.eigh(a)) is type(L.eigh(a.data))
    with cr.no_grad():
        assert type(L.eigh(a)) is type(L.eigh(a.data))
    np.sum(L.slogdet(a).logabsdet).backward()
    np.testing.assert_allclose(a.grad, L.inv(a.data).T)


# ---- norms ----------------------------------------------------------------------------------------------

VECTOR = np.array([0.5, -2.0, 0.0, 1.5])
STACK = matrices(2, 3, 4)


@pytest.mark.parametrize("ord", [None, 2, 1, 3, 1.5, np.inf, -np.inf, 0, -1, 0.5])
@pytest.mark.parametrize("complex", [False, True])
def test_vector_norms(ord, complex):
    vector, stack = (x * (1 + 0.5j) if complex else x for x in (VECTOR, STACK[:, :, :2]))
    if ord in (-1, 0.5, -np.inf, 1.5):
        vector = vector + 0.2  # zeros are infinitely steep, or make it 0
    for f in (
        lambda x: L.norm(x, ord),
        lambda x: L.norm(x, ord, axis=0, keepdims=True),
        lambda x: L.vector_norm(x, ord=2 if ord is None else ord),
    ):
        check_grads(f, (vector,), order=1 if ord in (1, 3) else 2)  # not smooth at the 0
        values(f, vector)
    for f in (
        lambda x: L.norm(x, ord, axis=1),
        lambda x: L.norm(x, ord, axis=(-2,), keepdims=True),
        lambda x: L.vector_norm(x, ord=3 if ord is None else ord, axis=(0, 2)),
        lambda x: L.vector_norm(x, ord=3 if ord is None else ord, keepdims=True),
    ):
        check_grads(f, (stack,))
        values(f, stack)


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["d", "D"])
def test_matrix_norms(ord, dtype):
    a = matrices(2, 2, 3, dtype=dtype)
    cases = [
        lambda x: L.norm(x, ord, axis=(-2, -1)),
        lambda x: L.norm(x, ord, axis=(2, 0), keepdims=True),
        lambda x: L.norm(x, ord, (0, 1)),
        lambda x: L.norm(x[0], ord),
        lambda x: L.matrix_norm(x, ord="fro" if ord is None else ord, keepdims=True),
    ]
    for i, f in enumerate(cases):
        check_grads(f, (a,), order=2 if i == 0 else 1)
        values(f, a)


def test_norm_of_any_shape_and_errors():
    check_grads(L.norm, (STACK,))
    check_grads(lambda x: L.norm(x, keepdims=True), (STACK,))
    values(lambda x: L.norm(x, keepdims=True), STACK)
    values(L.norm, np.array(-3.0))
    with pytest.raises(ValueError, match="3 axes"):
        L.norm(Variable(STACK), 2)
    with pytest.raises(ValueError, match="vectors"):
        L.norm(Variable(VECTOR), "fro")
    with pytest.raises(ValueError, match="matrices"):
        L.norm(Variable(STACK[0]), 3)


def test_norm_0_has_gradient_0():
    for dtype in "fdFD":
        for ord in (None, 2, 1, 3, 1.5, np.inf):
            for second in (False, True):
                x = Variable(np.zeros(3, dtype))
                (L.norm(x, ord) * np.sum(x + 1)).backward(create_graph=second)
                np.testing.assert_array_equal(x.grad.data if second else x.grad, 0)
                if second:
                    g = x.grad
                    x.reset_grad()
                    np.sum(np.abs(g)).backward()
                    np.testing.assert_array_equal(x.grad, 0)
        for ord in ("fro", "nuc", 2, 1, np.inf):
            x = Variable(np.zeros((2, 3), dtype))
            L.norm(x, ord).backward()
            np.testing.assert_array_equal(x.grad, 0)
    x = Variable(np.array([[3.0, 4.0], [0.0, 0.0]]))
    L.norm(x, axis=1).backward()
    np.testing.assert_allclose(x.grad, [[0.6, 0.8], [0, 0]])


def test_cond_of_singular_matrices_is_infinite():
    a = np.stack([np.ones((2, 2)), np.eye(2) * [1.0, 3.0]])
    for p in (None, 1, "fro"):
        x = Variable(a)
        y = L.cond(x, p)
        np.testing.assert_allclose(y.data, L.cond(a, p), rtol=1e-9)
        y[1].backward()
        np.testing.assert_array_equal(x.grad[0], 0)
    values(L.cond, matrices(3, 2))
    check_grads(L.cond, (matrices(3, 2),))


# ---- products -------------------------------------------------------------------------------------------


def test_products():
    a, b, x, y = matrices(2, 3, 4), matrices(4, 2), matrices(2, 3), matrices(2, 3, seed=1)
    z = matrices(2, 3, dtype="D")
    for f, args in [
        (L.matmul, (a, b)),
        (L.tensordot, (a, matrices(3, 4))),
        (lambda a, b: L.tensordot(a, b, axes=1), (a, b)),
        (L.matrix_transpose, (a,)),
        (lambda a: L.diagonal(a, offset=1), (a,)),
        (lambda a: L.trace(a, offset=-1), (a,)),
        (L.outer, (x[0], y[1])),
        (L.vecdot, (x, y)),
        (L.vecdot, (z, x)),
        (lambda x, y: L.vecdot(x, y, axis=0), (z, z[:, :1])),
        (L.cross, (x, y)),
        (L.cross, (z, x[0])),
        (lambda x, y: L.cross(x, y, axis=0), (x.T, y.T)),
    ]:
        check_grads(f, args)
        values(f, *args)
    with pytest.raises(ValueError, match="1 axis, not 2"):
        L.outer(Variable(x), y)
    with pytest.raises(ValueError, match="3 components, not 2"):
        L.cross(Variable(x.T), y.T)
    assert type(L.matrix_rank(Variable(b))) is not Variable
    assert L.matrix_rank(Variable(b)) == 2


def test_multi_dot():
    chain = [matrices(3, 4), matrices(4, 2), matrices(2, 5), matrices(5, 3)]
    vectors = np.arange(3.0), np.arange(1.0, 4.0)
    for arrays in (chain, chain[:2], [vectors[0], *chain], [*chain, vectors[1]], [vectors[0], *chain, vectors[1]]):
        check_grads(lambda *xs: L.multi_dot(xs), arrays, order=1)
        values(lambda *xs: L.multi_dot(xs), *arrays)
    check_grads(lambda x: L.multi_dot([x, x, x]), (matrices(2, 2),))
    with pytest.raises(ValueError, match="at least two"):
        L.multi_dot([Variable(chain[0])])
    with pytest.raises(ValueError, match="matrices"):
        L.multi_dot([Variable(chain[0]), vectors[0], chain[0]])


def test_multi_dot_takes_the_cheapest_order(monkeypatch):
    shapes = []
    arrays = [Variable(np.ones(s)) for s in [(50, 2), (2, 60), (60, 3), (3, 1)]]
    made = L.multi_dot(arrays)
    call = made.creator
    while call is not None:
        shapes.append(call.shape)
        call = next((e.function for e in call.edges[::-1] if e is not None and e.function is not None), None)
    assert shapes == [(50, 1), (2, 1), (60, 1)]


# ---- every function -------------------------------------------------------------------------------------

EVERY = {
    "inv": L.inv, "det": L.det, "slogdet": L.slogdet, "pinv": L.pinv, "cholesky": L.cholesky, "qr": L.qr, "eigh": L.eigh,
    "eigvalsh": L.eigvalsh, "eig": L.eig, "eigvals": L.eigvals, "svd": L.svd, "svdvals": L.svdvals, "norm": L.norm,
    "cond": L.cond, "nuc": lambda a: L.matrix_norm(a, ord="nuc"), "solve": lambda a: L.solve(a, a[..., :1]),
    "matrix_power": lambda a: L.matrix_power(a, -2), "trace": L.trace, "vector_norm 3": lambda a: L.vector_norm(a, ord=3),
    "reduced svd": lambda a: L.svd(a[..., :2], full_matrices=False), "complete qr": lambda a: L.qr(a[..., :2], mode="complete"),
    "cross": lambda a: L.cross(a, a[..., ::-1]), "wide": lambda a: L.qr(a[..., :2, :]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["f", "F"])
@pytest.mark.parametrize("name", EVERY)
def test_single_precision_stays(name, dtype):
    a = positive(matrices(2, 3, 3, dtype=dtype))
    for second in (False, True):
        x = Variable(a)
        ours, numpys = EVERY[name](x), EVERY[name](a)
        several = isinstance(numpys, tuple)
        total = 0
        for y, expected in zip(ours if several else [ours], numpys if several else [numpys], strict=True):
            assert y.dtype == expected.dtype
            total = total + np.sum(np.abs(y))
        total.backward(create_graph=second)
        assert x.grad.dtype == x.dtype
        if second and name != "trace":
            g = x.grad
            x.reset_grad()
            np.sum(np.abs(g)).backward()
            assert x.grad.dtype == x.dtype
            assert np.isfinite(x.grad).all()


@pytest.mark.parametrize("dtype", ["d", "D"])
@pytest.mark.parametrize("name", EVERY)
def test_no_matrices(name, dtype):
    x = Variable(np.zeros((0, 3, 3), dtype))
    made = EVERY[name](x)
    sum(np.sum(np.abs(y)) for y in (made if isinstance(made, tuple) else [made])).backward(create_graph=True)
    assert x.grad.shape == x.shape


def test_nothing_is_left_for_the_garbage_collector():
    def run():
        for f in [*EVERY.values(), lambda a: L.multi_dot([a[0]] * 4), np.fft.fft, np.fft.rfftn, np.fft.irfft2]:
            made = f(Variable(positive(matrices(2, 3, 3))))
            sum(np.sum(np.abs(y)) for y in (made if isinstance(made, tuple) else [made])).backward()

    run()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        run()
        gc.collect()
        assert [x for x in gc.garbage if isinstance(x, (Variable, cr.Function))] == []  # what else runs may leave its own
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_lists_and_integers():
    x = Variable(np.array([[2, 1], [1, 3]]))
    L.det(x).backward()
    np.testing.assert_allclose(x.grad, [[3, -1], [-1, 2]])
    assert x.grad.dtype == float


# ---- beside PyTorch -------------------------------------------------------------------------------------


def _symmetric(a):
    return a + np.conj(a.mT)


def _positive(a):
    return a @ np.conj(a.mT)


TORCH = {
    "inv": (L.inv, lambda t, a: t.linalg.inv(a)),
    "det": (L.det, lambda t, a: t.linalg.det(a)),
    "slogdet": (L.slogdet, lambda t, a: t.linalg.slogdet(a)),
    "pinv": (L.pinv, lambda t, a: t.linalg.pinv(a)),
    "pinv of tall": (lambda a: L.pinv(a[..., :2]), lambda t, a: t.linalg.pinv(a[..., :2])),
    "solve": (lambda a: L.solve(a, a[..., :2] ** 2), lambda t, a: t.linalg.solve(a, a[..., :2] ** 2)),
    "cholesky": (lambda a: L.cholesky(_positive(a)), lambda t, a: t.linalg.cholesky(a @ a.mH)),
    "cholesky upper": (lambda a: L.cholesky(_positive(a), upper=True), lambda t, a: t.linalg.cholesky(a @ a.mH, upper=True)),
    "qr": (L.qr, lambda t, a: t.linalg.qr(a)),
    "qr of tall": (lambda a: L.qr(a[..., :2]), lambda t, a: t.linalg.qr(a[..., :2])),
    "qr of wide": (lambda a: L.qr(a[..., :2, :]), lambda t, a: t.linalg.qr(a[..., :2, :])),
    "eigh": (lambda a: L.eigh(_symmetric(a)), lambda t, a: t.linalg.eigh(a + a.mH)),
    "eigvalsh": (lambda a: L.eigvalsh(_symmetric(a)), lambda t, a: t.linalg.eigvalsh(a + a.mH)),
    "eig": (L.eig, lambda t, a: t.linalg.eig(a)),
    "svd": (L.svd, lambda t, a: t.linalg.svd(a)),
    "svd of tall": (
        lambda a: L.svd(a[..., :2], full_matrices=False),
        lambda t, a: t.linalg.svd(a[..., :2], full_matrices=False),
    ),
    "svdvals": (L.svdvals, lambda t, a: t.linalg.svdvals(a)),
    "norm": (L.norm, lambda t, a: t.linalg.norm(a)),
    "norm 3": (lambda a: L.norm(a, 3, axis=1), lambda t, a: t.linalg.vector_norm(a, 3, dim=1)),
    "norm nuc": (lambda a: L.matrix_norm(a, ord="nuc"), lambda t, a: t.linalg.matrix_norm(a, "nuc")),
    "norm 1": (lambda a: L.matrix_norm(a, ord=1), lambda t, a: t.linalg.matrix_norm(a, 1)),
    "cond": (L.cond, lambda t, a: t.linalg.cond(a)),
    "matrix_power": (lambda a: L.matrix_power(a, -3), lambda t, a: t.linalg.matrix_power(a, -3)),
}


@pytest.mark.parametrize("dtype", ["d", "D"])
@pytest.mark.parametrize("name", TORCH)
def test_beside_torch(name, dtype):
    torch = pytest.importorskip("torch")
    a = matrices(2, 3, 3, dtype=dtype)
    f, g = TORCH[name]
    ours, theirs = Variable(a), torch.tensor(a, requires_grad=True)
    y, z = f(ours), g(torch, theirs)
    y, z = ([x] if not isinstance(x, tuple) else x for x in (y, z))
    loss = sum(np.sum((1 + np.arange(x.size).reshape(x.shape)) * np.abs(x) ** 2) for x in y)
    other = sum(((1 + torch.arange(x.numel()).reshape(x.shape)) * x.abs() ** 2).sum() for x in z)
    np.testing.assert_allclose(loss.data, other.detach().numpy())
    loss.backward()
    other.backward()
    np.testing.assert_allclose(ours.grad, theirs.grad.conj().resolve_conj().numpy(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 3, 7, 16])
@pytest.mark.parametrize("count", [8, 37])
def test_stacks_of_small_matrices_equal_numpys(dtype, n, count):
    rng = np.random.default_rng(n)
    a, b = (rng.standard_normal((count, n, k)) + np.eye(n, k) * n for k in (n, 2))
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if dtype == "f4" else {"rtol": 1e-9, "atol": 1e-9}
    for exact in (a, a.mT, np.flip(a, -1)):
        x = exact.astype(dtype)
        np.testing.assert_allclose(small_matrices.solve(x, b.astype(dtype)), np.linalg.solve(exact, b), **tolerance)
        np.testing.assert_allclose(small_matrices.inverse(x), np.linalg.inv(exact), **tolerance)
        np.testing.assert_allclose(small_matrices.determinant(x), np.linalg.det(exact), rtol=tolerance["rtol"])
        for got, expected in zip(small_matrices.log_determinant(x), np.linalg.slogdet(exact), strict=True):
            np.testing.assert_allclose(got, expected, **tolerance)


def test_stacks_with_singular_matrices():
    a = np.ones((9, 3, 3))
    for call in (lambda: np.linalg.inv(cr.Variable(a)), lambda: np.linalg.solve(cr.Variable(a), a)):
        with pytest.raises(np.linalg.LinAlgError, match="Singular"):
            call()
    assert (np.linalg.det(cr.Variable(a)).data == 0).all()
    assert (np.linalg.slogdet(cr.Variable(a)).logabsdet.data == -np.inf).all()
    a[4] = np.nan
    with np.errstate(invalid="ignore"):  # without kernels it is NumPy that computes, and warns
        assert np.isnan(np.linalg.det(cr.Variable(a)).data[4])
