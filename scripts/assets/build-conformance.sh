#!/bin/sh
# build-conformance.sh DIR: builds what Kubernetes' own end-to-end tests need into DIR/conformance: e2e.test, agnhost (what
# their pods run) and, from programs of this machine, the images that the tests of test/cases/conformance.txt name. Versions
# are those of conformance/go.mod; go.sum pins every byte. What is there is kept.
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
[ $# -eq 1 ] || { echo "usage: build-conformance.sh DIR" >&2; exit 2; }
mkdir -p "$1/conformance/images"
out=$(CDPATH= cd -- "$1/conformance" && pwd)
export CGO_ENABLED=0 GOFLAGS=-mod=readonly
export PATH="$PATH:/usr/local/go/bin"

version=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit }' "$here/conformance/go.mod")
stamp=k8s.io/component-base/version
ldflags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$(echo "$version" | cut -d. -f2)"

# build NAME PACKAGE COMMAND...: the program appears under its name only when it is whole
build() {
    [ ! -x "$out/$1" ] || return 0
    command -v go >/dev/null || { echo "build-conformance.sh: the Go toolchain is needed: install Go 1.26 or newer (https://go.dev/dl/)" >&2; exit 1; }
    name=$1 package=$2 started=$(date +%s)
    shift 2
    printf 'building %s ...' "$name" >&2
    (cd "$here/conformance" && "$@" -trimpath -ldflags "$ldflags" -o "$out/.$name.partial" "$package" 2> "$out/.$name.log") ||
        { echo " failed" >&2; cat "$out/.$name.log" >&2; exit 1; }
    rm -f "$out/.$name.log"
    mv "$out/.$name.partial" "$out/$name"
    printf ' %s s\n' "$(($(date +%s) - started))" >&2
}
build e2e.test k8s.io/kubernetes/test/e2e go test -c
build agnhost k8s.io/kubernetes/test/images/agnhost go build
build nnp k8s.io/kubernetes/test/images/nonewprivs go build

# image FILE NAME OPTIONS...: with busybox. In agnhost bash is the shell: busybox's takes its own nc for the one in PATH.
image() {
    [ ! -f "$out/images/$1.tar" ] || return 0
    name=$1 tag=$2
    shift 2
    python3 "$here/../images/write_image.py" "$out/images/$name.tar" "$tag" --busybox /bin/busybox "$@"
}
if [ ! -f "$out/images/pause.tar" ]; then
    ${CC:-gcc} -O2 -static -s -o "$out/pause" "$here/../images/pause.c"
    python3 "$here/../images/write_image.py" "$out/images/pause.tar" registry.k8s.io/pause:3.10.2 --user 65535:65535 \
        --entrypoint /pause --file "$out/pause:/pause:755"
fi
e2e=registry.k8s.io/e2e-test-images
image busybox $e2e/busybox:1.37.0-1 --command sh
image nginx $e2e/nginx:1.15-4 --command httpd -f -p 80
image nonewprivs $e2e/nonewprivs:1.4 --file "$out/nnp:/usr/local/bin/nnp:6755" --command nnp
kubernetes() { (cd "$here/conformance" && go list -m -f '{{.Dir}}' k8s.io/kubernetes); }
[ -f "$out/images/agnhost-old.tar" ] || porter=$(kubernetes)/test/images/agnhost/porter
agnhost() { # FILE TAG OPTIONS...: two versions, for tests that change a pod's image
    image "$@" --program /bin/bash:/bin/sh --program /usr/bin/curl:/usr/bin/curl --program /usr/bin/getent:/usr/bin/getent \
        --program /bin/nc.openbsd:/bin/nc --file "$out/agnhost:/agnhost:755" --link agnhost:/agnhost-2 \
        --file "${porter:-}/localhost.crt:/localhost.crt:644" --file "${porter:-}/localhost.key:/localhost.key:644" --entrypoint /agnhost --command pause
}
agnhost agnhost $e2e/agnhost:2.63.0
agnhost agnhost-old $e2e/agnhost:2.55 --file "$here/conformance/go.mod:/etc/old:644"
