"""Find where somebody speaks in a recording, with silero-vad, a network of convolutions and an LSTM that others have trained.

    pip install chainrule
    pip install --no-deps silero-vad
    python examples/speech_detector.py recording.wav

    1.43 s of sound in 0.10 s
    speech from 0.10 s to 0.51 s
    speech from 0.80 s to 1.41 s

That was a voice that says "Front center": its two words are found, as are those of the seven other voices in Debian's package
alsa-utils, and in its noise there are none. The probabilities differ from PyTorch's with these weights by 3.2e-6 at the most.

The network sees 32 ms at a time, and remembers what was before: it can listen as long as anybody speaks. Without a file, it
hears a synthetic vowel between noises, made as G. Fant's theory of speech has it: pulses of the vocal folds, filtered by the
resonances of the mouth.

Source of the network: Silero Team, Silero VAD (2024), https://github.com/snakers4/silero-vad.
"""

from __future__ import annotations

import argparse
import time
import wave
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
import chainrule.functional as F
from chainrule import nn

RATE = 16_000  # samples a second
CHUNK, CONTEXT = 512, 64  # samples that are judged at a time, and how many before them are seen again
PACKAGE = "silero_vad"


class SpeechDetector(nn.Module):
    """The probability that somebody speaks in a chunk of sound, and what is remembered of it.

    A short-time Fourier transform, written as a convolution, gives the loudness of 129 frequencies in four windows; four
    convolutions make one vector of them, an LSTM remembers, a linear layer judges. Attributes are named as in the file.
    """

    def __init__(self) -> None:
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)  # cosines, then sines
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, sound: Any, state: tuple[Any, Any] | None = None) -> tuple[Any, tuple[Any, Any]]:
        """(N, 576) samples, of which the first 64 were heard before, to probabilities (N,) and the new state."""
        waves = self.stft_conv(F.pad(sound[:, None], (0, CONTEXT), mode="reflect"))
        x = np.sqrt(waves[:, :129] ** 2 + waves[:, 129:] ** 2)
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(convolution(x))
        hidden, cell = self.lstm_cell(x[..., 0], state)
        return F.sigmoid(self.final_conv(F.relu(hidden)[..., None]))[:, 0, 0], (hidden, cell)


def pretrained() -> SpeechDetector:
    """The network with its published weights.

    Raises:
        SystemExit: their package is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit("the network is not installed: pip install --no-deps silero-vad")
    model = SpeechDetector()
    model.load_state_dict(cr.load(Path(found.origin).parent / "data" / "silero_vad_16k.safetensors"))
    return model


def probabilities(model: SpeechDetector, sound: np.ndarray) -> np.ndarray:
    """Of speech in each chunk of a recording, float32 between -1 and 1; the last chunk is filled up with silence."""
    sound = np.pad(sound, (CONTEXT, -len(sound) % CHUNK))
    state, found = None, []
    with cr.no_grad():
        for start in range(CONTEXT, len(sound), CHUNK):
            p, state = model(sound[None, start - CONTEXT : start + CHUNK], state)
            found.append(p.item())
    return np.array(found)


def spoken(p: np.ndarray, threshold: float = 0.5, pause: int = 4) -> Iterator[tuple[float, float]]:
    """Beginnings and ends in seconds of what is spoken; pauses of up to ``pause`` chunks don't end it."""
    chunks = np.flatnonzero(p >= threshold)
    for part in np.split(chunks, np.flatnonzero(np.diff(chunks) > pause) + 1):
        if len(part):
            yield part[0].item() * CHUNK / RATE, (part[-1].item() + 1) * CHUNK / RATE


def read_wav(path: Path) -> np.ndarray:
    """A recording of 16-bit samples as float32 between -1 and 1, its channels averaged, at 16 kHz.

    Raises:
        SystemExit: it has other samples.
    """
    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2:
            raise SystemExit(f"{path}: samples of {8 * file.getsampwidth()} bits; 16 bits are read")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        sound, rate = samples.mean(axis=1, dtype=np.float32) / 32768, file.getframerate()
    if rate == RATE:
        return sound
    spectrum = np.fft.rfft(sound)  # resampled by its Fourier series
    n = round(len(sound) * RATE / rate)
    return (np.fft.irfft(spectrum[: n // 2 + 1], n) * (n / len(sound))).astype(np.float32)


def noise_and_vowels() -> np.ndarray:
    """Two seconds of noise, one of "a i a i", and two of noise."""
    t = np.arange(RATE) / RATE
    pitch = 130 * (1 - 0.2 * t + 0.02 * np.sin(2 * np.pi * 5 * t))
    pulses = np.fft.rfft(np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0))
    frequency = np.fft.rfftfreq(RATE, 1 / RATE)
    voice = np.zeros(RATE)
    for resonances, when in (
        ((700, 1220, 2600, 3300), np.sin(4 * np.pi * t)),
        ((280, 2250, 2900, 3500), -np.sin(4 * np.pi * t)),
    ):
        response = pulses / (1 + (frequency / 200) ** 2)
        for f in resonances:
            response = response / (1 - (frequency / f) ** 2 + 1j * frequency * 0.1 / f)
        vowel = np.fft.irfft(response, RATE)
        voice += vowel / np.abs(vowel).max() * np.maximum(when, 0) ** 0.5
    sound = np.random.default_rng(0).normal(scale=0.003, size=5 * RATE)
    sound[2 * RATE : 3 * RATE] += 0.3 * voice
    return sound.astype(np.float32)


def main(argv: Sequence[str] | None = None) -> int:
    """Print what is spoken when; return the exit code."""
    parser = argparse.ArgumentParser(description="Find where somebody speaks in a recording.")
    parser.add_argument("recording", type=Path, nargs="?", help="a WAV file of 16-bit samples")
    args = parser.parse_args(argv)
    sound = read_wav(args.recording) if args.recording else noise_and_vowels()
    model = pretrained()
    probabilities(model, sound[:CHUNK])  # the first call loads compiled code
    start = time.perf_counter()
    p = probabilities(model, sound)
    seconds = time.perf_counter() - start
    print(f"{len(sound) / RATE:.2f} s of sound in {seconds:.2f} s")
    for begin, end in spoken(p):
        print(f"speech from {begin:.2f} s to {end:.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
