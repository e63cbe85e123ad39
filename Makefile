# Development commands. They need Python 3.11 or newer: PostgreSQL and Redis come from Python wheels.
PYTHON ?= python3
BIN := .venv/bin
VENV := .venv/installed

.PHONY: demo dev test test-mysql smoke check chaos coverage bench lock clean

demo: $(VENV)  ## Link a sample program of 2,000 learners on private servers.
	@$(BIN)/python -m samples.demo $(if $(STAY),--stay)

dev: $(VENV)  ## Run worker, beat, admin and Flower with the sample on private servers until Ctrl-C. PORT=8000.
	@$(BIN)/python -m samples.dev

test: $(VENV)  ## Run all tests on PostgreSQL, then the integration tests on SQLite.
	$(BIN)/pytest $(PARALLEL)
	$(BIN)/pytest $(PARALLEL) tests/integration --database=sqlite
	$(BIN)/pytest $(addprefix tests/integration/lms/test_,history.py postgresql.py) --lms
PARALLEL := --numprocesses 3 --dist loadfile  # Tests wait half of their time: for leases, restarts, a browser.

test-mysql: $(VENV)  ## Run database tests on MySQL (installed, or at TESTS_MYSQL_URL) and on an installed MariaDB.
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/mysql.txt -r requirements/lms.txt
	$(BIN)/pytest $(PARALLEL) $(MYSQL_TESTS) --database=mysql
	$(BIN)/pytest $(PARALLEL) $(MARIADB_TESTS) --database=mariadb
	$(BIN)/pytest $(PARALLEL) $(LMS_TESTS) --database=mysql --lms
	$(BIN)/pytest $(PARALLEL) tests/integration/lms tests/acceptance/lms/test_living_lms.py --database=mariadb --lms
MYSQL_TESTS := tests/integration tests/acceptance/test_worker_against_reference.py
LMS_TESTS := tests/integration/lms tests/acceptance/lms tests/acceptance/test_worker_against_reference.py \
	$(addprefix tests/integration/test_,job_statements.py undo_jobs.py)
MARIADB_TESTS := $(addprefix tests/integration/test_,engine_against_reference.py job_worlds.py job_statements.py \
	job_submission.py job_slices.py preview.py linking_failures.py mysql.py cut_commits.py) \
	$(addprefix tests/acceptance/,test_worker_against_reference.py test_chaos.py recovery/test_outages.py)

smoke: $(VENV)  ## Test the image on Redis and RabbitMQ, and all of docker-compose.yml. Needs Docker.
	$(BIN)/pytest tests/smoke -p celery

check: $(VENV)  ## Check style, types, import directions and migrations.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	DEBUG=1 $(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	DEBUG=1 DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

chaos: $(VENV)  ## Link a large job while processes and servers are killed. ROUNDS=20 for a release. DATABASE=mysql. BROKER=rabbitmq.
	@$(BIN)/python -m chaos --broker $(or $(BROKER),redis) --database $(or $(DATABASE),postgresql) --rounds $(or $(ROUNDS),1) --seed $(or $(SEED),1) $(CHAOS)

coverage: $(VENV)  ## Measure line and branch coverage, including workers and their pools.
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report

bench: $(VENV)  ## Compare ways to link: half an hour. SMALL=1: one minute. FULL=1: also a stream. DATABASE=mysql|mariadb.
	@$(BIN)/python -m benchmarks $(if $(SMALL),--small) $(if $(FULL),--full) $(if $(DATABASE),--database $(DATABASE)) $(if $(LMS),--lms)

lock: $(VENV)  ## Pin the dependencies of pyproject.toml for every supported Python and platform.
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) --output-file requirements/base.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --output-file requirements/dev.txt --group dev pyproject.toml
	echo mysqlclient | $(BIN)/uv pip compile $(LOCK) --output-file requirements/mysql.txt -
	$(BIN)/uv pip compile $(LOCK) --output-file requirements/lms.txt --group lms --constraint requirements/dev.txt
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

clean:  ## Remove the virtual environment and all caches.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is required: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
