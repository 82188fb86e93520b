# Needs Python 3.11, 3.12 or 3.13 and make; everything else goes into .venv. `make` alone lists the targets.

# The first that runs: a name may be there and say only that its version is not chosen (pyenv).
IS_SUPPORTED = -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do "$$name" $(IS_SUPPORTED) && break; done; echo "$$name")
IN_VENV := . .venv/bin/activate &&

.PHONY: help python setup run test lint format check bench simulate voice-check
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

python:
	@echo "$(PYTHON)"

setup: .venv/dev.stamp ## Make .venv with everything for development

run: .venv/run.stamp .env ## Set up what is missing, start sandbox, worker and web, print the address
	@$(IN_VENV) exec python manage.py run_all

test: .venv/dev.stamp ## All tests; on PostgreSQL and Redis with TEST_DATABASE_URL=... TEST_REDIS_URL=...
	@$(IN_VENV) exec python -m pytest -n auto --dist worksteal $(ARGS)

lint: .venv/dev.stamp ## Style: ruff check and ruff format --check
	@$(IN_VENV) ruff check . && ruff format --check .

format: .venv/dev.stamp ## Let ruff put the style right
	@$(IN_VENV) ruff check --fix . && ruff format .

check: .venv/dev.stamp ## Types, Django's system checks, missing migrations
	@$(IN_VENV) export ENV_FILE=.env.example && mypy && python manage.py check && python manage.py makemigrations --check --dry-run

bench: .venv/dev.stamp ## Benchmarks, as JSON
	@$(IN_VENV) exec python -m bench $(ARGS)

simulate: .venv/dev.stamp ## The money path under bad luck: SEED=7 replays one run, SEEDS=20000 runs many, FRESH=500 new ones; WORLD=taxed or gated
	@$(IN_VENV) exec python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FRESH),--fresh $(FRESH)) $(if $(WORLD),--world $(WORLD))

voice-check: .venv/run.stamp .venv-voice-check/stamp ## How the house voices are understood and sound, into docs/voices.md; takes up to an hour and 7 GB
	@$(IN_VENV) ENV_FILE=.env.example nice -n 10 python -m bench.voice_check.speak
	@cd bench && nice -n 10 ../.venv-voice-check/bin/python -m voice_check.measure --write ../docs/voices.md $(ARGS)

.env:
	@cp .env.example .env && echo "Made .env from .env.example."

.venv/run.stamp: requirements.txt metronome_sandbox/pyproject.toml
	$(install)

.venv/dev.stamp: requirements-dev.txt metronome_sandbox/pyproject.toml
	$(install)
	@touch .venv/run.stamp

.venv-voice-check/stamp: requirements-voice-check.txt
	@$(PYTHON) -m venv --clear .venv-voice-check
	@echo "Installing $< ..." && .venv-voice-check/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# $< is the requirements file. A .venv that was cut off half way has no working pip and is made anew.
# The sandbox of Metronome is a package of its own. A folder has no hash, so pip installs nothing with it: what it
# needs, and what builds it, is in the requirements. Editable: a change of it holds at once.
define install
	@$(PYTHON) $(IS_SUPPORTED) || \
	  { echo "Vocalis needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is none. Install one, or name it: make PYTHON=/path/to/python3.13"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python cannot make virtual environments. On Debian: apt-get install python3-venv"; exit 1; }
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { echo "Making .venv ..."; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing $< ..." && .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable ./metronome_sandbox
	@touch $@
endef
