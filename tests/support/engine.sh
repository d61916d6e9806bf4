#!/usr/bin/env bash
# A Docker engine of one's own for tests and demonstrations, beside any other: engine.sh start DIR [--drop-sys-resource]
# prints the address for DOCKER_HOST; engine.sh stop DIR ends it and removes all that it left.
#
# --tcp PORT: it listens on 127.0.0.1 too, as an engine that is reached over the network; that address is printed.
# --drop-sys-resource: its containers run without CAP_SYS_RESOURCE, so that privileged ones start where the machine
# itself lacks that capability.
set -euo pipefail

usage() { echo "usage: engine.sh start DIR [--drop-sys-resource] [--tcp PORT] | stop DIR" >&2; exit 2; }
[ $# -ge 2 ] || usage
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
socket=$dir/docker.sock
# The engine's bridge and address range have a number that no other engine of ours has.
take_number() {
  local first number
  first=$(($(printf '%s' "$dir" | cksum | cut -d' ' -f1) % 200))
  for number in $(seq "$first" 199) $(seq 0 "$first"); do
    if ip link add "ebbtest$number" type bridge 2>/dev/null; then
      echo "$number" >"$dir/number"
      return
    fi
  done
  echo "engine.sh: no number is free for the engine's bridge" >&2
  exit 1
}

# A runtime starts often: only what brings capabilities with it passes through Python.
write_runtime() {
  cat >"$dir/runtime" <<SH
#!/bin/sh
case " \$* " in
  *" create "* | *" run "* | *" exec "*) exec /usr/bin/python3 -I -S "$dir/runtime.py" "\$@" ;;
esac
exec $(command -v runc || echo /usr/sbin/runc) "\$@"
SH
  cat >"$dir/runtime.py" <<'PY'
"""runc without CAP_SYS_RESOURCE: taken out of the container's config, or of an exec's process file."""
import json, os, shutil, sys

args = sys.argv[1:]

def option(name):
    for i, arg in enumerate(args):
        if arg == name:
            return args[i + 1]
        if arg.startswith(name + "="):
            return arg.split("=", 1)[1]
    return None

def strip(path, find):
    with open(path) as file:
        document = json.load(file)
    for names in (find(document).get("capabilities") or {}).values():
        if "CAP_SYS_RESOURCE" in names:
            names.remove("CAP_SYS_RESOURCE")
    with open(path, "w") as file:
        json.dump(document, file)

if "create" in args or "run" in args:
    strip(os.path.join(option("--bundle") or option("-b") or ".", "config.json"), lambda d: d["process"])
elif "exec" in args and (option("--process") or option("-p")):
    strip(option("--process") or option("-p"), lambda d: d)
runc = shutil.which("runc") or "/usr/sbin/runc"
os.execv(runc, [runc] + args)
PY
  chmod +x "$dir/runtime"
}

start() {
  local options=() address="unix://$socket"
  while [ $# -gt 0 ]; do
    case $1 in
      --drop-sys-resource)
        write_runtime
        options+=(--add-runtime "dropped=$dir/runtime" --default-runtime dropped) ;;
      --tcp)
        shift
        address=tcp://127.0.0.1:$1
        options+=(-H "$address" --tls=false) ;;
      *) usage ;;
    esac
    shift
  done
  local number bridge
  [ -e "$dir/number" ] || take_number
  number=$(cat "$dir/number")
  bridge=ebbtest$number
  ip addr replace "10.250.$number.1/24" dev "$bridge"
  ip link set "$bridge" up
  setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" -H "unix://$socket" -p "$dir/docker.pid" \
    --bridge "$bridge" --default-address-pool "base=10.$((20 + number)).0.0/16,size=24" \
    ${options[@]+"${options[@]}"} >"$dir/log" 2>&1 </dev/null &
  for _ in $(seq 150); do
    if docker -H "unix://$socket" version >/dev/null 2>&1; then
      echo "$address"
      return
    fi
    read -rt 0.2 <> <(:) || true
  done
  echo "engine.sh: the engine did not come up; the end of its log:" >&2
  tail -20 "$dir/log" >&2
  exit 1
}

stop() {
  if [ -e "$dir/docker.pid" ]; then
    local pid containers
    pid=$(cat "$dir/docker.pid")
    containers=$(docker -H "unix://$socket" ps -aq 2>/dev/null || true)
    [ -z "$containers" ] || docker -H "unix://$socket" rm -fv $containers >/dev/null 2>&1 || true
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "$pid" 2>/dev/null || break
      read -rt 0.2 <> <(:) || true
    done
  fi
  awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
    umount -l "$mount" || true
  done
  [ ! -e "$dir/number" ] || ip link del "ebbtest$(cat "$dir/number")" 2>/dev/null || true
  rm -rf "$dir"
}

case $command in
  start) shift 2; start "$@" ;;
  stop) stop ;;
  *) usage ;;
esac
