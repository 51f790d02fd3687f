"""Images sampled by a grid: derivatives, kernels, places that are no numbers; tests/parity_cases.py compares with PyTorch."""

import numpy as np
import pytest
from beside_torch import compare

import chainrule as cr
import chainrule.functional as F
from chainrule.kernels import sampling as kernels

rng = np.random.default_rng(5)
MODES = [
    (m, p, a) for m in ("bilinear", "nearest", "bicubic") for p in ("zeros", "border", "reflection") for a in (False, True)
]


@pytest.mark.parametrize(("mode", "padding", "align"), MODES)
def test_grid_sample_beside_pytorch(mode, padding, align):
    torch = pytest.importorskip("torch")
    image, grid = rng.standard_normal((2, 16, 9, 7)), rng.standard_normal((2, 11, 6, 2))
    theirs = torch.nn.functional.grid_sample
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 2e-4)):
        places = grid.astype(dtype)
        arrays = [image] if mode == "nearest" else [image, grid]  # which is constant between jumps
        compare(
            lambda x, g=places: F.grid_sample(x, g, mode, padding, align),
            lambda x, g=places: theirs(x, torch.as_tensor(g), mode, padding, align),
            *arrays,
            dtype=dtype,
            tolerance=tolerance,
        )


@pytest.mark.parametrize(("mode", "padding", "align"), [MODES[0], MODES[3], MODES[4], MODES[12], MODES[16]])
def test_derivatives(mode, padding, align):
    image = rng.standard_normal((1, 2, 4, 3))
    grid = rng.uniform(-1.3, 1.3, (1, 2, 3, 2))
    cr.check_grads(lambda x, g: F.grid_sample(x, g, mode, padding, align), [image, grid])


def test_derivatives_in_volumes():
    image, grid = rng.standard_normal((1, 2, 3, 4, 2)), rng.uniform(-1.2, 1.2, (1, 1, 2, 2, 3))
    cr.check_grads(F.grid_sample, [image, grid])
    cr.check_grads(lambda theta: F.affine_grid(theta, (1, 2, 2, 3, 1)), [rng.standard_normal((1, 3, 4))])


@pytest.mark.parametrize("align", [False, True])
def test_the_map_that_changes_nothing(align):
    image = rng.standard_normal((2, 3, 5, 4))
    identity = np.broadcast_to(np.eye(2, 3), (2, 2, 3))
    grid = cr.Variable(F.affine_grid(identity, image.shape, align))
    y = F.grid_sample(image, grid, align_corners=align)
    np.testing.assert_allclose(y.data, image, atol=1e-12)


def test_places_that_are_no_numbers_are_outside():
    image = np.ones((1, 1, 3, 3), np.float32)
    grid = np.array([[[[np.nan, 0.0], [np.inf, 0.0], [-np.inf, np.nan], [0.0, 0.0]]]], np.float32)
    for mode in ("bilinear", "nearest", "bicubic"):
        np.testing.assert_allclose(F.grid_sample(image, grid, mode), [[[[0, 0, 0, 1]]]])


@pytest.mark.parametrize(
    "shape", [(2, 3, 40, 20, 4), (1, 1, 9, 300, 4), (3, 2, 5, 0, 4), (0, 2, 5, 4, 4), (2, 0, 5, 4, 1), (2, 5, 8, 70, 8)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_equal_their_references(shape, dtype):
    n, channels, size, places, taps = shape
    x, g = rng.standard_normal((n, channels, size)).astype(dtype), rng.standard_normal((n, channels, places)).astype(dtype)
    w, index = rng.standard_normal((n, places, taps)).astype(dtype), rng.integers(0, size, (n, places, taps))
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    for function, arguments in (
        (kernels.pull, (x, w, index)),
        (kernels.push, (g, w, index, size)),
        (kernels.pair, (g, x, index)),
    ):
        made, expected = function(*arguments), function.reference(*arguments)
        assert made.dtype == dtype
        np.testing.assert_allclose(made, expected, tolerance, tolerance)


def test_batches_of_examples():
    image, grid = rng.standard_normal((3, 1, 2, 4, 5)), rng.uniform(-1, 1, (3, 1, 2, 3, 2))
    each = np.stack([F.grid_sample(x, g) for x, g in zip(image, grid, strict=True)])
    np.testing.assert_allclose(cr.vmap(F.grid_sample)(image, grid), each)


def test_errors():
    image = np.zeros((1, 2, 3, 4))
    with pytest.raises(
        ValueError, match=r"expected an input \(N, C, H, W\) and a grid .*got \(1, 2, 3, 4\) and \(1, 2, 3, 3\)"
    ):
        F.grid_sample(image, np.zeros((1, 2, 3, 3)))
    with pytest.raises(ValueError, match="mode is 'bilinear', 'nearest' or, of images, 'bicubic', not 'bicubic'"):
        F.grid_sample(np.zeros((1, 1, 2, 2, 2)), np.zeros((1, 1, 1, 1, 3)), "bicubic")
    with pytest.raises(ValueError, match="padding_mode is"):
        F.grid_sample(image, np.zeros((1, 2, 3, 2)), padding_mode="wrap")
    with pytest.raises(ValueError, match=r"got \(2, 2, 3\) for \(1, 2, 3, 4\)"):
        F.affine_grid(np.zeros((2, 2, 3)), (1, 2, 3, 4))
