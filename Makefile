# make lab     see it work: an ISP, two lines and a router in network namespaces, and a tour; less than a minute
# make test    everything that CI checks; ten minutes or less
# make bench   linebond beside pppd, eBPF lines beside a plain veth pair, as ratios
# make build   bin/linebond
# make install /usr/local/bin/linebond, the systemd unit, and example files in /etc/linebond

SHELL   := /bin/bash
LAB     := qemu-system-x86 kmod iproute2 iputils-ping nftables ppp pppoe iperf3
TESTING := gcc libc6-dev rsyslog clang-14 llvm-14 libbpf-dev linux-libc-dev
PREFIX  ?= /usr/local
DESTDIR ?=

export GOFLAGS := -buildvcs=auto

.PHONY: build lab test bench lint vuln fuzz install packages-lab packages-test

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/linebond ./cmd/linebond

lab: build
	@bin/linebond lab

test: packages-lab packages-test bin/kernel bin/openresolv.deb lint
	go test -race -timeout 60m ./...

bench: packages-lab bin/kernel
	go test -run '^$$' -bench . -benchmem ./ppp ./pppoe ./lcp
	go test -count 1 -p 1 -tags bench -run TestBench -timeout 90m -v ./daemon ./datapath ./scheduler ./lab/load ./lab/tour ./lab/e2e ./lab/bench | grep -v '^[=-]'

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./...
	go vet -tags bench ./daemon ./datapath ./scheduler ./lab/load ./lab/tour ./lab/e2e ./lab/bench
	go tool staticcheck ./...
	go mod verify

# Known vulnerabilities in what we call. Not part of make test: it asks the Go vulnerability database on the internet.
vuln:
	go tool govulncheck ./...

# Each fuzz target for FUZZTIME. Not part of make test, which runs their seeds.
FUZZTIME ?= 20s
fuzz:
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
		echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

# The kernel that the tests boot: Debian's.
bin/kernel: lab/vm/kernel.sh | packages-lab
	lab/vm/kernel.sh $@

# Unpacked in the tests' own kernel only: installed here, it would take over this machine's /etc/resolv.conf.
bin/openresolv.deb:
	mkdir -p bin
	cd bin && apt-get download -q openresolv && mv openresolv_*.deb openresolv.deb

install: build
	install -D bin/linebond $(DESTDIR)$(PREFIX)/bin/linebond
	install -D -m 644 configs/linebond.service $(DESTDIR)/etc/systemd/system/linebond.service
	install -d -m 755 $(DESTDIR)/etc/linebond/lines.d
	test -e $(DESTDIR)/etc/linebond/linebond.toml || install -m 644 configs/linebond.toml $(DESTDIR)/etc/linebond/linebond.toml
	install -m 644 configs/lines.d/example.toml $(DESTDIR)/etc/linebond/lines.d/example.toml.sample

# Debian packages, where one of them is missing.
packages-lab: WANTED := $(LAB)
packages-test: WANTED := $(TESTING)
packages-lab packages-test:
	@missing=; for p in $(WANTED); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; \
		as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
		$$as_root apt-get update -q && DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -q -y --no-install-recommends $$missing; fi
