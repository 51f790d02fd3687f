"""Training: one readable loop, callbacks, metrics, checkpoints that survive anything."""

from . import metrics
from .averaging import WeightAveraging
from .callback import Callback
from .checkpoint import ModelCheckpoint, load_checkpoint, save_checkpoint
from .finder import LearningRates, find_learning_rate
from .gradients import GradientAccumulation, GradientClipping
from .loggers import CSVLogger, LearningRateMonitor, PlotCurves, TensorBoard
from .progress import Progress
from .stopping import EarlyStopping, TerminateOnNaN
from .trainer import Trainer, predict

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "GradientAccumulation",
    "GradientClipping",
    "LearningRateMonitor",
    "LearningRates",
    "ModelCheckpoint",
    "PlotCurves",
    "Progress",
    "TensorBoard",
    "TerminateOnNaN",
    "Trainer",
    "WeightAveraging",
    "find_learning_rate",
    "load_checkpoint",
    "metrics",
    "predict",
    "save_checkpoint",
]
