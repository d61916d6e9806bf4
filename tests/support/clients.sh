#!/usr/bin/env bash
# Docker clients that Debian lacks, built from their sources by way of the Go module proxy: clients.sh DIR
# [VERSION] puts docker-buildx there. Does nothing when it is there.
set -euo pipefail

dir=$(realpath -m "${1:?usage: clients.sh DIR [VERSION]}")
version=${2:-v0.12.1}
[ -x "$dir/docker-buildx" ] && exit 0

support=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
. "$support/go_modules.sh"
export CGO_ENABLED=0
cd "$work"
case $version in
  v0.12.*) need_go 1.21.13 ;;
  *) need_go 1.26.8 ;;
esac
sources_of "github.com/docker/buildx@$version" "$work/buildx"
mkdir -p "$dir"
cd "$work/buildx"
"$go" build -trimpath -ldflags '-s -w' -o "$work/docker-buildx" ./cmd/buildx
mv "$work/docker-buildx" "$dir/docker-buildx"
