"""Networks as scikit-learn's estimators: for its pipelines, searches and cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Self

import numpy as np

from . import nn, optim, random
from .core.arrays import Array
from .core.config import enable_grad
from .data import DataLoader, TensorDataset, random_split
from .functional import softmax
from .train import EarlyStopping, Trainer, predict

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("chainrule.sklearn needs scikit-learn 1.6 or later: pip install 'chainrule[sklearn]'") from error


class _Network(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: their parameters, the network, and its training."""

    def __init__(
        self,
        model: Callable[[int, int], nn.Module] | None = None,
        *,
        hidden: Sequence[int] = (100,),
        optimizer: Callable[..., optim.Optimizer] = optim.AdamW,
        lr: float = 1e-3,
        epochs: int = 100,
        batch_size: int = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.model = model
        self.hidden = hidden
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def _train(self, X: Array, targets: Array, outputs: int, loss_fn: nn.Module) -> Self:
        seed = int(check_random_state(self.random_state).randint(2**31))
        with random.using(seed), enable_grad():
            self.module_ = (self.model or self._multilayer_perceptron)(X.shape[1], outputs)
            parts: list[Any] = [TensorDataset(X.astype(np.float32), targets)]
            if self.early_stopping:
                held_out = max(1, round(self.validation_fraction * len(X)))
                if held_out == len(X):
                    raise ValueError(f"early_stopping needs validation data, of which {len(X)} samples have none to spare")
                parts = list(random_split(parts[0], [len(X) - held_out, held_out]))
            trainer = Trainer(
                self.module_,
                self.optimizer(self.module_.parameters(), lr=self.lr),
                loss_fn,
                callbacks=[EarlyStopping(patience=self.patience)] if self.early_stopping else [],
                progress=self.verbose,
            )
            loader, *validation = (DataLoader(part, self.batch_size, shuffle=part is parts[0]) for part in parts)
            self.history_ = trainer.fit(loader, self.epochs, validation[0] if validation else None)
        self.n_iter_ = trainer.epoch
        return self

    def _multilayer_perceptron(self, inputs: int, outputs: int) -> nn.Module:
        layers: list[nn.Module] = []
        for width in self.hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        return nn.Sequential(*layers, nn.Linear(inputs, outputs))

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        # in double precision, so that a sample's result does not depend on those beside it
        return predict(deepcopy(self.module_).double(), DataLoader(TensorDataset(X), 1024, generator=0))


class ChainruleClassifier(ClassifierMixin, _Network):  # type: ignore[misc]
    """A network that classifies.

    Args:
        model: ``model(features, classes)`` returns a Module that maps (N, features) to logits (N, classes); by default a
            multilayer perceptron.
        hidden: widths of the default model's hidden layers, each followed by a ReLU.
        optimizer: called with the parameters and ``lr``.
        lr: the learning rate.
        epochs: how often all samples are gone through, at most.
        batch_size: samples for a step.
        early_stopping: hold out samples, and stop where their loss has not become less for ``patience`` epochs.
        validation_fraction: the share that is held out.
        patience: see ``early_stopping``.
        random_state: an int makes fits repeatable.
        verbose: show the progress.

    After ``fit``: ``module_``, the network; ``classes_``; ``history_``, the losses; ``n_iter_``, the epochs that were made.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), ChainruleClassifier(epochs=30, random_state=0))
    >>> bool(pipeline.fit(X, y).score(X, y) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples of shape (N, features) and their classes, of shape (N,)."""
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        return self._train(X, targets, len(self.classes_), nn.CrossEntropyLoss())

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, of shape (N, classes)."""
        return np.asarray(softmax(self._outputs(X), dim=-1))

    def predict(self, X: Any) -> Array:
        """The most probable classes, of shape (N,)."""
        best = self._outputs(X).argmax(axis=1)
        return np.asarray(self.classes_[best])


class ChainruleRegressor(RegressorMixin, _Network):  # type: ignore[misc]
    """A network that predicts values, one or several for each sample. It learns them scaled to mean 0 and variance 1.

    Args:
        model: ``model(features, outputs)`` returns a Module that maps (N, features) to (N, outputs); by default a multilayer
            perceptron.
        hidden: and the others as for ``ChainruleClassifier``.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> y = X[:, 0] * X[:, 1]
    >>> bool(ChainruleRegressor(lr=0.01, random_state=0).fit(X, y).score(X, y) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples of shape (N, features) and their values, of shape (N,) or (N, outputs)."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True)
        values = y.reshape(len(y), -1).astype(np.float64)
        self._shape = y.shape[1:]
        self._mean, spread = values.mean(axis=0), values.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        return self._train(X, ((values - self._mean) / self._scale).astype(np.float32), values.shape[1], nn.MSELoss())

    def predict(self, X: Any) -> Array:
        """The predicted values, of the shape that ``y`` had."""
        values = self._outputs(X)
        return np.asarray((values * self._scale + self._mean).reshape(len(values), *self._shape))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
