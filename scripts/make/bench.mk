# Timings beside a peer, measured in one run on this machine: scripts/bench. test/bench/bench_x.c are programs of their own that time
# one part alone.

bench_src := $(wildcard test/bench/bench_*.c)
bench_bin := $(bench_src:test/bench/%.c=$(out)/bench/%)
$(out)/bench/%: $(out)/test/bench/%.o $(program_lib) $(out)/libfks.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS_ALL) -o $@ $^ $(libs)
bench-programs: $(bench_bin)

# a Go webhook to be measured beside; left out where there is no Go or no way to its modules
peer := build/peer/webhook-peer
$(peer): $(wildcard test/bench/peer/*)
	$(call say,GO,$@)
	$(Q)mkdir -p $(@D)
	$(Q)! command -v go >/dev/null || (cd test/bench/peer && go build -o $(CURDIR)/$@ .) || echo 'no Go peer to measure beside' >&2

bench: all bench-programs $(peer)
	@scripts/install-packages test
	@$(MAKE) --no-print-directory assets
	@scripts/bench
	@scripts/bench-agent
	@scripts/bench-webhook

bench-webhook: $(bindir)/fks-webhook $(peer)
	@scripts/install-packages test
	@scripts/bench-webhook

bench-admission-latency: all
	@scripts/install-packages test
	@$(MAKE) --no-print-directory assets
	@scripts/bench latency

bench-agent: all
	@scripts/install-packages test
	@$(MAKE) --no-print-directory assets
	@scripts/bench-agent

bench-cli: $(bindir)/fks bench-programs
	@scripts/install-packages test
	@$(MAKE) --no-print-directory assets
	@scripts/bench-cli

bench-scheduler: $(bindir)/fks-scheduler bench-programs
	@scripts/install-packages test
	@$(MAKE) --no-print-directory assets
	@scripts/bench-scheduler

bench-scale: all
	@scripts/install-packages test
	@$(MAKE) --no-print-directory assets
	@scripts/bench-scale

.PHONY: bench bench-scale bench-agent bench-cli bench-webhook bench-scheduler bench-admission-latency bench-programs
