# SPDX-License-Identifier: GPL-2.0
# Each target is one script of scripts/; 'make help' says what it does.
# Settings: BASE= LINUX= TREE= CONFIG= S= TOPIC= SENDER= ACCEL= JOBS= GUESTS= SEED=

TREE   ?= stack
CONFIG ?= x86_64
BASE   ?= 7.3
export LINUX ACCEL JOBS GUESTS SEED

# All generated files are the scripts' business: make only calls them, one
# after the other.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
.PHONY: help run test setup base apply refresh refresh-check kernel scenario shell \
	compare mutants soak bench check bisect mbox b4-check

help:
	@echo 'make run            plug a DIMM into a guest running the stack, run the selftests, unplug it'
	@echo 'make test           everything CI runs; ends with N passed, N failed, N skipped'
	@echo 'make setup          install missing Debian packages and tools (root or sudo)'
	@echo 'make base           fetch and unpack the base tree; BASE=7.3-rc7 for the other one'
	@echo 'make apply          build/linux: the base with the series applied (BASE=..., LINUX=/path/to/git)'
	@echo 'make refresh        write series and patches/ from the commits in build/linux (TOPIC=x for new ones)'
	@echo 'make refresh-check  see that apply and refresh give the same bytes'
	@echo 'make kernel         CONFIG=x86_64|x86_64-debug|ppc64le-hash|... TREE=stack|base|mutant:<name>'
	@echo 'make scenario       S=name TREE=...: one guest; make shell S=name: the same guest, interactive'
	@echo 'make compare        the tests on v7.3 and on the stack, side by side'
	@echo 'make mutants        old bugs put back; each must be caught by the test it names'
	@echo 'make soak           10,000 random operations, and tests with debugging; SEED=n for another order'
	@echo 'make bench          what add, online, offline and remove cost on v7.3 and on the stack: tables and plots'
	@echo 'make check          checkpatch, sparse, W=1, kernel-doc, codespell: new findings fail'
	@echo 'make bisect         every prefix of the series builds'
	@echo 'make mbox           TOPIC=x SENDER="Name <mail>": the mail series of a topic in build/mbox'
	@echo 'make b4-check       b4, git am, git quiltimport and quilt give the same tree, without network'

setup:
	@scripts/setup
base: setup
	@scripts/base $(BASE)
apply: setup
	@scripts/apply $(BASE)
refresh:
	@scripts/refresh $(TOPIC)
refresh-check:
	@scripts/refresh-check

run test compare mutants soak check bisect b4-check: setup apply
	@scripts/$@
bench: setup apply
	@scripts/bench --full
kernel: setup
	@scripts/kernel $(CONFIG) $(TREE)
scenario: setup
	@scripts/scenario '$(S)' $(TREE)
shell: setup
	@scripts/scenario '$(S)' $(TREE) --shell
mbox: setup
	@scripts/mbox '$(TOPIC)' '$(SENDER)'
