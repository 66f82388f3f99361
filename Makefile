# make demo     build, and show a cluster of three nodes on this machine
# make run      build, and start a node on defaults in ./cachenode-data
# make test     all tests, with the race detector where there is a C compiler
# make ci       what CI does
GO       ?= go
FUZZTIME ?= 20000x
BENCH    ?= .
PATIENCE ?= 40m
PREFIX   ?= /usr/local
ETC      ?= /etc
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS  := -s -w -X main.release=$(VERSION)

# The race detector needs cgo, and that a C compiler.
RACE := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

GOLANGCI_VERSION := v2.15.0
GOLANGCI         := bin/golangci-lint-$(GOLANGCI_VERSION)

.PHONY: build demo run test race fuzz lint bench performance failover ci docs docs-check bpf bpf-check man completions install clean

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/cachenode ./cmd/cachenode

demo: build
	./bin/cachenode demo

run: build
	./bin/cachenode run --data ./cachenode-data

# Tests of whole nodes and of hosts in real time: one package at a time, so that
# they do not keep each other from running.
ALONE := election/onlink internal/failover internal/netlab internal/scenario internal/steer internal/vip
OTHERS = $(shell $(GO) list ./... | grep -vF $(addprefix -e /,$(ALONE)))

# Never from the test cache: the scenarios run the binary, which it does not see.
# Hours of virtual time are too much for the race detector.
test:
	$(GO) test $(RACE) -count=1 -timeout $(PATIENCE) $(OTHERS)
	$(GO) test $(RACE) -count=1 -timeout $(PATIENCE) -p 1 $(addprefix ./,$(ALONE))
	$(if $(RACE),$(GO) test -count=1 -timeout $(PATIENCE) ./peer)

race:
	$(GO) test -race -count=1 -timeout $(PATIENCE) ./...

# Every fuzz target for FUZZTIME, one after the other: a number of inputs (20000x), or
# a time (10m) where whoever reads the output knows that the fuzzer now and then ends
# in "context deadline exceeded" when the time is over, having found nothing.
fuzz:
	@set -e; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "fuzz $$(dirname $$file) $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$(dirname $$file); \
		done; \
	done

lint: $(GOLANGCI)
	$(GO) vet ./...
	$(GOLANGCI) run ./...

$(GOLANGCI):
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv bin/golangci-lint $@

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# The tables of docs/performance.md, beside squid, nginx and trafficserver where
# they are installed. To try it: make performance PERF_DUR=1s PERF_ROUNDS=2 PERF_DOC=-
PERF_DUR    ?= 4s
PERF_ROUNDS ?= 5
PERF_DOC    ?= docs/performance.md

performance: build
	$(GO) run ./internal/perfdoc -program ./bin/cachenode -doc $(PERF_DOC) -duration $(PERF_DUR) -rounds $(PERF_ROUNDS)

# The table of docs/failover.md, with namespaces of root. Some rows of it:
# make failover FAILOVER_ROWS=Drain
FAILOVER_MEASURE ?= 5
FAILOVER_ROWS    ?=

failover:
	FAILOVER_MEASURE=$(FAILOVER_MEASURE) $(GO) test -count=1 -v -timeout 2h -run 'TestMeasure/$(FAILOVER_ROWS)' ./internal/failover

ci:
	.ci/run

# docs/configuration.md and the comments of `cachenode config example`.
docs:
	$(GO) run ./internal/configdoc

docs-check:
	$(GO) run ./internal/configdoc -check

# The program for the kernel in internal/steer; making it takes clang.
bpf:
	$(GO) generate ./internal/steer

bpf-check:
	$(GO) test -count=1 -v -run TestObject ./internal/steer

man: build
	./bin/cachenode man dist/man

completions: build
	mkdir -p dist/completions
	./bin/cachenode completion bash > dist/completions/cachenode
	./bin/cachenode completion zsh > dist/completions/_cachenode
	./bin/cachenode completion fish > dist/completions/cachenode.fish

install: man completions
	install -D -m 0755 bin/cachenode $(DESTDIR)$(PREFIX)/bin/cachenode
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0644 dist/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -D -m 0644 dist/completions/cachenode $(DESTDIR)$(PREFIX)/share/bash-completion/completions/cachenode
	install -D -m 0644 dist/completions/_cachenode $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_cachenode
	install -D -m 0644 dist/completions/cachenode.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/cachenode.fish
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(ETC)/init.d $(DESTDIR)$(ETC)/cachenode
	sed 's#/usr/bin/#$(PREFIX)/bin/#' deploy/cachenode.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/cachenode.service
	sed 's#/usr/bin/#$(PREFIX)/bin/#' deploy/cachenode.openrc > $(DESTDIR)$(ETC)/init.d/cachenode
	chmod 0755 $(DESTDIR)$(ETC)/init.d/cachenode
	test -e $(DESTDIR)$(ETC)/conf.d/cachenode || install -D -m 0644 deploy/cachenode.confd $(DESTDIR)$(ETC)/conf.d/cachenode
	install -D -m 0644 deploy/cachenode.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/cachenode.conf
	test -e $(DESTDIR)$(ETC)/logrotate.d/cachenode || install -D -m 0644 deploy/cachenode.logrotate $(DESTDIR)$(ETC)/logrotate.d/cachenode
	install -D -m 0644 deploy/cachenode.sysctl $(DESTDIR)$(PREFIX)/share/cachenode/sysctl.conf
	install -D -m 0755 deploy/rolling-upgrade $(DESTDIR)$(PREFIX)/share/cachenode/rolling-upgrade

clean:
	rm -rf bin dist
