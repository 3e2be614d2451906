# Everything that a newcomer needs: `make demo`, `make test`. Each target sets up what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.ready

.PHONY: demo test lint types check bench chaos fuzz setup tools clean

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

bench: $(SETUP)
	$(BIN)/python -m bench

# A thousand random fault schedules; `make chaos SEEDS=17:18` replays one.
SEEDS ?= 0:1000
chaos: $(SETUP)
	$(BIN)/python -m tests.chaos --seeds $(SEEDS)

fuzz: $(SETUP)
	$(BIN)/python -m tests.fuzz --inputs 100000 --seconds 300

setup: $(SETUP)

# The production worker declares Python 3.13 and works on 3.11: it is for tests alone, and not among the requirements there.
$(SETUP): requirements.txt pyproject.toml package-lock.json
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --ignore-requires-python azure-functions-runtime==1.3.0
	$(BIN)/python tools/azurite.py
	touch $@

# checkov pins an older Bicep parser than the tests use, so it has an environment of its own. Without it its tests skip.
tools: .tools/checkov/bin/checkov

.tools/checkov/bin/checkov:
	$(PYTHON) -m venv .tools/checkov
	.tools/checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30

clean:
	rm -rf $(VENV) .tools node_modules .demo .*_cache .hypothesis *.egg-info
