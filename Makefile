# `make` alone says what can be made. Each target sets up what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.ready

# A test suite starts Python some hundred times: compiling the same modules each time was a tenth of it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint types format check coverage bench chaos fuzz hostile mutants setup tools clean

# Reads the comments behind the targets of this file.
help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(SETUP) ## from inbox to summary; with a file of your own: make demo FILE=people.csv FEED=employees.yaml
	$(BIN)/python -m connector demo $(if $(FILE),"$(FILE)") $(if $(FEED),--feed "$(FEED)")

test: $(SETUP) ## the test suite
	$(BIN)/python -m pytest -n 2

check: lint types test ## lint, types and tests

lint: $(SETUP) ## what the linter finds, and what is not formatted
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(SETUP) ## what the type checker finds
	$(BIN)/mypy

format: $(SETUP) ## format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

coverage: $(SETUP) ## branches that the test suite takes: a figure, and no gate
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered --cov-report=html:.coverage-report

bench: $(SETUP) ## speed and memory, as ratios beside their peers
	$(BIN)/python -m bench

SEEDS ?= 0:1000
chaos: $(SETUP) ## a thousand random fault schedules; make chaos SEEDS=17 replays one
	$(BIN)/python -m tests.chaos --seeds $(SEEDS)

fuzz: $(SETUP) ## readers, feed files and expressions on arbitrary input
	$(BIN)/python -m tests.fuzz --inputs 100000 --seconds 300

hostile: $(SETUP) ## drops that are made to fill the memory: the peak of each, and what is said of it
	$(BIN)/python -m tests.fuzz.hostile

# One module: make mutants MUTANTS='connector.sending.ledger*'
mutants: $(SETUP) ## small changes of meaning in the core: those that no test notices are listed
	$(BIN)/mutmut run $(if $(MUTANTS),'$(MUTANTS)')
	$(BIN)/mutmut results

setup: $(SETUP) ## the virtual environment, Node.js where there is none, Azurite

# The production worker declares Python 3.13 and works on 3.11: it is for tests alone, and not among the requirements there.
$(SETUP): requirements.txt pyproject.toml package-lock.json
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --ignore-requires-python azure-functions-runtime==1.3.0
	$(BIN)/python tools/azurite.py
	touch $@

# checkov pins an older Bicep parser than the tests use, so it has an environment of its own. Without it its tests skip.
tools: .tools/checkov/bin/checkov ## checkov, for the tests of infra/

.tools/checkov/bin/checkov:
	$(PYTHON) -m venv .tools/checkov
	.tools/checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30

clean: ## all that the other targets made
	rm -rf $(VENV) .tools node_modules .demo mutants .coverage* .*_cache .hypothesis *.egg-info
