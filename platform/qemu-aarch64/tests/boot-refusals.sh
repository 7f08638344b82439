#!/usr/bin/env bash
# What the kernel says when it cannot boot: one line on the UART that names what is missing, then it stops. And what it says when it
# boots all the same: with its console elsewhere, or on another core.
set -euo pipefail
kernel=target/axiom/kernel-aarch64.img out=target/axiom/tests; mkdir -p "$out" target/axiom/logs
log=target/axiom/logs/boot-refusals.log; : >"$log"
images=${2:?usage: boot-refusals.sh TOOLS-DIR IMAGES-DIR}
initrd=target/axiom/qemu-aarch64.bundle
machine=(qemu-system-aarch64 -nic none -M virt,gic-version=3 -cpu cortex-a76 -m 256M -nographic)
failed=0
expect() { # what, expected text, what was said
  printf '%s\n' "== $1" "$3" >>"$log"
  if ! grep -q -- "$2" <<<"$3"; then
    echo "boot-refusals: $1: no line '$2'; the console said: ${3:-nothing}" >&2; failed=1
  fi
}
refuse() { # what, expected text, QEMU's arguments...
  local what=$1 text=$2; shift 2
  expect "$what" "^axiom: boot stopped: .*$text" "$(timeout -k 1 10 "${machine[@]}" -kernel "$kernel" "$@" </dev/null 2>&1 || true)"
}
"${machine[@]}" -M dumpdtb="$out/virt.dtb" -initrd "$initrd" -kernel "$kernel" >/dev/null 2>&1
dtc -q -I dtb -O dts "$out/virt.dtb" -o "$out/virt.dts"
tree() { dtc -q -f -I dts -O dtb -o "$out/$1.dtb" 2>/dev/null; } # its source is the input
# A node is dropped from its line to the closing brace at the same depth.
without() { awk -v node="$1" '!skip && $0 ~ "^\t" node { skip = 1 } !skip { print } skip && /^\t};/ { skip = 0 }' "$out/virt.dts" | tree "$2"; }
# More nodes and properties, below the root and in /chosen; more entries of the reservation block.
with() { { echo "/dts-v1/;"; printf '%s\n' "${2:-}"; sed '/dts-v1/d' "$out/virt.dts"; printf '/ { %s };\n' "$1"; } | tree "$3"; }
# QEMU writes memory and initrd into any tree that it hands over. Where that would hide what a test is about, tree, kernel and initrd
# are loaded as plain bytes, and a few instructions hand the tree over: these set x0 to the tree, and jump to the kernel.
le() { local w; for w in "$@"; do printf "\\x${w:6:2}\\x${w:4:2}\\x${w:2:2}\\x${w:0:2}"; done; }
le d2a8e000 d2a80401 d61f0020 >"$out/start.bin" # mov x0, #0x47000000; mov x1, #0x40200000; br x1
# With firmware's help (PSCI CPU_ON, whose last argument comes in x0) the second core boots, and the first sleeps.
le d2800060 f2b88000 d2800021 d2a80402 d2a8e003 d4000002 d503207f 17ffffff >"$out/start-second.bin"
raw() { # start, tree, QEMU's arguments...
  local start=$1 tree=$2; shift 2
  timeout -k 1 120 "${machine[@]}" -device loader,file="${out//,/,,}/$start.bin",addr=0x40180000,force-raw=on,cpu-num=0 \
    -device loader,file="${kernel//,/,,}",addr=0x40200000,force-raw=on \
    -device loader,file="${out//,/,,}/$tree.dtb",addr=0x47000000,force-raw=on "$@" </dev/null 2>&1 || true
}
refuse_raw() { expect "$1" "^axiom: boot stopped: .*$2" "$(raw start "$3")"; } # what, expected text, tree

head -c 3000 "$initrd" >"$out/truncated.elf"; echo "neither bundle nor ELF" >"$out/garbage"
refuse "no initrd" "no initial RAM disk: /chosen has no linux,initrd-start and -end"
refuse "an initrd that is no ELF" "neither a bundle nor an ELF file" -initrd "$out/garbage"
refuse "an ELF that is cut short" "damaged or cut short: segment 0 has 0x[0-9a-f]* bytes at 0x1000, and the file ends at 0xbb8" -initrd "$out/truncated.elf"
without 'intc@' no-gic; without 'memory@' no-memory
refuse "a device tree without interrupt controller" "no interrupt controller" -initrd "$initrd" -dtb "$out/no-gic.dtb"
refuse_raw "a device tree without memory" "no memory: the device tree has no node" no-memory

# The disk's bounds, as somebody may have written them.
disk() { with "chosen { /delete-property/ linux,initrd-start; /delete-property/ linux,initrd-end; $1 };" "" "$2"; }
disk 'linux,initrd-start = <0x49000000>; linux,initrd-end = <0x48ffffff>;' backwards
refuse_raw "a disk that ends before it starts" "ends (0x48ffffff) before it starts (0x49000000)" backwards
disk 'linux,initrd-start = <0x49000000>;' endless
refuse_raw "a disk without end" "the initial RAM disk has no linux,initrd-end" endless
disk 'linux,initrd-end = <0x49000000>;' startless
refuse_raw "a disk without start" "the initial RAM disk has no linux,initrd-start" startless
disk 'linux,initrd-start = "0x49000000"; linux,initrd-end = <0x49001000>;' text
refuse_raw "a disk whose start is text" 'linux,initrd-start in /chosen is the text "0x49000000"' text
disk 'linux,initrd-start = <0x40201000>; linux,initrd-end = <0x40202000>;' over-kernel
refuse_raw "a disk over the kernel" "the initial RAM disk (0x40201000 to 0x40202000) lies over the kernel's image" over-kernel
disk 'linux,initrd-start = <0x47000100>; linux,initrd-end = <0x47000200>;' over-tree
refuse_raw "a disk over the device tree" "lies over the device tree (0x47000000 to" over-tree

# The initrd (QEMU: 128 MiB into this RAM) in memory that stays unmapped.
unmapped() { # first address, bytes
  with "reserved-memory { #address-cells = <2>; #size-cells = <2>; ranges; firmware { reg = <0 $1 0 $2>; no-map; }; };" "" no-map
}
unmapped 0x48000000 0x10000
refuse "an initrd in memory marked no-map" "no-map" -initrd "$initrd" -dtb "$out/no-map.dtb"
unmapped 0x40000000 0x4000000
refuse "a kernel in memory marked no-map" "kernel was not loaded into RAM" -initrd "$initrd" -dtb "$out/no-map.dtb"
unmapped 0x48000000 0x8000000
refuse "a device tree in memory that it marks no-map" "device tree does not lie in RAM" -initrd "$initrd" -dtb "$out/no-map.dtb"
# What is reserved is honoured to the last entry, or nothing runs.
with "" "$(for i in $(seq 40); do printf '/memreserve/ 0x%x 0x1000;' $((0x4c000000 + i * 0x2000)); done)" reserved
refuse "forty entries in the reservation block" "in more than 32 pieces" -initrd "$initrd" -dtb "$out/reserved.dtb"
with "reserved-memory { #address-cells = <2>; #size-cells = <2>; firmware { reg = <0 0x4c000000 0 0x1000>; }; };" "" no-ranges
refuse "reserved memory without ranges" "/reserved-memory/firmware: its reg is not" -initrd "$initrd" -dtb "$out/no-ranges.dtb"
deep=$(for i in $(seq 18); do printf 'n%d { ' "$i"; done; for i in $(seq 18); do printf '}; '; done)
with "$deep" "" deep
refuse "a tree that is nested too deep" "nested deeper than 16" -initrd "$initrd" -dtb "$out/deep.dtb"

# Another console than the one that is named.
console() { # what, what /chosen and the root have, expected first line
  with "$2" "" console
  expect "$1" "$3" "$(timeout -k 1 10 "${machine[@]}" -kernel "$kernel" -dtb "$out/console.dtb" </dev/null 2>&1 | head -n 1 || true)"
}
console "a named console that is disabled" 'chosen { stdout-path = "/spare"; }; spare { compatible = "arm,pl011"; status = "disabled"; };' \
  "^axiom: stdout-path names /spare, which is disabled; writing to /pl011@9000000 instead"
console "a named console that is not there" 'chosen { stdout-path = "/gone:115200n8"; };' \
  "^axiom: stdout-path names /gone, which is not there; writing to /pl011@9000000 instead"
console "a console that nobody names" 'chosen { /delete-property/ stdout-path; };' \
  "^axiom: /chosen has no stdout-path; writing to /pl011@9000000 instead"

# On the second core of two: its own redistributor, its own timer.
"${machine[@]}" -smp 2 -M dumpdtb="$out/two.dtb" -initrd "$initrd" -kernel "$kernel" >/dev/null 2>&1
dtc -q -I dtb -O dts "$out/two.dtb" -o "$out/virt.dts"
root=$images/axiom-root-test
disk "linux,initrd-start = <0x49000000>; linux,initrd-end = <$((0x49000000 + $(stat -c %s "$root")))>;" second
expect "a boot on the second core" "^axiom: run ended: ok" "$(raw start-second second -smp 2 -icount shift=0 -device loader,file="${root//,/,,}",addr=0x49000000,force-raw=on)"
# A region with room for the first core's redistributor alone.
sed -i 's/reg = <0x00 0x8000000 0x00 0x10000 0x00 0x80a0000 0x00 0xf60000>/reg = <0x00 0x8000000 0x00 0x10000 0x00 0x80a0000 0x00 0x20000>/' "$out/virt.dts"
disk "linux,initrd-start = <0x49000000>; linux,initrd-end = <0x49100000>;" one-redistributor
expect "no redistributor for the second core" "no redistributor for this core (affinity 0x1): none of the 1" "$(raw start-second one-redistributor -smp 2)"
exit $failed
