#!/usr/bin/env bash
# The first system on a PC: first-system.sh TOOLS-DIR
#
# Servers, a program that is compiled for x86-64 and runs at a timer, the report, the run's verdict. Twice with instructions counted, so
# that the report's exact rows are the same both times; once more without pages of 1 GiB.
set -uo pipefail
bin=${1:?usage: first-system.sh TOOLS-DIR}
target=${CARGO_TARGET_DIR:-target}
out=target/axiom/tests; mkdir -p "$out"
packages="-p axiom-init -p axiom-bpf-server -p axiom-bench -p axiom-demo"
# Those without a heap by themselves: what others of a build need would become theirs.
platform/tools/axiom-cargo server-x86_64 build -q --profile system -p axiom-console -p axiom-timer-server || exit 1
# shellcheck disable=SC2086 # the words of $packages are options
platform/tools/axiom-cargo server-x86_64 build -q --profile system $packages || exit 1
"$bin/axiom-compose" platform/qemu-x86_64/system.toml -o "$out/qemu-x86_64-first.bundle" --report "$out/qemu-x86_64-first.report" \
  --images "$target/x86_64-unknown-none/system" --blobs target/axiom/programs >/dev/null || exit 1
bad=0
run() { # name, runner's options...
  local name=qemu-x86_64-first-$1; shift
  if "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --name "$name" --icount --timeout 240 \
    --bundle "$out/qemu-x86_64-first.bundle" --expect "init: all servers are ready" --expect "demo: bad_bounds.o: refused" \
    --expect "timer.deadline_to_first_bpf_instruction" --expect "axiom: run ended: ok" "$@" </dev/null; then
    echo "  first system on $name: ok"
  else
    echo "  first system on $name: FAILED"; bad=1
  fi
}
# A measurement is a line of JSON, which only the log has; the rows beside it are for people.
exact() { grep -a '^bench: {"metric":"[^"]*","unit":"insns",' "target/axiom/logs/qemu-x86_64-first-$1.log"; }
run one
run two
if [ "$(exact one | wc -l)" -lt 20 ] || ! diff <(exact one) <(exact two); then
  echo "  first system: its exact figures are missing, or differ from run to run"; bad=1
fi
run skylake --cpu Skylake-Client
exit $bad
