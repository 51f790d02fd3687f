"""How many threads kernels use."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import index

_threads: int | None = None
#: Told of a change once kernels run.
listener: Callable[[int], None] | None = None


def get_num_threads() -> int:
    """The number of threads that kernels use.

    Unless ``set_num_threads`` has said otherwise: ``NUMBA_NUM_THREADS`` or ``OMP_NUM_THREADS`` where one is set, else the
    processors that this process may run on, and no more than its control group's share of time (a container's limit).
    """
    return _threads if _threads is not None else _default()


def set_num_threads(threads: int) -> None:
    """Let kernels use so many threads; results do not depend on it.

    Args:
        threads: 1 or more; 1 for the calling thread alone.

    Raises:
        ValueError: fewer than 1.
        TypeError: no whole number.

    >>> import chainrule
    >>> before = chainrule.get_num_threads()
    >>> chainrule.set_num_threads(1)
    >>> chainrule.get_num_threads()
    1
    >>> chainrule.set_num_threads(before)
    """
    global _threads
    try:
        number = index(threads)
    except TypeError:
        raise TypeError(f"the number of threads is a whole number, not {threads!r}") from None
    if number < 1:
        raise ValueError(f"kernels need at least 1 thread, not {number}")
    _threads = number
    if listener is not None:
        listener(number)


def _default() -> int:
    for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        first = os.environ.get(variable, "").split(",")[0].strip()
        if first.isdigit() and int(first) > 0:
            return int(first)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(processors, _control_group_limit() or processors))


def _control_group_limit() -> int | None:
    """The number of processors whose time this process's control group may use, rounded up; None without a limit."""
    from pathlib import Path

    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()  # version 2
    except (OSError, ValueError):
        try:
            quota, period = (Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{n}_us").read_text() for n in ("quota", "period"))
        except OSError:
            return None
    if not quota.strip().isdigit() or int(quota) <= 0:  # "max", or -1
        return None
    return -(-int(quota) // int(period))
