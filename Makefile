# `make` prints this file's targets. What a target needs is made first, and only once.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: docs help run test fuzz stress check format bench protos pins clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
GENERATED := build/gen/.made
PROTOS := $(wildcard protos/restante/v1/*.proto)
T ?=
# Whatever ends make, kill -9 included, ends what it runs.
WITH_MAKE := $(if $(shell command -v setpriv),setpriv --pdeathsig TERM --)

help: ## Lists the targets.
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

##@ Use it
run: $(READY) $(GENERATED) ## Starts everything: PostgreSQL, storage and the doors. Ctrl-C stops it; mail stays in .restante/.
	@exec $(WITH_MAKE) $(BIN)/restante up

##@ Work on it
test: $(READY) $(GENERATED) ## Runs every test against a PostgreSQL of its own. T="tests/unit -k copy" runs some.
	@$(BIN)/python -m pytest $(T)

fuzz: $(READY) $(GENERATED) ## Fuzzes grammars, sessions and MIME for longer than make test does: EXAMPLES=20000 of each.
	@$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz --timeout=0 $(T)

stress: $(READY) $(GENERATED) ## Has clients watch every reply of several copies. S="--seconds 600 --kill"; S=--help lists its options.
	@$(BIN)/python -m tests.faults.stress $(S)

check: $(READY) $(GENERATED) ## Checks form, types, the floors and the protos; changes nothing.
	@$(BIN)/ruff format --check --quiet . || { echo "make format puts this right"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@cd protos && ../$(BIN)/buf lint

format: $(READY) ## Puts imports and layout in order.
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

bench: $(READY) $(GENERATED) ## Measures deliveries, listings and bodies beside Dovecot, in turns. B="--help" lists its options.
	@$(BIN)/python -m bench $(B)

protos: $(READY) $(GENERATED) ## Generates build/gen from protos/ (run, test and check do so by themselves).
	@:

docs: $(READY) ## Writes docs/errors.md anew from the table of refusals.
	@$(BIN)/python -m tests.docs.errors

pins: ## Writes requirements.txt anew from pyproject.toml: the newest versions, with the hashes of all platforms. Needs uv.
	@uv pip compile pyproject.toml --quiet --upgrade --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.txt

clean: ## Removes .venv and build; the mail in .restante stays.
	@rm -rf .venv build

# A virtual environment holds absolute paths, so a checkout that was moved gets a new one.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

PIP := $(BIN)/python -m pip install --disable-pip-version-check
# A dot for each package that is fetched, and a word when they are installed.
PROGRESS := while read -r word _; do case $$word in Collecting) printf .;; Installing) printf " fetched, installing";; esac; done

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$$($(PYTHON) --version) is too old, 3.11 is needed: apt-get install python3.11 python3.11-venv, then make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no ensurepip: apt-get install python3-venv" >&2; exit 1; }
	@[ -w . ] || { echo "$(CURDIR) is not writable by $$(id -un): clone it where you may write" >&2; exit 1; }
	@echo "setting up .venv, once; it takes about a minute"
	@[ ! -e $@ ] || [ "$$(cat $@)" = "$(CURDIR)" ] || rm -rf .venv
	@$(BIN)/python -c 'import pip' 2>/dev/null || { rm -rf .venv && $(PYTHON) -m venv .venv; }
	@PYTHONUNBUFFERED=1 bash -o pipefail -c '$(PIP) --progress-bar off --require-hashes -r requirements.txt | { $(PROGRESS); }'; \
	  failed=$$?; echo; [ $$failed = 0 ] || echo "pip could not install everything: it needs a package index, and then make once more" >&2; exit $$failed
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@echo "$(CURDIR)" > $@

$(GENERATED): $(PROTOS) | $(READY)
	@mkdir -p build/gen
	@$(BIN)/python -m grpc_tools.protoc -I protos --python_out=build/gen --grpc_python_out=build/gen \
	  --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --mypy_out=quiet:build/gen --mypy_grpc_out=quiet:build/gen $(PROTOS)
	@touch $@
