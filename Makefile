# One word runs it. Every target brings what it needs; `make help` lists them.
#
#   VENV=path     where the virtual environment lives (default .venv)
#   TESTS=path    which tests `make test` runs (default all)
#   PYTHON=path   the interpreter that makes it (default: the fastest of 3.11 to 3.13 on the PATH)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?=
HOST ?= 127.0.0.1
PORT ?= 8080
ARGS ?=
LONG ?=
QUICK ?=
GROWTH ?=
OVERLOAD ?=
TESTS ?= tests
BIN := $(VENV)/bin

RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev

.PHONY: help setup run test check lint types format bench rigs lock clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(DEV_STAMP) ## Install everything for development into .venv

run: $(RUN_STAMP) ## Install, start PostgreSQL and the server, print the key and one curl
	@exec $(BIN)/quotastack serve --host $(HOST) --port $(PORT) $(ARGS)

test: $(DEV_STAMP) ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore=tests/rigs --ignore=tests/browser $(TESTS) $(ARGS)

check: lint types ## Lint and check the types

lint: $(DEV_STAMP) ## Lint and check the format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP) ## Check the types
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: $(DEV_STAMP) ## Format, and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_STAMP) ## Measure against the pgbench floors (QUICK=1, GROWTH=1, OVERLOAD=1)
ifneq ($(GROWTH),)
	$(BIN)/python benchmarks/growth.py $(ARGS)
else ifneq ($(OVERLOAD),)
	$(BIN)/python benchmarks/degradation.py $(ARGS)
else
	$(BIN)/python benchmarks/run.py $(ARGS)
	$(if $(QUICK),,$(BIN)/python benchmarks/deliveries.py)
endif
	$(if $(QUICK),,$(BIN)/python benchmarks/page.py)

rigs: $(DEV_STAMP) ## Run the proof rigs and print their figures (LONG=1: the long form)
	LONG=$(LONG) $(BIN)/python tests/rigs/run.py $(ARGS)

lock: ## Write both lock files again (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra build -o requirements.lock pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --all-extras -c requirements.lock -o requirements-dev.lock pyproject.toml

clean: ## Remove the virtual environment (never the data)
	rm -rf $(VENV)

# uv when it is there, else the standard library's venv and pip; the same locked, hashed files either way. They name every
# package, so nothing is left to be resolved; and what is never imported need not be compiled.
define install
	@if command -v uv >/dev/null 2>&1; then \
	    uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) && \
	    uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r $(1) && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@
endef

$(BIN)/python:
	@python="$(PYTHON)"; \
	[ -n "$$python" ] || python=$$(tools/choose_python); \
	if [ -z "$$python" ]; then echo 'QuotaStack needs Python 3.11, 3.12 or 3.13 with venv (Debian: python3-venv); name one with PYTHON=/path/to/python.' >&2; exit 1; fi; \
	"$$python" -m venv $(VENV)

$(RUN_STAMP): requirements.lock pyproject.toml | $(BIN)/python
	$(call install,requirements.lock)

$(DEV_STAMP): requirements-dev.lock pyproject.toml | $(BIN)/python
	$(call install,requirements-dev.lock)
	@touch $(RUN_STAMP)
