# Every target creates or updates .venv first; `make help` lists the targets.
# Any Python from 3.11 to 3.13; the pins of constraints.txt were made with 3.11.
PYTHON ?= python3.11
# Further arguments for pip, such as an index that offers a CPU-only torch: make PIP_ARGS="--index-url ..." compare
PIP_ARGS ?=
# Arguments for the harness: make compare ARGS="--workers 4"
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.installed
STAMP := $(VENV)/.kernels
KERNELS := setup.py $(wildcard custom_ppo/engines/native/sources.py custom_ppo/engines/native/kernels/*)
SOURCES := harness custom_ppo tests docs setup.py

.DEFAULT_GOAL := help
.PHONY: help setup kernels compare smoke report crosscheck ablation sweep bench bench-guard test test-slow check docs format lint typecheck coverage clean

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with the pinned packages

# torch is installed first and pinned: otherwise pip would choose the newest build, with gigabytes for GPUs.
$(PACKAGES): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: $(PYTHON) is not Python 3.11 to 3.13; install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[envs,atari,minigrid,ray,wandb,parquet,dev,docs]'
	@touch $@

# pip has compiled the kernels already, but hides whether it could.
$(STAMP): $(PACKAGES) $(KERNELS)
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

kernels: $(PACKAGES) ## compile the native engine after a change of its C sources, and say whether it can be used
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $(STAMP)
	@$(BIN)/python -m custom_ppo.engines.native

compare: $(STAMP) ## the main job: train CustomPPO, SB3 PPO and SB3 A2C; write results/compare with tables, figures and report.html
	$(BIN)/harness compare configs/compare.yml $(ARGS)

smoke: $(STAMP) ## run a tiny comparison in under a minute; write results/smoke
	$(BIN)/harness compare configs/smoke.yml $(ARGS)

report: $(STAMP) ## rebuild tables, figures and report.html of results/compare without training
	$(BIN)/harness report results/compare $(ARGS)

crosscheck: $(STAMP) ## compare CustomPPO and CustomA2C with SB3's, array by array, for ten seeds
	$(BIN)/harness crosscheck custom_ppo --seeds 0-9 $(ARGS)
	$(BIN)/harness crosscheck custom_a2c --reference a2c --seeds 0-9 $(ARGS)

ablation: $(STAMP) ## train every deviation of the catalogue to see which detail of PPO matters; an hour or two
	$(BIN)/harness compare configs/ablation.yml $(ARGS)

sweep: $(STAMP) ## train PPO with every clip range and GAE lambda, test both, draw heatmaps in results/sweep; ten minutes
	$(BIN)/harness compare configs/sweep.yml $(ARGS)

bench: $(STAMP) ## measure how much faster CustomPPO and CustomA2C train than SB3's, and experiments; 20 minutes
	$(BIN)/harness bench $(ARGS)

# Configurations of a few seconds that need neither Box2D nor MuJoCo.
GUARDED := cartpole-sb3,cartpole-zoo,pendulum-gsde,pendulum-plain,multidiscrete,cartpole-a2c

bench-guard: $(STAMP) ## fail if CustomPPO lost a quarter of its published speed relative to SB3
	$(BIN)/harness bench --only $(GUARDED) --pairs 5 --no-parts --baseline results/published/speed.json $(ARGS)

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: $(STAMP) ## run the tests, including studies that take minutes
	$(BIN)/python -m pytest -n 2 -m "slow or not slow" $(ARGS)

coverage: $(STAMP) ## run the tests, and list the lines that they do not reach
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered $(ARGS)

check: lint typecheck docs test ## run all checks of CI: format, lint, types, documentation, tests

docs: $(STAMP) ## build the documentation in build/docs; fail on a dead link or an undocumented public name
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

format: $(STAMP) ## format all code and apply safe fixes
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: $(STAMP) ## check format and lint without changes
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

typecheck: $(STAMP) ## run mypy in strict mode on both packages
	$(BIN)/mypy

clean: ## remove .venv and caches, but no results
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find $(SOURCES) -name __pycache__ -type d -exec rm -rf {} +
