"""docs/coverage.md says what the table of rules says, of every function that can be overridden."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.testing.overrides import get_overridable_numpy_array_functions, get_overridable_numpy_ufuncs

from chainrule.dispatch import UNSUPPORTED, is_known

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def made():
    pytest.importorskip("scipy", reason="pip install scipy")
    made = runpy.run_path(str(DOCS / "make_coverage.py"))
    is_known(None)  # imports all the rules
    return made


def test_the_page_is_up_to_date(made):
    kept = (DOCS / "coverage.md").read_text(encoding="utf-8")
    if made["versions"]() not in kept:
        pytest.skip(f"docs/coverage.md is for other versions than {made['versions']()}")
    assert made["page"]() == kept, "docs/coverage.md is stale; run python docs/make_coverage.py"


def test_the_page_leaves_nothing_out(made):
    overridable = set(get_overridable_numpy_array_functions()) | set(get_overridable_numpy_ufuncs())
    listed = {f for module in made["MODULES"].values() for f in made["_functions"](module, overridable)}
    texts = {name for module in made["TEXT"].values() for name in dir(module)}
    left = {f.__name__ for f in overridable - listed} - texts
    below = {f.__name__ for f in overridable if isinstance(f, np.ufunc) and getattr(np, f.__name__, None) is not f}
    private = {name for name in left if name.startswith("_")} | below  # such as the ufunc below np.clip
    assert left - private <= {f.__name__ for f in UNSUPPORTED if hasattr(f, "__name__")}  # np.ones and so on, by like=
    assert all(hasattr(np, name) for name in left - private)
