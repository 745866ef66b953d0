#!/bin/sh
# From a fresh checkout to a workspace that runs: installs what is missing, builds, shows one round trip on the
# process runtime in a store of its own, and leaves nothing behind but build/release.
set -eu
cd "$(dirname "$0")/.."
. cmake/debian_packages.sh

for argument in "$@"; do
  echo "usage: cmake/quickstart.sh (takes no arguments, not even '$argument')" >&2
  exit 2
done

install_missing cmake/debian-packages.txt build run
cmake --preset release -G Ninja -DBUILD_TESTING=OFF </dev/null >&2
cmake --build --preset release </dev/null >&2

PATH=$PWD/build/release/bin:$PATH
place=$(mktemp -d "${TMPDIR:-/tmp}/kortex-quickstart-XXXXXX")
export KORTEX_CLI_STORAGE="$place/store"
leave() {
  status=$?
  trap - EXIT
  if [ -e "$KORTEX_CLI_STORAGE/names/demo" ]; then
    kortex-cli remove --force demo >/dev/null || status=1
  fi
  rm -rf "$place"
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$place/demo"
echo 'print("hello")' >"$place/demo/hello.py"
cd "$place"

show() {
  printf '\n$ %s\n' "$*"
  sh -c "$*" </dev/null
}

option=
label='in a sandbox (bubblewrap): own processes, own files, the host only where it is mounted'
if ! bwrap --unshare-user --unshare-pid --ro-bind / / true 2>"$place/reason"; then
  option=' --runtime-option sandbox=none'
  label='NOT ISOLATED (sandbox=none): the agent has all your rights'
  echo "this system does not let you make namespaces: $(cat "$place/reason" 2>/dev/null)" >&2
fi

printf '\n--- one round trip, %s\n' "$label"
show "kortex-cli init demo --runtime process$option"
show 'kortex-cli start demo'
show 'kortex-cli list'
show "kortex-cli terminal demo -- sh -c 'echo hello from \$(pwd)'"
show "printf 'three\nshort\nlines\n' | kortex-cli exec demo -- wc -l"
show 'kortex-cli stop demo'
show 'kortex-cli remove demo'

cat <<END

That was a plain shell as the agent. On your own folder, with an agent you have installed:

  export PATH=$(dirname "$(command -v kortex-cli)"):\$PATH
  cd ~/src/some-project
  kortex-cli agent list
  kortex-cli init --runtime process$option --agent claude --start
  kortex-cli terminal some-project        # leave with ctrl-p ctrl-q; it keeps running
END
