"""docs/parity.md says how networks compare with PyTorch's, of all names that it makes public and of many calls."""

import runpy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
import parity_cases as cases  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"


def test_networks_are_pytorchs_as_the_page_says():
    made = runpy.run_path(str(DOCS / "make_parity.py"))
    found = {section.title: made["find"](section) for section in made["sections"]()}
    failed = {text: what for part in found.values() for text, what in part.failed.items() if text not in cases.OTHERWISE}
    assert not failed
    assert {name for part in found.values() for name in part.missing} == set(cases.MISSING)
    assert {name for part in found.values() for name in part.differing} == set(cases.DIFFERENT)
    kept = (DOCS / "parity.md").read_text(encoding="utf-8")
    if made["versions"]() not in kept:
        pytest.skip(f"docs/parity.md is for another version than {made['versions']()}")
    assert made["page"](found) == kept, "docs/parity.md is stale; run python docs/make_parity.py"
