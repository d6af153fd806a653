# The two commands of the README are `make demo` and `make test`.
CARGO ?= cargo
# Private hosts with a JupyterHub each: as many at a time as there are cores.
THREADS ?= $(shell nproc)

.PHONY: demo test bench fast system matrix acceptance machine fuzz lint fmt deny build prepare-demo prepare-test

# Try everything out; ARGS="--once --json" for scripts.
# Only the demo itself writes to stdout. Without optimisation: a newcomer waits for the compiler.
demo: prepare-demo
	@$(CARGO) run --quiet -- demo $(ARGS)

# Everything, on real parts where we are root; says what is left out where we are not.
test: prepare-test
	$(CARGO) test --no-run --quiet
	$(CARGO) test --lib --bins --test fast
	$(CARGO) test --test conformance
	$(CARGO) test --test system -- --test-threads=$(THREADS)

# Without real parts.
fast:
	$(CARGO) test --lib --bins --test fast

system: prepare-test
	$(CARGO) test --test system -- --test-threads=$(THREADS)

# 100,000 mails while processes are killed and disks fill up; prints what became of them.
acceptance: prepare-test
	WOD_ACCEPT=$${WOD_ACCEPT:-100000} $(CARGO) test --test system acceptance -- --nocapture --test-threads=1

# A virtual machine (qemu-system-x86_64, all in software: ten minutes) becomes a backend, and is tried.
machine: prepare-test
	WOD_MACHINE=1 $(CARGO) test --test system booted::they -- --nocapture

# Each target of fuzz/ for SECONDS, on the stable compiler.
SECONDS ?= 20
fuzz:
	@fuzz/run $(SECONDS)

# The engine killed at every effect of every action: about an hour. `make system` takes a few.
matrix: prepare-test
	WOD_MATRIX=full $(CARGO) test --test system -- matrix:: deliver_students::kills --nocapture --test-threads=$(THREADS)

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings

fmt:
	$(CARGO) fmt

# Licences, sources and bans always; advisories where their database can be reached.
deny:
	$(CARGO) deny --log-level error check bans licenses sources
	@if $(CARGO) deny --log-level error fetch db >/dev/null 2>&1; then \
	  $(CARGO) deny --log-level error check advisories; \
	else echo "advisories are left out: their database cannot be reached"; fi

build:
	$(CARGO) build --release

# What stays missing is told here, and again by whatever needs it.
prepare-demo:
	@sys/prepare.sh demo --quiet >&2 || true

prepare-test:
	@sys/prepare.sh test --quiet >&2 || true

# Figures to target/bench.json; needs root. BENCHMARKS.md has the method.
bench: prepare-test
	$(CARGO) bench --bench backend
	$(CARGO) bench --bench deliver
	$(CARGO) bench --bench watchdog
