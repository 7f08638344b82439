#!/usr/bin/env bash
# The image for a PC: image.sh TOOLS-DIR
#
# Made twice with another clock and in another folder it has the same bytes, also if the kernel was built in another one; written to a stick, it boots the first system by BIOS and by
# UEFI, to the verdict. What GRUB cannot load is a sentence on the serial port.
set -uo pipefail
bin=${1:?usage: image.sh TOOLS-DIR}
target=${CARGO_TARGET_DIR:-target}
out=target/axiom/tests; mkdir -p "$out"
just bundle-x86_64 >/dev/null || exit 1
bad=0
say() { if [ "$1" = 0 ]; then echo "  image: $2: ok"; else echo "  image: $2: FAILED"; bad=1; fi; }
image() { platform/tools/image-x86_64 --kernel target/axiom/kernel-x86_64.elf --bundle target/axiom/qemu-x86_64.bundle -o "$1" >/dev/null; }
image "$out/pc-1.iso" || exit 1
# At another time: a second is what file systems count in, two what FAT does.
sleep 3
(TMPDIR=$PWD/$out TZ=Asia/Tokyo LC_ALL=C.UTF-8 image "$out/pc-2.iso") || exit 1
cmp "$out/pc-1.iso" "$out/pc-2.iso"; say $? "the same bytes twice"
# Debugging information names the folder that the kernel was built in.
printf '/another/folder' >"$out/folder"
objcopy --strip-debug target/axiom/kernel-x86_64.elf "$out/kernel-elsewhere.elf" &&
  objcopy --add-section ".debug_str=$out/folder" "$out/kernel-elsewhere.elf" || exit 1
platform/tools/image-x86_64 --kernel "$out/kernel-elsewhere.elf" --bundle target/axiom/qemu-x86_64.bundle -o "$out/pc-2.iso" >/dev/null || exit 1
cmp "$out/pc-1.iso" "$out/pc-2.iso"; say $? "the same bytes from a kernel that was built in another folder"
boots() { # name, what GRUB calls the firmware, runner's options...
  local name=$1 platform=$2; shift 2
  "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --bundle target/axiom/qemu-x86_64.bundle --iso-file "$out/pc-1.iso" \
    --name "qemu-x86_64-image-$name" --timeout 900 --expect "axiom: GRUB ($platform) loads the kernel" \
    --expect "init: all servers are ready" --expect "axiom: run ended: ok" "$@" </dev/null
  say $? "boots by $name"
}
boots bios pc --iso --icount
boots uefi efi --uefi --icount
# Where the kernel is none there is a sentence, and not a dark screen.
platform/tools/image-x86_64 --kernel README.md --bundle target/axiom/qemu-x86_64.bundle -o "$out/pc-damaged.iso" >/dev/null || exit 1
"$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --iso --iso-file "$out/pc-damaged.iso" --name qemu-x86_64-image-damaged \
  --timeout 300 --icount --exit-status none --no-verdict --expect "axiom: boot stopped: GRUB could not load" </dev/null
say $? "a kernel that is none"
rm -f "$out/pc-2.iso" "$out/pc-damaged.iso" "$out/kernel-elsewhere.elf" "$out/folder"
exit $bad
