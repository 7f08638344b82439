#!/usr/bin/env bash
# VERW before user space and barriers between address spaces, on an emulator whose processors announce neither: mitigations.sh TOOLS-DIR
#
# The word axiom.mitigate=all asks for them. What runs is looked at in the emulator's own listing of the kernel's instructions; without
# the word there must be none of it, and no instruction in its place.
set -uo pipefail
bin=${1:?usage: mitigations.sh TOOLS-DIR}
image=${CARGO_TARGET_DIR:-target}/x86_64-unknown-none/system/axiom-root-test
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
bad=0
say() { if [ "$1" = 0 ]; then echo "  mitigations: $2: ok"; else echo "  mitigations: $2: FAILED"; bad=1; fi; }
run() { # name, words, more options...
  local name=$1 words=$2; shift 2
  "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --no-sensors --name "qemu-x86_64-mitigations-$name" --root-task --icount \
    --bundle "$image" --timeout 240 --append "axiom.exit=0xf4 $words" --expect " checks, 0 failed" --expect "axiom: run ended: ok" "$@" \
    --qemu-argument -d --qemu-argument in_asm --qemu-argument -dfilter --qemu-argument 0xffffffff80000000..0xffffffffffffffff \
    --qemu-argument -D --qemu-argument "$folder/$name" </dev/null
  say $? "the checks, $name"
}
# Where an instruction was run, each address once; and how many of those stand right after VERW and the last register.
places() { sed -n "s/^\(0x[0-9a-f]*\): .*\b$2\b.*/\1/p" "$folder/$1" | sort -u; }
behind_verw() { # name, instruction
  local at
  for at in $(places "$1" "$2"); do
    grep -q "^$(printf '0x%016x' $((at - 12))): .*\bverw\b" "$folder/$1" && echo "$at"
  done
}
count() { wc -l | tr -d ' '; }
run plain ""
run forced axiom.mitigate=all
run forced-old axiom.mitigate=all --cpu qemu64,fsgsbase=off
[ "$(places plain verw | count)" = 0 ]; say $? "no VERW unless it is asked for"
[ "$(places plain sysretq | count)" -ge 2 ] && [ "$(places plain 'wrfsbaseq*' | count)" -ge 1 ] && [ "$(places plain wrmsr | count)" -ge 1 ]
say $? "the listing has what runs"
for name in forced forced-old; do
  [ "$(places $name sysretq | count)" = 1 ] && [ "$(behind_verw $name sysretq | count)" = 1 ]
  say $? "$name: every SYSRET is right after VERW"
  # The other IRET is that of an interrupt where the kernel waits: it stays in the kernel.
  [ "$(places $name iretq | count)" = 2 ] && [ "$(behind_verw $name iretq | count)" = 1 ]
  say $? "$name: every IRET to user space is right after VERW"
  barrier=$(grep -A 8 'movl *\$0x49, %ecx' "$folder/$name" | grep -c wrmsr) loads=$(places $name 'movq *%rdi, %cr3' | count)
  [ "$barrier" -ge 1 ] && [ "$loads" = 1 ]; say $? "$name: every new address space comes with a barrier"
done
grep -q 'movl *\$0x49, %ecx' "$folder/plain" && say 1 "no barrier unless it is asked for"
[ "$(places forced-old 'rdfsbaseq*' | count)" = 0 ]; say $? "no instructions for FS and GS where the processor has none"
exit $bad
