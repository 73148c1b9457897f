# What a person types. Everything is installed into .venv by itself; PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: sync dev test lint bench install clean

sync: .venv/installed ; @$(BIN)/gazelle-sync sync
dev: .venv/installed ; @$(BIN)/gazelle-sync dev
install: .venv/installed

test: .venv/installed-dev ; $(BIN)/pytest
lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Ten minutes or twenty, on a machine that does nothing else; see docs/performance.md.
bench: .venv/installed ; $(BIN)/python -m benchmarks

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean: ; rm -rf .venv
