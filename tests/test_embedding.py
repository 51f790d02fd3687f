"""Embeddings and the bilinear layer beside PyTorch's."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.kernels.embedding import add_rows
from chainrule.kernels.lines import take_rows

torch = pytest.importorskip("torch")
tnn = torch.nn
TF = torch.nn.functional

rng = np.random.default_rng(11)


def random(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def compare(ours, theirs, arrays, tolerance=1e-5):
    xs, ts = [cr.Variable(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, u = ours(*xs), theirs(*ts)
    assert y.dtype == arrays[0].dtype
    np.testing.assert_allclose(y.data, u.detach().numpy(), tolerance, tolerance)
    g = random(*y.shape, dtype=y.dtype)
    np.sum(y * g).backward()
    u.backward(torch.tensor(g))
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy(), tolerance, tolerance)


# ---- the kernels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(0,), (5, 7), (3, 700)])
@pytest.mark.parametrize("size", [(1, 9), (7, 0), (33, 40), (500, 64)])
def test_kernels_equal_their_references(shape, size, dtype):
    table = rng.standard_normal(size).astype(dtype)
    index = rng.integers(0, size[0], shape, dtype=np.int32)
    np.testing.assert_array_equal(take_rows(table, index), table[index])
    rows = rng.standard_normal((*shape, size[1])).astype(dtype)
    expected = np.zeros(size)
    np.add.at(expected, index, rows)
    for given in (rows, np.asfortranarray(rows)):
        got = add_rows(given, index, size[0])
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=1e-3 if dtype == "f2" else 1e-5, atol=0.05 if dtype == "f2" else 1e-4)


def test_adding_rows_does_not_depend_on_the_number_of_threads():
    rows, index = random(3000, 33), rng.integers(0, 10, 3000)
    before, results = cr.get_num_threads(), []
    for n in (1, 2, 3):
        cr.set_num_threads(n)
        results.append(add_rows(rows, index, 10))
    cr.set_num_threads(before)
    assert all(np.array_equal(results[0], r) for r in results)


# ---- Embedding ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,), (40, 50)])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True}])
def test_functional_embedding(shape, options):
    index = np.asarray(rng.integers(0, 4, shape))
    compare(
        lambda w: F.embedding(index, w, **options),
        lambda w: TF.embedding(torch.tensor(index), w, **options),
        [random(4, 3, dtype=np.float64)],
        1e-12,
    )
    if 0 < index.size < 10 and not options:
        cr.check_grads(lambda w: np.square(F.embedding(cr.Variable(index), w)), (random(4, 3, dtype=np.float64),))


@pytest.mark.parametrize("norm_type", [1.0, 2.0])
def test_max_norm(norm_type):
    ours, theirs = nn.Embedding(6, 3, max_norm=0.8, norm_type=norm_type), tnn.Embedding(6, 3, max_norm=0.8, norm_type=norm_type)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    index = np.array([[0, 2, 0], [5, 5, 1]])
    y, u = ours(index), theirs(torch.tensor(index))
    np.testing.assert_allclose(y.data, u.detach().numpy(), 1e-6)
    np.testing.assert_allclose(ours.weight.data, theirs.weight.detach().numpy(), 1e-6)
    np.sum(y).backward()
    u.sum().backward()
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy())


def test_from_pretrained():
    vectors = random(5, 3)
    layer = nn.Embedding.from_pretrained(vectors, padding_idx=1)
    assert not layer.weight.requires_grad
    np.testing.assert_array_equal(layer(np.array([1, 4])).data, vectors[[1, 4]])
    assert nn.EmbeddingBag.from_pretrained(vectors, freeze=False, mode="sum").weight.requires_grad
    with pytest.raises(ValueError, match=r"expected vectors \(num_embeddings, embedding_dim\), got \(15,\)"):
        nn.Embedding.from_pretrained(vectors.ravel())
    with pytest.raises(NotImplementedError, match="sparse=False"):
        nn.Embedding(3, 2, sparse=True)(np.array([1]))


# ---- EmbeddingBag -------------------------------------------------------------------------------------------

BAGS = [
    (rng.integers(0, 5, (4, 3)), None),
    (rng.integers(0, 5, 7), np.array([0, 2, 2, 6])),
    (rng.integers(0, 5, 7), np.array([0, 0, 7])),
    (rng.integers(0, 5, 3), np.array([0])),
    (np.zeros(0, int), np.array([0, 0])),
]


@pytest.mark.parametrize(("index", "offsets"), BAGS)
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 3])
def test_embedding_bag(index, offsets, mode, padding_idx):
    tensor = None if offsets is None else torch.tensor(offsets)
    compare(
        lambda w: F.embedding_bag(index, w, offsets, mode=mode, padding_idx=padding_idx),
        lambda w: TF.embedding_bag(torch.tensor(index), w, tensor, mode=mode, padding_idx=padding_idx),
        [random(5, 3)],
    )


@pytest.mark.parametrize(("index", "offsets"), BAGS)
def test_embedding_bag_weights(index, offsets):
    tensor = None if offsets is None else torch.tensor(offsets)
    compare(
        lambda w, s: F.embedding_bag(index, w, offsets, mode="sum", per_sample_weights=s),
        lambda w, s: TF.embedding_bag(torch.tensor(index), w, tensor, mode="sum", per_sample_weights=s),
        [random(5, 3), random(*index.shape)],
    )


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag_derivatives(mode):
    index, offsets = np.array([0, 2, 2, 1]), np.array([0, 3, 3])
    cr.check_grads(lambda w: F.embedding_bag(index, w, offsets, mode=mode) ** 2, [random(4, 2, dtype=np.float64)])


@pytest.mark.parametrize("kwargs", [{}, {"mode": "max", "padding_idx": 1}, {"include_last_offset": True, "max_norm": 1.0}])
def test_embedding_bag_layer(kwargs):
    ours, theirs = nn.EmbeddingBag(5, 3, **kwargs), tnn.EmbeddingBag(5, 3, **kwargs)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    index, offsets = np.array([1, 2, 4, 4, 0]), np.array([0, 2, 5])
    y, u = ours(index, offsets), theirs(torch.tensor(index), torch.tensor(offsets))
    np.testing.assert_allclose(y.data, u.detach().numpy(), 1e-5, 1e-6)


def test_embedding_bag_errors():
    w = random(5, 3)
    with pytest.raises(IndexError, match=r"index 5 at position \(1,\); num_embeddings is 5"):
        F.embedding_bag(np.array([1, 5]), w, np.array([0]))
    with pytest.raises(ValueError, match=r"offsets start with 0, rise, and are at most 2"):
        F.embedding_bag(np.array([1, 2]), w, np.array([0, 3]))
    with pytest.raises(ValueError, match=r"takes no offsets"):
        F.embedding_bag(np.array([[1, 2]]), w, np.array([0]))
    with pytest.raises(ValueError, match=r"with offsets \(B,\), got \(2,\)"):
        F.embedding_bag(np.array([1, 2]), w)
    with pytest.raises(ValueError, match="mode is 'sum', 'mean' or 'max', not 'min'"):
        F.embedding_bag(np.array([[1, 2]]), w, mode="min")
    with pytest.raises(ValueError, match=r"of the input's shape \(1, 2\), got \(2,\)"):
        F.embedding_bag(np.array([[1, 2]]), w, mode="sum", per_sample_weights=np.ones(2))


# ---- Bilinear -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (), (2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear(shape, bias):
    ours, theirs = nn.Bilinear(3, 4, 5, bias), tnn.Bilinear(3, 4, 5, bias)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    compare(ours, theirs, [random(*shape, 3), random(*shape, 4)])
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), 1e-5, 1e-5)
    assert np.abs(nn.Bilinear(3, 4, 500).weight.data).max() == pytest.approx(1 / np.sqrt(3), rel=0.01)
    with pytest.raises(ValueError, match=r"expected \(..., 3\) and \(..., 4\), got \(2, 3\) and \(3, 4\)"):
        ours(random(2, 3), random(3, 4))
