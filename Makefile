# The commands of the README. PYTHON names the interpreter that makes the virtual environment (3.11 or newer).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo install test check golden bench clean

help:
	@echo "make demo    install, then run the whole line on built-in input"
	@echo "make test    install what the tests need, then format, lint, types and tests"
	@echo "make check   ruff and mypy only"
	@echo "make golden  rewrite the golden files; review the difference like code"
	@echo "make bench   measure speed; prints ratios within one run"
	@echo "make clean   remove the virtual environment and what demo made"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# A stamp per set of extras: pip runs again only when what it would install changes.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing voxemo with torch and transformers (a minute or two)"
	$(PIP) -e ".[hf]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt tests/example_plugin/pyproject.toml | $(VENV)/bin/python
	@echo "installing voxemo with everything that the tests need (a few minutes)"
	$(PIP) -e ".[audformat,baseline,hf,dev]"
	$(PIP) -e tests/example_plugin
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/voxemo demo

install: $(VENV)/.dev

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term

golden: $(VENV)/.dev
	VOXEMO_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests -k golden

bench: $(VENV)/.dev
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/parsing.py
	$(BIN)/python bench/scoring.py
	$(BIN)/python bench/corpora.py
	$(BIN)/python bench/probing.py
	$(BIN)/python bench/demo_model.py
	$(BIN)/python bench/engine.py
	$(BIN)/python bench/training.py

clean:
	rm -rf $(VENV) demo-workspace
