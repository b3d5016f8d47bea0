# Sluice. `make demo` shows it working on a real cluster; `make test` checks everything that CI checks.
SHELL := /bin/bash
UV_VERSION := 0.13.9
UV := build/uv/bin/uv
PYTHON := .venv/bin/python
PYTEST := .venv/bin/pytest
SIDE_BY_SIDE := $(PYTHON) -m tests.sidebyside
# These tests wait for processes and for releases: so many at a time keep two processors busy enough.
INTEGRATION_PYTEST := $(PYTEST) -n 2 --dist loadfile tests/integration
E2E_PYTEST := $(PYTEST) -n auto --dist loadfile --no-loadscope-reorder tests/e2e
MEASURED := tests/unit/core tests/unit/judge tests/simulation
STORES := tests/unit/serving_runtime
FUZZ_MINUTES := 10
WORKERS ?= 2
SPARK_PYTEST := build/spark/venv/bin/pytest tests/spark
AIRFLOW_PYTEST := build/airflow/venv/bin/pytest -c integrations/airflow/pyproject.toml integrations/airflow
CLUSTER ?= auto
SCENARIO ?= default
IMAGE ?= batch
KEEP ?=
REGISTRY ?=
IN_REGISTRY = $(if $(REGISTRY),--registry "$(REGISTRY)")
export UV_PYTHON_DOWNLOADS := never
# The tests start hundreds of processes: each would compile everything again where the environment says not to write it.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/build/uv/bin:$(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo forecast demo-image test test-full lint mypy pyright layers commits containerfiles chart docs docs-serve unit simulation stores coverage built programs integration spark airflow e2e-images e2e browser bench bench-judge crds release lab-up lab-down lab-status clean

help: ## Show the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@command -v python3 >/dev/null || { echo "python3 (3.11 or newer) is needed"; exit 1; }
	@python3 -m venv build/uv 2>/dev/null || { apt-get update -q && apt-get install -y -q python3-venv && python3 -m venv build/uv; }
	@build/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.synced: $(UV) pyproject.toml judge/pyproject.toml core/pyproject.toml plugin/pyproject.toml batch/pyproject.toml uv.lock
	@$(UV) sync --frozen --quiet && touch $@

# Nothing else here needs this half a gigabyte, so it has its own environment and lock.
build/spark/.synced: $(UV) batch/pyproject.toml tests/spark/pyproject.toml tests/spark/uv.lock
	@command -v java >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends openjdk-17-jre-headless; }
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/build/spark/venv $(UV) sync --project tests/spark --frozen --quiet && touch $@

# Airflow's pins are not ours, so it has its own environment and lock.
build/airflow/.synced: $(UV) batch/pyproject.toml integrations/airflow/pyproject.toml integrations/airflow/uv.lock
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/build/airflow/venv $(UV) sync --project integrations/airflow --frozen --quiet && touch $@

# A server that tests of the registry talk to: a hundred packages, which nothing else here needs.
build/mlflow/.synced: $(UV) tests/mlflow/pyproject.toml tests/mlflow/uv.lock
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/build/mlflow/venv $(UV) sync --project tests/mlflow --frozen --quiet && touch $@

# Linters that are no part of Sluice: checkov pins a hundred packages of its own, and hadolint comes as a binary.
build/linters/.synced: $(UV) tests/linters/pyproject.toml tests/linters/uv.lock
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/build/linters/venv $(UV) sync --project tests/linters --frozen --quiet && touch $@

build/website/.synced: $(UV) website/pyproject.toml website/uv.lock
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/build/website/venv $(UV) sync --project website --frozen --quiet && touch $@

build/release/.synced: $(UV) release/pyproject.toml release/uv.lock
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/build/release/venv $(UV) sync --project release --frozen --quiet && touch $@

setup: .venv/.synced ## Install the Python environment

.venv/.browser: .venv/.synced
	@$(UV) sync --frozen --quiet --group browser && touch $@

programs: .venv/.browser ## Install what tests need beside the environment: Debian's Lua, Chromium and OpenMP; Playwright
	@command -v lua5.1 >/dev/null && command -v chromium >/dev/null && /sbin/ldconfig -p | grep -q libgomp.so.1 \
		|| { apt-get update -q && apt-get install -y -q --no-install-recommends lua5.1 chromium libgomp1; }

demo: forecast setup ## Run the demo on a real cluster (CLUSTER=lab|kind|current, REGISTRY=HOST/FOLDER, SCENARIO=default|all|llm, KEEP=1)
	@$(PYTHON) -m demo --cluster $(CLUSTER) --scenario $(SCENARIO) $(IN_REGISTRY) $(if $(KEEP),--keep)

forecast:
	@python3 -m demo.forecast $(CLUSTER) $(SCENARIO)

demo-image: setup ## Build one more image and bring it to a cluster that a demo left (IMAGE=batch|llamacpp|observer|optimizer|spark)
	@$(PYTHON) -m demo --cluster $(CLUSTER) --image $(IMAGE) $(IN_REGISTRY)

# Beside the end-to-end tests, which are judged by their latency, there is one process that computes, so that the other
# processor is theirs. Before them two stages share the processors: one waits for processes and clocks half of its time.
test: lint built ## Everything that CI runs
	@$(SIDE_BY_SIDE) "integration, stores=$(MAKE) --no-print-directory integration stores" "images, spark, unit=$(MAKE) --no-print-directory e2e-images spark unit"
	@$(SIDE_BY_SIDE) "simulation, airflow=$(MAKE) --no-print-directory simulation airflow WORKERS=1" "e2e=$(MAKE) --no-print-directory e2e"

# All programs are built first: some take longer to compile than a test may last.
test-full: lint built build/mlflow/.synced ## Everything, including slow tests and new random examples
	@$(MAKE) --no-print-directory coverage
	@SLUICE_FUZZ_MINUTES=$(FUZZ_MINUTES) $(PYTEST) -n 2 --hypothesis-profile random tests/unit tests/simulation
	@$(SPARK_PYTEST)
	@$(AIRFLOW_PYTEST)
	@$(INTEGRATION_PYTEST)
	@$(PYTHON) -m lab setup
	@$(PYTHON) -m lab build all
	@$(E2E_PYTEST)

# The types of sluice_batch.airflow need Airflow's: `make airflow` checks them.
lint: setup ## Check format, lint, types, layers, commit subjects, Containerfiles, the chart and the links of the docs
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target mypy pyright layers commits containerfiles chart docs

mypy pyright: setup
	@.venv/bin/$@

layers: setup
	@PYTHONPATH=$$(ls -d serving-runtime/*/ | paste -sd:) .venv/bin/lint-imports

commits: setup
	@$(PYTHON) -m tests.commits

containerfiles: build/linters/.synced
	@build/linters/venv/bin/hadolint --no-color $$(git ls-files '*Containerfile' '*Dockerfile')

# Not even for its own newer versions does checkov look anywhere.
chart: setup build/linters/.synced
	@$(PYTHON) -m charts.variants build/chart
	@CKV_SKIP_PACKAGE_UPDATE_CHECK=true build/linters/venv/bin/checkov --config-file .checkov.yaml

docs: setup build/website/.synced ## Build the documentation as a site in build/website/site; a link that leads nowhere fails
	@$(PYTHON) -m website
	@cd build/website && venv/bin/zensical build --strict --config-file mkdocs.yml

docs-serve: docs ## Show it in a browser
	@cd build/website && venv/bin/zensical serve --config-file mkdocs.yml

unit: setup programs ## Unit tests and laws
	@$(PYTHON) -m lab build versitygw
	@$(PYTEST) -n 2 --dist loadfile -m "not slow" tests/unit --ignore=$(STORES)

simulation: setup programs ## Whole rollouts with a virtual clock
	@$(PYTEST) -n $(WORKERS) -m "not slow" tests/simulation

stores: setup programs ## Unit tests that start real stores, Triton and llama.cpp
	@$(PYTHON) -m lab build versitygw
	@$(PYTEST) -n 2 --dist loadfile -m "not slow" $(STORES)

# It doubles the time of a test, so `make test` does without.
coverage: setup programs ## Tests of what decides and judges; fails on a branch that none reaches
	@$(PYTEST) -n $(WORKERS) --dist loadfile -m "measured and not slow" --cov --cov-report=json:build/coverage.json $(MEASURED)
	@$(PYTHON) -m tests.coverage

# What is built only once takes minutes, so it is built before the tests: their time limits do not include it.
built: setup programs build/spark/.synced build/airflow/.synced
	@$(PYTHON) -m lab setup
	@$(PYTHON) -m lab build registry versitygw

e2e-images: setup
	@$(PYTHON) -m tests.e2e.prepare

integration: setup ## Tests against a real API server
	@$(PYTHON) -m lab build kubernetes etcd helm registry prometheus
	@$(INTEGRATION_PYTEST) -m "not slow"

spark: setup build/spark/.synced ## Tests of scoring on Spark, with a real PySpark in local mode
	@$(PYTHON) -m lab build versitygw
	@build/spark/venv/bin/mypy --config-file tests/spark/pyproject.toml batch/sluice_batch/spark
	@$(SPARK_PYTEST) -m "not slow"

airflow: setup build/airflow/.synced ## Tests of the Airflow tasks: types, and DAGs in a real Airflow against a real API server
	@$(PYTHON) -m lab build kubernetes etcd
	@build/airflow/venv/bin/mypy --config-file integrations/airflow/pyproject.toml batch/sluice_batch/airflow
	@$(AIRFLOW_PYTEST) -m "not slow"

e2e: setup ## Tests on a real node, with real traffic
	@$(PYTHON) -m lab setup
	@$(E2E_PYTEST) -m "not slow"

browser: programs ## Tests of the web page in a real browser
	@$(PYTEST) tests/unit/plugin/dashboard/test_browser.py

bench-judge: setup ## Measure error rates and delays of the judge
	@$(PYTHON) -m tests.benchmarks.judge

bench: setup ## Measure the figures of docs/benchmarks.md (tests/benchmarks/results has them in full)
	@$(PYTHON) -m tests.benchmarks

crds: setup ## Regenerate the CRDs, install.yaml, the chart's README, tables of the docs, alerts and dashboards
	@$(PYTHON) -m sluice_core.api.crd && $(PYTHON) -m sluice_core.api.kustomize && $(PYTHON) -m sluice.shell.reporting.metrics
	@$(PYTHON) -m charts.alerts && $(PYTHON) -m charts.boards && $(PYTHON) -m charts.values && $(PYTHON) -m charts.render

# VERSION=1.2.3. REGISTRY: host and folder. KEY: a file with the private key that signs. PUSH=1: also to the registry.
# For trials: IMAGES, BASE, PLAIN_HTTP=1.
release: setup build/release/.synced ## Build a version: images, bills of materials, chart, wheel, checksums, signature (VERSION=1.2.3, REGISTRY, KEY, PUSH=1)
	@$(PYTHON) -m lab build helm
	@$(PYTHON) -m release "$(VERSION)" $(IN_REGISTRY) $(foreach image,$(IMAGES),--image $(image)) \
		$(if $(BASE),--base "$(BASE)") $(if $(KEY),--key "$(KEY)") $(if $(PUSH),--push) $(if $(PLAIN_HTTP),--plain-http)

lab-up: setup ## Start the one-node Kubernetes of the lab
	@$(PYTHON) -m lab up

lab-down: setup ## Stop the lab, also after a crash
	@$(PYTHON) -m lab down

lab-status: setup ## Show the lab's addresses
	@$(PYTHON) -m lab status

clean: ## Remove what was built here
	@rm -rf build dist .venv
