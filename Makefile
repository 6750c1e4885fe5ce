# What a person does with AAMI's source. `make` alone prints this list.
#
# Everything is built into target/ and fetched into ${XDG_CACHE_HOME:-~/.cache}/aami (tests: aami-rig).
# Only `test`, `test-full` and `bench` need root, since they boot real nodes; they say so before they ask.

SHELL := /bin/bash
CARGO := scripts/with-tools.sh cargo
# The lock file may follow an edited Cargo.toml on a desk, not in CI.
LOCKED := $(if $(CI),--locked)
SUITE := scripts/suite.sh
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
# With the features the whole workspace has, as the tests do: what is compiled for them serves both.
BUILD_BIN := $(CARGO) build --quiet $(LOCKED) --workspace --bin
XTASK := $(BUILD_BIN) xtask && target/debug/xtask
# Test binaries of suites that boot nodes run as root; what compiles them does not.
ROOT_RUNNER := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env)
export CARGO_TERM_COLOR ?= auto
# What is built once needs nothing kept for a next time.
ifdef CI
  export CARGO_INCREMENTAL ?= 0
endif

# Stories on nodes that take minutes each, for a new agent is watched for as long as it has to last, and silence is waited
# for as long as it may last: AAMI_FULL=1 brings them. The kill matrix of the same steps runs beside the code, agent_trial::
# on nodes, with an updater in a hurry, and connected::faults:: with a control plane that is impatient.
LONG := agent_update:: connected::two_minutes::

# Stories that look at paths which `test` walks as well from more sides, most of a minute or more: `more` runs them, and
# `.ci/run` after `test`, so that nothing lands without them.
MORE := agent_trial:: followed:: init::attacked:: init::killed_ init::one_program_ init::what_init_ node_cron:: \
	node_firewalls:: node_repair:: node_starters:: node_vendors:: preflight::matrix:: preflight::mended:: \
	server_install::broken:: server_install::chosen:: server_install::faults:: server_install::interrupted:: \
	server_install::lost:: server_install::secrets::

# Of stories' names, as a filter has them.
any = $(foreach one,$(1), | test(/^$(one)/))

ifeq ($(shell command -v cargo-nextest),)
  RUN_TESTS := $(CARGO) test $(LOCKED)
  RUN_UNIT := $(RUN_TESTS) --workspace --exclude rig
  RUN_NODES := $(CARGO) test $(LOCKED) --package rig -- --test-threads=2 --skip server_reset --skip release:: --skip server_install::compose $(if $(AAMI_FULL),,$(addprefix --skip ,$(LONG) $(MORE)))
  RUN_MORE := $(RUN_TESTS) --package rig -- --test-threads=2 $(MORE)
  RUN_MACHINES := $(CARGO) test $(LOCKED) --package rig -- --test-threads=1 server_reset
  RUN_RELEASES := $(CARGO) test $(LOCKED) --package rig -- --test-threads=2 release::
  RUN_CONTAINERS := $(CARGO) test $(LOCKED) --package rig -- server_install::compose
else
  NEXTEST_PROFILE := $(if $(CI),ci,default)
  RUN_TESTS := $(CARGO) nextest run $(LOCKED) --profile $(NEXTEST_PROFILE)
  # More at a time than there are cores: tests wait for deadlines, nodes for their systemd, more than they work.
  # Always the whole workspace, and of its tests those meant: for a part of it cargo would compile all anew, with the
  # features of that part.
  RUN_UNIT := $(RUN_TESTS) --test-threads 6 --workspace -E 'not package(rig)'
  RUN_RIG := $(RUN_TESTS) --workspace -E
  RUN_NODES := $(RUN_RIG) 'package(rig) & not (test(server_reset) | test(/^release::/) | test(/^server_install::compose/)$(if $(AAMI_FULL),,$(call any,$(LONG) $(MORE))))' --test-threads 5
  RUN_MORE := $(RUN_RIG) 'package(rig) & (none()$(call any,$(MORE)))' --test-threads 5
  RUN_MACHINES := $(RUN_RIG) 'package(rig) & test(server_reset)'
  RUN_RELEASES := $(RUN_RIG) 'package(rig) & test(/^release::/)' --test-threads 2
  RUN_CONTAINERS := $(RUN_RIG) 'package(rig) & test(/^server_install::compose/)'
endif

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: up
up: ## build, fetch what is missing, run AAMI here in the foreground (UP_ARGS="...")
	@# One waits for processors, the other for the network.
	@scripts/fetch-components.sh & fetch=$$!; trap "kill $$fetch 2>/dev/null" INT TERM; \
		$(CARGO) build $(LOCKED) --package aami --package aami-agent || { kill $$fetch 2>/dev/null; exit 1; }; \
		wait $$fetch
	@exec target/debug/aami up $(UP_ARGS)

.PHONY: components
components: ## put Prometheus and node_exporter into the download cache
	@scripts/fetch-components.sh

.PHONY: check
check: ## format, house rules, lints, unit tests (under 5 minutes)
	@$(SUITE) format 30 cargo fmt --all --check
	@$(SUITE) tidy 120 $(MAKE) --no-print-directory tidy
	@$(SUITE) lints 240 $(CARGO) clippy $(LOCKED) --workspace --all-targets -- --deny warnings
	@$(SUITE) unit 180 $(RUN_TESTS) --workspace --lib --bins

.PHONY: tidy
tidy: ## the house rules and the generated files
	@$(XTASK) tidy
	@$(XTASK) explain --check
	@$(XTASK) scripts --check
	@$(XTASK) picture --check

.PHONY: generate
generate: ## write the generated files anew (docs/explain, openapi, the configuration's schema, the picture)
	@$(XTASK) explain
	@$(XTASK) openapi
	@$(XTASK) schema
	@$(XTASK) scripts
	@$(XTASK) picture

.PHONY: agent
agent: ## the node's binary, static: target/dist/ARCH/aami-agent (ARCH="amd64 arm64")
	@scripts/with-tools.sh scripts/build-static.sh aami-agent $(ARCH)

.PHONY: static
static: agent ## both binaries, static: target/dist/ARCH (ARCH="amd64 arm64")
	@scripts/with-tools.sh scripts/build-static.sh aami $(ARCH)

# What the release tests install on nodes of other distributions: static too, but quickly built.
.PHONY: trial
trial:
	@AAMI_STATIC_PROFILE=trial scripts/with-tools.sh scripts/build-static.sh aami

.PHONY: dist
dist: ## a release folder: target/release-folder (DIST_ARGS="--key FILE --arch amd64,arm64 --components DIR")
	@$(XTASK) dist $(DIST_ARGS)

.PHONY: test
test: prerequisites test-build ## everything the project checks; boots nodes, so part of it runs as root (sudo)
	@$(SUITE) format 30 cargo fmt --all --check
	@$(SUITE) tidy 120 $(MAKE) --no-print-directory tidy
	@$(SUITE) lints 240 $(CARGO) clippy $(LOCKED) --workspace --all-targets -- --deny warnings
	@$(SUITE) unit 600 $(RUN_UNIT)
	@$(MAKE) --no-print-directory nodes

.PHONY: prerequisites
prerequisites:
	@scripts/prerequisites.sh

.PHONY: test-build
test-build:
	@# Beside each other, for either has long ends that one processor is enough for. Benches are only looked at, by lints.
	@mkdir -p target; $(SUITE) agent 480 $(MAKE) --no-print-directory agent >target/agent.log 2>&1 & agent=$$!; \
		trap "pkill -TERM -P $$agent 2>/dev/null" INT TERM; \
		$(SUITE) build 600 $(CARGO) build $(LOCKED) --workspace --lib --bins --tests; code=$$?; \
		wait $$agent || code=1; cat target/agent.log; exit $$code
	@$(SUITE) fetch 300 $(MAKE) --no-print-directory fetch

# What tests stand on: engines, and as root the root file systems of nodes.
.PHONY: fetch
fetch: components
	@$(BUILD_BIN) rig-fetch
	@$(ROOT_RUNNER) target/debug/rig-fetch

.PHONY: nodes
nodes:
	@$(if $(ROOT_RUNNER),echo "The next suite boots real nodes in namespaces of their own: its test binaries run with sudo.",:)
	@$(if $(ROOT_RUNNER),CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER="$(ROOT_RUNNER)") \
		$(SUITE) nodes 1020 $(RUN_NODES)

.PHONY: more
more: ## the stories on nodes that test has no time for (as root, like test)
	@$(BUILD_BIN) rig-fetch
	@$(SUITE) fetch-more 300 $(ROOT_RUNNER) target/debug/rig-fetch more
	@$(if $(ROOT_RUNNER),CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER="$(ROOT_RUNNER)") \
		$(SUITE) more 840 $(RUN_MORE)

# Releases as they are served and installed: they need the operator's program static, which takes minutes to build.
.PHONY: releases
releases:
	@$(SUITE) trial 300 $(MAKE) --no-print-directory trial
	@$(if $(ROOT_RUNNER),CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER="$(ROOT_RUNNER)") \
		$(SUITE) releases 300 $(RUN_RELEASES)

# A server of containers, on a Docker engine in a root of its own, which takes minutes to make and to run.
.PHONY: containers
containers:
	@$(if $(ROOT_RUNNER),CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER="$(ROOT_RUNNER)") \
		$(SUITE) containers 600 $(RUN_CONTAINERS)

# Whole machines, whose power is cut: ten minutes of processor time for two cuts where processors are emulated, the
# image among them, and three for each further one (AAMI_FULL=1: five cuts). So no part of `test`.
.PHONY: machines
machines:
	@scripts/prerequisites.sh --machines
	@$(if $(ROOT_RUNNER),CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER="$(ROOT_RUNNER)") \
		$(SUITE) machines 1500 $(RUN_MACHINES)

.PHONY: test-full
test-full: test ## test, and what does not fit into its 25 minutes (as root, like test)
	@command -v cargo-deny >/dev/null || cargo install --locked --debug cargo-deny
	@$(SUITE) deny 60 cargo deny --all-features check bans licenses sources
	@AAMI_FULL=1 $(MAKE) --no-print-directory nodes releases containers machines

.PHONY: bench
bench: prerequisites ## measurements, as ratios against a peer in the same run; parts of it run as root (sudo)
	@# With the features of the whole workspace, as the bench programs have them: what is compiled for it serves both.
	@$(CARGO) build $(LOCKED) --release --workspace --bin aami
	@$(MAKE) --no-print-directory agent fetch
	@scripts/fetch-socketio.sh
	@$(if $(ROOT_RUNNER),echo "Some measurements need namespaces of their own: the bench binaries run with sudo.",:)
	@$(if $(ROOT_RUNNER),CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER="$(ROOT_RUNNER)") \
		$(CARGO) bench $(LOCKED) --workspace --no-fail-fast --bench '*'

.PHONY: clean-cache
clean-cache: ## remove what was fetched (target/ is cargo's: cargo clean)
	@printf 'removing %s\n' "$(CACHE)/aami" "$(CACHE)/aami-rig"
	@rm -rf "$(CACHE)/aami" "$(CACHE)/aami-rig"
