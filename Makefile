# Everything that a newcomer needs: `make demo`, `make test`. Each target sets up what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.ready

.PHONY: demo test lint types check bench setup clean

demo: $(SETUP)
	$(BIN)/python -m connector demo

test: $(SETUP)
	$(BIN)/python -m pytest -n 2

lint: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(SETUP)
	$(BIN)/mypy

check: lint types test

setup: $(SETUP)

# The production worker declares Python 3.13 and works on 3.11: it is for tests alone, and not among the requirements there.
$(SETUP): requirements.txt pyproject.toml package-lock.json
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --ignore-requires-python azure-functions-runtime==1.3.0
	$(BIN)/python tools/azurite.py
	touch $@

clean:
	rm -rf $(VENV) node_modules .demo .*_cache .hypothesis *.egg-info
