# Fuzz targets: test/fuzz/fuzz_x.c with clang's libFuzzer; the same files with gcc and replay.c read back the corpus as a
# test. A crash lands in test/fuzz/corpus/x/ and stays there.

FUZZ_SECONDS ?= 60
fuzz_src := $(wildcard test/fuzz/fuzz_*.c)
fuzz_names := $(fuzz_src:test/fuzz/fuzz_%.c=%)
fuzz_out := build/fuzz
fuzz_flags := -std=gnu17 -D_GNU_SOURCE -DFKS_PROGRAM_VERSION='"$(VERSION)"' -O1 -g -fno-omit-frame-pointer -w -include lib/base/banned.h \
	-Ilib -I. -Icmd/fks -Icmd/fks-node -Ibuild/fuzz/gen
fuzz_lib_src := $(lib_src) $(filter-out %/main.c,$(webhook_src) $(fks_src) $(scheduler_src) $(node_src))
fuzz_lib_obj := $(fuzz_lib_src:%.c=$(fuzz_out)/%.o) $(proto_names:%=$(fuzz_out)/gen/%.pb-c.o)

$(fuzz_out)/gen/%.pb-c.c $(fuzz_out)/gen/%.pb-c.h &: $(protos)
	@mkdir -p $(fuzz_out)/gen
	$(Q)protoc-c --proto_path=$(dir $(filter %/$*.proto,$(protos))) --c_out=$(fuzz_out)/gen $*.proto
$(fuzz_out)/gen/%.pb-c.o: $(fuzz_out)/gen/%.pb-c.c
	$(Q)clang -std=c17 -Ulinux -O1 -g -w -fsanitize=fuzzer-no-link,address,undefined -I$(fuzz_out)/gen -c -o $@ $<
$(fuzz_out)/%.o: %.c $(proto_names:%=$(fuzz_out)/gen/%.pb-c.h)
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)clang $(fuzz_flags) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -MMD -MP -c -o $@ $<
$(fuzz_out)/libfuzzed.a: $(fuzz_lib_obj)
	$(Q)rm -f $@ && ar rcs $@ $^
$(fuzz_out)/fuzz_%: $(fuzz_out)/test/fuzz/fuzz_%.o $(fuzz_out)/libfuzzed.a
	$(call say,LINK,$@)
	$(Q)clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(libs)

fuzz: $(fuzz_names:%=$(fuzz_out)/fuzz_%)
	@scripts/fuzz $(FUZZ_SECONDS) $(fuzz_names)

# replay under gcc: part of the unit tests
replay_bin := $(fuzz_names:%=$(out)/replay/fuzz_%)
$(out)/replay/fuzz_%: $(out)/test/fuzz/fuzz_%.o $(out)/test/fuzz/replay.o $(program_lib) $(out)/libfks.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS_ALL) -o $@ $^ $(libs)
$(out)/test/fuzz/%.o: own_include := -Icmd/fks -Icmd/fks-node
replay-programs: $(replay_bin)

-include $(shell find $(fuzz_out) -name '*.d' 2>/dev/null)
.PHONY: fuzz replay-programs
.SECONDARY:
