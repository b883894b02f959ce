# From a fresh clone with only make and Python 3.11 to 3.13: `make run`, then `make ui`. uv is used where it is installed, pip where not.
# PYTHON=… chooses the interpreter, DATA=… real data, PORT=… the port of the UI.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 3000
export DAGSTER_TELEMETRY_DISABLED := 1
export DO_NOT_TRACK := 1

.PHONY: help run ui serve test check sbom audit format clean lock install
.DEFAULT_GOAL := help

help:
	@echo "make run              the main job on a sample warehouse: from a legacy system to served recommendations, and a report"
	@echo "make run DATA=<path>  the same on online_retail_ii.parquet"
	@echo "make serve            the API on what the newest run published (API_PORT=8000)"
	@echo "make ui               the Dagster UI on the instance of the newest run (PORT=$(PORT))"
	@echo "make test             the whole test suite        make check   format, lint, types, layers, SQL, the fast tests"
	@echo "make sbom               a bill of materials of each image       make audit   known vulnerabilities of what is locked"
	@echo "make clean            remove what runs have made  make lock    resolve the dependencies anew (needs uv)"

run: $(VENV)/.core
	@$(BIN)/plinth run $(if $(DATA),--data "$(DATA)")

serve: $(VENV)/.core
	@$(BIN)/plinth serve $(if $(API_PORT),--port $(API_PORT)) $(if $(DATA),--data "$(DATA)")

ui: $(VENV)/.core
	@$(BIN)/plinth ui --port $(PORT) $(if $(DATA),--data "$(DATA)")

test: $(VENV)/.dev
	@sh tests/install_servers.sh
	@$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint dbt_project
	@$(BIN)/python -m pytest -n 2 -m "not slow"
	@$(MAKE) --no-print-directory -j2 sbom audit

format: $(VENV)/.dev
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:
	rm -rf data .dagster dbt_project/target dbt_project/logs logs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@echo "The environment in $(VENV) stays; remove it by hand to start over."

# What the images hold, by their locks.
SHIPPED := requirements/api.lock requirements/image.lock requirements/image_spark.lock requirements/image_ray.lock

sbom: $(VENV)/.dev
	@mkdir -p build/sbom
	@for lock in $(SHIPPED); do PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml --output-file build/sbom/$$(basename $$lock .lock).cdx.json $$lock || exit 1; done
	@echo "A bill of materials (CycloneDX) of each image in build/sbom: $(notdir $(basename $(SHIPPED)))"

audit: $(VENV)/.dev
	@$(BIN)/python deploy/audit.py $(SHIPPED) requirements/dev.lock

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv, which resolves for every Python and platform at once: pip install uv"; exit 1; }
	uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --universal --python-version 3.11 --quiet -o requirements.lock
	for extra in $(EXTRAS); do uv pip compile pyproject.toml --extra $$(echo $$extra | sed 's/^dev$$/dev --extra peers/') --generate-hashes --no-emit-index-url \
		--universal --python-version 3.11 --quiet -o requirements/$$extra.lock || exit 1; done
	for image in image image_spark image_ray; do uv pip compile pyproject.toml --extra $$image -c requirements/dev.lock --generate-hashes --no-emit-index-url \
		--universal --python-version 3.11 --quiet -o requirements/$$image.lock || exit 1; done
	for apart in api build; do uv pip compile requirements/$$apart.in -c requirements/dev.lock --generate-hashes --no-emit-index-url --universal \
		--python-version 3.11 --quiet -o requirements/$$apart.lock || exit 1; done
	uv pip compile requirements/feast.in --generate-hashes --no-emit-index-url --universal --python-version 3.11 --quiet -o requirements/feast.lock

# Images hold what the suite ran on, so their locks follow the dev lock; that of the API's image holds less than the core (requirements/api.in).
# Feast pins what Plinth cannot live with, so the benchmarks that compare with it give it an environment of its own.
EXTRAS := $(filter-out api build image image_spark image_ray feast,$(basename $(notdir $(wildcard requirements/*.lock))))

install: $(VENV)/.core

# The interpreter is asked, not its name: a shim named python3.11 may stand for nothing.
FIND_PYTHON = for each in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	$$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 && { echo $$each; break; }; done

$(BIN)/python:
	@python=$$($(FIND_PYTHON)); \
	[ -n "$$python" ] || { echo "Plinth needs Python 3.11, 3.12 or 3.13, and none was found. Install one, or name it: make PYTHON=<path>"; exit 1; }; \
	echo "Making $(VENV) with $$($$python --version) ..."; \
	if command -v uv >/dev/null 2>&1; then uv venv --quiet --python "$$($$python -c 'import sys; print(sys.executable)')" $(VENV); \
	else $$python -m venv $(VENV) || { echo "This Python cannot make environments: install its venv package (Debian: apt-get install python3-venv)"; \
		rm -rf $(VENV); exit 1; }; fi

# Hashes only, and no resolving: the lock is complete, and pip would want extras such as gql[requests] pinned a second time. The project
# itself is not built, so that no build tool has to come from elsewhere: a path file and a command of two lines put it into the environment.
define install
	@echo "Installing $(1) ..."
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps --compile-bytecode -r $(1); \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(1); fi
endef

# With the guard: processes that are spawned, such as the workers of the API, run this script once more under another name.
$(BIN)/plinth: Makefile | $(BIN)/python
	@$(BIN)/python -c 'import pathlib, sys, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "plinth-project.pth").write_text(sys.argv[1] + "\n")' "$(CURDIR)"
	@printf '#!%s\nfrom plinth.cli import app\n\nif __name__ == "__main__":\n    app()\n' "$(CURDIR)/$(BIN)/python" > $@ && chmod +x $@

$(VENV)/.core: requirements.lock | $(BIN)/python $(BIN)/plinth
	$(call install,requirements.lock)
	@touch $@

$(VENV)/.dev: requirements/dev.lock | $(BIN)/python $(BIN)/plinth
	$(call install,requirements/dev.lock)
	@touch $(VENV)/.core $@
