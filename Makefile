# Every target that needs the environment builds it first: on a fresh machine `make run` or `make test` is enough.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_WAIT_POLICY ?= PASSIVE
export MLFLOW_DISABLE_TELEMETRY := true
PYTEST := pytest -q
STACK := tests/integration
DRILLS := tests/integration
CLUSTER := tests/cluster

.PHONY: help setup run stop status clean test test-stack test-drills test-cluster check audit format bench bench-gpu lock doctor

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Build .venv from the lock (Python 3.11 and a package index are enough)
	@{ cat requirements.txt pyproject.toml | cksum | cmp -s - $(VENV)/.lock-installed; } || scripts/setup

run: setup ## Start the stack, take faces to a served masker, serve until Ctrl-C (ONCE=1: stop when done)
	@exec masker up $(if $(filter 1 true yes,$(ONCE)),--once) $(if $(CONF),--conf '$(CONF)')

stop: setup ## Stop the stack
	@masker down

status: setup ## Say what of the stack is running and healthy
	@masker status

doctor: setup ## Check the installation and say what is missing
	@masker doctor

clean: ## Stop the stack and remove MASKER_HOME with all its data, and the caches (.venv stays)
	@if [ -x $(BIN)/masker ]; then masker down; fi
	rm -rf "$${MASKER_HOME:-.masker}" .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

check: setup ## Lint, types, import contracts, security
	ruff format --check .
	ruff check .
	mypy
	PYTHONPATH=plugins lint-imports
	bandit -q -c pyproject.toml -r include plugins dags
	check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml

audit: setup ## The lock against the vulnerability database
	pip-audit --disable-pip --no-deps -r requirements.txt

test: setup ## Run the tests that need neither a cluster nor a running Airflow
	$(PYTEST)

test-stack: setup ## Run the tests that start Airflow, alone and with the whole stack
	$(PYTEST) -m stack $(STACK)

test-drills: setup ## Run the drills of releases and experiments under live traffic
	$(PYTEST) -m drill $(DRILLS)

test-cluster: setup ## Run the tests marked `cluster` against KUBECONFIG, with STEP_IMAGE and SERVING_IMAGE
	@[ -n "$$KUBECONFIG" ] || { echo "set KUBECONFIG to the cluster to test on" >&2; exit 2; }
	$(PYTEST) -m cluster $(CLUSTER)

bench: ## List the benchmarks; the pages in docs hold their tables
	@grep -hoE 'python -m benchmarks\.[^`]+' benchmarks/*.py benchmarks/*/__main__.py

bench-gpu: setup ## Run the benchmarks of the masker on this machine's GPU and print their tables
	python -m benchmarks.gpu

format: setup ## Format the code and fix what the linter can fix
	ruff format .
	ruff check --fix .

lock: setup ## Resolve pyproject.toml anew into requirements.txt
	uv pip compile -q pyproject.toml --all-extras --python-version 3.11 $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) -o requirements.txt
	sed -i 's/^torch==\([0-9.]*\)+cpu/torch==\1/' requirements.txt
