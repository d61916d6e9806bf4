#!/usr/bin/env bash
# Builds Ebbtide, starts it and plays one job of a GoCD server that isn't there: its messages in, an agent container up,
# docker used inside it, the job's end, and an engine with nothing left on it. Needs no GoCD and no registry.
#   --once         end when it has been shown, instead of staying up
#   --port NUMBER  of the server on 127.0.0.1 (8160)
#   --with-bridge  also builds the JAR that a real GoCD loads
set -euo pipefail
cd "$(dirname "$0")/.."

once=
bridge=
port=8160
while [ $# -gt 0 ]; do
  case $1 in
    --once) once=yes; shift ;;
    --with-bridge) bridge=yes; shift ;;
    --port) port=${2:?--port needs a number}; shift 2 ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart: unknown option $1; see --help" >&2; exit 2 ;;
  esac
done

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

step "1. What building needs"
deploy/setup.sh --demo
echo "there"

step "2. Building build/release/ebbtide (some minutes the first time)"
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 # so that other builds of this tree find what this one made
cmake --preset release >/dev/null
cmake --build --preset release --target ebbtide | tail -n 1
if [ -n "$bridge" ]; then
  step "2b. Building the bridge"
  mvn -q -B -f plugin/bridge/pom.xml -Dmaven.test.skip=true package
  jar=$(echo "$PWD"/plugin/bridge/target/ebbtide-bridge-*.jar)
  echo "$jar"
fi

work=$(mktemp -d /tmp/ebbtide-demo.XXXXXX)
server=
engine=
finish() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
  [ -z "$engine" ] || tests/support/engine.sh stop "$work/engine"
  # What the server staged for living agents: removing a folder with mounts would empty them.
  awk -v dir="$work/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r -n 1 umount -l
  grep -q " $work/" /proc/self/mountinfo || rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

step "3. A Docker engine"
if docker version >/dev/null 2>&1; then
  address=${DOCKER_HOST:-unix:///var/run/docker.sock}
  echo "one answers: $address"
else
  echo "none answers: starting one for the demonstration"
  engine=yes
  address=$(tests/support/engine.sh start "$work/engine")
  echo "$address"
fi
export DOCKER_HOST=$address
tests/support/images.sh

step "4. Starting the server"
build/release/ebbtide serve --listen "127.0.0.1:$port" --state-dir "$work/state" --run-dir "$work/run" 2>"$work/log" &
server=$!
for _ in $(seq 100); do
  curl -fsS "http://127.0.0.1:$port/healthz" >/dev/null 2>&1 && break
  kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  read -rt 0.1 <> <(:) || true
done
echo "http://127.0.0.1:$port/"

step "5. One job, as GoCD would send it"
PYTHONPATH=tests/tools python3 deploy/demo.py "http://127.0.0.1:$port" "$address"

step "6. Done"
if [ -n "$bridge" ]; then
  cat <<END
The bridge for a real GoCD server is $jar
  Copy it to plugins/external below GoCD's folder, set EBBTIDE_URL and EBBTIDE_TOKEN in GoCD's environment, and restart
  GoCD. The server must then run with the same EBBTIDE_TOKEN. docs/bridge.md has the rest.
END
fi
if [ -n "$once" ]; then
  echo "The demonstration went as it should."
  exit 0
fi
echo "The status page is at http://127.0.0.1:$port/ ; Ctrl-C ends the server."
wait "$server"
