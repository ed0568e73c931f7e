# Each command but new-user makes the virtual environment first, once; a second call starts at once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready

.PHONY: demo test test-long format docs docs-check new-user clean

demo: $(READY)  ## the three stages on icons that come with the repository, in three minutes
	$(BIN)/python examples/three_stages.py

test: $(READY)  ## all checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-long: $(READY)  ## the checks that take minutes, and generated samples by the thousand
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -m "long or hypothesis"

docs: $(DOCS_READY)  ## the site, with the gallery run and every page's code run; warnings are errors
	$(BIN)/python docs/run_blocks.py $(addprefix docs/,using.md symmetries.md what_to_fit_to.md dials.md fitting.md my_data.md inputs.md averaging.md tasks.md pretrained.md)
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

docs-check: docs  ## every page of it in a browser without a window (Debian's chromium and chromium-driver)
	$(BIN)/python docs/check_site.py

new-user:  ## the wheel in a fresh environment, then README, quick start and photographs as they stand
	$(PYTHON) docs/new_user.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[test]"
	touch $(READY)

$(DOCS_READY): $(READY)
	$(BIN)/pip install --quiet --editable ".[docs]"
	touch $(DOCS_READY)

clean:
	rm -rf $(VENV) docs/_build docs/auto_examples build dist runs *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
