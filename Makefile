# What a newcomer needs is `make run`; `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
WITH_SERVERS := $(VENV)/python -m metering_site.embedded exec --data
OPENAPI := docs/openapi.yaml
# What the checkout's own .env may not change: the settings of the tests, and of a deployment for `check --deploy`.
TESTED := DEBUG=false HTTPS=false LOG_LEVEL=INFO BEHIND_PROXY=false EMAIL_URL= DEFAULT_FROM_EMAIL=
DEPLOYED := DEBUG=false HTTPS=true ALLOWED_HOSTS=metering.example.com \
	CSRF_TRUSTED_ORIGINS=https://metering.example.com EMAIL_URL=smtp+tls://mail.example.com:587

.DEFAULT_GOAL := help
.PHONY: help run test check format bench openapi screenshots install

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed ## Start the whole system on this machine (PORT=8000)
	@$(VENV)/python -m metering_site.embedded run

test: .venv/installed-dev ## Run all tests on servers of their own (ARGS="tests/usage -k hold" for some)
	@$(TESTED) $(WITH_SERVERS) .data/test -- $(VENV)/python -m pytest $(or $(ARGS),--cov)

check: .venv/installed-dev ## Lint, types, imports, migrations, deployment settings, OpenAPI
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/lint-imports --no-cache
	$(VENV)/mypy
	@$(WITH_SERVERS) .data/check -- $(MAKE) --no-print-directory check-django

.PHONY: check-django
check-django:
	$(VENV)/python manage.py makemigrations --check --dry-run
	$(DEPLOYED) $(VENV)/python manage.py check --deploy --fail-level WARNING --database default
	$(VENV)/python manage.py spectacular --file .data/check/openapi.yaml --validate --fail-on-warn
	diff -u $(OPENAPI) .data/check/openapi.yaml || { echo "$(OPENAPI) is out of date: run make openapi"; exit 1; }

format: .venv/installed-dev ## Format the code and mend what can be mended
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

bench: .venv/installed ## Measure the API beside its floor and write docs/benchmarks.md (needs wrk; ARGS="--seconds 3")
	$(VENV)/python -m bench.run $(ARGS)

openapi: .venv/installed-dev ## Write docs/openapi.yaml anew
	$(WITH_SERVERS) .data/check -- $(VENV)/python manage.py spectacular --file $(OPENAPI) --validate --fail-on-warn

screenshots: .venv/installed-dev ## Take the pictures in docs/screenshots anew (needs Chromium)
	@rm -rf .data/screenshots
	@$(TESTED) $(WITH_SERVERS) .data/screenshots -- sh -c '$(VENV)/python manage.py migrate -v0 && $(VENV)/python manage.py seed \
		&& $(VENV)/python manage.py demo --env-file .data/screenshots/dev.env && . .data/screenshots/dev.env \
		&& export METERING_KEY && LOG_LEVEL=ERROR $(VENV)/python -m tests.browser.screenshots'

install: .venv/installed .venv/installed-dev ## Install the requirements, also those of tests and checks

.venv/installed: requirements.txt | .venv/bin/python
	$(VENV)/python -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt requirements.txt | .venv/bin/python
	$(VENV)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	@touch .venv/installed $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11 run"; exit 1; }
	@echo "Making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "Python's venv module is needed (on Debian: apt install python3-venv)"; exit 1; }
