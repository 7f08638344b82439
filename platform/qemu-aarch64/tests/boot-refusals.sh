#!/usr/bin/env bash
# What the kernel says when it cannot boot: one line on the UART that names what is missing, then it stops.
set -euo pipefail
kernel=target/axiom/kernel-aarch64.img out=target/axiom/tests; mkdir -p "$out" target/axiom/logs
log=target/axiom/logs/boot-refusals.log; : >"$log"
initrd=target/axiom/qemu-aarch64.bundle
failed=0
refuse() { # what, expected text, QEMU's arguments...
  local what=$1 text=$2 said; shift 2
  said=$(timeout -k 1 10 qemu-system-aarch64 -nic none -M virt,gic-version=3 -cpu cortex-a76 -m 256M -nographic -kernel "$kernel" "$@" </dev/null 2>&1 || true)
  printf '%s\n' "== $what" "$said" >>"$log"
  if ! grep -qi -- "axiom: boot stopped:.*$text" <<<"$said"; then
    echo "boot-refusals: $what: no line 'boot stopped: ... $text'; the console said: ${said:-nothing}" >&2; failed=1
  fi
}
qemu-system-aarch64 -nic none -M virt,gic-version=3,dumpdtb="$out/virt.dtb" -cpu cortex-a76 -m 256M -nographic -initrd "$initrd" -kernel "$kernel" >/dev/null 2>&1
dtc -q -I dtb -O dts "$out/virt.dtb" -o "$out/virt.dts"
# A node is dropped from its line to the closing brace at the same depth.
without() { awk -v node="$1" '!skip && $0 ~ "^\t" node { skip = 1 } !skip { print } skip && /^\t};/ { skip = 0 }' "$out/virt.dts" | dtc -q -f -I dts -O dtb -o "$out/$2.dtb" 2>/dev/null; }
without 'intc@' no-gic; without 'memory@' no-memory
head -c 3000 "$initrd" >"$out/truncated.elf"; echo "neither bundle nor ELF" >"$out/garbage"
refuse "no initrd" "initial RAM disk\|initrd"
refuse "an initrd that is no ELF" "ELF" -initrd "$out/garbage"
refuse "an ELF that is cut short" "ELF" -initrd "$out/truncated.elf"
refuse "a device tree without interrupt controller" "interrupt controller\|GIC" -initrd "$initrd" -dtb "$out/no-gic.dtb"
# The initrd (QEMU: 128 MiB into this RAM) in memory that stays unmapped.
unmapped() { # first address, bytes
  { sed '$d' "$out/virt.dts"; echo "reserved-memory { #address-cells = <2>; #size-cells = <2>; ranges; firmware { reg = <0 $1 0 $2>; no-map; }; }; };"; } |
    dtc -q -f -I dts -O dtb -o "$out/no-map.dtb"
}
unmapped 0x48000000 0x10000
refuse "an initrd in memory marked no-map" "no-map" -initrd "$initrd" -dtb "$out/no-map.dtb"
unmapped 0x40000000 0x4000000
refuse "a kernel in memory marked no-map" "kernel was not loaded into RAM" -initrd "$initrd" -dtb "$out/no-map.dtb"
unmapped 0x48000000 0x8000000
refuse "a device tree in memory that it marks no-map" "device tree does not lie in RAM" -initrd "$initrd" -dtb "$out/no-map.dtb"
# QEMU puts memory into any tree that it hands over, so this one is loaded as plain bytes, and three instructions hand it over:
# x0 = 0x48000000 (the tree), x1 = 0x40200000 (the kernel), br x1.
printf '\x00\x00\xa9\xd2\x01\x04\xa8\xd2\x20\x00\x1f\xd6' >"$out/start.bin"
said=$(timeout -k 1 10 qemu-system-aarch64 -nic none -M virt,gic-version=3 -cpu cortex-a76 -m 256M -nographic \
  -device loader,file="$out/start.bin",addr=0x40180000,force-raw=on,cpu-num=0 \
  -device loader,file="$kernel",addr=0x40200000,force-raw=on \
  -device loader,file="$out/no-memory.dtb",addr=0x48000000,force-raw=on </dev/null 2>&1 || true)
printf '%s\n' "== a device tree without memory" "$said" >>"$log"
if ! grep -qi "axiom: boot stopped:.*\(memory\|RAM\)" <<<"$said"; then
  echo "boot-refusals: a device tree without memory: no line 'boot stopped'; the console said: ${said:-nothing}" >&2; failed=1
fi
exit $failed
