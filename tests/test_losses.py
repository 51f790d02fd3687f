"""Losses beside PyTorch's: every option and reduction, forward and gradient; second derivatives; shapes that do not fit."""

import sys

import numpy as np
import pytest
from test_functional import compare

import chainrule as cr
import chainrule.functional as F
from chainrule import nn

torch = pytest.importorskip("torch")
TF = torch.nn.functional

rng = np.random.default_rng(1)
REDUCTIONS = ["mean", "sum", "none"]
SHAPE = (4, 3)

PROBABILITIES = rng.uniform(0.05, 0.95, SHAPE)
WEIGHT = rng.uniform(0.5, 2.0, 3)

# the loss, its options, and the target as a function of a random array
ELEMENTWISE = {
    "mse": ("mse_loss", {}, lambda a: a),
    "l1": ("l1_loss", {}, lambda a: a),
    "smooth_l1": ("smooth_l1_loss", {}, lambda a: a),
    "smooth_l1 beta": ("smooth_l1_loss", {"beta": 0.3}, lambda a: a),
    "smooth_l1 beta 0": ("smooth_l1_loss", {"beta": 0.0}, lambda a: a),
    "huber": ("huber_loss", {}, lambda a: a),
    "huber delta": ("huber_loss", {"delta": 0.3}, lambda a: a),
    "bce": ("binary_cross_entropy", {}, lambda a: PROBABILITIES),
    "bce weight": ("binary_cross_entropy", {"weight": WEIGHT}, lambda a: PROBABILITIES),
    "bce logits": ("binary_cross_entropy_with_logits", {}, lambda a: PROBABILITIES),
    "bce logits weight": ("binary_cross_entropy_with_logits", {"weight": WEIGHT}, lambda a: PROBABILITIES),
    "bce logits pos_weight": ("binary_cross_entropy_with_logits", {"pos_weight": WEIGHT}, lambda a: PROBABILITIES),
    "kl_div": ("kl_div", {}, lambda a: np.where(PROBABILITIES < 0.3, 0, PROBABILITIES)),
    "kl_div log_target": ("kl_div", {"log_target": True}, lambda a: np.log(PROBABILITIES)),
}


def tensors(options, dtype=np.float64):
    return {k: torch.tensor(v.astype(dtype)) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def arrays(options, dtype=np.float64):
    return {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in options.items()}


@pytest.mark.parametrize(
    ("case", "reduction"),
    [(case, r) for case in ELEMENTWISE for r in (*REDUCTIONS, *(["batchmean"] if "kl_div" in case else []))],
)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_elementwise_losses(case, reduction):
    name, options, make_target = ELEMENTWISE[case]
    ours, theirs = getattr(F, name), getattr(TF, name)
    x = rng.uniform(0.05, 0.95, SHAPE) if name == "binary_cross_entropy" else rng.standard_normal(SHAPE)
    target = make_target(rng.standard_normal(SHAPE))
    options = {**options, "reduction": reduction}

    for dtype, tolerance in [(np.float64, 1e-10), (np.float32, 1e-5)]:
        t = target.astype(dtype)
        compare(
            lambda x, t=t, dtype=dtype: ours(x, t, **arrays(options, dtype)),
            lambda x, t=t, dtype=dtype: theirs(x, torch.tensor(t), **tensors(options, dtype)),
            x,
            dtype=dtype,
            tolerance=tolerance,
        )
    assert ours(x.astype(np.float32), cr.Variable(target), reduction=reduction).dtype == np.float64
    assert ours(x.astype(np.float32), target, reduction=reduction).dtype == np.float32
    cr.check_grads(lambda x: ours(x, target, **options), (x,))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits"])
def test_compiled_loops_of_losses(name, reduction):
    ours, theirs = getattr(F, name), getattr(TF, name)
    x, t = 3 * rng.standard_normal((6, 10, 7, 11)), rng.uniform(0, 1, (6, 10, 7, 11))
    for dtype, tolerance in [(np.float64, 1e-12), (np.float32, 1e-5)]:
        for variant in (x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
            compare(
                lambda x, t: ours(x, t, reduction=reduction),
                lambda x, t: theirs(x, t, reduction=reduction),
                variant,
                t,
                dtype=dtype,
                tolerance=tolerance,
            )
    small = ours(np.array([40.0, -40.0]), np.array([1.0, 0.0]), reduction="none")
    if "logits" in name:
        np.testing.assert_allclose(small, np.exp(-40.0))


@pytest.mark.parametrize("name", ["mse_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_losses_are_differentiable_in_the_target(name):
    ours, theirs = getattr(F, name), getattr(TF, name)
    arguments = rng.uniform(0.05, 0.95, SHAPE), PROBABILITIES
    compare(ours, theirs, *arguments)
    cr.check_grads(ours, arguments)


CLASSES = {
    "(N, C)": (5, 3),
    "(C,)": (3,),
    "(N, C, d)": (2, 3, 4),
    "(N, C, d1, d2)": (2, 3, 2, 2),
    "one": (1, 3),
}
OPTIONS = {
    "plain": {},
    "weight": {"weight": WEIGHT},
    "ignore_index": {"ignore_index": 1},
    "both": {"weight": WEIGHT, "ignore_index": 1},
    "smoothing": {"label_smoothing": 0.2},
    "smoothing weight": {"label_smoothing": 0.2, "weight": WEIGHT},
    "smoothing all": {"label_smoothing": 0.2, "weight": WEIGHT, "ignore_index": 1},
}


def classes(shape):
    """Random classes for logits of ``shape``: some of them 1, but not all."""
    target = rng.integers(0, 3, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if target.size:
        target = np.asarray(target)
        target.flat[-1] = 1
        target.flat[0] = 2
    return target


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("shape", CLASSES.values(), ids=CLASSES)
def test_cross_entropy(shape, option, reduction):
    options = {**OPTIONS[option], "reduction": reduction}
    x, target = rng.standard_normal(shape), classes(shape)
    for dtype, tolerance in [(np.float64, 1e-10), (np.float32, 1e-5)]:
        compare(
            lambda x, dtype=dtype: F.cross_entropy(x, target, **arrays(options, dtype)),
            lambda x, dtype=dtype: TF.cross_entropy(x, torch.tensor(target), **tensors(options, dtype)),
            x,
            dtype=dtype,
            tolerance=tolerance,
        )
    cr.check_grads(lambda x: F.cross_entropy(x, target, **options), (x,))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("option", ["plain", "weight", "ignore_index", "both"])
@pytest.mark.parametrize("shape", CLASSES.values(), ids=CLASSES)
def test_nll_loss(shape, option, reduction):
    options = {**OPTIONS[option], "reduction": reduction}
    x, target = rng.standard_normal(shape), classes(shape)
    compare(
        lambda x: (
            F.nll_loss(x, cr.Variable(target), **options) if isinstance(x, cr.Variable) else F.nll_loss(x, target, **options)
        ),
        lambda x: TF.nll_loss(x, torch.tensor(target), **tensors(options)),
        x,
    )
    cr.check_grads(lambda x: np.square(F.nll_loss(x, target, **options)), (x,))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("option", ["plain", "weight", "smoothing", "smoothing weight"])
@pytest.mark.parametrize("shape", CLASSES.values(), ids=CLASSES)
def test_cross_entropy_of_probabilities(shape, option, reduction):
    options = {**OPTIONS[option], "reduction": reduction}
    x, t = rng.standard_normal(shape), F.softmax(rng.standard_normal(shape), 0 if len(shape) == 1 else 1)

    def ours(x, t):
        return F.cross_entropy(x, t, **options)

    compare(ours, lambda x, t: TF.cross_entropy(x, t, **tensors(options)), x, t)
    cr.check_grads(ours, (x, t))


def test_extreme_logits():
    x = np.array([[1e4, -1e4], [0.0, 30.0]], np.float32)
    loss = F.cross_entropy(x, np.array([0, 0]), reduction="none")
    np.testing.assert_array_equal(loss, [0.0, 30.0])
    assert F.binary_cross_entropy_with_logits(np.array([-1e4, 1e4]), np.array([0, 1])) == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("n", [1, 10, 65, 300])
def test_compiled_cross_entropy_equals_its_reference(n, dtype, tolerance):
    from chainrule.functional.loss import cross_entropy_gradient
    from chainrule.kernels.loss import cross_entropy

    for shape in [(70, n), (5, 11, n), (300, n)]:
        x, index = (3 * rng.standard_normal(shape)).astype(dtype), rng.integers(0, n, shape[:-1])
        x[0], x[1, ..., 0], x[2, ..., -1], x[3, ..., -1] = -np.inf, np.inf, np.nan, -np.inf
        index[3] = n - 1  # impossible: the loss is infinite
        g = rng.standard_normal(index.shape).astype(dtype)
        loss, expected = cross_entropy(x, index), cross_entropy.reference(x, index)
        np.testing.assert_allclose(loss, expected, tolerance, tolerance)
        gradient = cross_entropy_gradient.reference(g, expected, x, index)
        np.testing.assert_allclose(cross_entropy_gradient(g, loss, x, index), gradient, 5 * tolerance, 5 * tolerance)


LOSSES = {
    "MSELoss": [{}, {"reduction": "sum"}],
    "L1Loss": [{}],
    "SmoothL1Loss": [{}, {"beta": 2.0}],
    "HuberLoss": [{}, {"delta": 2.0, "reduction": "none"}],
    "BCELoss": [{}, {"weight": WEIGHT}],
    "BCEWithLogitsLoss": [{}, {"weight": WEIGHT, "pos_weight": WEIGHT}],
    "KLDivLoss": [{}, {"reduction": "batchmean"}, {"log_target": True}],
    "NLLLoss": [{}, {"weight": WEIGHT, "ignore_index": 1}],
    "CrossEntropyLoss": [{}, {"weight": WEIGHT, "label_smoothing": 0.1}],
}


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize(("name", "options"), [(n, o) for n, os in LOSSES.items() for o in os])
def test_loss_modules(name, options):
    loss, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**tensors(options))
    target = classes((4, 3)) if name in ("NLLLoss", "CrossEntropyLoss") else PROBABILITIES
    compare(lambda x: loss(x, target), lambda x: theirs(x, torch.tensor(target)), rng.uniform(0.05, 0.95, SHAPE))
    assert list(loss.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "binary_cross_entropy"])
def test_shapes_that_differ_are_an_error(name):
    for input, target, hint in [((4,), (4, 1), r"; use target.reshape\(4,\)"), ((4, 1), (4,), ""), ((4, 2), (2,), "")]:
        with pytest.raises(ValueError, match=f"{name}: input .* and target .* differ in shape{hint}"):
            getattr(F, name)(np.full(input, 0.5), np.full(target, 0.5))
    with pytest.raises(ValueError, match=r"MSELoss: mse_loss: input \(4,\) and target \(4, 1\) differ in shape"):
        nn.MSELoss()(np.zeros(4), np.zeros((4, 1)))


def test_errors():
    x = np.zeros((4, 3))
    with pytest.raises(
        ValueError, match=r"of shape \(4,\), or probabilities, floats of shape \(4, 3\); got int64 of shape \(4, 1\)"
    ):
        F.cross_entropy(x, np.zeros((4, 1), int))
    with pytest.raises(ValueError, match=r"got int64 of shape \(4, 3\)"):
        F.cross_entropy(x, np.zeros((4, 3), int))
    with pytest.raises(IndexError, match=r"index 3 at position \(1,\); the number of classes is 3"):
        F.cross_entropy(x, np.array([0, 3, 1, 1]))
    with pytest.raises(TypeError, match="classes are integers from 0 to 2, not float64; use target.astype"):
        F.nll_loss(x, np.zeros(4))
    with pytest.raises(ValueError, match=r"weight has the shape \(3,\)"):
        F.nll_loss(x, np.zeros(4, int), weight=np.ones(4))
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none', not 'average'"):
        F.mse_loss(x, x, reduction="average")
    with pytest.raises(ValueError, match="for logits use binary_cross_entropy_with_logits"):
        F.binary_cross_entropy(x + 1.5, x)
    with pytest.raises(ValueError, match="label_smoothing is between 0 and 1"):
        F.cross_entropy(x, np.zeros(4, int), label_smoothing=2.0)


# ---- losses of counts, margins, pairs and triplets ----------------------------------------------------------

SIGNS = rng.choice([-1, 1], SHAPE)
COUNTS = rng.integers(0, 5, SHAPE)
LABELS = np.array([[2, 0, -1], [1, -1, 2], [-1, 0, 1], [0, 1, 2]])
VARIANCE = rng.uniform(0.5, 2.0, SHAPE)


def triplet(**options):
    return ("triplet_margin_loss", "TripletMarginLoss", options, [SHAPE] * 3, [])


# the function, the layer, options, the shapes of what is differentiated, and the targets
FURTHER = [
    ("poisson_nll_loss", "PoissonNLLLoss", {}, [SHAPE], [COUNTS]),
    ("poisson_nll_loss", "PoissonNLLLoss", {"full": True}, [SHAPE], [COUNTS]),
    ("soft_margin_loss", "SoftMarginLoss", {}, [SHAPE], [SIGNS]),
    ("hinge_embedding_loss", "HingeEmbeddingLoss", {}, [SHAPE], [SIGNS]),
    ("hinge_embedding_loss", "HingeEmbeddingLoss", {"margin": 0.3}, [SHAPE], [SIGNS]),
    ("margin_ranking_loss", "MarginRankingLoss", {}, [SHAPE, SHAPE], [SIGNS]),
    ("margin_ranking_loss", "MarginRankingLoss", {"margin": 0.4}, [SHAPE, SHAPE], [SIGNS]),
    ("cosine_embedding_loss", "CosineEmbeddingLoss", {}, [SHAPE, SHAPE], [SIGNS[:, 0]]),
    ("cosine_embedding_loss", "CosineEmbeddingLoss", {"margin": -0.3}, [(3,), (3,)], [np.array(-1)]),
    triplet(),
    triplet(margin=0.5, p=3.0, swap=True),
    ("triplet_margin_loss", "TripletMarginLoss", {}, [(3,)] * 3, []),
    ("triplet_margin_with_distance_loss", "TripletMarginWithDistanceLoss", {"swap": True, "margin": 2.0}, [SHAPE] * 3, []),
    ("multi_margin_loss", "MultiMarginLoss", {}, [SHAPE], [np.array([0, 2, 1, 2])]),
    ("multi_margin_loss", "MultiMarginLoss", {"p": 2, "margin": 0.7, "weight": WEIGHT}, [SHAPE], [np.array([0, 2, 1, 2])]),
    ("multi_margin_loss", "MultiMarginLoss", {}, [(3,)], [np.array(1)]),
    ("multilabel_margin_loss", "MultiLabelMarginLoss", {}, [SHAPE], [LABELS]),
    ("multilabel_margin_loss", "MultiLabelMarginLoss", {}, [(3,)], [LABELS[1]]),
    ("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", {}, [SHAPE], [COUNTS % 2]),
    ("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", {"weight": WEIGHT}, [SHAPE], [COUNTS % 2]),
]


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "layer", "options", "shapes", "targets"), FURTHER, ids=[f"{f[0]} {f[2]} {f[3][0]}" for f in FURTHER]
)
def test_further_losses(name, layer, options, shapes, targets, reduction):
    options = {**options, "reduction": reduction}
    xs = [rng.standard_normal(s) for s in shapes]

    def theirs(*ts):  # counts and signs in the dtype of the input, as PyTorch needs them
        as_input = name not in ("multi_margin_loss", "multilabel_margin_loss")
        given = [torch.tensor(t).to(ts[0].dtype) if as_input else torch.tensor(t) for t in targets]
        return getattr(TF, name)(*ts, *given, **tensors(options))

    def ours(*xs):
        return getattr(F, name)(*xs, *targets, **options)

    compare(ours, theirs, *xs)
    cr.check_grads(ours, xs)
    module = getattr(nn, layer)(**options)
    np.testing.assert_array_equal(module(*xs, *targets), ours(*xs))
    assert list(module.state_dict()) == list(getattr(torch.nn, layer)(**tensors(options)).state_dict())
    single = [x.astype(np.float32) for x in xs]
    assert getattr(F, name)(*single, *targets, **arrays(options, np.float32)).dtype == np.float32


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_of_rates_and_variances(reduction):
    rate = rng.uniform(0.2, 3.0, SHAPE)
    compare(
        lambda x: F.poisson_nll_loss(x, COUNTS, log_input=False, reduction=reduction),
        lambda x: TF.poisson_nll_loss(x, torch.tensor(COUNTS), log_input=False, reduction=reduction),
        rate,
    )
    x, t = rng.standard_normal(SHAPE), rng.standard_normal(SHAPE)
    for full in (False, True):
        for var in (VARIANCE, VARIANCE[:, :1], VARIANCE[:, 0], np.where(VARIANCE < 1, 0, VARIANCE)):
            options = {"full": full, "reduction": reduction, "eps": 1e-3}
            compare(
                lambda x, t, v, options=options: F.gaussian_nll_loss(x, t, v, **options),
                lambda x, t, v, options=options: TF.gaussian_nll_loss(x, t, v, **options),
                x,
                t,
                var,
            )
    cr.check_grads(lambda x, t, v: nn.GaussianNLLLoss(reduction=reduction)(x, t, v), (x, t, VARIANCE))
    assert F.gaussian_nll_loss(x, t, 2.0).shape == ()


def test_distances():
    a, b = rng.standard_normal(SHAPE), rng.standard_normal(SHAPE)
    for p in (1.0, 2.0, 3.0):
        for keepdim in (False, True):
            compare(nn.PairwiseDistance(p, keepdim=keepdim), torch.nn.PairwiseDistance(p, keepdim=keepdim), a, b)
    for dim in (0, 1, -1):
        compare(nn.CosineSimilarity(dim), torch.nn.CosineSimilarity(dim), a, b)
    compare(F.cosine_similarity, TF.cosine_similarity, a, b[:1])
    cr.check_grads(F.cosine_similarity, (a, b))
    cr.check_grads(F.pairwise_distance, (a, b))


# ---- connectionist temporal classification ------------------------------------------------------------------

STEPS, BATCH, CLASSES_OF_CTC = 9, 4, 5
SEQUENCES = np.array([[1, 2, 2, 3], [4, 4, 1, 0], [3, 0, 0, 0], [2, 1, 0, 0]])
INPUT_LENGTHS, TARGET_LENGTHS = np.array([9, 7, 6, 9]), np.array([4, 3, 1, 2])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("layout", ["padded", "concatenated"])
@pytest.mark.parametrize("blank", [0, 4])
def test_ctc_loss(blank, layout, reduction):
    sequences = np.where((blank == SEQUENCES) & (np.arange(4) < TARGET_LENGTHS[:, None]), 0, SEQUENCES)
    if layout == "concatenated":
        sequences = np.concatenate([row[:n] for row, n in zip(sequences, TARGET_LENGTHS, strict=True)])
    options = {"blank": blank, "reduction": reduction}
    x = rng.standard_normal((STEPS, BATCH, CLASSES_OF_CTC))

    def ours(x):
        return F.ctc_loss(F.log_softmax(x, -1), sequences, INPUT_LENGTHS, TARGET_LENGTHS, **options)

    compare(
        ours,
        lambda x: TF.ctc_loss(
            x.log_softmax(-1), *(torch.tensor(a) for a in (sequences, INPUT_LENGTHS, TARGET_LENGTHS)), **options
        ),
        x,
    )
    loss = nn.CTCLoss(**options)(F.log_softmax(x, -1), sequences, INPUT_LENGTHS, TARGET_LENGTHS)
    np.testing.assert_array_equal(loss, ours(x))


def test_ctc_loss_derivatives():
    log_probs = F.log_softmax(rng.standard_normal((5, 2, 3)), -1)
    cr.check_grads(
        lambda x: F.ctc_loss(x, np.array([[1, 1], [2, 0]]), np.array([5, 4]), np.array([2, 1]), reduction="none"), (log_probs,)
    )


def test_ctc_loss_is_a_sum_over_alignments():
    """Of all paths through the classes, those that read as the target once repetitions and blanks are out."""
    from itertools import groupby, product

    log_probs, target = F.log_softmax(rng.standard_normal((5, 3)), -1), [1, 1]
    total = sum(
        np.exp(sum(log_probs[t, k] for t, k in enumerate(path)))
        for path in product(range(3), repeat=5)
        if [k for k, _ in groupby(path) if k] == target
    )
    loss = F.ctc_loss(log_probs, np.array(target), np.array(5), np.array(2), reduction="sum")
    np.testing.assert_allclose(loss, -np.log(total))


def test_ctc_loss_of_what_is_impossible_or_empty():
    x = cr.Variable(F.log_softmax(rng.standard_normal((3, 2, 3)), -1))
    arguments = np.array([[1, 1, 1], [2, 0, 0]]), np.array([3, 3]), np.array([3, 1])
    assert np.isinf(F.ctc_loss(x, *arguments, reduction="none").data).tolist() == [True, False]
    loss = F.ctc_loss(x, *arguments, reduction="sum", zero_infinity=True)
    loss.backward()
    assert np.isfinite(loss.data) and not x.grad[:, 0].any() and x.grad[:, 1].any()
    empty = F.ctc_loss(x, np.zeros((2, 0), int), np.array([3, 2]), np.array([0, 0]), reduction="none")
    np.testing.assert_allclose(empty.data, [-x.data[:, 0, 0].sum(), -x.data[:2, 1, 0].sum()])


def test_errors_of_further_losses():
    x = np.zeros((4, 3))
    for call, message in [
        (lambda: F.margin_ranking_loss(x, x[0], x), r"margin_ranking_loss: input \(4, 3\) and target \(3,\) differ"),
        (lambda: F.gaussian_nll_loss(x, x, x[0]), r"variances of input \(4, 3\) do not have the shape \(3,\)"),
        (lambda: F.gaussian_nll_loss(x, x, x - 1), "a variance is negative: -1"),
        (lambda: F.multi_margin_loss(x, np.zeros(4, int), p=3), "p is 1 or 2, not 3"),
        (lambda: F.multi_margin_loss(x[None], np.zeros((1, 3), int)), r"expected \(N, C\) or \(C,\), got \(1, 4, 3\)"),
        (lambda: F.multilabel_margin_loss(x, np.zeros(4, int)), r"one shape, \(N, C\) or \(C,\); got \(4, 3\) and \(4,\)"),
        (lambda: F.cosine_embedding_loss(x, x, x), r"expected inputs \(N, D\) and target \(N,\)"),
        (lambda: F.triplet_margin_loss(x, x, x[:2]), r"have one shape; got \(4, 3\), \(4, 3\) and \(2, 3\)"),
        (lambda: F.ctc_loss(x[0], x, x, x), r"expected log_probs \(T, N, C\) or \(T, C\), got \(3,\)"),
        (
            lambda: F.ctc_loss(x[None], x, np.array([1]), np.array([1])),
            "for 4 sequences there are 1 input and 1 target lengths",
        ),
        (lambda: F.ctc_loss(x, np.array([1]), np.array(9), np.array(1)), "input lengths are from 0 to 4"),
        (lambda: F.ctc_loss(x, np.array([1]), np.array(4), np.array(3)), "the target lengths sum to 3"),
        (lambda: F.ctc_loss(x[:, None], np.array([[1]]), np.array([4]), np.array([3])), "1 targets of up to 3 classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(IndexError, match="the number of classes is 3"):
        F.ctc_loss(x, np.array([3]), np.array(4), np.array(1))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("bias", [False, True])
def test_linear_cross_entropy_by_parts(reduction, bias, monkeypatch):
    """The logits of some rows at a time make the loss and the gradients that all at once do."""
    module = sys.modules["chainrule.functional.linear_cross_entropy"]
    x, w, b = rng.standard_normal((11, 5)), rng.standard_normal((7, 5)), rng.standard_normal(7)
    target, weight = rng.integers(0, 7, 11), rng.random(7)
    given = [x, w, b] if bias else [x, w]

    def run(x, w, b=None):
        return F.linear_cross_entropy(
            x, w, target, linear_bias=b, weight=weight, reduction=reduction, ignore_index=int(target[3])
        )

    whole = [cr.Variable(a) for a in given]
    expected = run(*whole)
    np.sum(expected * 2).backward()
    monkeypatch.setattr(module, "_LOGITS", 30)  # 4 rows
    parts = [cr.Variable(a) for a in given]
    loss = run(*parts)
    assert loss.creator is not None
    np.sum(loss * 2).backward()
    np.testing.assert_allclose(loss.data, expected.data, 1e-12)
    for p, q in zip(parts, whole, strict=True):
        np.testing.assert_allclose(p.grad, q.grad, 1e-10, 1e-12)
    cr.check_grads(run, given)
    np.testing.assert_allclose(run(*given), expected.data, 1e-12)


def test_linear_cross_entropy_errors():
    x, w = np.zeros((4, 5)), np.zeros((7, 5))
    with pytest.raises(ValueError, match=r"expected \(N, 5\) for linear_weight \(7, 5\), got \(4, 6\)"):
        F.linear_cross_entropy(np.zeros((4, 6)), w, np.zeros(4, int))
    with pytest.raises(ValueError, match=r"linear_bias is of shape \(7,\), not \(5,\)"):
        F.linear_cross_entropy(x, w, np.zeros(4, int), linear_bias=np.zeros(5))
    with pytest.raises(ValueError, match="ignore_index has no meaning for probabilities"):
        F.linear_cross_entropy(x, w, np.zeros((4, 7)), ignore_index=1)
    with pytest.raises(ValueError, match=r"target holds classes, of shape \(4,\)"):
        F.linear_cross_entropy(x, w, np.zeros(3, int))
    with pytest.raises(ValueError, match=r"mse_loss: weight has the input's shape \(4, 5\), not \(5,\)"):
        F.mse_loss(x, x, weight=np.zeros(5))


def test_distances_between_pairs():
    x = rng.standard_normal((5, 3))
    for p in (1.0, 1.5, 2.0, 3.0, np.inf):
        cr.check_grads(lambda x, p=p: F.pdist(x, p), [x])
    assert F.pdist(x[:1]).shape == (0,)
    with pytest.raises(ValueError, match=r"pdist: expected \(N, M\)"):
        F.pdist(x[0])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_classes_that_do_not_count_may_be_impossible(reduction):
    logits, target = np.array([[-np.inf, 1.0, 2.0], [0.5, -np.inf, 1.0]]), np.array([-100, 2])
    compare(
        lambda x: F.cross_entropy(x, target, reduction=reduction),
        lambda x: TF.cross_entropy(x, torch.tensor(target), reduction=reduction),
        logits,
    )


def test_a_batch_of_which_nothing_counts_leaves_no_gradient():
    for dtype in (np.float32, np.float64):
        x = cr.Variable(rng.standard_normal((2, 3)).astype(dtype))
        loss = F.cross_entropy(x, np.array([-100, -100]))
        loss.backward()
        assert np.isnan(loss.data)
        assert loss.dtype == x.grad.dtype == dtype
        assert not x.grad.any()


def test_half_precision_does_not_overflow():
    a, b = (8 * rng.standard_normal((2, 6, 10))).astype(np.float16)
    wide = F.cosine_embedding_loss(a.astype(np.float64), b.astype(np.float64), np.ones(6), reduction="none")
    narrow = F.cosine_embedding_loss(a, b, np.ones(6), reduction="none")
    assert narrow.dtype == np.float16
    np.testing.assert_allclose(narrow, wide, atol=4e-3)


def test_margins_of_triplets():
    with pytest.raises(ValueError, match="margin is positive, not -1"):
        F.triplet_margin_loss(*rng.standard_normal((3, 4, 2)), margin=-1.0)
