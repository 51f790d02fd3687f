"""Telling who waits that kernels are being compiled."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

#: Live displays, which say it themselves: each is called when a compilation begins.
displays: list[Callable[[], None]] = []

_depth = 0  # one kernel's compilation contains those of what it calls
_started = _seconds = 0.0


def begins() -> None:
    """A compilation begins."""
    global _depth, _started
    _depth += 1
    if _depth == 1:
        _started = time.perf_counter()
        for show in displays:
            show()


def ends() -> None:
    """A compilation ends. Where no display has said so, it is said once, at a terminal, that they take the time."""
    global _depth, _seconds
    _depth -= 1
    if _depth == 0:
        before, _seconds = _seconds, _seconds + time.perf_counter() - _started
        if before < 1 <= _seconds and not displays and sys.stderr.isatty():
            print("chainrule is compiling kernels for this machine, and keeps them for the next time", file=sys.stderr)
