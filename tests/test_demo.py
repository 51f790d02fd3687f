"""The Fashion-MNIST example, on a handful of images."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from chainrule.data import write_idx
from chainrule.io import load, read_metadata

for package in ("matplotlib", "rich"):
    pytest.importorskip(package)

EXAMPLE = Path(__file__).parents[1] / "examples" / "fashion_mnist.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("fashion_mnist_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def arguments(tmp_path):
    """Command-line arguments for a run on images whose brightest row says their class."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 400), ("t10k", 100)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = rng.integers(0, 60, (n, 28, 28)).astype(np.uint8)
        images[np.arange(n), 4 + 2 * labels] += 180
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    return ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--epochs", "2", "--batch-size", "32"]


def test_it_learns_saves_and_reloads(example, arguments, tmp_path, capsys):
    assert example.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "400 training and 100 test images" in printed
    assert len(re.findall(r"^epoch \d/2 .* validation accuracy", printed, re.MULTILINE)) == 2
    trained, reloaded = re.search(r"Test accuracy (\S+)%; reloaded from the file (\S+)%", printed).groups()
    assert trained == reloaded and float(trained) > 50
    assert read_metadata(tmp_path / "out" / "model.safetensors") == {"epochs": "2"}
    assert (tmp_path / "out" / "curves.png").stat().st_size > 1000


def test_the_same_seed_gives_the_same_model(example, arguments, tmp_path):
    models = []
    for _ in range(2):
        example.main([*arguments, "--epochs", "1", "--seed", "3"])
        models.append(load(tmp_path / "out" / "model.safetensors"))
    for name, array in models[0].items():
        np.testing.assert_array_equal(array, models[1][name])


@pytest.mark.parametrize(("batches", "epochs"), [(0, 0), (20, 1)])
def test_an_interrupt_saves_what_there_is(example, arguments, tmp_path, capsys, monkeypatch, batches, epochs):
    forward, done = example.train.Trainer.forward, []

    def interrupted(self, batch):
        if len(done) == batches:
            raise KeyboardInterrupt
        done.extend([batch] * self.model.training)
        return forward(self, batch)

    monkeypatch.setattr(example.train.Trainer, "forward", interrupted)
    assert example.main(arguments) == example.INTERRUPTED == 130
    assert f"Saved the model after {epochs} of 2 epochs" in capsys.readouterr().out
    state = load(tmp_path / "out" / "model.safetensors")
    example.build_model().load_state_dict(state)
    assert int(state["1.num_batches_tracked"]) == batches
    assert (tmp_path / "out" / "curves.png").exists() == (epochs > 0)


def test_mistakes_are_drawn_and_counted(example, arguments, tmp_path):
    data = example.fashion_mnist(arguments[1])
    logits = np.zeros((100, 10), np.float32)
    logits[:, 3] = 1  # takes everything for a dress
    example.draw_mistakes(logits, data, tmp_path / "mistakes.png")
    assert (tmp_path / "mistakes.png").stat().st_size > 1000
    table = example.confused_pairs(logits, data, rows=9)
    assert all("Dress" in pair for pair in zip(*(column.cells for column in table.columns[:2]), strict=True))
    assert list(table.columns[2].cells) == ["10"] * 9
    example.draw_mistakes(np.eye(10)[data.test.labels], data, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
