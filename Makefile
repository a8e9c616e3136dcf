# fer_bench: `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A value may have spaces.
flag = $(if $($(2)),$(1) '$($(2))')
FLAGS := $(call flag,--dataset,DATASET) $(call flag,--model,MODEL) $(call flag,--task,TASK) $(call flag,--seed,SEED) \
	$(call flag,--epochs,EPOCHS) $(call flag,--weights,WEIGHTS) $(call flag,--data-dir,DATA_DIR)

.DEFAULT_GOAL := help
.PHONY: help setup bench test proofs lint format leaderboard verify docs perf torture clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo; echo '  make bench [DATASET=] [MODEL=] [TASK=] [SEED=] [EPOCHS=] [WEIGHTS=] [DATA_DIR=] [ARGS=]'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fer_bench needs Python 3.11 or newer; name one with PYTHON=..."; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

setup: $(STAMP) ## Make .venv and install everything at the pinned versions

bench: $(STAMP) ## Train, test once, and put a scored row into the leaderboard
	$(BIN)/fer-bench run $(FLAGS) $(ARGS)

# One thread for each process, and one process more than there are cores (tests/conftest.py); what one process has compiled is there for the next.
test: $(STAMP) ## Run the tests, on every core (ARGS="-n 0 tests/data" for one process)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal $(ARGS)

# What takes long and is shown in small by a test of `make test`.
proofs: $(STAMP) ## Run the long proofs: tests marked so, and the kills of `make torture`
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m proof $(ARGS)
	$(MAKE) torture

lint: $(STAMP) ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

leaderboard: $(STAMP) ## Render every leaderboard from the records
	$(BIN)/fer-bench leaderboard $(ARGS)

verify: $(STAMP) ## Recompute every published score from its predictions
	$(BIN)/fer-bench verify --all $(ARGS)

# The packages that build the pages are not needed for anything else.
$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs ## Write the reference pages from the code, and build the documentation into site-docs/
	$(BIN)/python -m docs.generator
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

perf: $(STAMP) ## Measure speed, as ratios side by side
	$(BIN)/python benchmarks/perf/startup.py
	$(BIN)/python benchmarks/perf/training.py
	$(BIN)/python benchmarks/perf/augmentation.py

torture: $(STAMP) ## Kill what writes 800 times, and count what is lost
	nice $(BIN)/python -m tests.torture.torture --log tests/torture/log.txt $(ARGS)

clean: ## Remove the environment and everything that can be made again
	rm -rf $(VENV) site-docs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
