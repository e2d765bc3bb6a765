# make            builds everything
# make test       installs what the tests need, then all that CI runs
# make check      the same without installing anything
# make bench      Sluice beside other gateways (bench/README.md)
# make simulate   how many processes there are under which load, drawn (doc/scaling.md)
#
# SLUICE_FUZZTIME=1m make fuzz   fuzzes for longer than the 10s of each target

GO ?= go

.PHONY: all build deps test check vet lint fmt race fuzz bench simulate

all: build

build:
	$(GO) build ./...

deps:
	@echo "== Debian packages for the tests"
	tools/install-deps
	tools/install-dokuwiki

test: deps
	@$(MAKE) --no-print-directory check

check: build vet lint fmt race fuzz

vet:
	@echo "== vet"
	$(GO) vet ./...
	$(GO) -C bench vet ./...

lint:
	@echo "== staticcheck"
	$(GO) tool staticcheck ./...

fmt:
	@echo "== gofmt -s"
	@unformatted=$$(gofmt -s -l .); if [ -n "$$unformatted" ]; then \
		printf 'not formatted (gofmt -s -w):\n%s\n' "$$unformatted"; exit 1; fi

race:
	@echo "== tests"
	$(GO) test -race -timeout 10m ./...

fuzz:
	@echo "== fuzz targets"
	tools/fuzz

bench:
	mkdir -p bench/bin
	$(GO) build -trimpath -o bench/bin/sluice ./cmd/sluice
	bench/run -g nginx-2w,caddy,sluice -w hello,php-hello,bytes100k,static1k,download,upload,mem-idle,mem-slow -r 3 -s 3
	bench/run -g sluice -w mem-trickle
	bench/run-packages
	bench/run-burst -g 'sluice;lighttpd' -l burst
	bench/run --goals
	bench/run-packages --goals
	bench/run-burst --goals

simulate:
	$(GO) run ./tools/simulate doc
