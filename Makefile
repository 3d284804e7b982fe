# Every target makes or refreshes .venv by itself; `make help` lists them.
PYTHON ?= python3.11
# Further arguments for pip, such as an index that offers a CPU-only torch: make PIP_ARGS="--index-url ..." compare
PIP_ARGS ?=
# Arguments for the harness: make compare ARGS="--workers 4"
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := harness custom_ppo tests

.DEFAULT_GOAL := help
.PHONY: help setup compare smoke report crosscheck ablation bench test test-slow check format lint typecheck coverage clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with the pinned packages

# torch first and pinned: left to the other packages, pip would take the newest build, with gigabytes for GPUs.
$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "error: $(PYTHON) is not Python 3.11; install it, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[envs,atari,minigrid,dev]'
	@touch $@

compare: $(STAMP) ## the main job: train custom PPO, SB3 PPO and SB3 A2C, then tables and figures in results/compare
	$(BIN)/harness compare configs/compare.yml $(ARGS)

smoke: $(STAMP) ## a tiny comparison, under a minute, in results/smoke
	$(BIN)/harness compare configs/smoke.yml $(ARGS)

report: $(STAMP) ## tables and figures of results/compare anew, without training
	$(BIN)/harness report results/compare $(ARGS)

crosscheck: $(STAMP) ## custom PPO and A2C beside SB3's, number by number, under ten seeds
	$(BIN)/harness crosscheck custom_ppo --seeds 0-9 $(ARGS)
	$(BIN)/harness crosscheck custom_a2c --reference a2c --seeds 0-9 $(ARGS)

ablation: $(STAMP) ## which detail of PPO matters: every known deviation trained, in results/ablation; slow, an hour or two
	$(BIN)/harness compare configs/ablation.yml $(ARGS)

bench: $(STAMP) ## speed of custom PPO against SB3 PPO, measured in turns
	$(BIN)/harness bench $(ARGS)

test: $(STAMP) ## the tests
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: $(STAMP) ## the tests and the studies of minutes
	$(BIN)/python -m pytest -n 2 -m "slow or not slow" $(ARGS)

coverage: $(STAMP) ## the tests, and what they do not reach
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered $(ARGS)

check: lint typecheck test ## what CI runs: format check, lint, types, tests

format: $(STAMP) ## write all code in the one format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: $(STAMP) ## format check and lint, changing nothing
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

typecheck: $(STAMP) ## strict mypy on both packages
	$(BIN)/mypy

clean: ## remove .venv and caches; results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find $(SOURCES) -name __pycache__ -type d -exec rm -rf {} +
