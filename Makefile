# What a person types. Everything is installed into .venv by itself; PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin
# Not the scripts beside it: their first line can't name every path.
PY := $(BIN)/python

INSTALLING := Installing into .venv, once: a minute or several
ifneq ($(filter fr%,$(or $(GAZELLE_SYNC_LANG),$(LC_ALL),$(LANG))),)
INSTALLING := Installation dans .venv, une fois pour toutes : une minute ou plus
endif

# A dot every two seconds, for as long as pip works: it says nothing for minutes. When this shell dies, so do the dots.
define install
@echo '$(INSTALLING)'
@(while sleep 2 && kill -0 $$$$ 2>/dev/null; do printf .; done) & dots=$$!; \
 $(PY) -m pip install --quiet --disable-pip-version-check --editable '$(1)' && touch $@; \
 code=$$?; kill $$dots; echo; exit $$code
endef

.PHONY: sync dev psql test lint docs bench install clean

sync: .venv/installed ; @$(PY) -m gazelle_sync.cli sync
dev: .venv/installed ; @$(PY) -m gazelle_sync.cli dev
psql: .venv/installed ; @$(PY) -m gazelle_sync.cli psql
install: .venv/installed

# One more than the processors of a small machine: many tests wait for a server or a process.
test: .venv/installed-dev ; $(PY) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
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
	$(call install,.)

.venv/installed-dev: .venv/installed
	$(call install,.[dev])

clean: ; rm -rf .venv
