# The targets a newcomer needs; each installs into .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test check bench judges faults golden clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/fare-chain demo

test: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py tests/fare_chain -m "not slow"

bench: install
	$(BIN)/fare-chain bench

JUDGES := .venv-judges
# Two of the judges want Python 3.12; where there is none, the others judge with what there is and these two are skipped by name.
JUDGES_PYTHON ?= $(shell for python in python3.12 python3.13 "$$HOME"/.pyenv/versions/3.1[23].*/bin/python python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)

$(JUDGES)/installed: tests/judges/requirements.txt
	test -d /usr/share/gocode/src/golang.org/x/mod/sumdb || { echo "install Debian's golang-golang-x-mod-dev" >&2; exit 1; }
	$(JUDGES_PYTHON) -m venv $(JUDGES)
	$(JUDGES)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/judges/requirements.txt
	npm install --prefix $(JUDGES)/npm --silent --no-audit --no-fund @sigstore/verify@3.1.1
	touch $@

judges: install $(JUDGES)/installed
	FARE_CHAIN_JUDGES=required .venv/bin/python -m pytest tests/judges

# Every durable step and every system call fails once, kept and not kept, and kills once; the matrices are printed. Debian's strace for the calls.
faults: install
	FARE_CHAIN_FAULTS=all $(BIN)/python -m pytest -s tests/crash/test_house_faults.py tests/crash/test_mirror_faults.py tests/crash/test_spool_faults.py

golden: install
	FARE_CHAIN_REWRITE_GOLDEN=1 $(BIN)/python -m pytest tests/golden tests/settlement/editions/test_golden_reports.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
