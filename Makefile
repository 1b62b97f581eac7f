# Everything a developer types. Needs Python 3.11 or newer, git and make; `make setup` brings the rest, into .venv.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAM := $(VENV)/sam/bin/sam
STAMPS := $(VENV)/stamps
# The lock files are complete, so nothing is resolved; bytecode is written when a module is first used.
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_INSTALL := install --progress-bar off --no-compile --no-deps --require-hashes --requirement
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
    --custom-compile-command 'make lock'
LOCK_DEV := pyproject.toml --extra local --extra simulation --group dev --output-file requirements/dev.txt
LOCK_UV := --group bootstrap --constraint requirements/dev.txt --output-file requirements/uv.txt
LOCK_SAM := --group sam --output-file requirements/sam.txt
# The functions run with the versions that the tests ran with.
LOCK_LAYER := --group functions --constraint requirements/dev.txt --output-file layers/deps/requirements.txt
LOCK_ROUTER := --group router --constraint requirements/dev.txt --output-file layers/router/requirements.txt
TEMPLATES := template.yaml $(wildcard examples/*/template.yaml)

# SAM CLI reports usage to its makers unless it is told not to.
export SAM_CLI_TELEMETRY := 0

# $(call install,<venv>,<lock file>,<what the reader sees>). uv takes seconds where pip takes a minute, but does not read pip's
# configuration: where only that knows the way to a package index (a mirror, a proxy), pip does it, with a dot for each package.
define install
@set -euo pipefail; printf '%s ' '$(3)'; started=$$SECONDS; log=$(VENV)/install.log; \
$(BIN)/uv pip sync --quiet --python $(1)/bin/python --require-hashes $(2) 2>$$log \
|| { printf 'with pip '; $(PIP) --python $(1)/bin/python $(PIP_INSTALL) $(2) 2>>$$log | tee -a $$log | \
    while read -r first _; do case $$first in Collecting|Processing) printf .;; Installing) printf ' unpacking ';; esac; done; } \
|| { echo; cat $$log; echo 'Installing $(2) failed, see above: is a package index reachable?' >&2; exit 1; }; \
printf '(%d s)\n' $$((SECONDS - started))
endef

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(STAMPS)/project $(STAMPS)/sam ## Install everything into .venv; fast when nothing has changed
	@echo 'Ready: $(BIN)/canary'

$(STAMPS)/venv:
	@command -v '$(PYTHON)' >/dev/null || { echo 'No "$(PYTHON)" found: install Python 3.11 or newer, or say which with "make PYTHON=/path/to/python3".' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.version_info >= (3, 11) or sys.exit("The canary router needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": say which to use with \"make PYTHON=/path/to/python3.11\".")'
	@echo "Virtual environments from $$('$(PYTHON)' --version)"
	@'$(PYTHON)' -m venv $(VENV)
	@'$(PYTHON)' -m venv --without-pip $(VENV)/sam
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/uv: requirements/uv.txt $(STAMPS)/venv
	@$(PIP) $(PIP_INSTALL) $< -qq
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/uv
	$(call install,$(VENV),$<,Project and developer tools)
	@touch $@

$(STAMPS)/sam: requirements/sam.txt $(STAMPS)/uv | $(STAMPS)/dev
	$(call install,$(VENV)/sam,$<,SAM CLI)
	@touch $@

$(STAMPS)/project: pyproject.toml $(STAMPS)/dev
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: $(STAMPS)/uv ## Choose the newest versions that pyproject.toml allows and write the lock files
	@$(LOCK) --upgrade $(LOCK_DEV)
	@$(LOCK) --upgrade $(LOCK_UV)
	@$(LOCK) --upgrade $(LOCK_SAM)
	@$(LOCK) --upgrade $(LOCK_LAYER)
	@$(LOCK) --upgrade $(LOCK_ROUTER)

.PHONY: demo
demo: setup ## Watch a release go through the router, on an embedded AWS
	@$(BIN)/canary demo

# Both processes of the suite have an embedded AWS of their own; tests that share more than that name a group.
.PHONY: test
test: setup ## Run all tests
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

.PHONY: check
check: setup ## Check format, lint, types, import contracts, templates and lock files
	@$(BIN)/ruff format --check --quiet . || { echo 'Format it with ".venv/bin/ruff format".' >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache >$(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@for template in $(TEMPLATES); do $(SAM) validate --lint --region eu-west-1 --template $$template >$(VENV)/sam.log 2>&1 || { cat $(VENV)/sam.log; exit 1; }; done
	@$(BIN)/pytest --quiet --no-header -p no:cacheprovider tests/unit/test_packaging.py
	@echo 'All checks passed.'

# For as long as one likes: make soak ARGS='--minutes 60 --jobs 4'. A seed that fails is told with the command that replays it.
.PHONY: soak
soak: setup ## Search seeded histories of routers, flippers, people and faults for a broken promise
	@$(BIN)/python -m tests.histories $(or $(ARGS),--minutes 5 --jobs 2)

.PHONY: mutants
mutants: setup ## Break the protocol on purpose, one place after the other: each break has to be noticed
	@$(BIN)/python -m tests.mutants $(ARGS)

# Minutes; `make bench ARGS=judge` takes an hour and more.
.PHONY: bench
bench: setup ## Measure the router's cost beside others, and write bench/results.md; ARGS='judge --quick' measures the judge
	@$(BIN)/python -m bench $(or $(ARGS),router)

.PHONY: clean
clean: ## Remove everything that make and the tools have made
	@if test -x $(BIN)/canary; then $(BIN)/canary local down >/dev/null 2>&1 || true; fi
	@rm -rf $(VENV) .canary .aws-sam .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
