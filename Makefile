# Two commands do all the set-up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
DATA ?=

.PHONY: install demo test lint types walls check format clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[train,cpu,opencv,lite,rtx,dev]'
	touch $@

# The main job: pictures → model → graph → engines → report. DATA=path/to/category takes your own pictures.
demo: install
	PATH="$(abspath $(BIN)):$$PATH" bash benchmarks/demo.sh "$(DEMO)" "$(DATA)"

test: install lint types walls
	$(BIN)/python -m pytest

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

walls:
	$(BIN)/lint-imports

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info
