# Two commands are all that a fresh machine needs: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .peers
PEERS_IMPUTATION := .peers-imputation
SCALE ?= $(or $(TESSERA_SCALE),demo)
# Processes that run tests: each loads the rules engine (up to 3 GB).
JOBS ?= 2
export TESSERA_SCALE := $(SCALE)

.PHONY: help setup run ui test lint format bench peers clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 18

setup: $(STAMP) ## virtual environment with everything in requirements.lock (two minutes)

$(STAMP): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) from requirements.lock (about two minutes, 2 GB)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

run: $(STAMP) ## the whole graph at the demo scale: every area file, a report, a release under var/
	@$(BIN)/python -m jobs.run --scale $(SCALE)

ui: $(STAMP) ## Dagster's web UI and daemon on the home that `make run` left
	@$(BIN)/python -m jobs.ui

test: $(STAMP) ## all tests, in JOBS processes (2)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## ruff's formatter and safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) peers ## benchmarks against peers, some minutes; each prints one JSON object last
	BENCH_PEER_PYTHON=$(PEERS)/bin/python $(BIN)/python benchmarks/pytree.py --json
	BENCH_PEER_PYTHON=$(PEERS)/bin/python $(BIN)/python benchmarks/fit.py --json
	$(BIN)/python benchmarks/clones.py --json
	$(BIN)/python benchmarks/takeup.py --json
	$(BIN)/python benchmarks/matrix.py --json
	BENCH_MICROIMPUTE_PYTHON=$(PEERS_IMPUTATION)/bin/python $(BIN)/python benchmarks/imputation.py --json
	$(BIN)/python benchmarks/microdata.py --json

peers: $(PEERS)/.installed $(PEERS_IMPUTATION)/.installed ## environments of the peers that benchmarks compare with

$(PEERS)/.installed: benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@touch $@

$(PEERS_IMPUTATION)/.installed: benchmarks/peers_imputation.txt
	$(PYTHON) -m venv $(PEERS_IMPUTATION)
	$(PEERS_IMPUTATION)/bin/pip install --quiet --disable-pip-version-check -r benchmarks/peers_imputation.txt
	@touch $@

clean: ## remove what a run left behind (var/), not the environment
	rm -rf var
