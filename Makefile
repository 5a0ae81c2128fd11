# The house of Nearcast. `make` alone says what there is.
# A fresh machine needs Python 3.11 or newer, git and make; everything else is installed into .venv.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := geo rules engine connectors nearcast

# The first of these that is new enough; `make PYTHON=/path/to/python install` takes another one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: help install demo cluster warm test test-long check format bench bench-quick bench-cluster bench-check bench-record constraints wheel clean

help: ## this page
	@echo 'Nearcast. Begin with `make demo`: Tokyo, a crowd, and pushes within a minute of its start.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'Then `$(BIN)/nearcast --help`, and README.md.'

install: $(STAMP) ## put everything into .venv (only when pyproject.toml or constraints.txt changed)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo 'nearcast needs Python 3.11 or newer, found none on the PATH: install one, or say `make install PYTHON=/path/to/python3.11`' >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) cannot make virtual environments, Debian and Ubuntu keep that apart: `apt install python3-venv`, then again' >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV), the first time takes a minute or two'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fast,cluster,dev]'
	@touch $@

cluster: warm ## the scaled-out form here, without containers: Kafka, Redis, two workers, a gateway, a dispatcher, the crowd
	@PYTHONPATH=. $(BIN)/python -m deploy.local

warm: install ## compile the fast parts now (every command does it by itself when it must)
	@$(BIN)/nearcast warm

demo: install ## see it work: Tokyo on a Wednesday at 16:59:30, a simulated crowd, pushes in the terminal
	@$(BIN)/nearcast demo

test: warm ## all tests, about a quarter of an hour
	@$(BIN)/python -m pytest

test-long: warm ## the long forms of the tests too: more seeds, more kills, larger cities
	@$(BIN)/python -m pytest -m 'long or not long' --timeout 3600

check: warm ## what CI checks: format, lint, types, import arrows, house rules, docs; all of them, also after one failed
	@$(MAKE) --keep-going check-format check-lint check-types check-arrows check-house

.PHONY: check-format check-lint check-types check-arrows check-house
check-format: ; @echo '-- format' && $(BIN)/ruff format --check .
check-lint:   ; @echo '-- lint' && $(BIN)/ruff check .
check-types:  ; @echo '-- types' && $(BIN)/mypy
check-arrows: ; @echo '-- import arrows' && $(BIN)/lint-imports
check-house:  ; @echo '-- house rules and docs' && $(BIN)/python -m pytest tests/house

format: install ## put the code into form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: warm ## every benchmark, each beside its peers in the same run, in less than 15 minutes
	@$(BIN)/python -m benchmarks

bench-check: warm ## the quick form, and fail if a ratio fell below 0.7 of the recorded one: for people, and at night
	@$(BIN)/python -m benchmarks --check

bench-record: warm ## run both forms and the curves of the index, and keep their figures, for docs/performance.md: on a quiet machine
	@$(BIN)/python -m benchmarks --record
	@$(BIN)/python -m benchmarks --record --quick
	@PYTHONPATH=. $(BIN)/python -m benchmarks.scaling --record
	@PYTHONPATH=. $(BIN)/python -m benchmarks.gateways --record
	@$(BIN)/python -m benchmarks.page

bench-quick: warm ## the same in less than two minutes, with less of everything
	@$(BIN)/python -m benchmarks --quick

bench-cluster: warm ## the scaled-out form: a worker beside a Faust agent, two beside one, a shard that changes hands, a ping's way
	@PYTHONPATH=. $(BIN)/python -m benchmarks.cluster_beside

constraints: install ## write the installed versions into constraints.txt
	@head -2 constraints.txt > constraints.tmp
	@$(BIN)/python -m pip freeze --all --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' | grep -v -E '^(pip|setuptools|wheel)==' | sort -f >> constraints.tmp
	@mv constraints.tmp constraints.txt && touch $(STAMP)

wheel: install ## build dist/*.whl
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove .venv, caches and what was compiled; sites and their stores are left alone
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(CODE) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
