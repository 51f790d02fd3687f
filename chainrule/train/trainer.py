"""Trainer: the loop over epochs and batches."""

from __future__ import annotations

import random as python_random
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from itertools import islice
from math import isfinite
from os import PathLike
from typing import Any

import numpy as np

from .. import random
from ..core.arrays import Array, is_array
from ..core.config import no_grad
from ..core.variable import Variable
from ..data import DataLoader, Dataset
from ..dispatch import unwrap
from ..nn.module import Module
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..optim.optimizer import Optimizer
from ..trees import leaves
from .callback import Callback
from .checkpoint import ModelCheckpoint, load_checkpoint, save_checkpoint
from .interrupt import Interrupt
from .metrics import Mean, Metric
from .progress import Progress


class Trainer:
    """Trains a model.

    A batch is a tuple whose last part is the target and whose others are the model's inputs; override ``forward`` for
    models that learn in another way. The loss is a mean over examples. An optimizer that evaluates the loss several times in a
    step, as LBFGS does, is given the same batch again; callbacks are told of the first evaluation alone.

    Attributes that callbacks read: ``epoch``, ``step``: how many are complete, from the beginning of all training;
    ``batch``: how many of this epoch, out of ``batches`` (None where that is not known); ``epochs``: how many there are to
    be; ``loss``, ``examples``: of the last batch; ``logs``: this epoch's results; ``history``: all epochs', as lists.

    Args:
        model: it is trained in place.
        optimizer: of the model's parameters.
        loss_fn: ``loss_fn(outputs, target)``.
        metrics: by name, such as ``{"accuracy": metrics.Accuracy()}``: their results are in ``history`` as
            ``"train accuracy"`` and ``"validation accuracy"``. Use one word for a name.
        scheduler: of the optimizer's learning rates.
        schedule: whether the scheduler makes a step after each ``"epoch"`` or after each ``"step"`` of the optimizer.
        callbacks: what else is to be done; see ``Callback``.
        progress: whether to show how it goes: a bar in a terminal or notebook, else a line for each epoch.

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import nn, optim, train
    >>> from chainrule.data import DataLoader, TensorDataset
    >>> x = np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32)
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> _ = cr.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    >>> trainer = train.Trainer(model, optim.Adam(model.parameters(), lr=0.05), nn.CrossEntropyLoss(),
    ...                         metrics={"accuracy": train.metrics.Accuracy()}, progress=False)
    >>> history = trainer.fit(DataLoader(TensorDataset(x, y), 32, shuffle=True), epochs=20)
    >>> history["train accuracy"][-1] > 0.9
    True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss_fn: Callable[..., Any],
        *,
        metrics: Mapping[str, Metric] | None = None,
        scheduler: Any = None,
        schedule: str = "epoch",
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ):
        if schedule not in ("epoch", "step"):
            raise ValueError(f"schedule is 'epoch' or 'step', not {schedule!r}")
        for given in (model, optimizer, loss_fn, *(metrics or {}).values(), *callbacks):
            if isinstance(given, type):
                raise TypeError(f"Trainer needs an instance, such as {given.__name__}(...), not the class {given.__name__}")
        if metrics and "loss" in metrics:
            raise ValueError("'loss' is the loss's own name among the results; give the metric another")
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.scheduler, self.schedule = scheduler, schedule
        self.callbacks = sorted([*callbacks, *([Progress()] if progress else [])], key=lambda callback: callback.rank)
        self.measures: dict[str, Any] = {"loss": Mean(), **(metrics or {})}
        self.epoch = self.batch = self.step = self.epochs = self.examples = 0
        self.batches: int | None = None
        self.loss = float("nan")
        self.logs: dict[str, float] = {}
        self.history: dict[str, list[float]] = {}
        self.stop = False
        self.loader: Any = ()
        self.validation: Any = None
        self._in_epoch = False  # whether a checkpoint says that an epoch is to be gone on with
        self._batches_done = False  # whether all of the epoch's batches were trained on
        self._left: list[Any] = []  # where loaders were when an epoch was left
        self._pending = 0  # batches in the gradients
        self._checked = self._warned = False  # what is looked at, or said, once in a fit

    # ---- the loop ---------------------------------------------------------------------------------------

    def fit(
        self,
        loader: Iterable[Any],
        epochs: int,
        validation: Iterable[Any] | None = None,
        resume: str | PathLike[str] | bool = False,
    ) -> dict[str, list[float]]:
        """Train until ``epochs`` epochs are complete, those before included; returns the history.

        Args:
            loader: the batches, such as a DataLoader. With ``resume`` it has to be one, or give the same in each epoch.
            epochs: how many epochs there are to be.
            validation: batches to evaluate after each epoch.
            resume: a checkpoint to go on from: its path; or True for the one that ModelCheckpoint last saved, if there is
                one. What follows is bit for bit what would have followed without an interruption.

        Ctrl-C ends it after the batch that is under way, when ModelCheckpoint has saved where it was; a second one at once.

        Raises:
            FileNotFoundError: there is no checkpoint at that path.
            ValueError: the checkpoint is damaged, or of a training with another optimizer, scheduler or other metrics; there
                was no batch; the optimizer has none of the parameters that the loss depends on.
            RuntimeError: the checkpoint is of another model.
            TypeError: a dataset where batches are needed; a batch without a target.
            KeyboardInterrupt: after Ctrl-C.
        """
        if not isinstance(epochs, (int, np.integer)):
            raise TypeError(f"epochs must be an int, not {epochs!r}")
        if isinstance(loader, Dataset) or isinstance(validation, Dataset):
            raise TypeError("fit takes batches, not a dataset: DataLoader(dataset, batch_size=32, shuffle=True) makes them")
        self.loader, self.validation, self.epochs = loader, validation, int(epochs)
        self.batches = _length(loader)
        self.stop = self._checked = self._warned = False
        self._pending, self._left = 0, []
        self.optimizer.zero_grad()
        if resume:
            self._resume(resume)
        self._emit("on_fit_start")
        try:
            with Interrupt() as interrupt:
                while self.epoch < epochs and not self.stop:
                    self._train_epoch(interrupt)
                    if interrupt and not self.stop and self.epoch < epochs:
                        self._end_interrupted()
        finally:
            self._emit("on_fit_end")
        return self.history

    def _train_epoch(self, interrupt: Interrupt) -> None:
        """Train for an epoch, or for what is left of one."""
        self.model.train()
        batches: Iterable[Any] = self.loader
        if self._in_epoch:
            if self._batches_done:
                batches = ()
            elif not hasattr(self.loader, "load_state_dict"):  # a DataLoader goes on by itself
                batches = islice(batches, self.batch, None)
            self._in_epoch = False
        else:
            self._start_measuring(self.measures)
            self.logs = {}
            self.batch, self._batches_done = 0, False
        self._emit("on_epoch_start")
        for batch in batches:
            self.examples = _examples(batch)
            self._emit("on_batch_start")
            loss, outputs, targets = self.forward(batch)
            _check_loss(loss)
            loss.backward()
            self.loss = loss.item()
            self.batch += 1
            self._pending += 1
            self._measure(self.measures, outputs, targets)
            if self._emit("on_backward_end"):
                self._make_step(batch)
            self._emit("on_batch_end")
            if self.stop:
                self._left = self._places()
                return
            if interrupt and not self._pending:
                self._end_interrupted()
            if not (isfinite(self.loss) or self._warned):
                self._warn_of_loss()
        if not self.batch:
            raise ValueError(_no_batch(self.loader, f"in epoch {self.epoch + 1}"))
        self._batches_done = True
        if self._pending:
            self._make_step(batch)
        self.logs |= {f"train {name}": measure.compute() for name, measure in self.measures.items()}
        if self.validation is not None:
            self._emit("on_evaluation_start")
            self.logs |= {f"validation {name}": value for name, value in self.evaluate(self.validation).items()}
            self._emit("on_evaluation_end")
        if self.scheduler is not None and self.schedule == "epoch":
            self._make_schedule_step()
        for name, value in self.logs.items():
            self.history.setdefault(name, []).append(value)
        self.epoch, self.batch = self.epoch + 1, 0
        self._emit("on_epoch_end")

    def _make_step(self, batch: Any) -> None:
        """Let the optimizer make a step, with the gradients that are there."""
        if not self._checked:
            self._check_first_step(batch)
        self._emit("on_step_start")
        again = False

        def closure() -> float:
            """The loss, with the gradients: those that are there, and where it is called again, new ones of the batch."""
            nonlocal again
            if not again:
                again = True
                return self.loss
            if self._pending > 1:
                raise ValueError(
                    f"{type(self.optimizer).__name__} computes gradients anew, of one batch, but those of {self._pending} were "
                    "accumulated; leave out GradientAccumulation, and use larger batches"
                )
            self.optimizer.zero_grad()
            loss = self.forward(batch)[0]
            loss.backward()
            return float(loss.item())

        self.optimizer.step(closure)
        self.optimizer.zero_grad()
        self._pending = 0
        self.step += 1
        if self.scheduler is not None and self.schedule == "step":
            self.scheduler.step()
        self._emit("on_step_end")

    def _make_schedule_step(self) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(self.logs.get("validation loss", self.logs["train loss"]))
        else:
            self.scheduler.step()

    def forward(self, batch: Any) -> tuple[Any, Any, Any]:
        """The loss of a batch, and what metrics are told: the outputs and the target."""
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise TypeError(
                f"Trainer: a batch is (input, ..., target), not {_described(batch)}; DataLoader(TensorDataset(x, y), size) "
                "gives such. For models that learn from other batches, override Trainer.forward"
            )
        *inputs, target = batch
        outputs = self.model(*inputs)
        return self.loss_fn(outputs, target), outputs, target

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The loss and the metrics on other data, by name, with the model in ``eval`` mode.

        Raises:
            ValueError: there was no batch.
        """
        measures = deepcopy(self.measures)
        self._start_measuring(measures)
        before, examples, loss = self.model.training, self.examples, self.loss
        self.model.eval()
        try:
            with no_grad():
                batch = None
                for batch in loader:
                    self.examples = _examples(batch)
                    value, outputs, targets = self.forward(batch)
                    self.loss = float(unwrap(value))
                    self._measure(measures, outputs, targets)
                if batch is None:
                    raise ValueError(_no_batch(loader, "to evaluate"))
        finally:
            self.model.train(before)
            self.examples, self.loss = examples, loss
        return {name: measure.compute() for name, measure in measures.items()}

    def predict(self, loader: Iterable[Any]) -> Array:
        """The model's outputs for all batches, in one array, with the model in ``eval`` mode.

        Batches are as in training, and their targets are not looked at; or each is an array, the inputs.

        Raises:
            TypeError: an array or a dataset, instead of batches.
            ValueError: there was no batch.
        """
        return predict(self.model, loader)

    # ---- measuring, and telling -------------------------------------------------------------------------

    def _start_measuring(self, measures: Mapping[str, Any]) -> None:
        for measure in measures.values():
            measure.reset()

    def _measure(self, measures: Mapping[str, Any], outputs: Any, targets: Any) -> None:
        for name, measure in measures.items():
            if name == "loss":
                measure.update(self.loss, self.examples)
            else:
                measure.update(unwrap(outputs), unwrap(targets))

    def _emit(self, event: str) -> bool:
        """Tell all callbacks of an event; False if one of them said so."""
        agreed = True
        for callback in self.callbacks:
            agreed &= getattr(callback, event)(self) is not False
        return agreed

    def _warn_of_loss(self) -> None:
        self._warned = True
        warnings.warn(
            f"the loss is {self.loss} in batch {self.batch} of epoch {self.epoch + 1}: look for NaN or infinity in the data, "
            "or lower the learning rate. TerminateOnNaN() stops before the parameters are spoiled; within "
            "chainrule.detect_anomaly() an error names the operation",
            RuntimeWarning,
            stacklevel=4,
        )

    def _check_first_step(self, batch: Any) -> None:
        """Raise where no parameter of the optimizer has a gradient, as where it is another model's; warn of wide inputs."""
        self._checked = True
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        inputs = leaves(batch[:-1] if isinstance(batch, (tuple, list)) else batch)
        if all(p.dtype == np.float32 for p in parameters) and any(getattr(x, "dtype", None) == np.float64 for x in inputs):
            warnings.warn(
                "the data are float64 and the parameters float32, so that all is computed in float64, which takes twice as "
                "long or longer; convert the data once, by x.astype(np.float32), or else the model, by model.double()",
                UserWarning,
                stacklevel=5,
            )
        if all(parameter.grad is None for parameter in parameters):
            raise ValueError(
                "the loss depends on none of the optimizer's parameters: was it made of this model's, optimizer = "
                f"{type(self.optimizer).__name__}(model.parameters(), ...), after the model's last layer was exchanged?"
            )

    def _end_interrupted(self) -> None:
        self._emit("on_interrupt")
        of = "" if self.batches is None else f" of {self.batches}"
        where = f"after batch {self.batch}{of} of epoch {self.epoch + 1}" if self.batch else f"after epoch {self.epoch}"
        saved = next((callback.last for callback in self.callbacks if isinstance(callback, ModelCheckpoint)), None)
        if saved is None:
            raise KeyboardInterrupt(
                f"training stopped {where}; with a ModelCheckpoint among the callbacks, fit(resume=True) would go on there"
            )
        raise KeyboardInterrupt(f"training stopped {where}, and was saved to {saved}; fit(resume=True) goes on there")

    # ---- checkpoints ------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Save all that training needs to go on, as a checkpoint that ``fit(resume=path)`` takes."""
        save_checkpoint(self.state_dict(), path)

    def state_dict(self) -> dict[str, Any]:
        """All that training needs to go on: model, optimizer, scheduler, place in the data, random state, results."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "batches_done": self._batches_done,
            "step": self.step,
            "history": self.history,
            "logs": self.logs,
            "kinds": self._kinds(),
            "measures": {name: measure.state_dict() for name, measure in self.measures.items()},
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "loaders": self._left or self._places(),
            "callbacks": {name: callback.state_dict() for name, callback in self._named_callbacks()},
            "random": {
                "chainrule": random.get_state(),
                "numpy": np.random.get_state(),
                "python": python_random.getstate(),
            },
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` has returned, of a Trainer made alike."""
        state = deepcopy(dict(state_dict))
        for what, kind in self._kinds().items():
            if state["kinds"][what] != kind:
                raise ValueError(f"the checkpoint is of a training with {what} {state['kinds'][what]}; this one has {kind}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["step"]
        self.history, self.logs = state["history"], state["logs"]
        for name, measure in self.measures.items():
            measure.load_state_dict(state["measures"][name])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        for loader, place in zip(self._loaders(), state["loaders"], strict=True):
            if place is not None and hasattr(loader, "load_state_dict"):
                loader.load_state_dict(place)
        for name, callback in self._named_callbacks():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])
        random.set_state(state["random"]["chainrule"])
        np.random.set_state(state["random"]["numpy"])
        python_random.setstate(state["random"]["python"])
        self._in_epoch, self._batches_done = self.batch > 0, state["batches_done"]

    def _kinds(self) -> dict[str, Any]:
        """What has to be as it was for a state to be taken over."""
        return {
            "the optimizer": type(self.optimizer).__name__,
            "the scheduler": None if self.scheduler is None else type(self.scheduler).__name__,
            "the metrics": list(self.measures),
        }

    def _loaders(self) -> tuple[Any, Any]:
        return self.loader, self.validation

    def _places(self) -> list[Any]:
        """Where loaders are in their epochs."""
        return [loader.state_dict() if hasattr(loader, "state_dict") else None for loader in self._loaders()]

    def _named_callbacks(self) -> list[tuple[str, Callback]]:
        """The callbacks by names that say their kinds, and which it is of those of one kind."""
        kinds = [type(callback).__name__ for callback in self.callbacks]
        return [(f"{kind} {kinds[:i].count(kind)}", self.callbacks[i]) for i, kind in enumerate(kinds)]

    def _resume(self, source: str | PathLike[str] | bool) -> None:
        if source is True:
            last = next((callback.last for callback in self.callbacks if isinstance(callback, ModelCheckpoint)), None)
            if last is None:
                raise ValueError("resume=True needs a ModelCheckpoint among the callbacks; or pass a checkpoint's path")
            with suppress(FileNotFoundError):
                self.load_state_dict(load_checkpoint(last))
        else:
            assert not isinstance(source, bool)
            self.load_state_dict(load_checkpoint(source))


def predict(model: Module, loader: Iterable[Any]) -> Array:
    """A model's outputs for all batches, in one array; see ``Trainer.predict``."""
    if is_array(loader) or isinstance(loader, Dataset):
        raise TypeError(
            "predict takes batches: for an array x, DataLoader(TensorDataset(x), batch_size=1000), or [x] for one batch"
        )
    before = model.training
    model.eval()
    try:
        with no_grad():
            inputs = (batch[: max(1, len(batch) - 1)] if isinstance(batch, (tuple, list)) else (batch,) for batch in loader)
            outputs = [unwrap(model(*each)) for each in inputs]
        if not outputs:
            raise ValueError(_no_batch(loader, "to predict"))
        return np.concatenate(outputs)
    finally:
        model.train(before)


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:
        return None


def _examples(batch: Any) -> int:
    """How many examples a batch has: the length of its first array."""
    return len(leaves(batch)[0])


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, Variable):
        raise TypeError(
            f"the loss is {_described(loss)}, not a Variable: it was computed from constants, or converted to a number"
        )
    if loss.size != 1:
        raise ValueError(f"the loss must be one number, the mean over the batch, but has the shape {loss.shape}")


def _described(value: Any) -> str:
    if is_array(value):
        return f"an array of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of length {len(value)}"
    return f"a {type(value).__name__}"


def _no_batch(loader: Any, purpose: str) -> str:
    """Why a loader may have given no batch."""
    if iter(loader) is loader:
        return f"there was no batch {purpose}: a generator can be gone through once only; use a DataLoader or a list"
    if not isinstance(loader, DataLoader):
        return f"there was no batch {purpose}: the {type(loader).__name__} gave none"
    if loader.drop_last:
        return f"there was no batch {purpose}: drop_last leaves out what is less than {loader.batch_size} examples"
    return f"there was no batch {purpose}: the dataset is empty"
