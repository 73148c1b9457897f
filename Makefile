# What a person types. Everything is installed into .venv by itself; PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin
# Not the scripts beside it: their first line can't name every path.
PY := $(BIN)/python

.PHONY: sync dev test lint docs bench install clean

sync: .venv/installed ; @$(PY) -m gazelle_sync.cli sync
dev: .venv/installed ; @$(PY) -m gazelle_sync.cli dev
install: .venv/installed

test: .venv/installed-dev ; $(PY) -m pytest
lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pages that follow from the code.
docs: .venv/installed ; $(PY) -m gazelle_sync.cli.catalogue > docs/tables.md

# Ten minutes or twenty, on a machine that does nothing else; see docs/performance.md.
bench: .venv/installed ; $(PY) -m benchmarks

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean: ; rm -rf .venv
