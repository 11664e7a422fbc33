# Two commands: `make demo` runs the whole chain on synthetic data, `make test` runs everything CI runs.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slurm test-faults fuzz lint audit lock tools bench scale clean
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

# The whole tiny run through SLURM, on a cluster of one node that is started here: for root on Debian. Prints what SLURM said.
test-slurm: .venv/ready tools
	@mkdir -p results
	SLURM_STATES=results/slurm_states.txt OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm tests/workflow/test_slurm.py; \
	status=$$?; cat results/slurm_states.txt; exit $$status

# Fifty kills and damaged files by the dozen: KILLS=200, SEED=2. Prints tables.
test-faults: .venv/ready
	DEEPCAMS_KILLS=$(or $(KILLS),50) DEEPCAMS_SEED=$(or $(SEED),1) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s tests/faults

# Hostile files for every reader, a hundred each: CASES=1000. Prints a table.
fuzz: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/fuzz --fuzz-cases $(or $(CASES),100)

lint: .venv/ready
	$(BIN)/ruff check . profiles/kubernetes/submit profiles/kubernetes/status profiles/kubernetes/cancel
	$(BIN)/ruff format --check . profiles/kubernetes/submit profiles/kubernetes/status profiles/kubernetes/cancel
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# Exact versions of everything, from requirements.lock; torch is the CPU build where pip finds one.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("deepcams needs Python 3.11 or later; set PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --editable .
	@touch $@

# Other readers of the product, a browser for the report, and SLURM, which tests try where they are installed: Debian's,
# for root and within eight minutes.
tools:
	@if ! { command -v cdo && command -v ncdump && command -v chromium && command -v slurmctld; } > /dev/null && command -v apt-get > /dev/null \
	    && [ "$$(id -u)" = 0 ]; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { timeout 120 apt-get update && timeout 360 apt-get install --yes --no-install-recommends cdo netcdf-bin chromium \
	      slurmctld slurmd slurm-client munge; } \
	    > /dev/null 2>&1 || echo "cdo, ncdump, chromium and SLURM could not be installed: their tests are skipped."; \
	fi

# How fast and how large, beside peers on this machine: docs/benchmarks.md. BENCH="--quick" or BENCH="--only writing".
bench: .venv/ready tools
	$(BIN)/python -m benchmarks.run $(BENCH)

# Known vulnerabilities of what is locked; asks osv.dev.
audit: .venv/ready
	$(BIN)/python tools/audit.py

# How long planning takes for ever longer records, and what they would take: docs/planning.md. SCALE=--quick is short.
scale: .venv/ready
	$(BIN)/python -m benchmarks.scale $(SCALE)

# Written anew from pyproject.toml when a dependency changes.
lock:
	tools/lock.sh

clean:
	rm -rf .venv .pytest_cache .ruff_cache
