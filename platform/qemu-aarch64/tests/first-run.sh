#!/usr/bin/env bash
# What `./justw` and the build do before anything is built: what each recipe asks for, a rustup that cannot be read, a second build, and
# which commit a checkout, a worktree and a tarball are of. Nothing is installed: apt-get, rustup, cargo and just are stubs, on a path that
# has nothing else but what every system has; the folder has blanks, an umlaut, quotes and a comma in its name.
set -euo pipefail
fail() { echo "first-run: $*" >&2; exit 1; }
top=$PWD/target/axiom/tests/first-run; rm -rf "$top"
tree="$top/it's \"a\" ü, b"; mkdir -p "$tree" "$top/bin"
tar -cf - justw justfile platform/tools/{answer,ask,axiom-cargo,commit,packages,recipes,system-tests,runner/src/options.rs} platform/qemu-aarch64/tests | tar -C "$tree" -xf -
for each in bash env cat chmod true sed grep dirname id mktemp tail head mkdir rm tr cut fold sort uname timeout flock python3 git; do
  path=$(type -P "$each") || fail "this test needs $each"
  ln -s "$path" "$top/bin/$each"
done
stub() { printf '#!/usr/bin/env bash\n%s\n' "$2" >"$top/bin/$1"; chmod +x "$top/bin/$1"; }
stub apt-get 'echo "$*" >>"$ASKED"; exit 1'
stub just 'echo "just $*"'
stub cargo 'echo "cargo $*"'
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
for words in "qemu-aarch64 --gic 4" "qemu-aarch64 --nosuch" "test-system nosuchtest" nosuchrecipe "report /nowhere.log" "fuzz-kernel"; do
  : >"$ASKED"
  # shellcheck disable=SC2086 # the words of a command line
  ! ./justw $words >"$top/said" 2>&1 || fail "justw $words is accepted"
  [ ! -s "$ASKED" ] && ! grep -q 'justw: needs' "$top/said" || fail "justw $words asks for packages before it is refused"
done
: >"$ASKED"; ./justw qemu-aarch64 --help >"$top/said"; grep -q -- --icount "$top/said" || fail "--help says nothing"; [ ! -s "$ASKED" ] || fail "--help installs"
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
