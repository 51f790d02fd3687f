"""Python's search for reference cycles, made seldom while a long record is made: it has none and would be searched often."""

from __future__ import annotations

import gc

from .locks import lock

_SELDOM = 50_000  # new objects from one search to the next; Python's own number is 700 (2,000 since 3.13)

_lock = lock()  # the numbers are the process's, and threads may record at the same time
_inside = 0
_before: tuple[int, int, int] = gc.get_threshold()


class SeldomCollected:
    """Inside, Python searches the newest objects for cycles after 50,000 of them, instead of after each 700."""

    def __enter__(self) -> None:
        global _inside, _before
        with _lock:
            if not _inside:
                _before = gc.get_threshold()
                if 0 < _before[0] < _SELDOM:
                    gc.set_threshold(_SELDOM, *_before[1:])
            _inside += 1

    def __exit__(self, *exc: object) -> None:
        global _inside
        with _lock:
            _inside -= 1
            if not _inside and gc.get_threshold()[0] == _SELDOM:
                gc.set_threshold(*_before)


seldom_collected = SeldomCollected()
