#!/usr/bin/env bash
# Builds Ebbtide and runs its tests, setting up all that they need. The last line counts: "N passed, N failed".
#   (nothing)        checks, the dev build, every test: unit, on a real engine, end to end, the bridge's
#   --quick          without the tests that need an engine
#   --asan, --tsan   also the unit and engine tests with these sanitizers
#   --fuzz SECONDS   also each fuzz target for so long
#   --current        also the tests of what jobs see on a current engine, which is built; Debian's own is an old one
#   --perf           also the measurements, printed
#   --all            everything: --asan --tsan --fuzz 60 --current --perf
#   --only REGEX     of the dev tests only those whose program matches (the bridge's is "bridge")
# DOCKER_HOST of the tests is an engine of their own, unless EBBTIDE_TEST_DOCKER_HOST names one.
set -euo pipefail
cd "$(dirname "$0")/.."

quick= asan= tsan= fuzz= current= perf= only=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=yes ;;
    --asan) asan=yes ;;
    --tsan) tsan=yes ;;
    --fuzz) fuzz=${2:?--fuzz needs seconds}; shift ;;
    --current) current=yes ;;
    --perf) perf=yes ;;
    --all) asan=yes tsan=yes fuzz=60 current=yes perf=yes ;;
    --only) only=${2:?--only needs a regular expression}; shift ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "run.sh: unknown option $1; see --help" >&2; exit 2 ;;
  esac
  shift
done

began=$SECONDS
step() { printf '\n== %s  (%d min %02d s)\n' "$*" $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)); }

work=$(mktemp -d /tmp/ebbtide-tests.XXXXXX)
building=
finish() {
  [ -z "$building" ] || kill "$building" 2>/dev/null || true
  for each in engine current; do
    [ ! -d "$work/$each" ] || tests/support/engine.sh stop "$work/$each"
  done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

step "set-up"
deploy/setup.sh

step "format, includes, docs"
git ls-files '*.h' '*.cpp' | xargs clang-format-16 --dry-run --Werror
python3 tests/tools/check_includes.py
python3 tests/tools/check_docs.py

if [ -z "$quick" ]; then
  step "an engine for the tests"
  if [ -n "${EBBTIDE_TEST_DOCKER_HOST:-}" ]; then
    export DOCKER_HOST=$EBBTIDE_TEST_DOCKER_HOST
  else
    DOCKER_HOST=$(tests/support/engine.sh start "$work/engine" --drop-sys-resource)
    export DOCKER_HOST
  fi
  tests/support/images.sh dind
  tests/support/browser.sh
  echo "$DOCKER_HOST"
fi

# Builds of one tree in several ways share what is alike.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

failed=
build() { # preset, targets…
  local preset=$1
  shift
  cmake --preset "$preset" >"$work/configure.log" || { cat "$work/configure.log"; exit 1; }
  cmake --build --preset "$preset" ${@:+--target "$@"} | tail -n 1
}
run_tests() { # preset, results folder, ctest options…
  local preset=$1 results=$work/results/$2
  shift 2
  mkdir -p "$results"
  GTEST_OUTPUT="xml:$results/" EBBTIDE_RESULTS="$results" ctest --test-dir "build/$preset" --output-on-failure "$@" ||
    failed=yes
}

# Further builds go on in the background beside the tests of the first, which mostly wait for engines.
build_quietly() { # presets…
  local preset
  for preset in "$@"; do
    nice cmake --preset "$preset" && nice cmake --build --preset "$preset" --target "$([ "$preset" = fuzz ] && echo fuzzers || echo test_programs)" ||
      return 1
  done
}

step "dev build"
build dev
others=(${asan:+asan} ${tsan:+tsan} ${fuzz:+fuzz})
if [ ${#others[@]} -gt 0 ]; then
  build_quietly "${others[@]}" >"$work/builds.log" 2>&1 &
  building=$!
fi
step "tests${building:+; beside them the builds ${others[*]}}"
run_tests dev dev ${quick:+-LE engine} ${only:+-R "$only"}

# With containerd's store of images and a BuildKit of today.
on_current_engine() {
  local DOCKER_HOST
  tests/support/current_engine.sh build/engine >"$work/current.log" 2>&1 || { tail -n 20 "$work/current.log"; return 1; }
  DOCKER_HOST=$(PATH=$PWD/build/engine:$PATH tests/support/engine.sh start "$work/current" --drop-sys-resource) || return 1
  export DOCKER_HOST
  docker version --format '{{.Server.Version}}, API {{.Server.APIVersion}}' && tests/support/images.sh || return 1
  EBBTIDE_TEST_BUILDX=v0.38.2 run_tests dev current -R '^e2e_(gateway|bypasses|isolation|images|buildkit)$'
  tests/support/engine.sh stop "$work/current"
}
if [ -n "$current" ] && [ -z "$quick" ]; then
  step "a current engine"
  on_current_engine || failed=yes
fi

if [ -n "$building" ]; then
  step "builds ${others[*]}"
  wait "$building" || { tail -n 40 "$work/builds.log"; exit 1; }
  building=
fi

# The bridge's tests, against the program of a build; quiet unless one fails.
bridge() { # binary, results folder, Maven's arguments…
  local binary=$1 results=$work/$2
  shift 2
  EBBTIDE_BINARY=$PWD/$binary mvn -q -B -f plugin/bridge/pom.xml -Dbridge.reports="$results" "$@" || failed=yes
}
if [[ bridge =~ $only ]]; then
  step "the bridge"
  bridge build/dev/ebbtide results/bridge ${quick:+-DexcludedGroups=engine} verify
  ls -l plugin/bridge/target/ebbtide-bridge-*.jar
fi

for sanitizer in ${asan:+asan} ${tsan:+tsan}; do
  step "$sanitizer tests"
  run_tests "$sanitizer" "$sanitizer" -LE "e2e${quick:+|engine}"
done

fuzz_one() { # target
  local name corpus=$work/corpus
  name=$(basename "$1")
  mkdir -p "$corpus/$name"
  "$1" -max_total_time="$fuzz" -max_len=65536 -print_final_stats=1 -artifact_prefix="$work/" "$corpus/$name" \
    >"$work/$name.log" 2>&1 || { tail -n 40 "$work/$name.log"; return 1; }
  echo "$name: $(grep -o 'number_of_executed_units: *[0-9]*' "$work/$name.log")"
}
if [ -n "$fuzz" ]; then
  step "fuzzing, $fuzz s each, two at a time"
  export -f fuzz_one
  export work fuzz
  find build/fuzz/tests/fuzz -maxdepth 1 -type f -executable -name 'fuzz_*' | sort >"$work/targets"
  [ -s "$work/targets" ] || { echo "run.sh: there is nothing to fuzz" >&2; failed=yes; }
  xargs -P 2 -I {} bash -c 'fuzz_one {}' <"$work/targets" || failed=yes
fi

if [ -n "$perf" ]; then
  step "measurements"
  cmake --preset release -B build/perf -DEBBTIDE_TESTS=ON >/dev/null
  cmake --build build/perf --target gateway_perf reap_perf site_perf ebbtide | tail -n 1
  build/perf/tests/perf/gateway_perf ${quick:+0}
  [ -n "$quick" ] || build/perf/tests/perf/reap_perf
  [ -n "$quick" ] || /usr/bin/python3 tests/perf/site_perf.py build/perf/tests/perf/site_perf
  bridge build/perf/ebbtide perf -Dmaven.test.redirectTestOutputToFile=false -Dtest=AssignLatency test
fi

step "done"
[ -z "$failed" ] || echo "something failed: see above"
python3 tests/tools/count.py "$work/results" || failed=yes
[ -z "$failed" ]
