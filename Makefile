# The commands of this repository. They need Rust, git, gcc and make; what else is missing they
# fetch into the target folder and say so.

CARGO ?= cargo
# Arguments for `make demo`, for example: make demo ARGS="--region eu-west-1"
ARGS ?=
# For each target of `make fuzz`
MINUTES ?= 1

TARGET := $(or $(CARGO_TARGET_DIR),target)
DENY := $(TARGET)/tools/bin/cargo-deny
DENY_VERSION := 0.20.2
FUZZ_SOURCES := $(wildcard fuzz/src/*.rs fuzz/src/bin/*.rs fuzz/targets/*.rs)
PROGRAMS := -p geoping -p dnsrouter -p geoip

.DEFAULT_GOAL := help
.PHONY: help build demo test fuzz fetch check fmt clippy deny doc sidebyside bench bench-short bench-guard bench-micro

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the programs, optimised, into target/release
	$(CARGO) build --release $(PROGRAMS)

demo: ## three regions on this machine, until ^C; ARGS="…" goes to `geoip dev up`
	$(CARGO) build $(PROGRAMS)
	$(TARGET)/debug/geoip dev up --dir $(TARGET)/demo $(ARGS)

test: fetch ## every test, the ones with real processes included
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace
	$(CARGO) test -p tests --features mutations --test mutations
	fuzz/run 20

fuzz: ## arbitrary octets, options and master files; MINUTES=10 for ten of each
	fuzz/run $$(($(MINUTES) * 60))

fetch: ## what tests need beside Rust: name servers and clients from Debian, geo databases
	tests/fetch/peers
	tests/fetch/databases

check: fmt clippy deny doc ## format, lints, licences and bans, documentation

fmt:
	$(CARGO) fmt --all --check
	rustfmt --check --edition 2024 $(FUZZ_SOURCES)

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p tests --features mutations --test mutations -- -D warnings

deny: $(DENY)
	$(DENY) check --hide-inclusion-graph bans licenses sources

$(DENY):
	@echo "cargo-deny is missing: building it into $(TARGET)/tools (a minute or two)"
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --debug --root $(TARGET)/tools

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

# The peers' own needs come from Debian, as for the tests; the programs measured are optimised.
sidebyside:
	tests/fetch/peers
	$(CARGO) build --release -p dnsrouter -p geoping -p bench

bench: sidebyside ## beside gdnsd, Knot and NSD, as data grow, and GeoPing, into bench/RESULTS.md; 10,000 services; forty minutes
	tests/fetch/databases
	$(TARGET)/release/bench --results bench/RESULTS.md
	$(CARGO) bench -p bench --bench sizes

bench-short: sidebyside ## beside gdnsd and Knot, where clients are: three minutes
	$(TARGET)/release/bench --short

bench-guard: ## instructions of ten answers against bench/instructions.txt, ± 3 %
	tests/fetch/peers valgrind
	$(CARGO) bench -p bench --bench instructions

bench-micro: ## what parts cost: answers, tables, compiling
	tests/fetch/peers valgrind
	$(CARGO) build --release -p dnsrouter
	$(CARGO) bench -p bench --benches
