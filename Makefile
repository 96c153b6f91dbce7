.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
PAYLOAD := .venv-payload
RAY := .venv-ray
JUPYTER := .venv-jupyter
FOCUS := .venv-focus
ACCASIM := .venv-accasim
KUBERNETES := $(or $(HUTONG_KUBERNETES),$(HOME)/.cache/hutong/kubernetes/1.20.2)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
COUNT ?= 200
SEED ?= 1
ARGS ?=
# Modules are compiled once and kept, whatever the machine forbids elsewhere: tests start hundreds of Pythons.
export PYTHONDONTWRITEBYTECODE :=

help:  ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# A stamp is newer than what it was made from, or the step runs again.
$(VENV)/.ready: requirements/platform.txt pyproject.toml scripts/fetch_assets.py
	@echo "installing the platform and its tools in $(VENV) (half a minute or more) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --no-deps --require-hashes -r requirements/platform.txt  # whole: it names every dependency
	@$(PIP) check
	@$(PIP) install --no-deps --no-build-isolation -e .
	@$(BIN)/python scripts/fetch_assets.py
	@touch $@

# Apart from the rest: a minute of one core, beside which lint and types can run.
$(VENV)/.compiled: $(VENV)/.ready scripts/compile_placement.py
	@$(BIN)/python scripts/compile_placement.py
	@touch $@

# What is wrong with a test module is told early; and workers that begin at once would each rewrite every one.
collect: $(VENV)/.compiled
	@$(BIN)/pytest --collect-only -q >$(VENV)/collected || { tail -n 100 $(VENV)/collected; exit 1; }

$(PAYLOAD)/.ready: requirements/payload.txt
	@echo "installing what the demo's jobs need, PyTorch and transformers, in $(PAYLOAD) (a minute or more) ..."
	@test -x $(PAYLOAD)/bin/python || $(PYTHON) -m venv $(PAYLOAD)
	@$(PAYLOAD)/bin/python -m pip -qq --disable-pip-version-check install -r requirements/payload.txt
	@touch $@

$(RAY)/.ready: requirements/ray.txt
	@echo "installing Ray for the tests' own cluster in $(RAY) (a minute or more) ..."
	@test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	@$(RAY)/bin/python -m pip -qq --disable-pip-version-check install -r requirements/ray.txt
	@touch $@

$(JUPYTER)/.ready: requirements/jupyter.txt
	@echo "installing JupyterLab for the tests' own notebook in $(JUPYTER) (a minute or more) ..."
	@test -x $(JUPYTER)/bin/python || $(PYTHON) -m venv $(JUPYTER)
	@$(JUPYTER)/bin/python -m pip -qq --disable-pip-version-check install -r requirements/jupyter.txt
	@touch $@

$(FOCUS)/.ready: requirements/focus.txt scripts/validate_focus.py
	@echo "installing the FinOps Foundation's validator of FOCUS exports in $(FOCUS) (half a minute or more) ..."
	@test -x $(FOCUS)/bin/python || $(PYTHON) -m venv $(FOCUS)
	@$(FOCUS)/bin/python -m pip -qq --disable-pip-version-check install --no-deps --ignore-requires-python \
	  -r requirements/focus.txt
	@$(FOCUS)/bin/python scripts/validate_focus.py --mend
	@touch $@

$(ACCASIM)/.ready: requirements/accasim.txt
	@echo "installing AccaSim, the simulator that ours is compared with, in $(ACCASIM) (half a minute or more) ..."
	@test -x $(ACCASIM)/bin/python || $(PYTHON) -m venv $(ACCASIM)
	@$(ACCASIM)/bin/python -m pip -qq --disable-pip-version-check install --no-deps -r requirements/accasim.txt
	@touch $@

setup: $(VENV)/.compiled  ## install the platform and its tools in .venv
payload: $(PAYLOAD)/.ready  ## install what the demo's jobs need (PyTorch, transformers) in .venv-payload
ray: $(RAY)/.ready  ## install Ray, for the tests' own cluster, in .venv-ray
focus: $(FOCUS)/.ready  ## install the FinOps Foundation's validator of FOCUS exports in .venv-focus
jupyter: $(JUPYTER)/.ready  ## install JupyterLab, for the tests' own notebook, in .venv-jupyter
accasim: $(ACCASIM)/.ready  ## install AccaSim, the peer that `make parity` runs, in .venv-accasim

kubernetes:  ## find Kubernetes 1.20 in ~/.cache/hutong, or build it from Debian's source (once)
	@scripts/build_kubernetes.sh "$(KUBERNETES)"

system:  ## install Debian packages that the tests and the sandbox need
	@scripts/system_packages.sh

demo: setup payload  ## the main job for real: train, place, kill, adopt, serve, bill
	@scripts/system_packages.sh --optional bubblewrap
	$(BIN)/python -m examples.demo $(ARGS)

up: setup  ## run the embedded platform on this machine; data is kept in ./data
	$(BIN)/hutong up --data data --scenario demo $(ARGS)

check:  ## what CI runs: format, lint, types, import rules, tests, docs
	@$(MAKE) --no-print-directory -j 5 --output-sync=target collect types payload ray system lint jupyter focus
	@$(MAKE) --no-print-directory kubernetes
	$(BIN)/pytest -n 5 --dist loadgroup -m "not bed" $(ARGS)

lint: $(VENV)/.ready  ## format, lint and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/.ready  ## mypy --strict
	$(BIN)/mypy

test: setup  ## the tests only; ARGS='tests/core -x' picks some
	$(BIN)/pytest $(ARGS)

beds: setup ray system kubernetes  ## try the test beds themselves: Slurm, Kubernetes, Ray on this machine
	$(BIN)/pytest -m bed $(ARGS)

kill: setup  ## kill -9 API, loop, agents at random while COUNT jobs run; SEED makes it repeatable
	$(BIN)/python -m bench.kill --count $(COUNT) --seed $(SEED)

faults: setup ray system kubernetes  ## try every engine's faults on real ones, COUNT kills each from SEED, and print a table
	$(BIN)/python -m bench.faults --count $(COUNT) --seed $(SEED) $(ARGS)

frauds: setup  ## put COUNT seeded frauds of five kinds into simulated days of centres; found, missed, false alarms
	$(BIN)/python -m bench.frauds --count $(if $(filter file,$(origin COUNT)),1000,$(COUNT)) --seed $(SEED) $(ARGS)

bench: setup  ## measure the control plane; ARGS=--quick ends within 50 s (bench.engines measures the engines)
	$(BIN)/python -m bench.control $(ARGS)
	$(BIN)/python -m bench.ledger $(ARGS)

parity: setup  ## compare the simulator with what peers published: Lucid, FGD, GAIA (DATA=folder of the traces), and with AccaSim itself
	@$(MAKE) --no-print-directory accasim || echo "AccaSim cannot be installed here: it is left out"
	test ! -e $(ACCASIM)/.ready || $(BIN)/python -m bench.beside_accasim --python $(ACCASIM)/bin/python --check
	$(BIN)/python -m bench.simulator --quick --check $(DATA:%=--data %)
	$(BIN)/python -m bench.fragmentation --check $(DATA:%=--data %)
	$(BIN)/python -m bench.green --quick $(DATA:%=--data %)

tables: setup  ## the same traces under our policies beside every published figure, with intervals
	$(BIN)/python -m bench.simulator $(DATA:%=--data %)
	$(BIN)/python -m bench.tables $(DATA:%=--data %)
	$(BIN)/python -m bench.fragmentation $(DATA:%=--data %)
	$(BIN)/python -m bench.green $(DATA:%=--data %)
	$(BIN)/python -m bench.bth $(DATA:%=--data %)

reports: setup focus  ## a year of 10^6 jobs: the sums of reports, and how long each takes; ARGS=--quick has 10^4, within 50 s
	$(BIN)/python -m bench.reports $(ARGS)

year: setup focus  ## close, state, invoice and export a city's year of 10^6 records; ARGS=--quick has 10^4, within 50 s
	$(BIN)/python -m bench.year $(DATA:%=--data %) $(ARGS)

wheel: setup  ## build the wheel, page assets and data included
	$(PIP) wheel --no-deps --no-build-isolation -w dist .

lock: setup  ## resolve requirements/platform.txt anew from pyproject.toml (needs uv)
	uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --extra dev pyproject.toml -o requirements/platform.txt

clean:  ## remove what was built and installed here; data stays
	rm -rf $(VENV) $(PAYLOAD) $(RAY) $(JUPYTER) $(FOCUS) $(ACCASIM) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help setup collect payload ray jupyter focus accasim kubernetes system demo up check lint types test beds kill faults frauds bench parity tables year reports wheel lock clean
