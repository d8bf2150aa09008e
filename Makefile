# make run, make test, make lint, make audit, make docs, make settings, make clean
# make embedding, make bench, make against, make profile, make chaos, make isolation, make attacks, make killtest, make events, make flood, make stall, make nodes, make month, make scaling, make large-store
#
# All of it needs Python 3.11 or newer with its venv module, and nothing else: what is missing is installed into
# .venv. ARGS is handed on: make run ARGS="--port 9100", make test ARGS="tests/protocol -x".

VENV ?= .venv
ARGS ?=

# The newest Python that runs; a name may be there and still refuse to start (version switchers do that).
find_python = for name in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$name; break; fi; done
PYTHON ?= $(shell $(find_python))

BIN := $(VENV)/bin
MADE := $(VENV)/made
INSTALLED := $(VENV)/installed
INSTALLED_DEV := $(VENV)/installed-dev

.PHONY: audit embedding run test lint docs bench against profile chaos killtest events flood stall nodes month scaling isolation attacks large-store settings clean
.DELETE_ON_ERROR:

run: $(INSTALLED)
	@exec $(BIN)/python -m chargehand serve $(ARGS)

# Tests start hundreds of processes: with compiled modules each starts in half the time, wherever writing them is forbidden.
test: $(INSTALLED_DEV)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(ARGS)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(INSTALLED_DEV)
	.ci/audit

docs: $(INSTALLED_DEV)
	@# The reference is read from links to the package alone: beside it lie tests and environments.
	@rm -rf build/reference && mkdir -p build/reference/chargehand
	@for one in [a-z_]*.py [a-z]*/__init__.py; do case $$one in setup.py|tests/*|build/*) ;; \
		*) ln -s "$(CURDIR)/$${one%/__init__.py}" build/reference/chargehand/;; esac; done
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(INSTALLED_DEV)
	$(BIN)/python bench/compare.py $(ARGS)

against: $(INSTALLED_DEV)
	$(BIN)/python bench/against.py $(OTHER) $(ARGS)

profile: $(INSTALLED_DEV)
	$(BIN)/python bench/hotspots.py $(ARGS)

chaos: $(INSTALLED_DEV)
	$(BIN)/python bench/chaos $(ARGS)

killtest: $(INSTALLED_DEV)
	$(BIN)/python bench/killtest $(ARGS)

events: $(INSTALLED_DEV)
	$(BIN)/python bench/events.py $(ARGS)

embedding: $(INSTALLED_DEV)
	$(BIN)/python bench/embedding.py $(ARGS)

flood: $(INSTALLED_DEV)
	$(BIN)/python bench/flood.py $(ARGS)

stall: $(INSTALLED_DEV)
	$(BIN)/python bench/stall.py $(ARGS)

month: $(INSTALLED_DEV)
	$(BIN)/python bench/month.py $(ARGS)

nodes: $(INSTALLED_DEV)
	$(BIN)/python bench/nodes $(ARGS)

scaling: $(INSTALLED_DEV)
	$(BIN)/python bench/scaling.py $(ARGS)

isolation: $(INSTALLED_DEV)
	$(BIN)/python bench/isolation.py $(ARGS)

attacks: $(INSTALLED_DEV)
	$(BIN)/python bench/attacks.py $(ARGS)

large-store: $(INSTALLED_DEV)
	$(BIN)/python bench/large_store.py $(ARGS)

# The two files that are made from config/settings.py and config/sessions.py.
settings: $(INSTALLED)
	$(BIN)/python -c 'from pathlib import Path; from chargehand.config.rendering import example, tables; \
		Path("config/example.toml").write_text(example()); Path("docs/settings.md").write_text(tables())'

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The link is how mypy finds the package: it sees neither through an editable install nor through a clone's name.
$(MADE):
	@if [ -z "$(PYTHON)" ]; then \
		echo "chargehand needs Python 3.11 or newer, and none was found; make PYTHON=/path/to/python names one" >&2; \
		exit 1; fi
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "chargehand needs Python 3.11 or newer; $(PYTHON) is not" >&2; \
		exit 1; fi
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; fi
	$(PYTHON) -m venv --clear $(VENV)
	mkdir -p $(VENV)/src
	ln -s "$(CURDIR)" $(VENV)/src/chargehand
	touch $@

$(INSTALLED): $(MADE) setup.py pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable .
	touch $@

$(INSTALLED_DEV): $(MADE) setup.py pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	touch $(INSTALLED) $@
