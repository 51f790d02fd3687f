"""Live progress: a bar in terminals, HTML in notebooks, plain lines elsewhere."""

from __future__ import annotations

import html
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from ..kernels import compiling
from .callback import Callback

if TYPE_CHECKING:
    from .trainer import Trainer

#: Seconds between two updates of what is live.
_INTERVAL = 0.1


class Progress(Callback):
    """Shows how a training goes: a line for each epoch, and what is under way where that can be live.

    Where the first batches wait for kernels to be compiled, it says so.

    Args:
        kind: ``"terminal"`` (a bar, by the package rich), ``"notebook"`` (HTML, without widgets) or ``"lines"``. By default
            what fits where the output goes.
    """

    rank = 20  # when all else is done, so that its times are those of the whole

    def __init__(self, kind: str | None = None):
        if kind not in (None, *_DISPLAYS):
            raise ValueError(f"kind is one of {', '.join(_DISPLAYS)}, not {kind!r}")
        self.kind = kind
        self._display: _Display = _Lines()
        self._epoch = ""  # and the share of it that is done, as they were shown last
        self._share: float | None = None
        self._last = self._start = 0.0
        self._first = 0  # the batch that this epoch began with, which is not 0 where it goes on

    def on_fit_start(self, trainer: Trainer) -> None:
        self._display = _DISPLAYS[self.kind or _kind_that_fits()]()
        self._display.start()
        compiling.displays.append(self._show_compiling)

    def on_epoch_start(self, trainer: Trainer) -> None:
        self._start, self._last, self._first = time.perf_counter(), 0.0, trainer.batch
        self._show(trainer, "", None)  # the first batch may take its time

    def on_batch_end(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if now - self._last >= _INTERVAL:
            self._last = now
            elapsed, done = now - self._start, trainer.batch - self._first
            left = None if trainer.batches is None else (trainer.batches - trainer.batch) * elapsed / done
            self._show(trainer, f"loss {trainer.measures['loss'].compute():.4g}  {done / elapsed:.1f} batches/s", left)

    def on_epoch_end(self, trainer: Trainer) -> None:
        results = [f"{name} {value:.4g}" for name, value in trainer.logs.items() if isinstance(value, (int, float))]
        seconds = time.perf_counter() - self._start
        self._display.line("  ".join([_epoch(trainer, trainer.epoch), *results, f"{seconds:.1f} s"]))

    def on_fit_end(self, trainer: Trainer) -> None:
        compiling.displays.remove(self._show_compiling)
        self._display.stop()

    def _show(self, trainer: Trainer, text: str, left: float | None) -> None:
        self._epoch = _epoch(trainer, trainer.epoch + 1)
        self._share = None if trainer.batches is None else trainer.batch / trainer.batches
        self._display.live(self._epoch, self._share, text, left)

    def _show_compiling(self) -> None:
        """Say, until there is other news, why nothing moves."""
        self._display.live(self._epoch, self._share, "compiling kernels, which are kept for the next time", None)


def _epoch(trainer: Trainer, number: int) -> str:
    return f"epoch {number:{len(str(trainer.epochs))}}/{trainer.epochs}"


def _kind_that_fits() -> str:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        return "notebook"
    return "terminal" if sys.stdout.isatty() and find_spec("rich") else "lines"


class _Display(Protocol):
    def start(self) -> None: ...
    def live(self, epoch: str, share: float | None, text: str, left: float | None) -> None: ...
    def line(self, text: str) -> None: ...
    def stop(self) -> None: ...


class _Lines:
    """Lines alone, each written at once."""

    def start(self) -> None:
        pass

    def live(self, epoch: str, share: float | None, text: str, left: float | None) -> None:
        pass

    def line(self, text: str) -> None:
        print(text, flush=True)

    def stop(self) -> None:
        pass


class _Terminal:
    """A bar under the lines."""

    def start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(soft_wrap=True)
        columns = TextColumn("{task.fields[epoch]}"), BarColumn(), TextColumn("{task.fields[text]}")
        self._progress = Progress(*columns, console=console, transient=True)
        self._bar = self._progress.add_task("", total=None, epoch="", text="")
        self._progress.start()

    def live(self, epoch: str, share: float | None, text: str, left: float | None) -> None:
        remaining = "" if left is None else f"  {_clock(left)} left"
        total = None if share is None else 1.0
        self._progress.update(self._bar, total=total, completed=share or 0, epoch=epoch, text=text + remaining)

    def line(self, text: str) -> None:
        self._progress.console.print(text, highlight=False)

    def stop(self) -> None:
        self._progress.stop()


class _Notebook:
    """One output that is replaced as the training goes on."""

    def start(self) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found]

        self._html, self._lines = HTML, list[str]()
        self._handle: Any = display(HTML(""), display_id=True)

    def live(self, epoch: str, share: float | None, text: str, left: float | None) -> None:
        value = "" if share is None else f' value="{share:.4f}"'
        remaining = "" if left is None else f"  {_clock(left)} left"
        self._show(f"{html.escape(epoch)} <progress{value}></progress> {html.escape(text + remaining)}")

    def line(self, text: str) -> None:
        self._lines.append(html.escape(text))
        self._show("")

    def stop(self) -> None:
        self._show("")

    def _show(self, last: str) -> None:
        lines = "\n".join([*self._lines, last])
        self._handle.update(self._html(f'<pre style="margin:0">{lines}</pre>'))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_DISPLAYS: dict[str, type[Any]] = {"terminal": _Terminal, "notebook": _Notebook, "lines": _Lines}
