# The workshop. `make demo` and `make test` need Python 3.11 or newer and nothing else: PostgreSQL and Redis come with it.
PYTHON ?= python3
BIN := .venv/bin
VENV := .venv/installed

.PHONY: demo dev test smoke check chaos coverage bench lock clean

demo: $(VENV)  ## Link a sample program of 2,000 learners on private servers.
	@$(BIN)/python -m samples.demo $(if $(STAY),--stay)

dev: $(VENV)  ## Everything on private servers, with the sample and the admin's pages, until Ctrl-C: PORT=8000.
	@$(BIN)/python -m samples.dev

test: $(VENV)  ## Everything on PostgreSQL, then what touches a database on SQLite too.
	$(BIN)/pytest $(TWO)
	$(BIN)/pytest $(TWO) tests/integration --database=sqlite
TWO := --numprocesses 2 --dist loadfile  # Half of the time is spent waiting: for leases, restarts, a browser.

smoke: $(VENV)  ## Containers: our image on Redis and RabbitMQ, and all of docker-compose.yml. Needs Docker.
	$(BIN)/pytest tests/smoke -p celery

check: $(VENV)  ## Style, types, directions, migrations.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	DEBUG=1 $(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	DEBUG=1 DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

chaos: $(VENV)  ## A large job while everything that can break is broken: ROUNDS=20 SEED=1 for a release.
	@$(BIN)/python -m chaos --rounds $(or $(ROUNDS),1) --seed $(or $(SEED),1) $(CHAOS)

coverage: $(VENV)  ## Lines and branches that the tests run, in workers and their pools too.
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report

bench: $(VENV)  ## Five ways to link side by side: 15 minutes; SMALL=1: one; FULL=1: and a stream of a million learners.
	@$(BIN)/python -m benchmarks $(if $(SMALL),--small) $(if $(FULL),--full)

lock: $(VENV)  ## Pin what pyproject.toml asks for, for every supported Python and platform.
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) --output-file requirements/base.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --output-file requirements/dev.txt --group dev pyproject.toml
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

clean:  ## Remove the environment and what the tools leave.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer, please: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
