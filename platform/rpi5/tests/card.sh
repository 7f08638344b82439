#!/usr/bin/env bash
# The card as it is flashed: written to a file by the tool that writes cards, read back by it, and the kernel and the bundle
# taken from there run to the report.
set -euo pipefail
bin=$1 board=platform/rpi5/model.options out=target/axiom/tests/rpi5-card
rm -rf "$out"; mkdir -p "$out"
"$bin/axiom-rpi5" flash target/axiom/rpi5/axiom-rpi5.img "$out/card.img" >"$out/flash.log"
"$bin/axiom-rpi5" unpack "$out/card.img" "$out" >/dev/null
for file in kernel.img:target/axiom/kernel-aarch64.img initramfs.bundle:target/axiom/rpi5/rpi5.bundle board.dtb:target/axiom/rpi5/bcm2712-axiom.dtb; do
  cmp "$out/${file%%:*}" "${file#*:}"
done
rm "$out/card.img"
exec "$bin/axiom-runner" --quiet --board "$board" --name rpi5-card --icount --timeout 240 \
  --kernel "$out/kernel.img" --bundle "$out/initramfs.bundle" --dtb "$out/board.dtb" \
  --expect "init: all servers are ready" --expect "-----END AXIOM REPORT-----" --forbid "died:"
