# What a person types besides `make`: packages, control plane, tests, quickstart, install.

# The cache that `fks create cluster` looks into; FKS_ASSETS or FKS_HOME move it.
assets_version := $(shell awk '$$1 == "k8s.io/kubernetes" && $$2 ~ /^v/ { print $$2; exit }' scripts/assets/kubernetes/go.mod)
assets_dir = $(or $(FKS_ASSETS),$(or $(FKS_HOME),$(HOME)/.fks)/assets/$(assets_version))

help:
	@echo 'make                 the four programs into bin/'
	@echo 'make quickstart      packages, programs, control plane, a cluster, a web server on Fargate nodes'
	@echo 'make test            every test; test-unit, test-integration, test-e2e for a part'
	@echo 'make test-conformance  Kubernetes'\'' conformance tests on Fargate nodes; see scripts/conformance'
	@echo 'make test-helm3      the tests of the chart with Helm 3 (make test: with Helm 4)'
	@echo 'make test-vm         a cluster, or COMMAND="...", on a fresh Debian 12 with cgroup v2 in QEMU'
	@echo 'make packages        the Debian packages that building and running need'
	@echo 'make assets          the control plane programs and their images, into $(assets_dir)'
	@echo 'make images          the same images; those of our programs into $(images_dir), as OCI archives'
	@echo 'make manifests       manifests/install*.yaml from the chart (builds Helm first)'
	@echo 'make fuzz            every fuzz target for FUZZ_SECONDS=60'
	@echo 'make bench           timings beside a peer, as ratios; bench-webhook, bench-scale ... for a part'
	@echo 'make lint format     checks of style and layers; clang-format'
	@echo 'make install         into PREFIX=/usr/local, DESTDIR='
	@echo 'options: SAN=address,undefined  WERROR=1  V=1'

packages:
	@scripts/install-packages build
assets: all
	@scripts/assets/fks-assets $(assets_dir)
	@scripts/assets/kubectl-suite $(assets_dir)/kubectl-suite || echo "make: kubectl's own tests were not fetched: make test will report them as skipped" >&2
images_dir := $(out)/images
images: all
	@scripts/images/make-images $(assets_dir)
	@scripts/images/make-program-images $(bindir) $(images_dir) $(VERSION)

# needed by tests of the chart only
helm:
	@scripts/assets/build-helm $(assets_dir)
manifests: helm
	@scripts/render-manifests $(assets_dir)/helm > manifests/install.yaml.new && mv manifests/install.yaml.new manifests/install.yaml
	@scripts/render-manifests $(assets_dir)/helm eks > manifests/install-eks.yaml.new && mv manifests/install-eks.yaml.new manifests/install-eks.yaml
	@scripts/render-manifests $(assets_dir)/helm hosts > manifests/install-hosts.yaml.new && \
	    mv manifests/install-hosts.yaml.new manifests/install-hosts.yaml

quickstart:
	@scripts/quickstart

test:
	@scripts/test unit integration e2e conformance
test-unit:
	@scripts/test unit
test-integration:
	@scripts/test integration
test-e2e:
	@scripts/test e2e
# the chart's tests with the Helm before the present one; `make test` has them with that
test-helm3: assets helm
	@scripts/assets/build-helm $(assets_dir) 3
	FKS_HELM=$(assets_dir)/helm3 /usr/bin/python3 -m pytest -q test/integration/test_chart.py
	FKS_HELM=$(assets_dir)/helm3 /usr/bin/python3 -m pytest -q test/e2e/test_foreign.py
# the part of test-conformance that `make test` runs too: test/cases/conformance.txt
test-conformance-subset:
	@scripts/test conformance
test-conformance: all
	@scripts/assets/fks-assets $(assets_dir)
	@scripts/conformance $(assets_dir) $(CONFORMANCE)

test-vm: all
	@scripts/test-vm $(if $(COMMAND),'$(COMMAND)')

print-assets-dir:
	@echo $(assets_dir)

lint:
	@scripts/lint
format:
	clang-format -i $$(git ls-files '*.c' '*.h')

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/fks/scripts
	install -m 755 $(programs:%=$(bindir)/%) $(DESTDIR)$(PREFIX)/bin
	ln -sf fks $(DESTDIR)$(PREFIX)/bin/kubectl-fks
	cp -r scripts/assets scripts/images $(DESTDIR)$(PREFIX)/share/fks/scripts
	ln -sf ../share/fks/scripts/assets/fks-assets $(DESTDIR)$(PREFIX)/bin/fks-assets

.PHONY: help packages assets images helm manifests quickstart test test-unit test-integration test-e2e test-helm3 test-vm test-conformance test-conformance-subset \
	print-assets-dir lint format install
