#!/usr/bin/env bash
# A checkout, a target folder and a TMPDIR with blanks, an umlaut, both kinds of quotes and a comma in their names: the Raspberry Pi 5's image is
# made there, the same as elsewhere, and the system boots to its verdict and its report.
#
# The kernel and init, whose build scripts hand paths of the tree to the linker, are built there; the rest is taken from this tree.
set -euo pipefail
fail() { echo "odd-path: $*" >&2; exit 1; }
bin=$(cd "$1" && pwd); root=$PWD
top="$root/target/axiom/tests/odd-path"; rm -rf "$top"
tree="$top/it's \"a\" ü, b/tree, x"; built="$top/it's \"a\" ü, b/target, 'ö' \"q\""
platform/tools/copy-tree "$tree" "$built"
# A socket's path must be short.
temporary=$(mktemp -d "/tmp/it's \"a\" ü, b.XXXXXX"); trap 'rm -rf "$temporary"' EXIT
export CARGO_TARGET_DIR=$built TMPDIR=$temporary AXIOM_BUILD_ONLY="axiom-kernel axiom-init"
cd "$tree"
said=$top/said
./justw image-rpi5 >"$said" 2>&1 </dev/null || fail "image-rpi5: $(tail -n 3 "$said")"
for part in kernel-aarch64.img rpi5/bcm2712-axiom.dtb; do
  cmp "target/axiom/$part" "$root/target/axiom/$part" || fail "$part is another one there"
done
"$bin/axiom-rpi5" list target/axiom/rpi5/axiom-rpi5.img >"$top/list"
grep -q 'axiom.bundle ' "$top/list" && grep -q 'made from commit unknown' "$top/list" || fail "the image's list: $(cat "$top/list")"
./justw qemu-aarch64 --timeout 240 >"$said" 2>&1 </dev/null || fail "qemu-aarch64: $(tail -n 3 "$said")"
grep -q '^axiom: run ended: ok$' "$said" || fail "no verdict: $(tail -n 3 "$said")"
./justw report >"$said" 2>&1 || fail "report: $(tail -n 3 "$said")"
grep -q '^Beside other systems' "$said" || fail "the report has nothing beside"
./justw grants >"$said" 2>&1 || fail "grants: $(tail -n 3 "$said")"
grep -q '^== iio-server$' "$said" || fail "grants lists no servers"
# Nothing is left behind.
left=$(ls -A "$temporary"); [ -z "$left" ] || fail "TMPDIR keeps $left"
# What was built there is large, and of no use to anybody else.
rm -rf "$built"
