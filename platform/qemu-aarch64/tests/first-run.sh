#!/usr/bin/env bash
# What `./justw` and the build do before anything is built: what each recipe asks for, a rustup that cannot be read, a second build, and
# which commit a checkout, a worktree and a tarball are of, and what is said of an image that is older than what it is made of. Nothing is
# installed: apt-get, rustup, cargo and just are stubs, on a path that has nothing else but what every system has; the folder has blanks, an
# umlaut, quotes and a comma in its name.
set -euo pipefail
fail() { echo "first-run: $*" >&2; exit 1; }
top=$PWD/target/axiom/tests/first-run; rm -rf "$top"
recipes=$(just --summary) || fail "this test needs just"
tree="$top/it's \"a\" ü, b"; mkdir -p "$tree" "$top/bin"
tar -cf - justw justfile platform/tools/{answer,ask,axiom-cargo,commit,packages,recipes,stale,system-tests,runner/src/options.rs,rpi5/src/main.rs} platform/{qemu-aarch64,qemu-x86_64,rpi5}/*.* platform/qemu-aarch64/tests | tar -C "$tree" -xf -
for each in bash basename env awk cat chmod true sed grep dirname id mktemp tail head mkdir rm tr cut fold find ls sort touch uname timeout flock python3 git; do
  path=$(type -P "$each") || fail "this test needs $each"
  ln -s "$path" "$top/bin/$each"
done
stub() { printf '#!/usr/bin/env bash\n%s\n' "$2" >"$top/bin/$1"; chmod +x "$top/bin/$1"; }
stub apt-get 'echo "$*" >>"$ASKED"; exit 1'
stub just 'echo "just $*" >>"$ASKED"; echo "just $*"'
stub cargo 'echo "cargo $*" >>"$ASKED"; echo "cargo $*"'
stub rustup 'printf "%s\n" aarch64-unknown-none-softfloat x86_64-unknown-none'
export ASKED=$top/asked PATH=$top/bin
unset AXIOM_TOOLCHAIN CARGO_TARGET_DIR AXIOM_BUILD_ONLY
cd "$tree"
needs() { : >"$ASKED"; ./justw "$@" >"$top/said" 2>&1 && fail "justw $*: nothing is missing"; sed -n 's/^justw: needs \([^:]*\):.*/\1/p' "$top/said" | tr '\n' ' '; }
asks() { [[ " $1" = *" $2 "* ]] || fail "$3 does not ask for $2: $1"; }
does_not() { [[ " $1" != *" $2 "* ]] || fail "$3 asks for $2, which it does not need"; }
# Booting needs an emulator and compilers; no lints, no formatter, no device trees, no card's tools.
said=$(needs qemu-aarch64)
for each in gcc qemu-system-arm clang-19 llvm-19; do asks "$said" $each qemu-aarch64; done
for each in device-tree-compiler mtools dosfstools rust-web-clippy rustfmt-web qemu-system-x86 gdb-multiarch ovmf; do does_not "$said" $each qemu-aarch64; done
said=$(needs image-rpi5); asks "$said" device-tree-compiler image-rpi5
for each in mtools dosfstools rust-web-clippy qemu-system-arm; do does_not "$said" $each image-rpi5; done
said=$(needs qemu-x86_64); asks "$said" qemu-system-x86 qemu-x86_64
for each in qemu-system-arm device-tree-compiler mtools; do does_not "$said" $each qemu-x86_64; done
said=$(needs test); for each in device-tree-compiler mtools qemu-system-arm qemu-system-x86 xorriso; do asks "$said" $each test; done
said=$(needs debug); asks "$said" gdb-multiarch debug
# What is refused is refused first: nobody installs anything for it.
for words in "test extra" "report --hmtl" "qemu-aarch64 --gic 4" "qemu-aarch64 --nosuch" "test-system nosuchtest" nosuchrecipe "report /nowhere.log" "fuzz-kernel"; do
  : >"$ASKED"
  # shellcheck disable=SC2086 # the words of a command line
  ! ./justw $words >"$top/said" 2>&1 || fail "justw $words is accepted"
  # just may be asked for a name that is nearly one of its recipes'.
  ! grep -qvxF "just nosuchrecipe" "$ASKED" && ! grep -q 'justw: needs' "$top/said" || fail "justw $words asks for packages or builds before it is refused"
done
# Help without a recipe is the list of recipes, not just's own help.
for word in -h --help; do
  [ "$(./justw $word 2>&1 | grep '^just ')" = "$(./justw 2>&1 | grep '^just ')" ] || fail "justw $word does not give what justw gives"
done
: >"$ASKED"; ./justw qemu-aarch64 --help >"$top/said"; grep -q -- --icount "$top/said" || fail "--help says nothing"; [ ! -s "$ASKED" ] || fail "--help installs"
# Every recipe that just lists says what it takes, and refuses a flag that it does not know with a sentence and status 2: at once, without
# just, cargo or a package.
count=0 began=$SECONDS
for recipe in $recipes; do
  : >"$ASKED"
  ./justw "$recipe" --help >"$top/said" 2>"$top/errors" || fail "$recipe --help: status $?"
  grep -q "^usage: ./justw $recipe" "$top/said" && [ ! -s "$top/errors" ] || fail "$recipe --help does not say how it is used"
  # What it does stands first, unless it has none: then it is not for users.
  grep -qE "^$recipe: .{10}" "$top/said" || fail "$recipe --help does not say what it does"
  [[ $(tr '\n' ' ' <"$top/said") != *"as above"* ]] || fail "$recipe --help speaks of what stands elsewhere"
  long=$(grep -E '^.{101}' "$top/said" || true); [ -z "$long" ] || fail "$recipe --help has a long line: $long"
  status=0; ./justw "$recipe" --no-such-flag >"$top/said" 2>&1 || status=$?
  [ $status = 2 ] || fail "$recipe --no-such-flag: status $status"
  # Folded at a terminal's width.
  tr '\n' ' ' <"$top/said" | grep -qE "^$recipe: unknown flag '--no-such-flag'.*; ./justw $recipe --help says more $" || fail "$recipe --no-such-flag: $(cat "$top/said")"
  [ ! -s "$ASKED" ] || fail "$recipe: $(head -n 1 "$ASKED") before it is answered"
  count=$((count + 1))
done
[ $count -gt 50 ] || fail "just lists only $count recipes"
# A recipe's answer takes a tenth of a second; a machine that is busy with ten other things is slower.
[ $((SECONDS - began)) -lt $((count * 3)) ] || fail "$count recipes answered within $((SECONDS - began)) s: that is not at once"
# An image that is older than what it is made of is said to be so, whichever part is newer, and what to do; one that is not is passed over.
image="an ü, \"image\""; mkdir -p microkernel servers drivers bpf-server/programs bench/server bench/metrics
: >Cargo.toml; : >Cargo.lock
find . -path ./.git -prune -o -type f -exec touch -d '2026-01-01' {} +; touch -d '2026-01-02' "$image"
[ -z "$(platform/tools/stale "$image" image-rpi5)" ] || fail "an image that is newer than everything is called old"
for part in Cargo.lock microkernel/x.rs servers/x.ld drivers/Cargo.toml bpf-server/programs/x.c bpf-server/programs/x.h bpf-server/programs/build \
  platform/rpi5/x.dts platform/rpi5/config.txt microkernel/x.S bench/server/x.rs justfile platform/tools/build-kernel; do
  touch -d '2026-01-03' "$part"
  said=$(platform/tools/stale "$image" image-rpi5) || fail "an old image is refused: it may be what somebody wants"
  [ "$said" = "$image is OLDER than $part: \`just image-rpi5\` makes it anew" ] || fail "$part is newer than the image: '$said'"
  touch -d '2026-01-01' "$part"
done
[ -z "$(platform/tools/stale "$image" image-rpi5)" ] || fail "an image is called old without a reason"
grep -q 'platform/tools/stale {{ rpi5_image }} image-rpi5 && {{ bin }}/axiom-rpi5 flash' justfile || fail "flash-rpi5 does not look at the image's age"
# A rustup that cannot be read is said, and no other toolchain takes its place.
stub rustup 'echo "error: the settings are of another world" >&2; exit 1'
: >"$ASKED"; ! ./justw qemu-aarch64 >"$top/said" 2>&1 || fail "a rustup that cannot be read is passed over"
grep -q '^justw:   error: the settings are of another world$' "$top/said" && grep -q AXIOM_TOOLCHAIN=debian "$top/said" || fail "rustup's own words are missing: $(cat "$top/said")"
[ ! -s "$ASKED" ] || fail "another toolchain is installed in place of a rustup that cannot be read"
stub rustup 'printf "%s\n" aarch64-unknown-none-softfloat x86_64-unknown-none'
# A second build says that it waits for the first.
mkdir -p target/release; : >target/release/.cargo-lock
[ "$(platform/tools/axiom-cargo host build --release 2>&1)" = "cargo build --release" ] || fail "a build alone waits for somebody"
exec 9>target/release/.cargo-lock; flock 9
platform/tools/axiom-cargo host build --release >"$top/said" 2>&1 9>&-
grep -q '^build: another build is using target/release: waiting for it$' "$top/said" || fail "a second build does not say that it waits"
exec 9>&-
# A tarball inside somebody's repository is of no commit; a checkout and a worktree are of theirs, and say so if they differ from it.
[ "$(platform/tools/commit)" = unknown ] || fail "a tarball is of commit $(platform/tools/commit)"
git init -q . && git add -A && git -c user.name=a -c user.email=a@b -c commit.gpgsign=false commit -qm x
of=$(git rev-parse --short=12 HEAD)
[ "$(platform/tools/commit)" = "$of" ] || fail "the checkout is of $(platform/tools/commit), not $of"
git worktree add -q "$top/work tree" -b other
[ "$("$top/work tree/platform/tools/commit")" = "$of" ] || fail "the worktree is of $("$top/work tree/platform/tools/commit")"
echo >>justw; [ "$(platform/tools/commit)" = "$of+changes" ] || fail "changes are not said"
