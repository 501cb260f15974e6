.DEFAULT_GOAL := help
.PHONY: help setup demo crews dev check test pythons faults bundles lock clean
PYTHON ?=
RUN := .venv/bin/python
CSV ?=
FUNCTIONS ?=

help: ## show this help
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup: ## make the virtual environment from the lock
	@PYTHON="$(PYTHON)" infra/setup.sh

demo: setup ## map a real CSV with live progress in the terminal, then learn from corrections (CSV=path for another one)
	@$(RUN) -m infra.local.demo "$(CSV)"

crews: setup ## compile what is written under crews/ to what functions read, and say what is wrong with it
	@$(RUN) -m infra.crews

dev: setup ## serve everything on one port, reloading on change
	@$(RUN) -m infra.local.dev

check: setup ## lint, types, import contracts, crews, drift of the locks
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m pyright
	@.venv/bin/lint-imports
	@$(RUN) -m infra.crews --check
	@infra/lock.sh --check

test: setup ## run the tests with branch coverage; say which were skipped, and why
	@infra/test.sh

pythons: setup ## run the unit and contract tests on the other Pythons that are promised
	@infra/test_other_pythons.sh

faults: setup ## kill workers at every boundary, and for long at random (an hour or so)
	@$(RUN) -m pytest -m soak tests/faults

bundles: setup ## make what hosts of functions are given, in .data/bundles (FUNCTIONS="flow_status sweep" for some)
	@$(RUN) -m infra.crews --quiet || echo "the other crews are in the bundles" >&2
	@$(RUN) -m infra.bundles $(FUNCTIONS)

lock: setup ## resolve the dependencies anew and export them
	@infra/lock.sh

clean: ## remove the data of local runs
	@rm -rf .data
