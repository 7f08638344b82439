#!/usr/bin/env bash
# The harness finds what it is looking for: the benchmark's partner answers 25 us late, and the figure of the round trip says so.
set -euo pipefail
bin=${1:?usage: injected-delay.sh TOOLS-DIR IMAGES-DIR}; images=${2:?}
out=target/axiom/tests; mkdir -p "$out"
cat >"$out/injected-delay.toml" <<'TOML'
extends = "../../../platform/qemu-aarch64/system.toml"
[server.bench-partner.args]
delay_us = 25
TOML
"$bin/axiom-compose" "$out/injected-delay.toml" -o "$out/injected-delay.bundle" --report "$out/injected-delay.report" --images "$images" --blobs target/axiom/programs >/dev/null
"$bin/axiom-runner" --quiet --icount --timeout 300 --bundle "$out/injected-delay.bundle" --name injected-delay
found=$("$bin/axiom-bench-report" figure target/axiom/logs/injected-delay.log ipc.postcard.round_trip)
# The delay, and on top what the way takes without it: about a microsecond.
case $found in
  *" ns") awk -v ns="${found% ns}" 'BEGIN { exit !(ns > 25000 && ns < 28000) }' || { echo "injected-delay: 25 us were put in, the figure is $found" >&2; exit 1; } ;;
  *) echo "injected-delay: the figure has the unit of '$found', not ns" >&2; exit 1 ;;
esac
