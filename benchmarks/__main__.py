"""Run a benchmark: ``python -m benchmarks tape [--rounds N] [--threads 1,all] [--peers torch,jax] [--write]``."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from .harness import Report, measure

BENCHMARKS = {name: f"benchmarks.{name}" for name in ("tape", "scientific", "operations", "optimizers", "training", "loading")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("--rounds", type=int, default=15, help="rounds in which the frameworks take turns")
    parser.add_argument("--threads", default="1", help="numbers of threads, such as 1,2 or 1,all")
    parser.add_argument(
        "--peers", default="torch,torch-compile,autograd,jax", help="frameworks to compare with, where installed"
    )
    parser.add_argument("--only", default="", help="measure only the cases whose names hold this")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    options = parser.parse_args()

    report = Report(options.benchmark, getattr(import_module(BENCHMARKS[options.benchmark]), "NOTE", ""))
    module, frameworks = BENCHMARKS[options.benchmark], ["chainrule", *options.peers.split(",")]
    for threads in options.threads.split(","):
        report.add(threads, measure(module, frameworks, threads, options.rounds, options.only))
    print(report.markdown())
    if options.write:
        path = Path(__file__).parent / "results" / f"{options.benchmark}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(report.markdown())
        print(f"written to {path}")


main()
