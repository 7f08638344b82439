#!/usr/bin/env bash
# The kernel alone on a PC, from a plain static ELF that expects an seL4 MCS BootInfo: root-task.sh TOOLS-DIR
#
# Two firmwares, processors with and without pages of 1 GiB, SMAP and UMIP, little memory and memory above 4 GiB, a machine without
# HPET. Instructions are counted, so that a busy host does not stretch the times that some checks bound.
set -uo pipefail
bin=${1:?usage: root-task.sh TOOLS-DIR}
image=${CARGO_TARGET_DIR:-target}/x86_64-unknown-none/system/axiom-root-test
bad=0
run() { # name, what must come, runner's options...
  local name=$1 says=$2; shift 2
  if "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --no-sensors --name "qemu-x86_64-$name" --root-task --icount \
    --bundle "$image" --timeout 240 --expect "$says" "$@" </dev/null; then
    echo "  root-task on $name: ok"
  else
    echo "  root-task on $name: FAILED"; bad=1
  fi
}
all="52 checks, 0 failed"
run q35 "$all" --expect "axiom: run ended: ok"
run qboot "$all" --qemu-argument -bios --qemu-argument qboot.rom
run skylake "smep yes, smap yes, umip absent, fsgsbase yes, 1g pages absent" --cpu Skylake-Client
run 64M "$all" --memory 64M
run 6G "$all" --memory 6G
run 64G "$all" --memory 64G --property memory-backend=mem --qemu-argument -object --qemu-argument memory-backend-ram,id=mem,size=64G,reserve=off
run 6G-without-1g "$all" --memory 6G --cpu max,pdpe1gb=off
run no-hpet "by the ACPI timer" --machine q35,sata=off,hpet=off
run plain-processor "nx yes, smep absent, smap absent, umip absent, fsgsbase absent" --cpu qemu64,fsgsbase=off
exit $bad
