# hpoq. Needs make, Python 3.11 or newer, and Node.js 22 or 24; installs the rest in this folder.
#
#   make demo    run everything on this machine: queues, Lambda, tuning jobs, trained models
#   make test    run the tests                 make lint    ruff, mypy, imports, docstrings
#   make unit    unit tests, two minutes    make slow    training runs and simulations
#   make bench   compare benchmarks to goals   make deploy  cdk deploy to your AWS account
#   make audit   security checks               make soak    ten minutes of random faults
#   make lock    update the pinned versions    make dist    build the wheel, reproducibly
#   make clean   remove everything make created make sbom    list the packages (CycloneDX)
#   make mutants change the decision code, and see whether a test fails: what a branch changed

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.ready-demo
# One test process per core, and one for the tests of the embedded cloud, which mostly wait.
WORKERS = $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
NODE_READY := node_modules/.ready

export PATH := $(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true
# jsii's banner on releases past their end of life; app.py says the same in one line.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 18,20
# Tests start hundreds of processes, each of which would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit slow cloud-test lint format bench deploy dist sbom audit soak mutants docs docs-check lock clean

help:
	@sed -n '3,10s/^# \{0,3\}//p' Makefile

# Both at the same time.
setup:
	@$(MAKE) --silent --no-print-directory -j2 $(READY) $(NODE_READY)

$(READY): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing Python packages into $(VENV), once"
	@$(BIN)/python tools/set_up.py
	@touch $@ $(DEMO_READY)
	@echo "The command hpoq is in $(VENV)/bin: . $(VENV)/bin/activate"

# The first `make demo` installs what it needs; the other targets install the rest.
$(DEMO_READY): requirements.txt requirements-demo.in pyproject.toml | $(BIN)/python
	@echo "Installing the demo's Python packages into $(VENV), once"
	@$(BIN)/python tools/set_up.py --demo
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hpoq needs Python 3.11 or newer; name one: make PYTHON=python3.12 setup")'
	@echo "Creating a Python environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(NODE_READY): package.json package-lock.json
	@echo "Installing the Node.js packages of cdk into node_modules, once"
	@npm ci --silent --no-audit --no-fund
	@touch $@

# The demo says how long it took, the set-up included.
demo: export HPOQ_DEMO_BEGAN := $(shell date +%s)
demo:
	@$(MAKE) --silent --no-print-directory -j2 $(DEMO_READY) $(NODE_READY)
	@python examples/demo/run.py

# CI runs it with COVERAGE=1 and ALL=1, which take half as long again each.
test: export HPOQ_TEST_ALL := $(ALL)
test: setup
	@rm -f .coverage .coverage.*
	@python -m pytest tests --ignore=tests/soak -q -n $(WORKERS) $(if $(COVERAGE),--cov --cov-report=)
	@$(if $(COVERAGE),python -m coverage report --skip-covered --fail-under=90)

unit: setup
	@python -m pytest tests/unit -q -n auto

slow: setup
	@python -m pytest tests/training_runs tests/simulations -q -n auto

cloud-test: setup
	@python -m pytest tests/cloud -q

lint: setup
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports --no-logo
	@python -m tools.import_cycles
	@python -m tools.docstrings

format: setup
	@ruff check --fix . && ruff format .

bench: setup
	@python -m benchmarks

deploy: setup
	@cdk deploy

dist: setup
	@python -m tools.wheel

# The generated parts: settings reference, costs and the schema of messages.
docs: setup
	@python -m tools.settings_reference
	@python -m tools.costs
	@python -m tools.conformance_gaps
	@python -m tools.hostile_inputs
	@python -m tools.measured
	@hpoq schema > docs/request.schema.json

docs-check: setup
	@python -m pytest tests/cloud/test_documents.py -q

sbom: setup
	@python -m tools.sbom

# A release runs it with COMPLETE=1, and fails if a check cannot run.
audit: setup
	@python tools/audit.py $(if $(COMPLETE),--complete)

# Before a release: make mutants MUTANTS=--all. In an hour: MUTANTS='--sample 400'.
mutants: setup
	@python -m tools.mutation.mutants $(MUTANTS)

soak: setup
	@python -m pytest tests/soak -q --timeout=1200

# The lock files cover every platform, with the hash of every file; see the first lines of the .in files.
lock: setup
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --excludes requirements.excludes \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" -o requirements.txt requirements.in
	@cd layers/sagemaker_sdk && uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --excludes excludes.txt --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" -o requirements.lock requirements.in
	@cd hpoq/local && uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" -o requirements.lock requirements.in

clean:
	@test ! -x $(BIN)/hpoq || $(BIN)/hpoq local down || true
	@rm -rf .hpoq cdk.out node_modules $(VENV) layers/sagemaker_sdk/.cache* .coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
