#!/bin/sh
# Everything from a clean checkout: installs what is missing, builds, runs the whole test suite.
#   tests/run.sh [--engines] [--preset dev|asan|release|fuzz] [-j N] [-- CTEST-ARGUMENT…]
# --engines also installs the engines the runtimes use, and makes a missing one a failure instead of a skip.
set -eu
cd "$(dirname "$0")/.."
. cmake/debian_packages.sh

usage() {
  sed -n '3,4s/^# *//p' tests/run.sh
}

engines=no preset=dev jobs=$(nproc 2>/dev/null || echo 2)
while [ $# -gt 0 ]; do
  case $1 in
    --engines) engines=yes ;;
    --preset) preset=${2:?--preset needs a name}; shift ;;
    --preset=*) preset=${1#*=} ;;
    -j) jobs=${2:?-j needs a number}; shift ;;
    -j*) jobs=${1#-j} ;;
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
case $preset in dev | asan | release | fuzz) ;; *) fail "no preset '$preset'" "tests/run.sh --preset dev" ;; esac

install_missing cmake/debian-packages.txt build test
if [ "$engines" = yes ]; then
  install_missing cmake/debian-packages.txt run engine package
  (install_missing cmake/debian-packages.txt wish) || echo "$(basename "$0"): going on without it: the tests that want it are skipped" >&2
  export KORTEX_TEST_ENGINES=required
else
  sed -n -e 's/^run //p' -e 's/^engine //p' cmake/debian-packages.txt | while read -r engine; do
    is_installed "$engine" || echo "$engine is not installed: tests that need it are skipped (tests/run.sh --engines installs it)" >&2
  done
fi

set -x
cmake --preset "$preset" -G Ninja </dev/null
cmake --build --preset "$preset" -j "$jobs" </dev/null
# Tests wait for engines half of their time.
ctest --preset "$preset" -j "$((jobs + (jobs + 1) / 2))" "$@" </dev/null
