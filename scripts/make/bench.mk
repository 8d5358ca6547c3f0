# Timings beside a peer, measured in one run on this machine: scripts/bench. test/bench/bench_x.c are programs of their own that time
# one part alone.

bench_src := $(wildcard test/bench/bench_*.c)
bench_bin := $(bench_src:test/bench/%.c=$(out)/bench/%)
$(out)/bench/%: $(out)/test/bench/%.o $(program_lib) $(out)/libfks.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS_ALL) -o $@ $^ $(libs)
bench-programs: $(bench_bin)

bench: all bench-programs
	@scripts/install-packages test
	@$(MAKE) --no-print-directory assets
	@scripts/bench

.PHONY: bench bench-programs
