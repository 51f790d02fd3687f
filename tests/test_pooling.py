"""Pooling: beside PyTorch's, forward and gradient; and second derivatives."""

import numpy as np
import pytest
from beside_torch import compare

import chainrule as cr
import chainrule.functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional

rng = np.random.default_rng(0)


POOLS = {
    "2": ((2, 3, 8, 6), 2, {}),
    "odd": ((2, 3, 7, 9), 2, {}),
    "not square": ((2, 3, 7, 9), (3, 2), {"stride": (1, 2)}),
    "overlapping": ((2, 3, 9, 9), 3, {"stride": 2, "padding": 1}),
    "ceil": ((1, 2, 8, 7), 3, {"stride": 2, "ceil_mode": True}),
    "ceil padding": ((1, 2, 6, 7), 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
    "ceil, last window in the padding": ((1, 1, 5, 5), 2, {"stride": 3, "padding": 1, "ceil_mode": True}),
    "empty batch": ((0, 2, 4, 4), 2, {}),
    "empty batch overlapping": ((0, 2, 4, 4), 3, {"stride": 1}),
}
DILATED = {
    "dilation": ((2, 2, 9, 8), 3, {"dilation": 2, "stride": 1, "padding": 1}),
    "dilation ceil": ((2, 2, 9, 8), 2, {"dilation": (3, 2), "stride": 2, "ceil_mode": True}),
}
AVERAGES = {
    "image alone": ((1, 2, 6, 7), 3, {"stride": 2, "padding": 1, "count_include_pad": False}),
    "image alone, ceil": ((1, 2, 6, 7), 3, {"stride": 2, "padding": 1, "count_include_pad": False, "ceil_mode": True}),
    "divisor": ((1, 2, 6, 7), 3, {"divisor_override": 5}),
}  # fmt: skip


@pytest.mark.parametrize("case", POOLS | DILATED)
def test_max_pool2d(case):
    shape, size, options = (POOLS | DILATED)[case]
    x = rng.standard_normal(shape)
    compare(lambda x: F.max_pool2d(x, size, **options), lambda x: TF.max_pool2d(x, size, **options), x)
    ties = rng.integers(0, 2, shape)
    compare(lambda x: F.max_pool2d(x, size, **options), lambda x: TF.max_pool2d(x, size, **options), ties)
    if x.size:
        x = x[:1, :1]
        cr.check_grads(lambda x: np.square(F.max_pool2d(x, size, **options)), (x,))


@pytest.mark.parametrize("case", POOLS | AVERAGES)
def test_avg_pool2d(case):
    shape, size, options = (POOLS | AVERAGES)[case]
    x = rng.standard_normal(shape)
    compare(lambda x: F.avg_pool2d(x, size, **options), lambda x: TF.avg_pool2d(x, size, **options), x)
    compare(
        lambda x: F.avg_pool2d(x, size, **options),
        lambda x: TF.avg_pool2d(x, size, **options),
        x,
        dtype=np.float32,
        tolerance=1e-5,
    )
    if x.size:
        cr.check_grads(lambda x: np.square(F.avg_pool2d(x, size, **options)), (x[:1, :1],))


def test_pooling_errors():
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\), got \(3, 4, 4\); use x\[None\]"):
        F.max_pool2d(np.zeros((3, 4, 4)), 2)
    with pytest.raises(ValueError, match="more than half"):
        F.avg_pool2d(np.zeros((1, 3, 4, 4)), 2, padding=2)
    with pytest.raises(ValueError, match="does not fit"):
        F.max_pool2d(np.zeros((1, 3, 4, 4)), 5)
