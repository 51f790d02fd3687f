"""``python -m chainrule warmup``: compile the usual kernels ahead."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from .kernels.layer import enabled
from .warmup import usual


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m chainrule", description="chainrule's commands")
    commands = parser.add_subparsers(dest="command", required=True)
    ahead = commands.add_parser("warmup", help="compile the usual kernels ahead, and keep them on disk")
    ahead.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    options = parser.parse_args()
    if not enabled():
        parser.exit(1, "kernels are off: Numba is not installed, or CHAINRULE_KERNELS=numpy\n")
    tasks = usual(options.dtype)
    live = sys.stdout.isatty() and find_spec("rich") is not None
    for name, task in _tracked(tasks) if live else tasks.items():
        start = time.perf_counter()
        task()
        print(f"{name:<34} {time.perf_counter() - start:6.1f} s", flush=True)


def _tracked(tasks: dict[str, Callable[[], None]]) -> Iterator[tuple[str, Callable[[], None]]]:
    """The tasks, with a bar that shows how many are done."""
    from rich.progress import track

    return iter(track(tasks.items(), "compiling", total=len(tasks), transient=True))


if __name__ == "__main__":
    main()
