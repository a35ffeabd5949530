# The only commands to remember.
PYTHON ?= python3
BIN := .venv/bin
# Not node_modules/.bin/forge: that wrapper exits 0 whatever forge does.
FORGE := node_modules/@foundry-rs/forge-*/bin/forge
PY := $(BIN)/python

# vectors.py and gas.py rewrite what is in the repository: `check` ends by asking git whether anything changed.
.PHONY: demo test check check-python check-contracts prove mutate coverage bench format test-ipfs install clean

demo: .venv/ready  ## the whole loop on one machine, adversaries included
	$(BIN)/gradmint demo $(ARGS)

test: .venv/ready  ## the whole suite
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

test-ipfs: .venv/ready  ## the store against a real IPFS node
	$(BIN)/pytest -m ipfs tests/ports tests/e2e/test_by_hand.py $(ARGS)

bench: .venv/ready  ## every claim of the README against its peer
	$(PY) benchmarks/valuation.py
	$(PY) benchmarks/economics.py
	$(PY) benchmarks/signing.py
	$(PY) benchmarks/exact_checks.py
	$(PY) benchmarks/planting.py
	$(PY) benchmarks/codec.py
	$(PY) benchmarks/aggregators.py
	$(PY) benchmarks/proof_of_training.py
	$(PY) benchmarks/proof_of_training.py --task bytes --repeats 4
	$(PY) benchmarks/lineage.py
	$(PY) benchmarks/reputation.py

check: .venv/ready  ## what must hold before a commit
	$(MAKE) --jobs 2 --output-sync=target check-python check-contracts
	git diff --exit-code

check-python: .venv/ready
	$(BIN)/ruff format --check src tests scripts benchmarks
	$(BIN)/ruff check src tests scripts benchmarks
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layout.py
	$(PY) scripts/vectors.py
	$(PY) scripts/mutate.py --check
	$(PY) scripts/gas.py
	$(BIN)/gradmint redteam verify --quick --quiet --out $$(mktemp -d) --expect snapshots/redteam_verify.json
	$(BIN)/gradmint redteam train --quick --quiet --out $$(mktemp -d) --expect snapshots/redteam_train.json
	$(BIN)/gradmint redteam reputation --quick --quiet --out $$(mktemp -d) --expect snapshots/redteam_reputation.json

check-contracts: .venv/ready
	$(FORGE) fmt --check
	$(FORGE) build --quiet
	$(FORGE) test --quiet --fuzz-runs 10000
	$(PY) scripts/compile.py --test --check
	$(PY) scripts/fuzz.py --rounds 10000

prove: .venv/ready  ## for all inputs: halmos; and slither, every finding answered
	$(PY) scripts/prove.py $(ARGS)

mutate: .venv/ready  ## plant defects and see them caught
	$(PY) scripts/mutate.py $(ARGS)

coverage: .venv/ready  ## branches of the contracts that forge's tests take
	$(PY) scripts/branches.py $(ARGS)

format: .venv/ready
	$(BIN)/ruff format src tests scripts benchmarks
	$(BIN)/ruff check --fix src tests scripts benchmarks
	$(FORGE) fmt

install: .venv/ready

.venv/ready: pyproject.toml constraints.txt package.json
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	npm install --no-audit --no-fund --no-package-lock --loglevel=error
	$(PY) scripts/compile.py --setup
	touch $@

clean:
	rm -rf .venv node_modules .build .cache
