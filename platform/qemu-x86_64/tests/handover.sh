#!/usr/bin/env bash
# What a boot loader or firmware may hand over and QEMU's does not, each a line on COM1, or the root task's checks to the end: handover.sh TOOLS-DIR [CASE...]
#
# axiom-handover makes a file of the kernel and a case (platform/tools/handover). By qboot, which leaves memory alone and is quick.
set -uo pipefail
bin=${1:?usage: handover.sh TOOLS-DIR [CASE...]}; shift
image=${CARGO_TARGET_DIR:-target}/x86_64-unknown-none/system/axiom-root-test
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
list=$("$bin/axiom-handover" --list) || exit 1
bad=0 tried=0
while IFS=$'\t' read -r name ending says; do
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  # A clock that stands still is noticed after ten thousand million ticks: those are seconds where ticks are the host's.
  mode=(--icount); [ "$ending" != patience ] || mode=()
  if [ "$ending" = boots ]; then mode+=(--root-task --expect "$says" --expect "axiom: run ended: ok")
  else mode+=(--no-verdict --forbid "KERNEL FAULT" --forbid "PANIC" --expect "axiom: boot stopped: " --expect "$says"); fi
  "$bin/axiom-handover" "$name" --kernel target/axiom/kernel-x86_64.elf --module "$image" -o "$folder/kernel" &&
    "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --no-sensors --name "qemu-x86_64-handover-$name" --kernel "$folder/kernel" \
      --no-bundle --timeout 120 "${mode[@]}" --qemu-argument -bios --qemu-argument qboot.rom </dev/null
  if [ $? = 0 ]; then echo "  handover $name: ok"; else echo "  handover $name: FAILED"; bad=1; fi
  tried=$((tried + 1))
done <<<"$list"
[ "$tried" -gt 0 ] || { echo "  handover: no such case: $*"; exit 1; }
exit $bad
