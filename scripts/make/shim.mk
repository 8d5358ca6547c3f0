# Libraries that tests load before a program's own (LD_PRELOAD): test/shim. Never with a sanitizer; the program brings its own.

build/shim/%.so: test/shim/%.c
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 $(warnings) $(if $(WERROR),-Werror) -fPIC -shared -o $@ $<
