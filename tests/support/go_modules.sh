# For scripts that build programs from their sources by way of the Go module proxy; to be sourced. $work: a folder of
# theirs that is removed at their end.
go=$(command -v go)
export GOTOOLCHAIN=local GOFLAGS=-mod=mod

folder_of() { # module@version; several tries, since proxies have bad moments
  local try folder
  for try in 1 2 3; do
    folder=$("$go" mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    [ -z "$folder" ] || { echo "$folder"; return; }
  done
  echo "the module $1 can't be had" >&2
  return 1
}

# A copy that may be changed.
sources_of() { # module@version, folder
  cp -r "$(folder_of "$1")" "$2"
  chmod -R u+w "$2"
}

# $go, of that version or later: an older one can fetch it.
need_go() { # version
  local has
  has=$("$go" env GOVERSION)
  [ "$(printf '%s\n' "$1" "${has#go}" | sort -V | head -n 1)" != "$1" ] || return 0
  sources_of "golang.org/toolchain@v0.0.1-go$1.linux-$(dpkg --print-architecture)" "$work/go"
  chmod +x "$work"/go/bin/* "$work"/go/pkg/tool/*/*
  go=$work/go/bin/go
  export GOROOT=$work/go
}
