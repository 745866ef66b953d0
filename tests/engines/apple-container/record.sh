#!/bin/sh
# What Apple's `container` says to what the apple-container runtime asks, for those who have a Mac and want to help:
#     sh record.sh >recording.jsonl            or, with another program: sh record.sh /path/to/container >recording.jsonl
# It makes one small container (of an image that is fetched where it is not there), asks everything of it, and removes it. The
# result is one JSON object a line: arguments, exit status, both streams. Read it before you send it: paths and the name
# of your machine's user may be in it. Nothing but a POSIX shell, sed and od is needed; nothing is sent anywhere.
set -u
tool=${1:-container}
name=kortex-recording-$$
image=docker.io/library/debian:stable-slim
folder=$(mktemp -d "${TMPDIR:-/tmp}/kortex-recording.XXXXXX") || exit 1
trap '"$tool" delete --force "$name" >/dev/null 2>&1; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

# Of standard input: a JSON string. Bytes that are no ASCII are written as the characters of the same number.
quoted() {
  od -An -v -tu1 | tr -s ' ' '\n' | sed '/^$/d' | awk '
    BEGIN { printf "\"" }
    { if ($1 == 34) printf "\\\""; else if ($1 == 92) printf "\\\\"; else if ($1 == 10) printf "\\n";
      else if ($1 < 32 || $1 > 126) printf "\\u%04x", $1; else printf "%c", $1 }
    END { printf "\"" }'
}

ask() {
  "$tool" "$@" >"$folder/out" 2>"$folder/err" </dev/null
  status=$?
  printf '{"argv":['
  printf '%s' "$tool" | quoted
  for word in "$@"; do
    printf ','
    printf '%s' "$word" | quoted
  done
  printf '],"status":%d,"stdout":' "$status"
  quoted <"$folder/out"
  printf ',"stderr":'
  quoted <"$folder/err"
  printf '}\n'
}

printf '{"kortex-recording":1,"by":"record.sh","machine":'
uname -mrs | quoted
printf '}\n'
ask --version
ask system status
ask system status --format json
ask image list --format json
ask list --all --format json
ask inspect "$name"
ask create --frob "$image"
mkdir "$folder/shared" && echo shared >"$folder/shared/file"
ask create --name "$name" --uid "$(id -u)" --gid "$(id -g)" --label "io.kortex.key=$name" --volume "$folder/shared:/run/kortex/state" \
  --volume "$folder/shared:/run/kortex/program:ro" --tmpfs /run/kortex/socket --cpus 1 --memory 512M --entrypoint /bin/sleep "$image" 600
ask inspect "$name"
ask start "$name"
ask start "$name"
ask inspect "$name"
ask list --all --format json
ask image list --format json
ask exec --interactive "$name" sh -c 'id; uname -m; cat /run/kortex/state/file; ls -lnd /run/kortex/*; grep kortex /proc/mounts; exit 7'
ask exec --interactive "$name" sh -c 'echo x >/run/kortex/program/y'
ask exec --interactive "$name" cat
ask exec --interactive "$name" /nowhere/at/all
ask exec --frob "$name" true
ask logs -n 20 "$name"
ask stop --time 1 "$name"
ask stop --time 1 "$name"
ask inspect "$name"
ask exec --interactive "$name" true
ask delete "$name"
ask delete --force "$name"
ask stop "$name"
ask start "$name"
ask inspect "$name"
