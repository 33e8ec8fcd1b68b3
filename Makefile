# The whole project in a few words: `make race` shows it, `make test` checks it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RACE ?=

.PHONY: race study test test-long lint format bench docs clean

race: $(VENV)/.installed
	$(BIN)/thalweg race $(RACE)

study: $(VENV)/.installed
	$(BIN)/thalweg train mnist --rule sgd --lr 0.0001,0.01,0.1,1 --epochs 5 --out study.html

# One file at a time on every core; a core each for torch, which spins where it shares them.
test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m long

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-test
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/rules.py
	$(BIN)/python benchmarks/sparse.py
	$(BIN)/python benchmarks/hogwild.py
	$(BIN)/python benchmarks/limit.py
	$(BIN)/python benchmarks/fit.py
	$(BIN)/python benchmarks/watch.py
	$(BIN)/python benchmarks/lanes.py
	$(BIN)/python benchmarks/lanes.py --problems
	$(BIN)/python benchmarks/lanes.py --memory
	$(BIN)/python benchmarks/race.py
	$(BIN)/python benchmarks/snapshots.py
	$(BIN)/python benchmarks/noise.py
	$(BIN)/python benchmarks/delay.py
	$(BIN)/python benchmarks/parallel.py
	$(BIN)/python benchmarks/doctor.py
	$(BIN)/python benchmarks/shard.py

docs: $(VENV)/.installed-test
	$(BIN)/python -m docs.chapters
	$(BIN)/python -m docs.parity
	$(BIN)/python -m docs.schedules
	$(BIN)/python -m docs.doctor
	$(BIN)/python -m docs.picture

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test,hosts]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache race.html study.html
