# `make demo` and `make test` do everything on a machine that has Python 3.11+ and make.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
# the first interpreter that is new enough; override with `make PYTHON=/path/to/python3`
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	"$$p" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

.PHONY: help install demo test check bench study test-faults format clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(BIN)/.installed ## a virtual environment in .venv with everything, pinned

$(BIN)/.installed: pyproject.toml .ci/constraints-py311.txt .ci/install
	@bash .ci/install "$(PYTHON)" "$(VENV)"
	@touch $@

demo: install ## the main job on the embedded data set, ending in a recall table
	@rm -rf $(DEMO)
	$(BIN)/atrkit download synthetic --workspace $(DEMO)
	$(BIN)/atrkit extract --encoder logmel --workspace $(DEMO)
	$(BIN)/atrkit train synthetic/retrieval --workspace $(DEMO)
	$(BIN)/atrkit train synthetic/captioner --workspace $(DEMO)
	$(BIN)/atrkit eval --metric recall --run synthetic/captioner --workspace $(DEMO)
	$(BIN)/atrkit eval --metric recall --run synthetic/retrieval --workspace $(DEMO)

test: install ## the tests (six to seven minutes)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist loadscope --durations 8

check: install ## lint, format, types, layers
	$(BIN)/ruff check atrkit tests
	$(BIN)/ruff format --check atrkit tests
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache

bench: install ## figures (tables on the screen, JSON in .bench/) and the slow tests
	$(BIN)/python -m pytest -q -s -m "bench or slow" tests

study: install ## what each mechanism of the papers does on the embedded data set (about three hours; resumable; QUICK=1)
	$(BIN)/python -m tests.study $(if $(QUICK),--quick)

test-faults: install ## kill loops and full disks (about six minutes)
	$(BIN)/python -m pytest -q -s -m faults tests/faults

format: install ## put the code in the house's format
	$(BIN)/ruff check --fix-only atrkit tests
	$(BIN)/ruff format atrkit tests

clean: ## remove what the targets above made
	rm -rf $(VENV) $(DEMO) .bench .mypy_cache .ruff_cache .hypothesis build dist
