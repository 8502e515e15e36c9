# make quickstart   train, measure and report a small classifier on the sample data
# make test         run all tests
# make check        style
# make docs         write docs/errors.md and docs/options.md from the code
# Each makes .venv first and installs into it with pip what it needs. PYTHON=... chooses another Python.

VENV := .venv
BIN := $(VENV)/bin
ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python3.14,\
	$(shell command -v $(name) >/dev/null 2>&1 && $(name) -c '$(ENOUGH)' >/dev/null 2>&1 && echo $(name))))
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: quickstart test check docs clean

quickstart: $(VENV)/.installed-all
	$(BIN)/penjing run recipes/quickstart/recipe.yaml

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(VENV)/.installed-all
	$(BIN)/python tools/generate_docs.py

$(VENV)/.made:
	@if test -z "$(PYTHON)"; then \
		echo "Penjing needs Python 3.11 or newer with venv, and none was found."; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python)"; \
		echo "or name it: make PYTHON=/path/to/python3"; \
		exit 2; \
	fi
	$(PYTHON) -c '$(ENOUGH)' || { echo "$(PYTHON) is older than Python 3.11, or has no venv."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed-all: $(VENV)/.made pyproject.toml
	@echo "Installing what Penjing needs into $(VENV); the first time this takes some minutes."
	$(PIP) --editable ".[all]"
	touch $@

$(VENV)/.installed-test: $(VENV)/.made pyproject.toml
	@echo "Installing what Penjing and its tests need into $(VENV); the first time this takes some minutes."
	$(PIP) --editable ".[test]"
	touch $@ $(VENV)/.installed-all

clean:
	rm -rf $(VENV) build dist *.egg-info
