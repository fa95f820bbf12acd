# `make` alone lists what there is. Needs python3 (3.11 or newer, with venv); the rest is set up.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# Not compiling 90 packages of which few modules are ever imported saves a quarter of the time.
INSTALL := $(PIP) install --no-compile --require-hashes -r
# Four processes, as tests of servers wait about half of their time; see tests/conftest.py.
PYTEST := $(BIN)/python -m pytest --numprocesses=4 --no-loadscope-reorder
PIP_TOOLS := pip-tools==7.6.2

# Hashes have to be those of the public index, whatever mirrors or folders this machine's pip knows.
COMPILE := PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= $(BIN)/python -m piptools compile --quiet \
	--generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# The tests start hundreds of Python processes. Where none may write bytecode, each compiles all that
# it imports again: half a second of CPU for the dashboard's, twice that with packages uncompiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run demo test test-all bench lint lock clean tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.test $(VENV)/.project ## make .venv with the pinned packages and our two programs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ..." \
		if sys.version_info < (3, 11) else 0)'
	@echo "Making the virtual environment $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

# One stamp for each set of pins: a newer file is installed over what is there.
$(VENV)/.%: deploy/requirements-%.txt | $(BIN)/python
	@echo "Installing the packages pinned in $< (about a minute when none is cached) …"
	@$(INSTALL) $<
	@touch $@

# Only a path to this folder and the programs .venv/bin/covet and .venv/bin/covetbackup.
$(VENV)/.project: pyproject.toml | $(VENV)/.test
	@echo "Installing the programs $(BIN)/covet and $(BIN)/covetbackup …"
	@$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@touch $@

run: setup ## set everything up and serve the dashboard with its workers on 127.0.0.1:8000, or PORT=8001
	@$(BIN)/python -m tests.sample --port $(PORT)

demo: $(VENV)/.demo ## back up, verify and restore two real databases, to disk and to S3
	@tests/support/has_postgresql.sh || $(INSTALL) deploy/requirements-embedded.txt || { \
		echo "no PostgreSQL for the demo: install one, or use a Python of 3.11 or 3.12" >&2; exit 1; }
	@$(BIN)/python -m tests.demo

test: tools lint ## everything but the slow tests
	@$(PYTEST)

test-all: tools lint ## everything, slow tests too
	@$(PYTEST) -m 'slow or not slow'

bench: tools ## time the engine against shell pipelines, as ratios
	@$(BIN)/python -m tests.bench

lint: setup ## style, types and the import rule
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

tools: setup
	@tests/support/install.sh

lock: $(BIN)/python ## pin again what pyproject.toml asks for; UPGRADE=--upgrade takes new versions
	$(PIP) install $(PIP_TOOLS)
	$(COMPILE) $(UPGRADE) -o deploy/requirements.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --extra test -c deploy/requirements.txt \
		-o deploy/requirements-test.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --extra demo -c deploy/requirements-test.txt \
		-o deploy/requirements-demo.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --extra embedded -c deploy/requirements-test.txt \
		-o deploy/requirements-embedded.txt pyproject.toml
	@sed -i '/^# The following packages are considered to be unsafe/d' deploy/requirements*.txt

clean: ## remove caches and build output; .venv stays
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find covetbackup tests -name __pycache__ -type d -prune -exec rm -rf {} +
