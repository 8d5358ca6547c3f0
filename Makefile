# FKS: `make help` lists the targets. Sources are found by folder: a new file needs no line here.
#
#   make                        the four programs into bin/
#   make SAN=address,undefined  the same with sanitizers, into build/san/bin/
#   make WERROR=1 V=1           warnings are errors; show the commands

SHELL := /bin/sh
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

VERSION := 0.1.0
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
DESTDIR ?=

SAN ?=
ifneq ($(SAN),)
variant := san
bindir := build/san/bin
san_flags := -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -g
optimize := -O1
else
variant := release
bindir := bin
san_flags :=
optimize := -O2 -g -D_FORTIFY_SOURCE=3
endif
out := build/$(variant)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

packages := libcurl openssl yaml-0.1 libprotobuf-c libwslay
warnings := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wwrite-strings -Wundef -Wvla -Wformat=2 -Wcast-qual -Wlogical-op -Wduplicated-cond -Wconversion -Wno-sign-conversion \
	-Wdouble-promotion -Wno-missing-field-initializers -Wimplicit-fallthrough=5 -Wenum-conversion -fno-common
hardening := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
pkg_cflags := $(shell pkg-config --cflags libcurl openssl yaml-0.1 libprotobuf-c 2>/dev/null)
CFLAGS_ALL = -std=gnu17 -D_GNU_SOURCE -DFKS_PROGRAM_VERSION='"$(VERSION)"' $(optimize) $(warnings) $(hardening) $(san_flags) \
	$(if $(WERROR),-Werror) -include lib/base/banned.h -Ilib -I. -I$(out)/gen $(own_include) $(pkg_cflags) $(CFLAGS)
LDFLAGS_ALL := -pie -Wl,-O1,-z,relro,-z,now -Wl,--as-needed $(san_flags) $(LDFLAGS)
openssl := -lssl -lcrypto
yaml := -lyaml
# libc first: it has frexp and ldexp, too, and what needs no more of libm does not load it
libs = $(openssl) $(yaml) -lprotobuf-c -lwslay -lc -lm

layers := base data net kube fargate cri csi
lib_src := $(foreach l,$(layers),$(wildcard lib/$(l)/*.c))
protos := lib/cri/cri.proto lib/csi/csi.proto lib/csi/registration.proto
proto_names := $(basename $(notdir $(protos)))
lib_obj := $(lib_src:%.c=$(out)/%.o) $(proto_names:%=$(out)/gen/%.pb-c.o)
# program NAME: its folder, everything in it and below
webhook_src := $(wildcard webhook/*.c)
fks_src := $(wildcard cmd/fks/*.c cmd/fks/*/*.c)
scheduler_src := $(wildcard cmd/fks-scheduler/*.c)
node_src := $(wildcard cmd/fks-node/*.c cmd/fks-node/*/*.c)

programs := fks fks-webhook fks-scheduler fks-node
all: $(programs:%=$(bindir)/%) $(bindir)/kubectl-fks $(bindir)/fks-assets

objects = $(1:%.c=$(out)/%.o)
# A fifth of what a short command takes is the dynamic linker at libcrypto's 4,000 symbols, so the command line has OpenSSL
# inside where the machine has the archives; `make OPENSSL=shared` is for those who want it updated with the system's. The
# daemons use the system's.
has_static_openssl := $(wildcard $(shell pkg-config --variable=libdir libcrypto 2>/dev/null)/libcrypto.a)
OPENSSL ?= $(if $(SAN),shared,$(if $(has_static_openssl),static,shared))
static_openssl := -Wl,-Bstatic -lssl -lcrypto -Wl,-Bdynamic
static_yaml := $(if $(wildcard $(shell pkg-config --variable=libdir yaml-0.1 2>/dev/null)/libyaml.a),-l:libyaml.a,-lyaml)
# Then it is 5 MB, of which a command touches little: the layout puts that side by side (scripts/fks-layout), and the relocations
# of OpenSSL's tables shrink to a hundredth.
LAYOUT ?= scripts/make/fks.ld
ifeq ($(OPENSSL),static)
$(bindir)/fks: openssl := $(static_openssl)
$(bindir)/fks: yaml := $(static_yaml)
$(bindir)/fks: LDFLAGS_ALL += -Wl,-z,pack-relative-relocs $(LAYOUT:%=-Wl,-T,%)
$(bindir)/fks: $(LAYOUT)
endif
$(bindir)/fks: $(call objects,$(fks_src)) $(out)/libfks.a
$(bindir)/fks-webhook: $(call objects,$(webhook_src)) $(out)/libfks.a
$(bindir)/fks-scheduler: $(call objects,$(scheduler_src)) $(out)/libfks.a
$(bindir)/fks-node: $(call objects,$(node_src)) $(out)/libfks.a

$(programs:%=$(bindir)/%):
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter-out %.ld,$^) $(libs)

$(bindir)/kubectl-fks: $(bindir)/fks
	$(Q)ln -sf fks $@

# beside fks, where it looks when control plane programs are missing
$(bindir)/fks-assets: $(bindir)/fks
	$(Q)ln -sf $(CURDIR)/scripts/assets/fks-assets $@

$(out)/libfks.a: $(lib_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(out)/%.o: %.c $(proto_names:%=$(out)/gen/%.pb-c.h)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# fks and fks-node have rooms; a header is named from its program's folder on, "objects/items.h", "pod/pod.h"
$(out)/cmd/fks/%.o: own_include := -Icmd/fks
$(out)/cmd/fks-node/%.o: own_include := -Icmd/fks-node
$(out)/test/unit/programs/%.o: own_include := -Icmd/fks -Icmd/fks-node

# protoc-c's output is not ours: no warnings; -Ulinux because a field is called linux, which gcc predefines
$(out)/gen/%.pb-c.c $(out)/gen/%.pb-c.h &: $(protos)
	@mkdir -p $(out)/gen
	$(call say,GEN,$*.proto)
	$(Q)protoc-c --proto_path=$(dir $(filter %/$*.proto,$(protos))) --c_out=$(out)/gen $*.proto
$(out)/gen/%.pb-c.o: $(out)/gen/%.pb-c.c
	$(call say,CC,$<)
	$(Q)$(CC) -std=c17 -Ulinux $(optimize) $(hardening) $(san_flags) -w -I$(out)/gen $(pkg_cflags) -c -o $@ $<

# the assembler reads these (.incbin), which -MMD does not see
$(out)/cmd/fks/install/manifests.o: $(wildcard manifests/*.yaml manifests/*/*.yaml)

# --- unit tests: test/unit/test_x.c is linked with the library; test/unit/programs/test_x.c also with the programs'
# modules (all but their main.c)
unit_src := $(wildcard test/unit/test_*.c)
unit_program_src := $(wildcard test/unit/programs/test_*.c)
unit_bin := $(unit_src:test/unit/%.c=$(out)/test/%) $(unit_program_src:test/unit/programs/%.c=$(out)/test/programs/%)
program_lib := $(out)/programs.a
program_obj := $(call objects,$(filter-out %/main.c,$(webhook_src) $(fks_src) $(scheduler_src) $(node_src)))
$(program_lib): $(program_obj)
	$(Q)rm -f $@ && ar rcs $@ $^
$(out)/test/programs/%: $(out)/test/unit/programs/%.o $(program_lib) $(out)/libfks.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(libs)
$(out)/test/test_tls_algorithms: openssl := $(if $(has_static_openssl),$(static_openssl),$(openssl))
$(out)/test/%: $(out)/test/unit/%.o $(out)/libfks.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(libs)
unit-programs: $(unit_bin)

include $(wildcard scripts/make/*.mk)
-include $(shell find $(out) -name '*.d' 2>/dev/null)

clean:
	rm -rf build bin
.PHONY: all clean unit-programs
