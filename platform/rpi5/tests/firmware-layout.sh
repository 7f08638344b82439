#!/usr/bin/env bash
# Loads kernel and bundle where the card's config.txt tells the firmware to, not where the emulator would: the kernel at 0x80000,
# the bundle at 32 MiB, its bounds in /chosen. Once as a board of stepping C1, once as D0, whose tree names another interrupt.
set -euo pipefail
bin=$1 board=platform/rpi5/model.options out=target/axiom/tests/rpi5-layout
rm -rf "$out"; mkdir -p "$out"
for stepping in c1 d0; do
  card=$out/$stepping property=console-spi=121 flag=
  if [ $stepping = d0 ]; then property=console-spi=120 flag=--d0; fi
  # shellcheck disable=SC2086 # no flag is no word
  read -r _ kernel _ bundle < <("$bin/axiom-rpi5" unpack target/axiom/rpi5/axiom-rpi5.img "$card" $flag)
  size=$(stat -c %s "$card/initramfs.bundle")
  fdtput -t x "$card/board.dtb" /chosen linux,initrd-start "$(printf '%x' "$bundle")"
  fdtput -t x "$card/board.dtb" /chosen linux,initrd-end "$(printf '%x' $((bundle + size)))"
  # One file for the emulator: the kernel, a gap, the bundle; text_offset in its header says where it is loaded.
  python3 - "$card" "$kernel" "$bundle" <<'PY'
import struct, sys
folder, kernel, bundle = sys.argv[1], int(sys.argv[2], 16), int(sys.argv[3], 16)
image = bytearray(open(folder + "/kernel.img", "rb").read())
struct.pack_into("<Q", image, 8, kernel)
image += bytes(bundle - kernel - len(image)) + open(folder + "/initramfs.bundle", "rb").read()
open(folder + "/memory.img", "wb").write(image)
PY
  "$bin/axiom-runner" --quiet --board "$board" --name "rpi5-layout-$stepping" --timeout 60 --property "$property" \
    --kernel "$card/memory.img" --no-bundle --dtb "$card/board.dtb" --no-verdict --expect "init: facts: kernel at $kernel, entered at EL2"
  rm "$card/memory.img"
done
