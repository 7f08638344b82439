#!/usr/bin/env bash
# What lies in the FPU's registers while threads run: fpu.sh TOOLS-DIR
#
# A thread of the root task holds a pattern in all of them; another one beside it never asks for the FPU. While that one runs, nothing of the
# pattern may lie there, not even where only a speculating core would find it (CVE-2018-3665): the emulator shows all registers, at the
# places of both threads. With each set of components that a processor can have: XSAVE with AVX, without, without XSAVEOPT, and FXSAVE.
set -uo pipefail
bin=${1:?usage: fpu.sh TOOLS-DIR}
image=${CARGO_TARGET_DIR:-target}/x86_64-unknown-none/system/axiom-root-test
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
bad=0
say() { if [ "$1" = 0 ]; then echo "  fpu: $2: ok"; else echo "  fpu: $2: FAILED"; bad=1; fi; }
place() { nm "$image" | sed -n "s/^0*\([0-9a-f]*\) . $1\$/0x\1/p"; }
holds=$(place root_test_holding) stands=$(place root_test_bystander)
if [ -z "$holds" ] || [ -z "$stands" ]; then
  echo "fpu.sh: $image has no root_test_holding or root_test_bystander" >&2; exit 1
fi
run() { # name, facts, lines with the pattern while it is held: no fewer than, runner's options...
  local name=$1 facts=$2 least=$3 holder bystander; shift 3
  "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --no-sensors --name "qemu-x86_64-fpu-$name" --root-task --icount \
    --bundle "$image" --timeout 240 --expect "$facts" --expect " checks, 0 failed" --expect "axiom: run ended: ok" "$@" \
    --qemu-argument -d --qemu-argument cpu,fpu,nochain --qemu-argument -dfilter --qemu-argument "$holds+1,$stands+1" \
    --qemu-argument -D --qemu-argument "$folder/$name" </dev/null
  say $? "$name: the checks"
  # One dump each time that the place is come to: RIP begins it, and its registers follow.
  for who in holder bystander; do
    awk -v who=$who -v stands="$(printf 'RIP=%016x' "$stands")" -v least="$least" '
      /^RIP=/ { end(); mine = (index($0, stands) == 1) == (who == "bystander"); found = 0; fpr = 0 }
      mine && /(5ec2e7|5EC2E7)/ { found++ }
      function end() { if (mine) { dumps++; if (found >= least) full++; if (found) some++ } }
      END { end(); print dumps + 0, full + 0, some + 0 }' "$folder/$name" >"$folder/$name.$who"
  done
  read -r dumps full _ <"$folder/$name.holder"
  [ "$dumps" -gt 50 ] && [ "$full" -gt 50 ]; say $? "$name: the pattern is seen while it is held ($full of $dumps looks)"
  read -r dumps _ some <"$folder/$name.bystander"
  [ "$dumps" -gt 50 ] && [ "$some" = 0 ]; say $? "$name: nothing of it while the other runs ($some of $dumps looks)"
}
run avx "x87/sse/avx state by xsaveopt in 832 bytes, cleared" 16
run xsave "x87/sse/avx state by xsave in 832 bytes, cleared" 16 --cpu max,xsaveopt=off
run no-avx "x87/sse state by xsaveopt in 576 bytes, cleared" 8 --cpu max,avx=off
run no-xsave "x87/sse state by fxsave in 512 bytes, cleared" 8 --cpu Nehalem
exit $bad
