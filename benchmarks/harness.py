"""Measure frameworks side by side: each in a process of its own, taking turns, gradients checked equal first.

A benchmark is a module with ``CASES``: for each name, for each framework, a function that imports the framework and returns
``step``, which does the work once and returns the gradients (or values) as a list of arrays, or has a ``values`` that returns
what is to be compared. It may have a ``TOLERANCE``, relative and absolute, for these, a ``NOTE`` for its table, and
``ONE_PROCESS``. Times alone mean little on a shared machine, so rounds go A B C A B C, and what counts is the ratio of medians.
"""

from __future__ import annotations

import compileall
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np

#: A measured stretch is at least so many seconds, so that the clock's grain doesn't matter.
STRETCH = 0.05


@dataclass
class Row:
    """What one case took, for each framework.

    Seconds a step in each round, seconds of a cold start, bytes of memory at the peak, and pages of memory that the system had
    to make for a step.
    """

    case: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cold: dict[str, float] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    faults: dict[str, float] = field(default_factory=dict)


class Worker:
    """A framework's process. It answers a request a line with a line of JSON."""

    def __init__(self, module: str, framework: str, threads: str):
        count = str(os.cpu_count() or 1) if threads == "all" else threads
        names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
        environment = os.environ | {f"{name}_NUM_THREADS": count for name in names}
        if count == "1":
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        self.framework = framework
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", module, framework],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ask(self, *request: Any) -> Any:
        """Send a request and wait for its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the {self.framework} worker died on {request}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(module: str, frameworks: list[str], threads: str, rounds: int, only: str = "") -> list[Row]:
    """Measure the cases of a benchmark whose names hold ``only``, with those of ``frameworks`` that are installed."""
    benchmark = importlib.import_module(module)
    cases = cast(dict[str, dict[str, Any]], benchmark.CASES)
    installed = [f for f in frameworks if importlib.util.find_spec(f.partition("-")[0]) is not None]
    at_once = getattr(benchmark, "ONE_PROCESS", False)
    for package in ("benchmarks", "chainrule"):  # as installed packages are: else a cold start may compile a working tree
        compileall.compile_dir(Path(importlib.import_module(package).__path__[0]), quiet=1)
    rows: list[Row] = []
    workers: list[Worker] = []
    for case, steps in cases.items():
        if only not in case:
            continue
        row = Row(case)
        if not workers:
            for framework in (f for f in installed if f in steps):
                start = time.perf_counter()
                workers.append(Worker(module, framework, threads))
                workers[-1].ask("first", case)
                row.cold[framework] = time.perf_counter() - start
        _check_equal(case, workers, *getattr(benchmark, "TOLERANCE", (2e-4, 1e-5)))
        counts = {w: w.ask("count", case, STRETCH) for w in workers}
        for _ in range(rounds):
            for worker in workers:
                row.seconds.setdefault(worker.framework, []).append(worker.ask("time", case, counts[worker]))
        if not at_once:
            for worker in workers:
                row.peak[worker.framework], row.faults[worker.framework] = worker.ask("memory", case)
                worker.close()
            workers = []
        rows.append(row)
        print(
            f"{case}: " + ", ".join(f"{f} {statistics.median(s) * 1e6:.1f} us" for f, s in row.seconds.items()), file=sys.stderr
        )
    for worker in workers:
        worker.close()
    return rows


def _check_equal(case: str, workers: list[Worker], rtol: float, atol: float) -> None:
    ours, *peers = ([np.array(g) for g in w.ask("gradients", case)] for w in workers)
    for worker, theirs in zip(workers[1:], peers, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(
                a, b, rtol=rtol, atol=atol, err_msg=f"{case}: gradients differ from {worker.framework}'s"
            )


@dataclass
class Report:
    """A benchmark's table, with the machine that it was measured on."""

    name: str
    note: str = ""
    parts: list[tuple[str, list[Row]]] = field(default_factory=list)

    def add(self, threads: str, rows: list[Row]) -> None:
        """Add what was measured with a number of threads."""
        self.parts.append((threads, rows))

    def markdown(self) -> str:
        """The report as Markdown."""
        lines = [f"# Benchmark `{self.name}`", "", _machine(), ""]
        lines += [
            "Medians over rounds in which the frameworks took turns, each in its own process; gradients were checked equal. "
            "The ratio is our time over theirs: under 1, chainrule is faster. A cold start is from the start of the process to "
            "the end of the first step." + (" " + self.note if self.note else ""),
            "",
        ]
        for threads, rows in self.parts:
            frameworks = list(dict.fromkeys(f for row in rows for f in row.seconds))
            peers = frameworks[1:]
            lines += [f"## {threads} thread{'' if threads == '1' else 's'}", ""]
            head = ["case", *(f"{f}, µs" for f in frameworks), *(f"ratio to {p}" for p in peers)]
            lines += _table(head, [self._speed(row, frameworks, peers) for row in rows])
            lines += [f"Geometric mean of the ratios: {', '.join(f'{m:.2f} to {p}' for p, m in _means(rows, peers))}.", ""]
            if not any(row.peak for row in rows):
                continue
            kinds = ("cold start, s", "peak, MB", "page faults a step")
            head = ["case", *(f"{f}: {kind}" for kind in kinds for f in frameworks)]
            lines += _table(
                head,
                [
                    [
                        row.case,
                        *(f"{row.cold[f]:.2f}" if f in row.cold else "" for f in frameworks),
                        *(f"{row.peak[f] / 1e6:.0f}" if f in row.peak else "" for f in frameworks),
                        *(f"{row.faults[f]:.0f}" if f in row.faults else "" for f in frameworks),
                    ]
                    for row in rows
                ],
            )
        return "\n".join(lines)

    def _speed(self, row: Row, frameworks: list[str], peers: list[str]) -> list[str]:
        medians = {f: statistics.median(s) for f, s in row.seconds.items()}
        ours = medians["chainrule"]
        return [
            row.case,
            *(f"{medians[f] * 1e6:.1f}" if f in medians else "" for f in frameworks),
            *(f"**{ours / medians[p]:.2f}**" if p in medians else "" for p in peers),
        ]


def _means(rows: list[Row], peers: list[str]) -> Iterator[tuple[str, float]]:
    """The geometric mean of our time over each peer's."""
    for peer in peers:
        pairs = [(row.seconds["chainrule"], row.seconds[peer]) for row in rows if peer in row.seconds]
        yield peer, statistics.geometric_mean([statistics.median(a) / statistics.median(b) for a, b in pairs])


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)] + [""]


def _machine() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    versions = []
    for package in ("chainrule", "numpy", "numba", "torch", "jax", "autograd"):
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        + ", ".join(versions)
        + "."
    )
