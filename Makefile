# Every target that needs the set-up runs it first; where there is nothing to do that takes about a second.
export PATH := $(CURDIR)/.tools/node_modules/.bin:$(CURDIR)/node_modules/.bin:$(PATH)

# Passed on to the command: make demo ARGS="--orders 10000"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup build demo run producer migrate-up migrate-down test test-all test-versions package sbom lint format coverage bench bench-read chaos alerts mutation

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  Flags go into ARGS:  make demo ARGS="--orders 10000"'
	@echo '  All commands:        bin/holdfast --help'

setup: ## Node, packages, native client, embedded servers; only what is missing
	@scripts/setup.sh

build: setup ## Type check and native client; nothing is emitted
	@tsc

demo: setup ## A real Kafka, a real Postgres, the service and a generator on this machine
	@bin/holdfast demo $(ARGS)

run: setup ## The service, against what the environment or .env names
	@bin/holdfast serve $(ARGS)

producer: setup ## The order generator, against KAFKA_BROKERS
	@bin/holdfast produce $(ARGS)

migrate-up: setup ## Bring the tables of DATABASE_URL up to date
	@bin/holdfast migrate up $(ARGS)

migrate-down: setup ## Revert the last migration
	@bin/holdfast migrate down $(ARGS)

test: ## Types, lint, unit, contract, scenario and browser tests
	@scripts/test.sh $(ARGS)

test-all: ## The same with the tests that take minutes each: what the build server runs
	@scripts/test.sh --all $(ARGS)

test-versions: ## The contract tests on other versions: POSTGRES="14 15 16 17" KAFKA="3.9.1 4.0.0"
	@scripts/test-versions.sh $(ARGS)

package: setup ## The tarball that npm installs: holdfast-VERSION.tgz
	@npm pack --loglevel=error

sbom: setup ## What the package depends on, as CycloneDX and SPDX: holdfast-VERSION.cdx.json, .spdx.json
	@node scripts/sbom.ts

lint: setup ## Formatting, code, types of the pages, rules of import, lockfile, workflows, objects of Kubernetes
	@scripts/lint.sh

format: setup ## Format all files
	@biome check --write .

coverage: setup ## The tests, with coverage in coverage/index.html
	@vitest run --coverage $(ARGS)

bench: setup ## Measure: drain a backlog from Kafka into Postgres
	@node bench/drain.ts $(ARGS)

bench-read: setup ## Measure: read orders that are held in memory, beside bare node:http
	@node bench/read.ts $(ARGS)

chaos: setup ## Random faults over three replicas under load: SEED=n MINUTES=m, the same seed breaks the same things
	@node test/chaos/run.ts --seed "$(SEED)" --minutes "$(MINUTES)" $(ARGS)

alerts: setup ## Every alert on a live Prometheus, its condition made for real and ended, in some ten minutes
	@node test/alerts/run.ts $(ARGS)

mutation: setup ## Faults planted in the code one by one: which test notices each, in some twenty minutes
	@node test/mutation/run.ts $(ARGS)
