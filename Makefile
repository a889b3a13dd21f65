# make demo     the whole story on this machine: a data space of seven nodes, and one question to all of them
# make test     all tests, with the coverage of rules and services
# make check    style, types, floors and rooms
# make golden   the golden rows of OHDSI's phenotypes, all of them on DuckDB, PostgreSQL and Spark
# make bench    the benchmarks, as ratios
# make docs     the documentation site, in site/
# make flower   an environment of its own for Flower apps, in .venv/flower
# make lock     compile the pinned requirements again
# Needs nothing but Python >= 3.11 and make; everything else goes into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
PYTEST_WORKERS ?= 2
LOCK   := --quiet --universal --generate-hashes --no-header
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Seven node processes start in the demo; without byte code each would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test golden check bench docs flower lock clean

help:
	@sed -n 's/^# \{0,1\}//;1,/^$$/p' Makefile | sed '/^$$/,$$d'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Salerno needs Python 3.11 or newer; say which one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing; on Debian and Ubuntu install python3-venv." >&2; rm -rf $(VENV); exit 1; }

# The stamps keep the second run fast. Installing the development requirements covers the others.
$(VENV)/.runtime: requirements.txt pyproject.toml | $(BIN)/python
	@if [ -e $(VENV)/.development ] && ! [ requirements.txt -nt $(VENV)/.development ]; then :; else \
	  echo "Installing the pinned requirements into $(VENV) ..."; \
	  $(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt; fi
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.development: requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned development requirements into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.runtime

# Flower holds back versions that the nodes run on, so its apps have an environment of their own.
$(VENV)/.flower: requirements-flower.txt | $(BIN)/python
	@echo "Installing the pinned requirements of Flower apps into $(VENV)/flower ..."
	@$(BIN)/python -m venv $(VENV)/flower
	@$(VENV)/flower/bin/python -m pip install --quiet --require-hashes -r requirements-flower.txt
	@touch $@

$(VENV)/.simulation: requirements-simulation.txt | $(VENV)/.flower
	@$(VENV)/flower/bin/python -m pip install --quiet --require-hashes -r requirements-simulation.txt
	@touch $@

flower: $(VENV)/.flower

demo: $(VENV)/.runtime
	@$(BIN)/salerno demo $(ARGS)

PYTEST := $(BIN)/python -m pytest

# Tracing doubles the time of tests, so it is left out where methods compute and processes start.
UNTRACED := tests/unit/analysis/methods tests/generative tests/acceptance tests/portal

test: $(VENV)/.development $(VENV)/.flower
ifeq ($(strip $(ARGS)),)
	@rm -f .coverage .coverage.*
	@status=0; parallel="-n $(PYTEST_WORKERS) --dist loadfile"; \
	$(PYTEST) $$parallel -m "not serial" $(addprefix --ignore=,$(UNTRACED)) --cov --cov-report=term || status=1; \
	$(PYTEST) $$parallel -m "not serial" $(UNTRACED) || status=1; \
	$(PYTEST) -m serial || status=1; \
	exit $$status
else
	$(PYTEST) $(ARGS)
endif

golden: $(VENV)/.development
	SALERNO_GOLDEN=all $(PYTEST) tests/peer/test_circe_golden.py tests/contract/test_golden_cohorts.py --durations=0

check: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	.ci/registry-hosts

bench: $(VENV)/.development $(VENV)/.simulation
	@missed=; for file in $(filter-out $(addprefix benchmarks/,memory.py network.py peers.py),$(wildcard benchmarks/*.py)); do \
	  echo "== $$file"; $(BIN)/python "$$file" || missed="$$missed $$file"; done; \
	if [ -n "$$missed" ]; then echo "Not all that is promised holds:$$missed" >&2; exit 1; fi

docs: $(VENV)/.development
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site is in site/index.html"

lock: | $(BIN)/python
	@$(BIN)/python -m pip install --quiet "$$($(BIN)/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["lock"][0])')"
	@# One set of versions for both: what runs in tests is what runs in the demo.
	$(BIN)/uv pip compile $(LOCK) --extra demo --extra privacy --extra spark --extra trino --group build --group dev pyproject.toml --output-file requirements-dev.txt $(ARGS)
	$(BIN)/uv pip compile $(LOCK) --extra demo --group build --constraint requirements-dev.txt pyproject.toml --output-file requirements.txt $(ARGS)
	@# With Flower its own versions, since it holds back those that the nodes run on.
	$(BIN)/uv pip compile $(LOCK) --python-version 3.11 --group simulation --output-file requirements-simulation.txt $(ARGS)
	$(BIN)/uv pip compile $(LOCK) --python-version 3.11 --group flower --constraint requirements-simulation.txt --output-file requirements-flower.txt $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov dist site
