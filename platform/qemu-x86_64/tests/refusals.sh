#!/usr/bin/env bash
# What the kernel cannot boot from is a line on COM1 that names it: refusals.sh TOOLS-DIR
set -uo pipefail
bin=${1:?usage: refusals.sh TOOLS-DIR}
image=${CARGO_TARGET_DIR:-target}/x86_64-unknown-none/system/axiom-root-test
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
head -c 5000 /dev/zero >"$folder/zeroes"
head -c 100000 "$image" >"$folder/half"
# The same file for another processor: e_machine 183.
cp "$image" "$folder/arm"; printf '\xb7\x00' | dd of="$folder/arm" bs=1 seek=18 conv=notrunc status=none
bad=0
refuses() { # name, what it must say, runner's options...
  local name=$1 says=$2; shift 2
  if "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --no-sensors --name "qemu-x86_64-refuses-$name" --icount \
    --no-verdict --expect "axiom: boot stopped: " --expect "$says" --timeout 60 "$@" </dev/null; then
    echo "  refuses $name: ok"
  else
    echo "  refuses $name: FAILED"; bad=1
  fi
}
refuses no-module "no module: the root task" --no-bundle
refuses zeroes "neither a bundle nor an ELF file" --bundle "$folder/zeroes"
refuses half "the root task's ELF file is damaged or cut short" --bundle "$folder/half"
refuses another-processor "is for machine 183; build it for x86_64 (62)" --bundle "$folder/arm"
refuses no-acpi "no ACPI: the boot loader names no root pointer" --bundle "$image" --machine microvm,acpi=off,isa-serial=on
refuses no-clock "neither an HPET nor an ACPI power management timer" --bundle "$image" --machine microvm,isa-serial=on,pit=off,rtc=off
refuses no-fxsave "the processor has no FXSAVE and SSE, which this kernel needs" --bundle "$image" --cpu qemu64,fxsr=off
exit $bad
