# Every target does its own set-up on a fresh machine.
SHELL := /bin/bash
CARGO_TARGET_DIR ?= $(HOME)/.cache/vigie-target
export CARGO_TARGET_DIR
DEMO_DIR ?= demo-out
CI_BINARY := $(CARGO_TARGET_DIR)/ci/vigie

.PHONY: demo test lint bench soak dist setup setup-test

setup:
	@scripts/setup

setup-test: setup
	@scripts/setup test

# A seeded intrusion, hunted, its story told.
demo: setup
	cargo build --quiet --profile demo --package vigie
	@rm -rf $(DEMO_DIR) && mkdir -p $(DEMO_DIR)
	@$(CARGO_TARGET_DIR)/demo/vigie demo --write $(DEMO_DIR)/logs
	@echo
	@$(CARGO_TARGET_DIR)/demo/vigie hunt $(DEMO_DIR)/logs || test $$? -eq 3
	@$(CARGO_TARGET_DIR)/demo/vigie hunt $(DEMO_DIR)/logs --format html --out $(DEMO_DIR)/story.html 2>/dev/null || test $$? -eq 3
	@echo
	@echo "The same story as a page: $(DEMO_DIR)/story.html (the truth: $(DEMO_DIR)/logs.truth.json)"

# Lints, house rules, every test, every oracle that is present.
test: setup-test
	cargo run --quiet --profile ci --package xtask -- tidy
	cargo build --profile ci --package vigie
	cargo nextest run --workspace --cargo-profile ci
	$(CI_BINARY) test
	@scripts/count-oracles

lint: setup-test
	cargo fmt --check
	cargo clippy --workspace --all-targets --profile ci -- -D warnings
	cargo run --quiet --profile ci --package xtask -- tidy

bench: setup
	cargo run --release --package vigie-benches

# Everything, then the scenarios again at full size; each prints its figures.
soak: test
	VIGIE_SOAK=1 cargo nextest run --package vigie-tests --cargo-profile ci --profile soak -E 'binary(scenarios) or test(done_hunt_7_memory)'

dist: setup
	cargo run --quiet --profile ci --package xtask -- dist
