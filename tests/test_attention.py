"""Attention, transformers and positions beside PyTorch's."""

import math

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.functional.attention import attention_weights

torch = pytest.importorskip("torch")
tnn = torch.nn
TF = torch.nn.functional

rng = np.random.default_rng(7)


def random(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def tensor(a, requires_grad=False):
    return None if a is None else torch.tensor(a, requires_grad=requires_grad)


def compare(ours, theirs, arrays, tolerance=2e-5):
    """Call both with the arrays, and compare results and gradients."""
    xs, ts = [cr.Variable(a) for a in arrays], [tensor(a, True) for a in arrays]
    y, u = ours(*xs), theirs(*ts)
    assert y.dtype == arrays[0].dtype
    np.testing.assert_allclose(y.data, u.detach().numpy(), tolerance, tolerance)
    g = random(*y.shape, dtype=y.dtype)
    np.sum(y * g).backward()
    u.backward(torch.tensor(g))
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy(), 5 * tolerance, 5 * tolerance)


# ---- scaled_dot_product_attention ---------------------------------------------------------------------------

ATTENTION = [  # shapes of query, key and value
    ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)),
    ((5, 4), (5, 4), (5, 4)),
    ((3, 1, 4), (3, 1, 4), (3, 1, 4)),
    ((1, 2, 70, 8), (1, 2, 65, 8), (1, 2, 65, 8)),
    ((2, 2, 130, 16), (2, 2, 130, 16), (2, 2, 130, 16)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("query", "key", "value"), ATTENTION)
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}])
def test_attention(query, key, value, options, dtype):
    arrays = [random(*shape, dtype=dtype) for shape in (query, key, value)]
    compare(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options),
        lambda q, k, v: TF.scaled_dot_product_attention(q, k, v, **options),
        arrays,
        2e-5 if dtype == np.float32 else 1e-12,
    )


@pytest.mark.parametrize(("query", "key", "value"), ATTENTION[:1] + ATTENTION[3:])
@pytest.mark.parametrize("kind", [bool, float])
@pytest.mark.parametrize("leading", ["none", "batch", "all"])
def test_attention_masks(query, key, value, kind, leading):
    axes = {"none": (), "batch": (query[0], 1), "all": query[:2]}[leading]
    mask = rng.random((*axes, query[2], key[2])) < 0.6
    mask[..., 1, :] = False  # a query that sees no key
    mask[..., 0, 0] = True
    if kind is float:
        mask = np.where(mask, random(*mask.shape), np.float32(-np.inf))
    compare(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask),
        lambda q, k, v: TF.scaled_dot_product_attention(q, k, v, torch.tensor(mask)),
        [random(*shape) for shape in (query, key, value)],
    )


def test_attention_gradient_of_mask():
    compare(F.scaled_dot_product_attention, TF.scaled_dot_product_attention, [random(2, 5, 4)] * 3 + [random(5, 5)])


def test_attention_groups():
    compare(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        lambda q, k, v: TF.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        [random(2, 6, 5, 4), random(2, 2, 5, 4), random(2, 2, 5, 4)],
    )


@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_of_heads_of_size_0(is_causal):
    def both(scaled_dot_product_attention):
        return lambda *a: scaled_dot_product_attention(*a, is_causal=is_causal)

    compare(both(F.scaled_dot_product_attention), both(TF.scaled_dot_product_attention), [random(2, 3, s) for s in (0, 0, 5)])


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"attn_mask": rng.random((4, 5)) < 0.7}])
def test_attention_derivatives(options):
    arrays = [random(2, 4, 3, dtype=np.float64), random(2, 5, 3, dtype=np.float64), random(2, 5, 2, dtype=np.float64)]
    cr.check_grads(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options), arrays)


def test_attention_dropout():
    cr.manual_seed(0)
    x, eye = np.zeros((400, 8)), np.eye(400)
    x = cr.Variable(x)
    y = F.scaled_dot_product_attention(x, x, eye, dropout_p=0.25)  # the weights themselves
    kept = y.data > 0
    assert abs(kept.mean() - 0.75) < 0.01
    np.testing.assert_allclose(y.data[kept], 1 / 400 / 0.75)
    v = cr.Variable(random(400, 3, dtype=np.float64))
    cr.manual_seed(0)
    g = random(400, 3, dtype=np.float64)
    np.sum(F.scaled_dot_product_attention(x, x, v, dropout_p=0.25) * g).backward()
    np.testing.assert_allclose(v.grad, y.data.T @ g)


def test_attention_errors():
    x = random(2, 5, 4)
    with pytest.raises(ValueError, match=r"key \(..., S, E\).*got \(2, 5, 4\), \(2, 5, 3\), \(2, 5, 4\)"):
        F.scaled_dot_product_attention(x, x[..., :3], x)
    with pytest.raises(ValueError, match="not both"):
        F.scaled_dot_product_attention(x, x, x, np.ones((5, 5), bool), is_causal=True)
    with pytest.raises(ValueError, match="of booleans .* not int64"):
        F.scaled_dot_product_attention(x, x, x, np.ones((5, 5), int))
    with pytest.raises(ValueError, match="2 heads of queries cannot be divided into groups for 3 heads"):
        F.scaled_dot_product_attention(x, random(3, 5, 4), random(3, 5, 4), enable_gqa=True)


# ---- MultiheadAttention -------------------------------------------------------------------------------------


def pair_of(name, *args, **kwargs):
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(tnn, name)(*args, **kwargs)
    with torch.no_grad():
        for p in theirs.parameters():
            if p.ndim == 1:
                p.uniform_(-1, 1)  # biases start as zeros
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare_parameters(ours, theirs, tolerance=1e-4):
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), tolerance, tolerance, err_msg=name)


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"batch_first": True, "bias": False},
        {"kdim": 3, "vdim": 5},
        {"add_bias_kv": True},
        {"add_zero_attn": True, "add_bias_kv": True, "batch_first": True},
    ],
)
@pytest.mark.parametrize("masks", ["none", "attn", "padding", "both", "floats", "mixed", "heads"])
def test_multihead_attention(kwargs, masks, need_weights):
    n, length, keys, heads = 2, 4, 5, 2
    ours, theirs = pair_of("MultiheadAttention", 6, heads, **kwargs)
    shapes = [(length, n, 6), (keys, n, kwargs.get("kdim", 6)), (keys, n, kwargs.get("vdim", 6))]
    if kwargs.get("batch_first"):
        shapes = [(b, t, e) for t, b, e in shapes]
    attn, padding = np.triu(np.ones((length, keys), bool), 2), np.zeros((n, keys), bool)
    padding[0, 3:] = True
    if masks == "floats":
        attn, padding = np.where(attn, -np.inf, 0.5).astype(np.float32), np.where(padding, -np.inf, -0.5).astype(np.float32)
    if masks == "mixed":
        padding = np.where(padding, -np.inf, 0).astype(np.float32)
    if masks == "heads":
        attn = rng.random((n * heads, length, keys)) < 0.3
        attn[..., 0] = False
    attn = None if masks in ("none", "padding") else attn
    padding = None if masks in ("none", "attn") else padding

    def call(model, of):
        def run(q, k, v):
            return model(q, k, v, of(padding), need_weights, of(attn), average_attn_weights=masks != "both")

        return run

    arrays = [random(*shape) for shape in shapes]
    compare(lambda *a: call(ours, lambda m: m)(*a)[0], lambda *a: call(theirs, tensor)(*a)[0], arrays)
    compare_parameters(ours, theirs)
    weights, expected = call(ours, lambda m: m)(*arrays)[1], call(theirs, tensor)(*map(tensor, arrays))[1]
    if need_weights:
        np.testing.assert_allclose(weights.data, expected.detach().numpy(), 1e-5, 1e-6)
    else:
        assert weights is expected is None


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_self_attention(need_weights, padded):
    ours, theirs = pair_of("MultiheadAttention", 8, 2, batch_first=True)
    mask = tnn.Transformer.generate_square_subsequent_mask(5)
    padding = np.array([[False] * 5, [False] * 4 + [True]]) if padded else None
    options = {"need_weights": need_weights, "is_causal": True}
    compare(
        lambda x: ours(x, x, x, padding, attn_mask=mask.numpy(), **options)[0],
        lambda x: theirs(
            x,
            x,
            x,
            None if padding is None else tensor(np.where(padding, -np.inf, 0).astype(np.float32)),
            attn_mask=mask,
            **options,
        )[0],
        [random(2, 5, 8)],
    )
    compare_parameters(ours, theirs)


def test_multihead_attention_of_one_sequence():
    ours, theirs = pair_of("MultiheadAttention", 8, 2)
    padding = np.array([False, False, True, False])
    q, k = random(5, 8), random(4, 8)
    y, w = ours(q, k, k, padding)
    u, expected = theirs(*map(tensor, (q, k, k, padding)))
    np.testing.assert_allclose(y.data, u.detach().numpy(), 1e-5, 1e-6)
    np.testing.assert_allclose(w.data, expected.detach().numpy(), 1e-5, 1e-6)


def test_multihead_attention_starts_like_pytorch():
    ours = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    assert np.ptp(ours.in_proj_weight.data) == pytest.approx(2 * math.sqrt(6 / 256), rel=0.01)
    assert not ours.in_proj_bias.data.any()
    assert not ours.out_proj.bias.data.any()
    assert np.ptp(ours.out_proj.weight.data) == pytest.approx(2 / 8, rel=0.01)


def test_multihead_attention_errors():
    with pytest.raises(ValueError, match="embed_dim 6 cannot be divided into 4 heads"):
        nn.MultiheadAttention(6, 4)
    layer, x = nn.MultiheadAttention(6, 2), random(5, 2, 6)
    with pytest.raises(
        ValueError, match=r"query, key and value \(L, N, 6\), \(S, N, 6\), \(S, N, 6\), got \(5, 2, 6\), \(5, 2, 5\)"
    ):
        layer(x, x[..., :5], x)
    with pytest.raises(ValueError, match=r"attn_mask \(L, S\) = \(5, 5\) or .* = \(4, 5, 5\), got \(2, 5, 5\)"):
        layer(x, x, x, attn_mask=np.zeros((2, 5, 5), bool))
    with pytest.raises(ValueError, match=r"key_padding_mask \(N, S\) = \(2, 5\), got \(5, 2\)"):
        layer(x, x, x, np.zeros((5, 2), bool))


# ---- transformers -------------------------------------------------------------------------------------------


def causal(n):
    return tnn.Transformer.generate_square_subsequent_mask(n).numpy()


@pytest.mark.parametrize("kwargs", [{}, {"norm_first": True, "activation": "gelu"}, {"batch_first": True, "bias": False}])
@pytest.mark.parametrize("mask", [None, causal(5), np.triu(np.ones((5, 5), bool), 1), causal(5)[::-1].copy()])
def test_encoder(kwargs, mask):
    kwargs |= {"dropout": 0.0, "dim_feedforward": 16}
    layers = [lib.TransformerEncoderLayer(8, 2, **kwargs) for lib in (nn, tnn)]
    ours, theirs = (
        nn.TransformerEncoder(layers[0], 2, nn.LayerNorm(8)),
        tnn.TransformerEncoder(layers[1], 2, tnn.LayerNorm(8), enable_nested_tensor=False),
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    n = 5 if kwargs.get("batch_first") else 3
    padding = np.zeros((3, 5), bool)
    padding[0, 4] = True
    shape = (3, 5, 8) if n == 5 else (5, 3, 8)
    for pad in (None, padding) if mask is None or mask.dtype == bool else (None,):
        compare(lambda x, p=pad: ours(x, mask, p), lambda x, p=pad: theirs(x, tensor(mask), tensor(p)), [random(*shape)])
    ours.zero_grad()
    theirs.zero_grad()
    compare(lambda x: ours(x, mask), lambda x: theirs(x, tensor(mask)), [random(*shape)])
    compare_parameters(ours, theirs)


@pytest.mark.parametrize("kwargs", [{}, {"norm_first": True, "batch_first": True, "activation": F.gelu}])
def test_transformer(kwargs):
    kwargs = {
        "d_model": 8,
        "nhead": 2,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "dim_feedforward": 16,
        "dropout": 0.0,
    } | kwargs
    ours, theirs = nn.Transformer(**kwargs), tnn.Transformer(**{k: TF.gelu if v is F.gelu else v for k, v in kwargs.items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    shapes = [(2, 5, 8), (2, 4, 8)] if kwargs.get("batch_first") else [(5, 2, 8), (4, 2, 8)]
    padding = np.zeros((2, 5), bool)
    padding[1, 3:] = True
    mask = ours.generate_square_subsequent_mask(4)
    np.testing.assert_array_equal(mask, causal(4))
    compare(
        lambda s, t: ours(s, t, tgt_mask=mask, memory_key_padding_mask=padding),
        lambda s, t: theirs(s, t, tgt_mask=tensor(mask), memory_key_padding_mask=tensor(padding)),
        [random(*shape) for shape in shapes],
    )
    compare_parameters(ours, theirs)


def test_transformer_trains_with_dropout():
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5)
    x = random(4, 2, 8)
    assert not np.array_equal(model(x).data, model(x).data)
    model.eval()
    np.testing.assert_array_equal(model(x).data, model(x).data)
    with pytest.raises(ValueError, match="activation is 'relu', 'gelu' or a function, not 'tanh'"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")
    with pytest.raises(ValueError, match="src and tgt need the same batch"):
        nn.Transformer(8, 2, 1, 1)(random(5, 2, 8), random(5, 3, 8))


# ---- positions ----------------------------------------------------------------------------------------------


def test_sinusoidal_positions():
    layer = nn.SinusoidalPositions(6, 10)
    x = random(2, 7, 6)
    expected = [[(math.cos if j % 2 else math.sin)(t / 10000 ** (j // 2 * 2 / 6)) for j in range(6)] for t in range(7)]
    np.testing.assert_allclose(layer(x) - x, np.broadcast_to(expected, x.shape), atol=1e-6)
    assert layer(cr.Variable(x)).dtype == np.float32
    with pytest.raises(ValueError, match=r"expected \(..., T, 6\) with T at most 10, got \(11, 6\)"):
        layer(random(11, 6))
    with pytest.raises(ValueError, match="even, not 5"):
        F.sinusoidal_positions(3, 5)


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_positions(interleaved):
    x = random(2, 5, 6, dtype=np.float64)
    pairs = x.reshape(2, 5, 3, 2) if interleaved else np.moveaxis(x.reshape(2, 5, 2, 3), 2, 3)
    turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * np.arange(5)[:, None] * 10000.0 ** (-np.arange(3) / 3))
    turned = np.stack([turned.real, turned.imag], -1)
    expected = (turned if interleaved else np.moveaxis(turned, 3, 2)).reshape(x.shape)
    np.testing.assert_allclose(F.rotary_positions(x, interleaved=interleaved), expected)
    cr.check_grads(lambda x: F.rotary_positions(x, interleaved=interleaved) ** 2, [x[:1, :3]])
    layer = nn.RotaryPositions(6, 8, interleaved=interleaved)
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    np.testing.assert_array_equal(layer(x)[:, 2:], layer(x[:, 2:], offset=2))
    np.testing.assert_array_equal(
        F.rotary_positions(x, np.arange(5), interleaved=interleaved), F.rotary_positions(x, interleaved=interleaved)
    )
    with pytest.raises(ValueError, match="with T at most 3"):
        layer(x, offset=5)


def test_alibi():
    np.testing.assert_allclose(F.alibi_slopes(8), 0.5 ** np.arange(1, 9))
    np.testing.assert_allclose(F.alibi_slopes(12), [*0.5 ** np.arange(1, 9), *0.5 ** np.arange(0.5, 4, 1)], 1e-6)
    bias = F.alibi_bias(8, 3, 5)
    for i in range(3):
        for j in range(5):
            assert bias[2, i, j] == -0.125 * abs(i + 2 - j)


# ---- the kernel beside the composition it stands for --------------------------------------------------------


def both_ways(monkeypatch, arrays, **options):
    """Results and gradients by the kernel, and step by step."""
    found = []
    for has_kernel in (None, lambda *args: False):
        if has_kernel is not None:
            monkeypatch.setattr("chainrule.functional.attention._has_kernel", has_kernel)
        cr.manual_seed(3)
        xs = [cr.Variable(a) for a in arrays]
        y = F.scaled_dot_product_attention(*xs, **options)
        y.grad = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
        y.backward()
        found.append([y.data, *(x.grad for x in xs)])
    monkeypatch.undo()
    return found


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 2, 150, 24), (70, 33), (2, 1, 3, 1, 5), (0, 3, 4), (2, 0, 4)])
@pytest.mark.parametrize("options", [{"dropout_p": 0.3}, {"is_causal": True, "dropout_p": 0.5}, {"dropout_p": 1.0}])
def test_kernel_equals_composition(monkeypatch, shape, dtype, options):
    arrays = [random(*shape, dtype=dtype) for _ in range(3)]
    tolerance = {2: 3e-3, 4: 2e-5, 8: 1e-12}[np.dtype(dtype).itemsize]
    for got, expected in zip(*both_ways(monkeypatch, arrays, **options), strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, tolerance, tolerance)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_attention_of_what_is_not_finite(monkeypatch, bad):
    arrays = [random(1, 1, 40, 8) for _ in range(3)]
    arrays[1][0, 0, 7, 3] = bad
    with np.errstate(invalid="ignore"):
        for got, expected in zip(*both_ways(monkeypatch, arrays), strict=True):
            np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
            np.testing.assert_allclose(got, expected, 2e-5, 2e-5)


def test_attention_does_not_depend_on_the_number_of_threads():
    before, found = cr.get_num_threads(), []
    arrays = [random(1, 2, 300, 16) for _ in range(3)]
    for n in (1, 2, 3):
        cr.set_num_threads(n)
        xs = [cr.Variable(a) for a in arrays]
        y = F.scaled_dot_product_attention(*xs)
        np.sum(y * y).backward()
        found.append([y.data, *(x.grad for x in xs)])
    cr.set_num_threads(before)
    for others in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], others, strict=True))


@pytest.mark.parametrize("queries", [1, 3, 4, 5])
def test_few_queries_of_many_keys(queries):
    q, k, v = (rng.standard_normal((2, 3, n, 20)).astype(np.float32) for n in (queries, 101, 101))
    seen = rng.random((2, 1, queries, 101)) < 0.5
    y = F.scaled_dot_product_attention(q, k.swapaxes(1, 2).copy().swapaxes(1, 2), v, seen)
    expected = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, (q, k, v, seen)))
    np.testing.assert_allclose(y, expected.numpy(), 2e-5, 2e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_half_precision_is_computed_in_single(masked):
    rng = np.random.default_rng(0)
    q, k, v = (3 * rng.standard_normal((3, 2, 5, 8))).astype(np.float16)
    mask = rng.standard_normal((5, 5)).astype(np.float16) if masked else None
    xs = [cr.Variable(a) for a in (q, k, v)]
    y = F.scaled_dot_product_attention(*xs, mask)
    np.sum(y).backward()
    wide = F.scaled_dot_product_attention(*(a.astype(np.float32) for a in (q, k, v)), mask)
    np.testing.assert_array_equal(y.data, wide.astype(np.float16))
    assert all(x.grad.dtype == np.float16 for x in xs)
    weights = attention_weights(q, k, mask, False, 1.0)
    wide = attention_weights(q.astype(np.float32), k.astype(np.float32), mask, False, 1.0)
    np.testing.assert_array_equal(weights, wide.astype(np.float16))
