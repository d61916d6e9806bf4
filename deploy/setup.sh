#!/usr/bin/env bash
# Installs what building, testing and demonstrating Ebbtide needs on Debian 12, as root. Does nothing when all is there.
#   --build-only  without what tests and the demonstration need
#   --demo        without what only tests need
set -euo pipefail

packages=(
  clang-16 lld-16 llvm-16 libclang-rt-16-dev cmake ninja-build ccache pkg-config git dpkg-dev file
  libboost1.81-dev libcpp-httplib-dev nlohmann-json3-dev libcurl4-openssl-dev libssl-dev libspdlog-dev libgtest-dev
  libgmock-dev libsqlite3-dev libsqlitecpp-dev libtomlplusplus-dev libcli11-dev libexpected-dev prometheus-cpp-dev libre2-dev
  libnghttp2-dev libarchive-dev libprotobuf-dev protobuf-compiler ca-certificates
)
demonstration=(docker.io iptables iproute2 busybox-static python3 curl)
tests=(
  clang-tidy-16 clang-format-16 docker-compose jq openssl chromium chromium-driver python3-selenium python3-venv
  python3-yaml
  debootstrap systemd docker-registry bzip2 gcc libc6-dev libseccomp-dev
)
command -v npm >/dev/null || tests+=(npm)
# The tests build docker clients that Debian lacks; any Go will do.
command -v go >/dev/null || tests+=(golang-go)
# The bridge: any Maven and any JDK from 17 on will do, whoever installed them.
bridge=()
command -v mvn >/dev/null || bridge+=(maven)
javac=$(javac -version 2>/dev/null || true) # "javac 17.0.15"
javac=${javac#javac }
[ "${javac%%.*}" -ge 17 ] 2>/dev/null || bridge+=(openjdk-17-jdk-headless)
case ${1:-} in
  --build-only) ;;
  --demo) packages+=("${demonstration[@]}" ${bridge[@]+"${bridge[@]}"}) ;;
  '') packages+=("${demonstration[@]}" "${tests[@]}" ${bridge[@]+"${bridge[@]}"}) ;;
  *) echo "setup: unknown option $1" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "setup: these packages are missing; install them as root: ${missing[*]}" >&2
  exit 1
fi
echo "== installing ${#missing[@]} packages"
export DEBIAN_FRONTEND=noninteractive
# No service of a package may start here: the tests and the demonstration start engines of their own.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made_policy=yes
fi
finish() { [ -z "$made_policy" ] || rm -f "$policy"; }
trap finish EXIT
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
