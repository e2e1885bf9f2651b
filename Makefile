# Two commands matter to a user: `make serve` and a browser. Everything else is for those who work on it.
#
#   make setup    .venv with the `vivavoz` command in it, and everything it needs to run
#   make serve    setup, models, and the service at http://127.0.0.1:8080   (ARGS="--port 9000" passes options on)
#   make test     setup, the test tools, every check and the whole suite
#   make check    ruff, mypy, import contracts, task ownership
#   make fuzz     a million events, offers and datagrams that nobody has tried yet   (FUZZ=100000 for fewer)
#   make mutate   takes out each line that applies a member of the protocol, and sees its test fail
#   make bench    the measurements behind the defaults
#   make clean    remove what the above made (never downloaded models)

PYTHON  ?= python3
ENGINES ?= embedded
ARGS    ?=
PYTEST  ?=
FUZZ    ?= 1000000

VENV := .venv
BIN  := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup serve test test-setup check fuzz mutate bench clean

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@$(PYTHON) scripts/setup.py run

serve: setup
	@exec scripts/serve $(ENGINES) $(ARGS)

test-setup:
	@$(PYTHON) scripts/setup.py test

check: test-setup
	@scripts/check

# The suite runs even where a check failed, so that one run shows all that is wrong; its closing line comes last.
test: test-setup
	@$(BIN)/vivavoz models fetch english whisper-base kokoro || \
	  echo "==> some models are missing: tests that need them are skipped"
	@scripts/check; checked=$$?; \
	[ $$checked -eq 0 ] || echo "==> the checks failed (see above)"; \
	echo "==> pytest"; \
	$(BIN)/python -m pytest $(PYTEST); tested=$$?; \
	exit $$((checked + tested))

fuzz: test-setup
	@VIVAVOZ_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/fuzz tests/media/test_hostile.py $(PYTEST)

mutate: test-setup
	@$(BIN)/python scripts/mutate.py $(ARGS)

bench: setup
	@$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf tests/conformance/js/node_modules tests/browser/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
