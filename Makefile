# Two commands: `make demo` runs the whole chain on synthetic data, `make test` runs everything CI runs.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint lock tools bench clean
.DELETE_ON_ERROR:

demo: .venv/ready
	$(BIN)/snakemake all --cores all --configfile config/demo.yaml
	@echo
	@echo "The demo is done. Look at:"
	@echo "  results/demo/report/index.html      what was made, how good it is (open it in a browser)"
	@echo "  results/demo/2018/pm25_hourly.nc    the product: hourly, 0.25°, synthetic"

test: .venv/ready tools lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup
	@echo "All tests passed. What they cover is in tests/README.md; try 'make demo' next."

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# Exact versions of everything, from requirements.lock; torch is the CPU build where pip finds one.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("deepcams needs Python 3.11 or later; set PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --editable .
	@touch $@

# Other readers of the product, and a browser for the report, which tests try where they are installed: Debian's, for
# root and within eight minutes.
tools:
	@if ! { command -v cdo && command -v ncdump && command -v chromium; } > /dev/null && command -v apt-get > /dev/null \
	    && [ "$$(id -u)" = 0 ]; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { timeout 120 apt-get update && timeout 360 apt-get install --yes --no-install-recommends cdo netcdf-bin chromium; } \
	    > /dev/null 2>&1 || echo "cdo, ncdump and chromium could not be installed: their tests are skipped."; \
	fi

# How fast and how large, beside peers on this machine: docs/benchmarks.md. BENCH="--quick" or BENCH="--only writing".
bench: .venv/ready tools
	$(BIN)/python -m benchmarks.run $(BENCH)

# Written anew from pyproject.toml when a dependency changes.
lock:
	tools/lock.sh

clean:
	rm -rf .venv .pytest_cache .ruff_cache
