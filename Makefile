# What CI runs, and what one runs by hand. `make check` is the quick look before a
# commit.
GO       ?= go
FUZZTIME ?= 20000x

# staticcheck is built from the module proxy at the version that is named here.
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: check test vet lint race fuzz bench bench-peers bench-growth interop faults crash attack soak vulncheck

check: vet lint test

test:
	$(GO) test ./...

vet:
	@out="$$(gofmt -l .)"; test -z "$$out" || { echo "gofmt these: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags interop ./...
	$(GO) mod tidy -diff

lint:
	$(GO) run $(STATICCHECK) -tags interop ./...

# Asks the Go vulnerability database (vuln.go.dev, or GOVULNDB) about what is called here and
# in the standard library: by hand, as its answer changes by itself.
VULNCHECK ?= golang.org/x/vuln/cmd/govulncheck@v1.9.0
vulncheck:
	$(GO) run $(VULNCHECK) -test ./...

# With RACE=-short, as in CI, properties are tried a fifth as often as `make test` tries them:
# what races mostly does so in each trial.
RACE ?=
race:
	$(GO) test -race $(RACE) ./...

# Each fuzz target for FUZZTIME, a number of inputs: a duration (10m) is for a search by
# hand, since the fuzzer now and then reports its own deadline as a failure ("context
# deadline exceeded", with no failing input). Minimising is bounded: it may take longer
# than the search otherwise.
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
		done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Measures this server beside Debian's Dovecot on this machine: see docs/performance.md.
PEERS ?= --messages 10000 --repeat 5
bench-peers:
	cmd/mailaccess/internal/bench/peers/install $(PEERS)
	$(GO) run ./cmd/mailaccess bench peers $(PEERS)

# The same at different sizes: how what is done for one message or connection grows.
GROWTH ?=
bench-growth:
	cmd/mailaccess/internal/bench/peers/install $(GROWTH)
	$(GO) run ./cmd/mailaccess bench growth $(GROWTH)

# Kills a process that serves a Maildir store CRASH times, and looks what is left.
CRASH ?= 300
crash:
	$(GO) test -count 1 -timeout 60m -run CrashTorture -v ./stores/maildir -maildir.crash $(CRASH)

# Fails every operation of a workload on the Maildir store in turn, and takes power away
# before every one; `make test` does so with a sample of them.
faults:
	$(GO) test -run 'Faults|PowerLoss|Kill' ./stores/maildir -maildir.long

# Attacks a server with hostile clients, and tells how long others wait meanwhile; `make
# test` does so with fewer and smaller ones, and asserts the same.
ATTACK ?= 2s
attack:
	$(GO) test -count 1 -timeout 60m -v -run Attacks ./cmd/mailaccess/attack -attack.for $(ATTACK)

# Good and hostile clients come and go for SOAK; nothing may be left of them.
SOAK ?= 5m
soak:
	$(GO) test -count 1 -timeout 60m -v -run Soak ./cmd/mailaccess/attack -soak.for $(SOAK)

# Drives the demo, and servers over hooks and over Maildirs, with clients from Debian's
# packages: curl, isync (mbsync) with libsasl2-modules, fetchmail, mpop, gsasl, getmail6,
# neomutt, offlineimap3, python3; and with imapflow, node-pop3 and yapople, which npm
# fetches. Into Maildirs procmail and maildrop deliver, and Dovecot (dovecot-imapd) keeps
# them before and after.
interop:
	$(GO) test -tags interop -count 1 -v ./cmd/mailaccess/interop/
