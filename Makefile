# Everyday commands; `make` alone lists them. Each first installs what is missing.

# The engine that runs the gateway: embedded, apisix, docker or auto.
ENGINE ?= embedded
# How many test processes: two for each core, because tests spend much of their time waiting for servers.
JOBS ?= $(shell expr 2 \* "$$(getconf _NPROCESSORS_ONLN)")

export ENGINE
# Containers often set this. Each of the many Python processes would compile all that it imports once more.
unexport PYTHONDONTWRITEBYTECODE
# Where the set-up puts uv when the machine has none.
export PATH := $(PATH):$(CURDIR)/.cache/bin
PYTHON := .venv/bin/python
PYTEST := .venv/bin/pytest -n $(JOBS) --dist loadgroup --engine $(ENGINE)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long tools behaviour rehearsal e2e bench docs lint audit coverage format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  with ENGINE=embedded|apisix|docker for demo, test, behaviour and e2e, and KEEP=1 for demo"

setup: ## Install the needs of tests and checks: system packages, uv, the Python environment
	@scripts/setup.sh test

demo: ## Three simulated regions, the gateway and the official client; KEEP=1 leaves them running
	@scripts/setup.sh run
	@$(PYTHON) -m scripts.demo --engine $(ENGINE) $(if $(filter-out 0 no false,$(KEEP)),--keep)

test: setup ## The whole quick suite, static checks among it
	@$(PYTEST)

test-long: setup ## The same, with variants that are left out because one like them runs, and every tool
	@$(PYTEST) --long

tools: setup ## The pages of docs/tools: their settings, commands and code, with the real tools
	@$(PYTEST) --long tests/tools

behaviour: setup ## The behaviour suite alone, for example with ENGINE=apisix
	@$(PYTEST) tests/behaviour

rehearsal: setup ## To Azure and back against a stand-in, with the real az and azurerm provider
	@AZURE_REHEARSAL=1 .venv/bin/pytest tests/rehearsal -rs --quiet -n 3 --dist loadgroup

docs: setup ## The documentation as a site, in build/site, with its links checked
	@$(PYTHON) -m scripts.docs

lint: setup ## Static checks: style, types, Lua, Terraform's format
	@scripts/lint.sh

audit: setup ## Parts (SBOM), their licences and known vulnerabilities, in build/audit
	@$(PYTHON) -m scripts.audit

coverage: setup ## Which lines of Python and of the Lua bundle the tests run: two reports in build/coverage
	@scripts/coverage/run.sh -n $(JOBS) --dist loadgroup --engine $(ENGINE)

e2e: setup ## Every end-to-end scenario on this machine, with a report in build/e2e.html
	@.venv/bin/run-e2e-tests --engine $(ENGINE) --report build/e2e.html --junit build/e2e.xml

bench: setup ## What a request costs, beside nginx, stock APISIX and others, in build/bench; BENCH="--quick" for options
	@.venv/bin/aoai-gateway bench $(BENCH)

format: setup ## Format Python, Lua and Terraform
	@.venv/bin/ruff check --quiet --fix . ; .venv/bin/ruff format --quiet .
	@scripts/stylua.sh apisix e2e || echo "StyLua comes from npm: the Lua code stays as it is"
	@! command -v terraform >/dev/null || terraform fmt -recursive infra

clean: ## Remove caches and rendered files; .venv and .cache stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
