# Every target does its own set-up on a fresh machine.
SHELL := /bin/bash
CARGO_TARGET_DIR ?= $(HOME)/.cache/vigie-target
export CARGO_TARGET_DIR
DEMO_DIR ?= demo-out
CI_BINARY := $(CARGO_TARGET_DIR)/ci/vigie
DEMO_BINARY := $(CARGO_TARGET_DIR)/demo/vigie
# One set of packages and features everywhere: the lake's dependencies are built once.
WHOLE := --workspace --features vigie/failpoints --profile ci

.PHONY: demo test lint bench bench-lake soak dist setup setup-test

setup:
	@scripts/setup

setup-test: setup
	@scripts/setup test

# A seeded intrusion, hunted, its story told; then the service on the same logs, until Ctrl-C (ONCE=1
# ends by itself). The lake's dependencies take minutes to build, so the story comes first.
demo: setup
	cargo build --quiet --profile demo --package vigie
	@rm -rf $(DEMO_DIR) && mkdir -p $(DEMO_DIR)
	@$(DEMO_BINARY) demo --write $(DEMO_DIR)/logs
	@echo
	@$(DEMO_BINARY) hunt $(DEMO_DIR)/logs || test $$? -eq 3
	@$(DEMO_BINARY) hunt $(DEMO_DIR)/logs --format html --out $(DEMO_DIR)/story.html 2>/dev/null || test $$? -eq 3
	@echo
	@echo "The same story as a page: $(DEMO_DIR)/story.html (the truth: $(DEMO_DIR)/logs.truth.json)"
	@echo
	@echo "Now the service is built (the first time takes 10 to 20 minutes; Ctrl-C leaves the story)"
	cargo build --quiet --profile demo --package vigie --features full
	@DEMO_DIR=$(DEMO_DIR) ONCE=$(ONCE) scripts/demo-service $(DEMO_BINARY)

# Lints, house rules, every test, every oracle that is present.
test: setup-test
	cargo run --quiet --profile ci --package xtask -- tidy
	cargo build $(WHOLE) --all-targets
	cargo nextest run --workspace --features vigie/failpoints --cargo-profile ci
	$(CI_BINARY) test
	@scripts/count-oracles

lint: setup-test
	cargo fmt --check
	cargo clippy $(WHOLE) --all-targets -- -D warnings
	cargo run --quiet --profile ci --package xtask -- tidy

bench: setup
	cargo run --release --package vigie-benches

# Everything, then the scenarios again at full size; each prints its figures.
# The lake against DuckDB and ClickHouse, on the disk of VIGIE_BENCH_DIR (/var/tmp); takes half an hour and 20 GB.
bench-lake: setup-test
	cargo build --release --workspace --bins --features vigie/full
	@for row in queries first-row arrival size ingest; do \
	  VIGIE_BINARY=$(CARGO_TARGET_DIR)/release/vigie $(CARGO_TARGET_DIR)/release/vigie-benches $$row || exit 1; done

soak: test
	VIGIE_SOAK=1 cargo nextest run --workspace --features vigie/failpoints --cargo-profile ci --profile soak -E 'binary(scenarios) or binary(service) or test(done_hunt_7_memory)'

dist: setup
	cargo run --quiet --profile ci --package xtask -- dist
