#!/usr/bin/env bash
# Images for tests and demonstrations, made without a registry: images.sh [dind], on the engine that DOCKER_HOST names.
#   ebbtide-test/busybox:1  busybox alone
#   ebbtide-test/agent:1    with the docker client, and a user go (uid 1000, gid 0) as in GoCD's agent images
#   ebbtide-test/dind:1     with an engine of its own (only if asked for)
set -euo pipefail

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
present() { docker image inspect "$1" >/dev/null 2>&1; }

# Copies a program and the libraries that it needs to where they are on this machine.
add_program() {
  local program target
  program=$(readlink -f "$(command -v "$1")")
  target=$root/usr/bin/${2:-$(basename "$1")}
  cp "$program" "$target"
  # A static program has none.
  (ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || true) | while read -r library; do
    [ -e "$root$library" ] || install -D "$(readlink -f "$library")" "$root$library"
  done
}

import() { tar -C "$root" -c . | docker import -c 'ENV PATH=/usr/bin:/bin' -c 'CMD ["sh"]' "${@:2}" - "$1" >/dev/null; }

mkdir -p "$root"/{bin,etc,home/go,proc,root,run,sys,tmp,usr/bin,var}
ln -s /run "$root/var/run"
chmod 1777 "$root/tmp"
cp /bin/busybox "$root/bin/busybox"
for applet in $(/bin/busybox --list); do
  [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\ngo:x:1000:0:go:/home/go:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
chown 1000:0 "$root/home/go"
present ebbtide-test/busybox:1 || import ebbtide-test/busybox:1

add_program docker
present ebbtide-test/agent:1 || import ebbtide-test/agent:1

if [ "${1:-}" = dind ] && ! present ebbtide-test/dind:1; then
  for program in dockerd containerd containerd-shim-runc-v2 runc docker-proxy docker-init; do
    path=$(command -v "$program" || find /usr/sbin /usr/bin /usr/libexec -name "$program" | head -1)
    PATH=$PATH:$(dirname "$path") add_program "$program"
  done
  add_program xtables-legacy-multi iptables
  ln -sf iptables "$root/usr/bin/ip6tables"
  modules=$(dirname "$(find /usr/lib -name libxt_conntrack.so | head -1)")
  mkdir -p "$root$modules" && cp "$modules"/*.so "$root$modules/"
  # What an inner engine can make an image of.
  tar -C "$root" -c bin/busybox bin/sh bin/sleep bin/echo | gzip >"$root/home/go/inner.tar.gz"
  import ebbtide-test/dind:1 -c 'VOLUME /var/lib/docker'
fi
