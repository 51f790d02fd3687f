"""The kernel layer: declaring, compiling, the pool of threads, BLAS inside compiled code, memory that is used again."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import chainrule
from chainrule.core import memory
from chainrule.kernels import matmul, threads
from chainrule.kernels.layer import borrow, compiled, dense, enabled, gemm, give_back, kernel, parallel_for

needs_numba = pytest.mark.skipif(not enabled(), reason="needs Numba")


@compiled
def _shifted_block(x, out, start, stop):
    x, out = x[start:stop], out[start:stop]
    one = x.dtype.type(1)
    for i in range(len(x)):
        out[i] = x[i] + one


@compiled
def _shifted(x, out):
    parallel_for(_shifted_block, (x, out), x.size, 1000)


@kernel
def shifted(x):
    return x + 1


@shifted.compiled(when=lambda x: dense(x) and x.flags.c_contiguous)
def _(x):
    out = memory.empty(x.shape, x.dtype)
    _shifted(x.reshape(-1), out.reshape(-1))
    return out


@compiled
def _sums_block(x, out, start, stop):
    x = x[start:stop]
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += x[i]
    out[start // 1000] = total


@compiled
def _sums(x, out):
    parallel_for(_sums_block, (x, out), x.size, 1000)


@compiled
def _nested_block(x, out, start, stop):
    for i in range(start, stop):
        _shifted(x[i], out[i])


@compiled
def _nested(x, out):
    parallel_for(_nested_block, (x, out), len(x), 1)


@compiled
def _product(a, b, out):
    gemm(a, b, out)


@compiled
def _product_and_row(a, b, out, row):
    gemm(a, b, out, row)


@compiled
def _product_block(a, b, out, row, start, stop):
    gemm(a[start:stop], b, out[start:stop], row)


@compiled
def _product_within(a, b, out, row):
    parallel_for(_product_block, (a, b, out, row), len(out), 5)


@pytest.fixture(params=[1, 2, 5])
def number_of_threads(request):
    before = chainrule.get_num_threads()
    chainrule.set_num_threads(request.param)
    yield request.param
    chainrule.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (999,), (1000,), (30, 1001)])
def test_a_kernel_equals_its_reference(shape, dtype, number_of_threads):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    for variant in (x, x.T, x[::-1] if x.ndim else x):
        got = shifted(variant)
        assert got.dtype == (x + 1).dtype and got.shape == variant.shape
        np.testing.assert_array_equal(got, variant + np.ones((), dtype))


@needs_numba
def test_sums_do_not_depend_on_the_number_of_threads():
    x = np.random.default_rng(0).standard_normal(1_000_003).astype("f4")
    results = []
    before = chainrule.get_num_threads()
    for n in (1, 2, 3, 8):
        chainrule.set_num_threads(n)
        out = np.empty(1001, "f4")
        _sums(x, out)
        results.append(out)
    chainrule.set_num_threads(before)
    assert all(np.array_equal(results[0], r) for r in results)
    np.testing.assert_allclose(results[0], [np.sum(x[i : i + 1000]) for i in range(0, x.size, 1000)], rtol=1e-3, atol=1e-4)


@needs_numba
def test_regions_within_regions(number_of_threads):
    x = np.random.default_rng(0).standard_normal((7, 5000))
    out = np.empty_like(x)
    _nested(x, out)
    np.testing.assert_array_equal(out, x + 1)


@needs_numba
def test_regions_from_several_threads_at_once(number_of_threads):
    x = np.random.default_rng(0).standard_normal(50_000)
    wrong = []

    def work():
        for _ in range(50):
            if not np.array_equal(shifted(x), x + 1):
                wrong.append(True)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@needs_numba
def test_loops_whose_pace_and_threads_change():
    rng, before = np.random.default_rng(0), chainrule.get_num_threads()
    try:
        for size in rng.permutation(np.repeat([1, 1001, 30_000, 300_000], 5)):
            chainrule.set_num_threads(int(rng.integers(1, 6)))
            x = rng.standard_normal(size)
            for _ in range(20):  # often enough that it pays to wake threads for small arrays too
                np.testing.assert_array_equal(shifted(x), x + 1)
    finally:
        chainrule.set_num_threads(before)


@needs_numba
def test_threads_sleep_soon_after_their_work(number_of_threads):
    for _ in range(3):
        shifted(np.ones(1_000_000))
    time.sleep(0.02)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.02


@needs_numba
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kernels_run_in_the_child_of_a_fork():
    x = np.ones(50_000)
    before = chainrule.get_num_threads()
    chainrule.set_num_threads(2)
    shifted(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(shifted(x), x + 1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(shifted(x), x + 1)
    chainrule.set_num_threads(before)


_SIZES = [
    (1, 1, 1),
    (20, 7, 5),
    (3, 0, 4),
    (5, 0, 4),
    (0, 3, 4),
    (3, 4, 0),
    (33, 64, 1),
    (1, 65, 9),
    (4, 999, 70),
    (150, 30, 33),
]


@needs_numba
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("m,k,n", [*_SIZES, (97, 800, 300), (700, 1500, 20), (13, 900, 1200)])
def test_gemm(m, k, n, dtype, number_of_threads):
    rng = np.random.default_rng(0)
    a, b, row = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (n,)))
    for left in (a, np.asfortranarray(a), rng.standard_normal((m, 2 * k)).astype(dtype)[:, ::2]):
        for right in (b, np.asfortranarray(b), b[:, ::-1]):
            for product, plus in ((_product, ()), (_product_and_row, (row,)), (_product_within, (row,))):
                out = np.full((m, n), np.nan, dtype)
                product(left, right, out, *plus)
                np.testing.assert_allclose(out, left @ right + sum(plus), rtol=1e-4, atol=1e-3)


@needs_numba
def test_gemm_does_not_depend_on_the_number_of_threads_nor_hide_nan():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200, 900)).astype("f4"), rng.standard_normal((900, 500)).astype("f4")
    a[3, 5], b[7, 11] = np.inf, np.nan
    before, results = chainrule.get_num_threads(), []
    for threads_ in (1, 2, 4):
        chainrule.set_num_threads(threads_)
        out = np.empty((200, 500), "f4")
        _product(a, b, out)
        results.append(out)
    chainrule.set_num_threads(before)
    assert all(np.array_equal(results[0], r, equal_nan=True) for r in results)
    np.testing.assert_array_equal(np.isfinite(results[0]), np.isfinite(a @ b))


@needs_numba
@pytest.mark.parametrize("m,n", [(16, 20), (1, 7), (7, 1)])
def test_a_product_over_a_long_inner_dimension_does_not_depend_on_the_number_of_threads(m, n):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, 5000)).astype("f4"), rng.standard_normal((5000, n)).astype("f4")
    before, results = chainrule.get_num_threads(), []
    for threads_ in (1, 2, 4):
        chainrule.set_num_threads(threads_)
        results += [matmul.matmul(left, b) for left in (a, np.asfortranarray(a))]
    chainrule.set_num_threads(before)
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, results[i % 2])
        np.testing.assert_allclose(result, a.astype("f8") @ b, rtol=1e-3, atol=1e-2)


def test_number_of_threads():
    with pytest.raises(ValueError, match="at least 1"):
        chainrule.set_num_threads(0)
    for wrong in (1.5, "2", None):
        with pytest.raises(TypeError, match="whole number"):
            chainrule.set_num_threads(wrong)
    script = "import chainrule; print(chainrule.get_num_threads())"
    for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        environment = {**os.environ, "NUMBA_NUM_THREADS": "", "OMP_NUM_THREADS": "", variable: "3"}
        assert subprocess.check_output([sys.executable, "-c", script], env=environment, text=True) == "3\n"


def test_control_group_limit(tmp_path, monkeypatch):
    for content, expected in (("150000 100000", 2), ("max 100000", None), ("100000 100000", 1)):
        (tmp_path / "cpu.max").write_text(content)
        monkeypatch.setattr("pathlib.Path", lambda path: tmp_path / "cpu.max")
        assert threads._control_group_limit() == expected


def test_memory_is_used_again_and_never_by_two():
    first = memory.empty((300, 301), "f4")
    address = first.ctypes.data
    view = first[10:, ::2].T
    del first
    other = memory.empty((300, 301), "f4")
    assert other.ctypes.data != address  # a view holds the memory
    del view
    assert memory.empty((301, 300), "f4").ctypes.data == address
    memory.release()
    assert not memory._free and memory._kept == 0

    x = memory.empty((300, 301), "f4")
    for of_lease in (x.base[5:], x.base.copy(), x.base.view()):  # such as a debugger makes to show it
        del of_lease
    assert not any(memory._free.values()) and memory.empty((300, 301), "f4").ctypes.data != x.ctypes.data


@compiled
def _borrowed_block(places, length, start, stop):
    for i in range(start, stop):
        own = borrow(places, length)
        own[:] = i
        inner = borrow(places, length)
        inner[:] = -1
        places[i] = own.ctypes.data if (own == i).all() else 0
        give_back(inner.reshape(-1, 1))
        give_back(own)


@compiled
def _borrowed(places, length):
    parallel_for(_borrowed_block, (places, length), len(places), 1)


@needs_numba
def test_borrowed_memory_is_used_again_and_never_by_two():
    for length in (0, 1, 5000, 100_000):
        places = np.zeros(500, np.int64)
        workers = [threading.Thread(target=_borrowed, args=(places.copy(), length)) for _ in range(4)]
        for worker in workers:
            worker.start()
        _borrowed(places, length)
        for worker in workers:
            worker.join()
        assert places.all() and not (places % 64).any()
        assert len(set(places)) < 50
    memory.release()


def test_empty_like_keeps_the_order_in_memory():
    x = np.zeros((3, 4, 5, 6)).transpose(0, 3, 1, 2)
    out = memory.empty_like(x)
    assert out.shape == x.shape and out.strides == x.strides


def test_everything_works_without_numba(tmp_path):
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np, chainrule, chainrule.nn as nn, chainrule.optim as optim\n"
        "model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(676, 10))\n"
        "x, t = np.random.randn(64, 1, 28, 28).astype('f4'), np.arange(64) % 10\n"
        "optimizer = optim.Adam(model.parameters())\n"
        "loss = nn.CrossEntropyLoss()(model(x), t); loss.backward(); optimizer.step()\n"
        "assert np.isfinite(float(loss.data))\n"
    )
    subprocess.run([sys.executable, "-W", "error::RuntimeWarning", "-c", script], check=True)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_products_equal_numpys(dtype, number_of_threads):
    rng = np.random.default_rng(0)

    def random(*shape):
        return rng.standard_normal(shape).astype(dtype)

    tolerance = {"rtol": 1e-2, "atol": 1e-1} if dtype == "f2" else {"rtol": 1e-4, "atol": 1e-3}
    for x, y in (
        (random(50, 60), random(60, 70)),
        (random(3, 50, 60), random(60, 70)),
        (random(2, 3, 50, 60), random(2, 3, 60, 70)),
        (random(9, 60, 50).swapaxes(1, 2), random(9, 70, 60).swapaxes(1, 2)),
        (random(3, 1, 50, 60), random(5, 60, 70)),
        (random(0, 60), random(60, 70)),
        (random(300, 1), random(1, 400)),
    ):
        got = matmul.matmul(x, y)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, np.matmul(x.astype("f8"), y.astype("f8")), **tolerance)

    x, w, b = random(90, 40), random(60, 40), random(60)
    np.testing.assert_allclose(matmul.linear(x, w, b), x.astype("f8") @ w.T.astype("f8") + b, **tolerance)
    np.testing.assert_allclose(matmul.linear(x, w, None), x.astype("f8") @ w.T.astype("f8"), **tolerance)
    big = random(1000, 60)
    np.testing.assert_allclose(matmul.column_sums(big), np.sum(big.astype("f8"), axis=0), **tolerance)


@pytest.mark.parametrize(
    "terms",
    [
        "bthd,bshd->bhts",
        "ij,jk->ki",
        "bij,bjk->bik",
        "bhts,bshd->bthd",
        "ab,cb->ac",
        "ijk,kl->lij",
        "i,j->ji",
        "bi,bj->jib",
        "bi,bi->b",
        "ij,j->i",
        "ij,ij->",
    ],
)
def test_contractions_equal_numpys(terms, number_of_threads):
    rng = np.random.default_rng(0)
    lengths = dict(zip("bthdsijkacl", (3, 20, 4, 17, 22, 31, 47, 52, 60, 50, 33), strict=True))
    left, right = terms.split("->")[0].split(",")
    x, y = (rng.standard_normal([lengths[i] for i in term]) for term in (left, right))
    got = matmul.contract(x, y, (left, right, terms.split("->")[1]))
    np.testing.assert_allclose(got, np.einsum(terms, x, y), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply"])
def test_arithmetic_of_large_variables_is_numpys(name):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 60, 80, 5)).astype("f4")
    function = getattr(np, name)
    for a, b in (
        (x, y),
        (x, y.astype("f8")),
        (x, y[:, :1]),
        (x[:, :1], y),
        (x, 2.0),
        (x.transpose(2, 0, 1), y.transpose(2, 0, 1)),
    ):
        v, expected = chainrule.Variable(a), function(a, b)
        got = function(v, b)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got.data, expected)


@needs_numba
def test_warmup_leaves_nothing_to_compile():
    environment = {**os.environ, "NUMBA_DEBUG_CACHE": "1"}
    command = [sys.executable, "-m", "chainrule", "warmup"]
    subprocess.run(command, check=True, capture_output=True)
    again = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert "data loaded" in again and "data saved" not in again
