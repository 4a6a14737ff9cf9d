# Two commands do all the set-up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EDGE_PYTHON ?= python3.10
EDGE_VENV := .venv-edge
DEMO ?= demo
DATA ?=

.PHONY: install pictures demo test edge-test lint types walls check format clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml | $(if $(filter demo,$(MAKECMDGOALS)),pictures)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[train,cpu,opencv,lite,rtx,dev]'
	touch $@

# Looked for first: installing takes minutes.
pictures:
	@bash benchmarks/demo.sh --look "$(DATA)"

# The main job: pictures → model → graph → engines → report. DATA=path/to/category takes your own pictures.
demo: install
	PATH="$(abspath $(BIN)):$$PATH" bash benchmarks/demo.sh "$(DEMO)" "$(DATA)"

test: install lint types walls
	$(BIN)/python -m pytest

# What runs on a device, without PyTorch, with the Python and the NumPy that JetPack 6 has.
edge-test: $(EDGE_VENV)/installed
	$(EDGE_VENV)/bin/python -m pytest -p tests.without_training tests/unit

$(EDGE_VENV)/installed: pyproject.toml
	$(EDGE_PYTHON) -m venv $(EDGE_VENV)
	$(EDGE_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(EDGE_VENV)/bin/python -m pip install --quiet --editable '.[cpu,opencv,bench,test]' 'numpy<2'
	touch $@

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
	rm -rf $(VENV) $(EDGE_VENV) $(DEMO) build dist *.egg-info
