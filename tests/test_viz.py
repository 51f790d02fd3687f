"""Drawings: the record as DOT text, curves and grids of images as files."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.viz import draw_graph, image_grid, plot_curves

PNG = b"\x89PNG\r\n\x1a\n"


def arrows(dot):
    return re.findall(r"^  (\w+) -> (\w+)$", dot, re.MULTILINE)


def labels(dot):
    return dict(re.findall(r'^  (\w+) \[label="(.*?)"[,\]]', dot, re.MULTILINE))


def test_graph_names_calls_variables_and_shapes():
    w = cr.Parameter(np.ones((3, 2)), name="weight")
    x = np.ones((4, 3))
    y = np.sum(np.exp(x @ w))
    found = set(labels(draw_graph(y)).values())
    assert found == {r"weight\n(3, 2) float64", "np.matmul", "(4, 2) float64", "np.exp", "np.sum", "() float64"}


def test_graph_draws_each_call_and_variable_once():
    x = cr.Variable(np.ones(2), name="x")
    y = x
    for _ in range(30):
        y = y + y
    dot = draw_graph(y)
    assert len(labels(dot)) == 61  # 30 calls, 30 results, 1 leaf
    assert len(arrows(dot)) == 90


def test_graph_of_several_outputs():
    class Both(cr.Function):
        def forward(self, x):
            return x + 1, x * 2

        def backward(self, g1, g2):
            return g1 + 2 * g2

    a, b = Both()(cr.Variable(np.ones(2)))
    dot = draw_graph(a * b)
    (call,) = [node for node, label in labels(dot).items() if label == "Both"]
    assert sum(source == call for source, _ in arrows(dot)) == 2
    assert sum(target == call for _, target in arrows(dot)) == 1


def test_graph_of_a_long_chain_does_not_recurse():
    y = cr.Variable(np.ones(()))
    for _ in range(20_000):
        y = y + 1.0
    assert draw_graph(y).count("np.add") == 20_000


def test_graph_escapes_names():
    x = cr.Variable(np.ones(1), name='a "b" \\ c')
    assert r"a \"b\" \\ c" in draw_graph(np.exp(x))


def test_graph_after_backward_shows_what_is_left():
    x = cr.Variable(np.ones(2))
    y = np.sum(np.exp(x))
    y.backward()
    assert set(labels(draw_graph(y)).values()) == {"np.sum", "() float64"}


@pytest.mark.parametrize("requires_grad", [True, False])
def test_graph_of_what_was_not_computed(requires_grad):
    with pytest.raises(ValueError, match="nothing was recorded"):
        draw_graph(cr.Variable(np.ones(2), requires_grad=requires_grad))


@pytest.mark.parametrize(
    "history",
    [{"train loss": [1.0, 0.5], "test loss": [0.9], "test accuracy": [0.5, 0.6]}, {"loss": [1.0]}, {"loss": []}],
)
def test_curves(tmp_path, history):
    pytest.importorskip("matplotlib")
    plot_curves(history, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((7, 8, 8), np.uint8),
        np.zeros((1, 1, 8, 8), np.float32),
        np.random.default_rng(0).random((3, 3, 8, 8)),
    ],
)
def test_grid(tmp_path, images):
    pytest.importorskip("matplotlib")
    image_grid(images, [f"${i}" for i in range(len(images))], tmp_path / "grid.png", columns=4)
    image_grid(images, [], tmp_path / "bare.png")
    assert (tmp_path / "grid.png").read_bytes().startswith(PNG)
    assert (tmp_path / "bare.png").read_bytes().startswith(PNG)


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="one quantity at least"):
        plot_curves({}, tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"not \(2, 8, 8, 3\)"):
        image_grid(np.zeros((2, 8, 8, 3)), [], tmp_path / "x.png")
    with pytest.raises(ValueError, match="1 titles for 2 images"):
        image_grid(np.zeros((2, 8, 8)), ["a"], tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"not \(0, 8, 8\)"):
        image_grid(np.zeros((0, 8, 8)), [], tmp_path / "x.png")
