"""Ctrl-C, kept until a training is between two steps."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupt:
    """Within this context the first Ctrl-C is noted, and makes it true; the second interrupts as usual.

    Where a program has a handler of its own for it, and in other threads than the main one, it changes nothing.
    """

    def __init__(self) -> None:
        self._came = False
        self._before: Any = None

    def __bool__(self) -> bool:
        return self._came

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        signal.signal(signal.SIGINT, self._before)
        print("stopping after this batch; Ctrl-C again stops at once", file=sys.stderr, flush=True)
