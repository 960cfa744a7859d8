# study: the main job on the embedded recordings. test: quick tests. lint, docs, bench: what they say.
# Each sets up .venv first, where it is missing or older than pyproject.toml or constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --constraint constraints.txt
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: study test slow lint docs bench clean

study: .venv/.study
	$(BIN)/sprat study aquarium --small sprat --large mackerel --peers fry --keep 0.98 --out study

test: .venv/.dev
	$(ONE_THREAD) $(BIN)/python -m pytest -q

# The tests that take longer than a few seconds, and the laws on twenty times as many examples.
slow: .venv/.dev
	$(ONE_THREAD) $(BIN)/python -m pytest -q -m slow
	$(ONE_THREAD) $(BIN)/python -m pytest -q tests/laws --hypothesis-profile thorough

lint: .venv/.dev
	$(BIN)/ruff check src tests
	$(BIN)/pyright

docs: .venv/.dev
	$(BIN)/sprat methods --markdown > docs/methods.md

bench: .venv/.dev
	$(BIN)/python benchmarks/imports.py

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "sprat needs Python 3.11 or newer and '$(PYTHON)' is not; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' lacks the modules venv and ensurepip; install them (often a package called python3-venv)." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@touch $@

.venv/.study: .venv/.python pyproject.toml constraints.txt
	@echo "setting up .venv"
	@$(PIP) --upgrade pip
	@$(PIP) --editable '.[study]'
	@touch $@

.venv/.dev: .venv/.study
	@$(PIP) --editable '.[study,torch,onnx,curate,lexical,gateway,otel]' --group dev
	@touch $@

clean:
	rm -rf .venv study
