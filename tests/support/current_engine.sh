#!/usr/bin/env bash
# A current Docker engine, which Debian 12 lacks, built from its sources by way of the Go module proxy:
# current_engine.sh DIR puts dockerd and the programs that it calls there, for the PATH of engine.sh. Does nothing when
# they are there. Takes some minutes.
set -euo pipefail

dir=$(realpath -m "${1:?usage: current_engine.sh DIR}")
[ -x "$dir/dockerd" ] && exit 0

support=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
. "$support/go_modules.sh"
cd "$work"
need_go 1.26.8
sources_of github.com/moby/moby/v2@v2.0.0-beta.24 "$work/moby"
sources_of github.com/containerd/containerd/v2@v2.1.4 "$work/containerd"
sources_of github.com/opencontainers/runc@v1.3.3 "$work/runc"
mkdir -p "$dir" "$work/bin"

build() { # sources, program, package, go build's options…
  local try sources=$1 program=$2 package=$3
  shift 3
  cd "$work/$sources"
  for try in 1 2 3; do # what it is made of comes from the proxy, too
    "$go" build -trimpath -o "$work/bin/$program" "$@" "$package" && return
  done
  return 1
}
export CGO_ENABLED=0
build containerd containerd ./cmd/containerd -tags 'no_btrfs no_cri no_zfs no_devmapper' -ldflags '-s -w'
build containerd containerd-shim-runc-v2 ./cmd/containerd-shim-runc-v2 -ldflags '-s -w'
build moby docker-proxy ./cmd/docker-proxy -ldflags '-s -w'
build moby dockerd ./cmd/dockerd -tags exclude_graphdriver_btrfs -ldflags '-s -w -X github.com/moby/moby/v2/dockerversion.Version=29.0.0-beta.24'
# It names a folder of its own repository, which its module lacks; the module that stands there does as well.
sed -i '/third_party\/selinux/d' "$work/runc/go.mod"
CGO_ENABLED=1 build runc runc . -tags seccomp -ldflags '-s -w -X main.version=1.3.3'
mv "$work"/bin/* "$dir/"
