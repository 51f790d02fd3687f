"""Checkpoints: all that training needs to go on, in one file that is there whole or as it was before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.arrays import Array, is_array
from ..core.variable import Variable
from ..io import load, read_metadata, save
from ..io.atomic import remove_unfinished
from .callback import Callback, Monitor

if TYPE_CHECKING:
    from .trainer import Trainer

_KEY = "chainrule checkpoint"


def save_checkpoint(state: Mapping[str, Any], path: str | PathLike[str]) -> None:
    """Save a state of numbers, strings, arrays, and dicts, lists and tuples of these, as one safetensors file.

    The file takes the place of one that exists at once: however the process ends, the one or the other is there, whole.
    A model's weights in it have the names ``model.<name>``, for any program that reads safetensors.

    Args:
        state: such as ``trainer.state_dict()``.
        path: the file.

    Raises:
        TypeError: the state holds anything else, such as a function; the message says where.
        OSError: the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint({"step": 3, "betas": (0.9, 0.99), "m": {0: np.zeros(2)}}, f"{folder}/last.safetensors")
    ...     load_checkpoint(f"{folder}/last.safetensors")
    {'step': 3, 'betas': (0.9, 0.99), 'm': {0: array([0., 0.])}}
    """
    arrays: dict[str, Array] = {}
    text = json.dumps(_written(state, "", arrays))
    save(arrays, path, metadata={_KEY: text})


def load_checkpoint(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the state that ``save_checkpoint`` has saved: its arrays are new, and may be written to.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or no checkpoint.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    metadata = read_metadata(path)
    if _KEY not in metadata:
        raise ValueError(f"{path} holds named arrays, but is no checkpoint; read it with chainrule.load")
    state: dict[str, Any] = _read(json.loads(metadata[_KEY]), load(path))
    return state


def _written(value: Any, place: str, arrays: dict[str, Array]) -> Any:
    """The value in JSON's types, with its arrays moved to ``arrays``; what JSON lacks is a dict with one key of ours."""
    value = value.data if isinstance(value, Variable) else value
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, np.generic) or is_array(value):
        name = place.lstrip(".")
        while name in arrays:
            name += "'"
        arrays[name] = np.asarray(value)
        return {"$scalar" if isinstance(value, np.generic) else "$array": name}
    if isinstance(value, (list, tuple)):
        items = [_written(item, f"{place}.{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _written(item, f"{place}.{key}", arrays) for key, item in value.items()}
        return {"$dict": [[_written(key, "", arrays), _written(item, f"{place}.{key}", arrays)] for key, item in value.items()]}
    raise TypeError(
        f"a checkpoint holds numbers, strings and arrays; {place.lstrip('.') or 'the state'} is {type(value).__name__}"
    )


def _read(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, list):
        return [_read(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "$array":
            return arrays[content]
        if kind == "$scalar":
            return arrays[content][()]
        if kind == "$tuple":
            return tuple(_read(item, arrays) for item in content)
        if kind == "$dict":
            return {_read(key, arrays): _read(item, arrays) for key, item in content}
    return {key: _read(item, arrays) for key, item in value.items()}


class ModelCheckpoint(Callback):
    """Saves a checkpoint after each epoch and after Ctrl-C, ``last.safetensors``, and the best, ``best.safetensors``.

    ``trainer.fit(..., resume=True)`` goes on from the last. To use a model: ``load_checkpoint(path)["model"]`` is its state
    dict.

    Args:
        folder: where they are saved; it is made if there is none.
        monitor: the result that says which is best, such as ``"validation loss"``; by default, none is.
        mode: ``"min"`` where less is better, ``"max"`` where more is.
        every_steps: save the last after so many steps, too.
        keep_all: keep one of each epoch, ``epoch_<number>.safetensors``.
    """

    rank = 10  # after the callbacks whose state it saves

    def __init__(
        self,
        folder: str | PathLike[str],
        monitor: str | None = None,
        mode: str = "min",
        every_steps: int | None = None,
        keep_all: bool = False,
    ):
        self.folder, self.every_steps, self.keep_all = Path(folder), every_steps, keep_all
        self.last, self.best = self.folder / "last.safetensors", self.folder / "best.safetensors"
        self.monitor = None if monitor is None else Monitor(monitor, mode)

    def on_fit_start(self, trainer: Trainer) -> None:
        if self.monitor is not None:
            self.monitor.check(trainer)
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(self.folder / "*.safetensors")

    def on_step_end(self, trainer: Trainer) -> None:
        if self.every_steps and trainer.step % self.every_steps == 0:
            trainer.save(self.last)

    def on_interrupt(self, trainer: Trainer) -> None:
        trainer.save(self.last)

    def on_epoch_end(self, trainer: Trainer) -> None:
        is_best = self.monitor is not None and self.monitor.improved(trainer.logs)
        trainer.save(self.last)
        if is_best:
            trainer.save(self.best)
        if self.keep_all:
            trainer.save(self.folder / f"epoch_{trainer.epoch}.safetensors")

    def state_dict(self) -> dict[str, Any]:
        return {"best": None if self.monitor is None else self.monitor.best}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if self.monitor is not None:
            self.monitor.best = state_dict["best"]
