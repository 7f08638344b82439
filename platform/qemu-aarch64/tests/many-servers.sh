#!/usr/bin/env bash
# As many servers as a system can have: they all start, and a fifth of init's heap is free. One more is refused by compose.
set -euo pipefail
bin=$1 images=$2 out=target/axiom/tests; mkdir -p "$out"
manifest=$out/many-servers.toml
servers() { # how many besides those of the system that is extended
  printf 'extends = "%s/platform/qemu-aarch64/gpio.toml"\n[system]\nprint_facts = true\n' "$PWD"
  for i in $(seq "$1"); do
    printf '[server.idle-%s]\nimage = "axiom-watchdog-server"\npriority = %s\nbackground = true\nargs = { timeout_ms = 1000 }\n' "$i" $((60 + i % 9))
  done
}
fail() { echo "many-servers: $*" >&2; exit 1; }
compose() { "$bin/axiom-compose" "$manifest" -o "$out/many-servers.bundle" --report "$out/many-servers.report" --images "$images" --blobs target/axiom/programs; }
servers 0 >"$manifest"
own=$(compose | sed -nE 's/^.*: ([0-9]+) servers.*/\1/p')
most=$((62 - own))
servers $((most + 1)) >"$manifest"
if said=$(compose 2>&1); then fail "63 servers are composed"; fi
grep -q 'a system has 1 to 62 servers' <<<"$said" || fail "63 servers are refused for something else: $said"
servers "$most" >"$manifest"
compose >/dev/null
"$bin/axiom-runner" --quiet --icount --no-sensors --name many-servers --timeout 120 --expect "init: facts: at most" --no-verdict \
  --bundle "$out/many-servers.bundle" </dev/null
line=$(tr -d '\r' <target/axiom/logs/many-servers.log | grep -a "init: facts: at most") || fail "init does not say how full its heap was"
read -r used of <<<"$(sed -nE 's/.*at most ([0-9]+) bytes .* of ([0-9]+) were.*/\1 \2/p' <<<"$line")"
[ $((used * 5)) -le $((of * 4)) ] || fail "$used of $of bytes of init's heap were in use: no fifth of it is free"
