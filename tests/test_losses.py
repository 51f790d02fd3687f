"""Losses beside PyTorch's: every option and reduction, forward and gradient; second derivatives; shapes that do not fit."""

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
    from chainrule.functional.loss import _cross_entropy_gradient
    from chainrule.kernels.loss import cross_entropy

    for shape in [(70, n), (5, 11, n), (300, n)]:
        x, index = (3 * rng.standard_normal(shape)).astype(dtype), rng.integers(0, n, shape[:-1])
        x[0], x[1, ..., 0], x[2, ..., -1], x[3, ..., -1] = -np.inf, np.inf, np.nan, -np.inf
        index[3] = n - 1  # impossible: the loss is infinite
        g = rng.standard_normal(index.shape).astype(dtype)
        loss, expected = cross_entropy(x, index), cross_entropy.reference(x, index)
        np.testing.assert_allclose(loss, expected, tolerance, tolerance)
        gradient = _cross_entropy_gradient.reference(g, expected, x, index)
        np.testing.assert_allclose(_cross_entropy_gradient(g, loss, x, index), gradient, 5 * tolerance, 5 * tolerance)


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
    with pytest.raises(TypeError, match="indices are integers"):
        F.nll_loss(x, np.zeros(4))
    with pytest.raises(ValueError, match=r"weight has the shape \(3,\)"):
        F.nll_loss(x, np.zeros(4, int), weight=np.ones(4))
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none', not 'average'"):
        F.mse_loss(x, x, reduction="average")
    with pytest.raises(ValueError, match="for logits use binary_cross_entropy_with_logits"):
        F.binary_cross_entropy(x + 1.5, x)
    with pytest.raises(ValueError, match="label_smoothing is between 0 and 1"):
        F.cross_entropy(x, np.zeros(4, int), label_smoothing=2.0)
