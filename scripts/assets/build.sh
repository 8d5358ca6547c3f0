#!/bin/sh
# build.sh DIR: builds the control plane programs into DIR from their Go modules, for machines that cannot reach the
# official release downloads. The versions are those of the go.mod files beside this script, and go.sum pins every byte.
# A program that is already in DIR is kept, so an interrupted build goes on where it stopped.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: build.sh DIR" >&2; exit 2; }
mkdir -p "$1"
out=$(CDPATH= cd -- "$1" && pwd)
export CGO_ENABLED=0 GOFLAGS=-mod=readonly
export PATH="$PATH:/usr/local/go/bin"

command -v go >/dev/null || { echo "build.sh: the Go toolchain is needed to build the control plane: install Go 1.26 or newer (https://go.dev/dl/), or connect this machine so that the official downloads can be reached" >&2; exit 1; }

version=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit } $1 == "require" && $2 == "k8s.io/kubernetes" { print $3; exit }' "$here/kubernetes/go.mod")
minor=$(echo "$version" | cut -d. -f2)
stamp=k8s.io/component-base/version
ldflags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor -X $stamp.gitTreeState=clean"

# build MODULE PACKAGE NAME [LDFLAGS]: the program appears under its name only when it is whole
build() {
    [ -x "$out/$3" ] && return
    started=$(date +%s)
    printf 'building %s ...' "$3" >&2
    # what go says of its downloads is only of interest when it fails
    (cd "$here/$1" && go build -trimpath -ldflags "${4:--s -w}" -o "$out/.$3.partial" "$2" 2> "$out/.$3.log") ||
        { echo " failed" >&2; cat "$out/.$3.log" >&2; exit 1; }
    rm -f "$out/.$3.log"
    mv "$out/.$3.partial" "$out/$3"
    printf ' %s s\n' "$(($(date +%s) - started))" >&2
}

build etcd go.etcd.io/etcd/server/v3 etcd
for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    build kubernetes "k8s.io/kubernetes/cmd/$name" "$name" "$ldflags"
done
build coredns github.com/coredns/coredns coredns
