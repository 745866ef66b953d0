# shellcheck shell=sh
# Sourced by the scripts: installs the Debian packages of some parts of debian-packages.txt, missing ones only.
# Never upgrades, downgrades or removes anything that is installed: the plan is looked at before it is carried out.
#
#   . cmake/debian_packages.sh
#   install_missing cmake/debian-packages.txt build test

fail() {
  printf '%s: error: %s\n' "$(basename "$0")" "$1" >&2
  [ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2
  exit 1
}

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "cannot install packages: you are not root and there is no sudo" "su -c 'apt-get install --no-upgrade$missing'"
  fi
}

forget_policy() {
  [ -z "${made_policy-}" ] || as_root rm -f "$made_policy"
  made_policy=
}

install_missing() {
  list=$1
  shift
  missing=
  wanted=
  for part in "$@"; do
    wanted="$wanted $(sed -n "s/^$part //p" "$list" | tr '\n' ' ')"
  done
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "no apt-get on this system: taking it that these are here under other names:$wanted" >&2
    return 0
  fi
  for package in $wanted; do
    is_installed "$package" || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  echo "installing:$missing" >&2
  # By itself, apt upgrades what comes of the same source as something that is new (login, for libsubid4).
  keep='-o APT::Get::Upgrade-By-Source-Package=false --no-upgrade --no-remove --no-install-recommends'
  # shellcheck disable=SC2086 # lists of words
  plan=$(apt-get -s install $keep $missing 2>&1) || {
    as_root apt-get -q update >&2 || fail "cannot install$missing: apt-get update failed"
    # shellcheck disable=SC2086
    plan=$(apt-get -s install $keep $missing 2>&1) ||
      fail "cannot install$missing: $(printf '%s\n' "$plan" | sed -n 's/^E: //p' | head -n 1)"
  }
  # "Inst name (new …)" is new; "Inst name [old] (new …)" would replace what is installed.
  changed=$(printf '%s\n' "$plan" | sed -n -e 's/^Inst \([^ ]*\) \[.*/\1/p' -e 's/^Remv \([^ ]*\) .*/\1/p' | tr '\n' ' ')
  [ -z "$changed" ] ||
    fail "cannot install$missing: that would upgrade or remove $changed" "apt-get install$missing"
  # Debian's way of saying that no daemon is to be started by its installation: the tests bring up their own.
  policy=${KORTEX_POLICY_FILE:-/usr/sbin/policy-rc.d}
  made_policy=
  if [ ! -e "$policy" ]; then
    trap forget_policy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    made_policy=$policy
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >'$policy' && chmod 755 '$policy'"
  fi
  status=0
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install $keep $missing >&2 || status=$?
  forget_policy
  trap - EXIT INT TERM HUP
  [ "$status" -eq 0 ] || fail "cannot install$missing: apt-get failed"
}
