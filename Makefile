# `make` alone says what can be made. Each target sets up what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.ready
# All that is needed is locked: nothing is resolved, and what has no hash is refused.
PIP := python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes

# A test suite starts Python some hundred times: compiling the same modules each time was a tenth of it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint types format check coverage bench chaos fuzz fuzz-ticks hostile mutants setup lock audit package tools clean

# Reads the comments behind the targets of this file.
help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

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

SECONDS ?= 300
fuzz: $(SETUP) ## readers, feed files and expressions on arbitrary input
	$(BIN)/python -m tests.fuzz --inputs 100000 --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# A failure prints how to replay it. SEED=0 gives the same ones each time.
TICKS ?= 10000
fuzz-ticks: $(SETUP) ## whole ticks with arbitrary drops and answers of Graph, beside a feed that must come home
	$(BIN)/python -m tests.fuzz --ticks --inputs $(TICKS) --seconds 3600 $(if $(SEED),--seed $(SEED))

hostile: $(SETUP) ## drops that are made to fill the memory: the peak of each, and what is said of it
	$(BIN)/python -m tests.fuzz.hostile

# One module: make mutants MUTANTS='connector.sending.ledger*'
mutants: $(SETUP) ## small changes of meaning in the core: those that no test notices are listed
	$(BIN)/mutmut run $(if $(MUTANTS),'$(MUTANTS)')
	$(BIN)/mutmut results

setup: $(SETUP) ## the virtual environment, Node.js where there is none, Azurite

# The production worker declares Python 3.13 and works on 3.11: it is for tests alone, and not among the requirements there.
# What it needs is among them; its version and hashes are those of requirements.txt.
$(SETUP): requirements.txt requirements-dev.txt package-lock.json
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) --requirement requirements.txt --requirement requirements-dev.txt
	sed -n '/^azure-functions-runtime==/,/^    # via/{/^    # via/d;s/ ; .*/ \\/;p;}' requirements.txt > $(VENV)/worker.txt
	$(BIN)/$(PIP) --ignore-requires-python --requirement $(VENV)/worker.txt
	$(BIN)/python tools/azurite.py
	touch $@

# Universal: for every system, and for every Python from 3.11 on. A pin that is there already stays: to move what requirements.in
# does not name, `make lock UPGRADE='--upgrade-package NAME'` or `make lock UPGRADE=--upgrade`.
lock: $(SETUP) ## all packages that requirements*.in come to, pinned with their hashes: requirements*.txt
	for name in requirements requirements-dev requirements-checkov requirements-node; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras $(UPGRADE) \
			--output-file $$name.txt $$name.in || exit; \
	done

audit: $(SETUP) ## known vulnerabilities of what is locked
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements.txt
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements-dev.txt

# checkov pins an older Bicep parser than the tests use, so it has an environment of its own. Without it its tests skip.
tools: .tools/checkov/bin/checkov ## checkov, for the tests of infra/

.tools/checkov/bin/checkov: requirements-checkov.txt
	$(PYTHON) -m venv .tools/checkov
	.tools/checkov/bin/$(PIP) --requirement requirements-checkov.txt
	touch $@

package: $(SETUP) ## what is deployed, for the Python of Azure: .package
	$(BIN)/python tools/package.py

clean: ## all that the other targets made
	rm -rf $(VENV) .tools .package node_modules .demo mutants .coverage* .*_cache .hypothesis *.egg-info
