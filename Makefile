# make demo: train, evaluate, export and predict in a few minutes, into demo/
# make test: everything that CI runs
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/train.done
	rm -rf demo
	$(BIN)/tinypose demo --out demo
	@echo; echo 'tinypose lies in $(BIN); to type it alone:  source $(BIN)/activate'

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell README.md CONTRIBUTING.md CHANGELOG.md src tests benchmarks
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo build dist

$(VENV)/%.done: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo 'tinypose needs Python 3.11 to 3.13; name one: make PYTHON=python3.11 $(MAKECMDGOALS)'; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
