# One command per purpose; `make` alone lists them. Everything runs from .venv/, made from requirements/dev.txt.

.DEFAULT_GOAL := help
.PHONY: help install demo test test-spark audit lint format docs lock lock-gpu clean bench-accuracy bench-epoch bench-serving \
	bench-operate bench-person bench-studies

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SERVE ?= 1

# The first Python on the path that really starts and is 3.11 or newer; the lock files are made with 3.11.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

export BENTOML_DO_NOT_TRACK := True
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv from the lock file; again only when that file or pyproject.toml changed

$(INSTALLED): pyproject.toml requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer was found: install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

demo: install ## simulate a world, train on it, build a bundle and serve it on port 3000 (SERVE=0 ends after the bundle)
	$(BIN)/tailorbird demo $(if $(filter 0,$(SERVE)),--no-serve)

test: install lint ## everything that a change must pass: style, types, import contracts, tests
	tests/system-packages.sh
	$(BIN)/python -m pytest -q
	$(BIN)/python -m pytest -q -m slow

test-spark: install ## the table tests on PySpark too (needs Java 17)
	$(BIN)/python -m pip install --quiet -c requirements/dev.txt -e '.[spark]'
	$(BIN)/python -m pytest -q -m spark

bench-studies: install ## measure one study, such as STUDY=cold_items; further options in ARGS
	$(BIN)/python -m benchmarks.studies.$(STUDY) $(ARGS)

audit: ## hold the lock files against known vulnerabilities, by pip-audit in an environment of its own
	test -x .audit/bin/pip-audit || { $(PYTHON) -m venv .audit && .audit/bin/pip install --quiet pip-audit; }
	for lock in serving dev; do \
		.audit/bin/pip-audit --strict --disable-pip --no-deps -r requirements/$$lock.txt || exit 1; done

lint: install ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## mend style where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-accuracy: install ## measure rows of the table of accuracies (ROW=ml-1m/tailorbird,... SEEDS=0,1,2 BUDGET=seconds FRESH=1)
	$(BIN)/python -m benchmarks.accuracy $(if $(ROW),--rows '$(ROW)') $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(BUDGET),--budget $(BUDGET)) $(if $(FRESH),--fresh)

bench-epoch: install ## measure seconds per epoch of the towers beside RecTools SASRec
	$(BIN)/python -m benchmarks.accuracy.epoch_time

bench-serving: install ## measure serving at 27,000 and a million items (ARGS='--size 27k --part latency', PEERS=1 for the peers)
	$(BIN)/python -m benchmarks.serving $(if $(filter 1,$(PEERS)),--peers) $(ARGS)

bench-person: install ## measure the stores of people at a million users, and a hundred kill -9 (ARGS='--part crashes')
	$(BIN)/python -m benchmarks.person $(ARGS)

bench-operate: install ## measure one study of operating, such as STUDY=prepare; further options in ARGS
	$(BIN)/python -m benchmarks.operate.$(or $(STUDY),warm_start) $(ARGS)

docs: install ## write docs/configuration.md from the config classes, and docs/metrics.md from the metrics
	$(BIN)/python -m training.configuration_page > docs/configuration.md
	$(BIN)/python -m serving.metrics_page > docs/metrics.md

# No index, path or hash may stand in a lock file, and torch is pinned without the `+cpu` of the build that lay nearest.
COMPILE = $$tools/bin/pip-compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links --strip-extras
lock: ## pin the newest versions that pyproject.toml allows
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer was found" >&2; exit 1; }
	set -e; tools=$$(mktemp -d); trap 'rm -rf $$tools' EXIT; \
	$(PYTHON) -m venv $$tools; $$tools/bin/python -m pip install --quiet pip-tools; \
	$(COMPILE) --upgrade --extra cpu --extra train --extra dev -o requirements/dev.txt pyproject.toml; \
	sed -i -e 's/^\(torch==[^+]*\)+.*/\1/' -e '/^\(#\|$$\)/d' requirements/dev.txt; \
	$(COMPILE) --upgrade --extra cpu -c requirements/dev.txt -o requirements/serving.txt pyproject.toml; \
	sed -i '/^\(#\|$$\)/d' requirements/serving.txt
	$(MAKE) lock-gpu

lock-gpu: ## pin for machines with a GPU what requirements/serving.txt pins, with ONNX Runtime for CUDA in its place
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer was found" >&2; exit 1; }
	set -e; tools=$$(mktemp -d); trap 'rm -rf $$tools' EXIT; \
	$(PYTHON) -m venv $$tools; $$tools/bin/python -m pip install --quiet pip-tools; \
	$(COMPILE) --upgrade --extra gpu -c requirements/serving.txt -o requirements/serving-gpu.txt pyproject.toml; \
	sed -i '/^\(#\|$$\)/d' requirements/serving-gpu.txt

clean: ## remove what tests and tools left behind; keeps .venv, var, runs and registry
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache lightning_logs
	find features models serving training tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
