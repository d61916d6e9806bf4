#!/usr/bin/env bash
# Docker clients that Debian lacks, built from their sources by way of the Go module proxy: clients.sh DIR puts
# docker-buildx there. Does nothing when it is there.
set -euo pipefail

version=v0.12.1
toolchain=v0.0.1-go1.21.13.linux-$(dpkg --print-architecture)
dir=${1:?usage: clients.sh DIR}
[ -x "$dir/docker-buildx" ] && exit 0

work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=mod
go=$(command -v go)
cd "$work"
folder_of() { "$go" mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }

# Debian 12's own Go is too old for it, but can fetch another.
if [[ $("$go" env GOVERSION) =~ ^go1\.(1[0-9]|20)(\.|$) ]]; then
  cp -r "$(folder_of "golang.org/toolchain@$toolchain")" "$work/go"
  chmod -R u+w "$work/go" && chmod +x "$work"/go/bin/* "$work"/go/pkg/tool/*/*
  go=$work/go/bin/go
  export GOROOT=$work/go
fi
cp -r "$(folder_of "github.com/docker/buildx@$version")" "$work/buildx"
chmod -R u+w "$work/buildx"
mkdir -p "$dir"
cd "$work/buildx"
"$go" build -trimpath -ldflags '-s -w' -o "$work/docker-buildx" ./cmd/buildx
cd - >/dev/null
mv "$work/docker-buildx" "$dir/docker-buildx"
