"""One framework's side of a benchmark: reads requests from standard input, answers on standard output."""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np


def serve(module: str, framework: str) -> None:
    """Answer requests until standard input ends."""
    cases = importlib.import_module(module).CASES

    @cache
    def step_of(case: str) -> Callable[[], Any]:
        step: Callable[[], Any] = cases[case][framework]()
        return step

    def stretch(case: str, count: int) -> float:
        step = step_of(case)
        start = time.perf_counter()
        for _ in range(count):
            step()
        return time.perf_counter() - start

    def count_for(case: str, seconds: float) -> int:
        count = 1
        while (took := stretch(case, count)) < seconds:
            count = max(count + 1, int(1.2 * count * seconds / took)) if took > seconds / 10 else count * 4
        return count

    def memory(case: str) -> tuple[int, float]:
        step, steps = step_of(case), 3
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(steps):
            step()
        after = resource.getrusage(resource.RUSAGE_SELF)
        return after.ru_maxrss * 1024, (after.ru_minflt - before.ru_minflt) / steps

    answers: dict[str, Callable[..., Any]] = {
        "first": lambda case: bool(step_of(case)()),
        "gradients": lambda case: [np.asarray(g).tolist() for g in getattr(step_of(case), "values", step_of(case))()],
        "count": count_for,
        "time": lambda case, count: stretch(case, count) / count,
        "memory": memory,
    }
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(answers[name](*arguments)), flush=True)


serve(*sys.argv[1:])
