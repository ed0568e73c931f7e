# Each command makes the virtual environment first, once; a second call starts at once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-long format docs clean

demo: $(READY)  ## the three stages on the embedded images, under 4 minutes
	$(BIN)/python examples/three_stages.py

test: $(READY)  ## all checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

test-long: $(READY)  ## the checks that take minutes
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -m long

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[test]"
	touch $(READY)

clean:
	rm -rf $(VENV) build dist runs *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
