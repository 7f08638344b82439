#!/usr/bin/env bash
# `compare-linux` writes below target/ alone, unless --record is given, and then only what it has run. Tried without QEMU, Linux or
# compilers: stubs in their place, a log of a real run as what everybody prints, in a copy of what the script reads.
set -euo pipefail
bin=$(cd "$1" && pwd)
fail() { echo "compare-writes: $*" >&2; exit 1; }
tree=$PWD/target/axiom/tests/compare-writes; rm -rf "$tree"; mkdir -p "$tree"
tar -cf - bench/linux bench/results bench/report/tests/report.log platform/tools | tar -C "$tree" -xf -
mkdir -p "$tree"/{stubs,tools,bpf-server/programs,target/axiom/programs,target/axiom/compare/linux/boot}
cp target/axiom/programs/*.o "$tree/target/axiom/programs/"
: >"$tree/target/axiom/compare/linux/boot/vmlinuz-0-stub"
stub() { printf '#!/usr/bin/env bash\n%s\n' "$2" >"$tree/$1"; chmod +x "$tree/$1"; }
# Whatever would install or fetch something must not be reached for what is there; a missing header is none of this test's.
stub stubs/apt-get 'exit 0'
stub stubs/sudo 'exit 0'
stub stubs/cpio 'cat'
for compiler in gcc aarch64-linux-gnu-gcc; do
  stub "stubs/$compiler" 'while [ "$1" != -o ]; do shift; done; printf "#!/bin/sh\nexit 1\n" >"$2"; chmod +x "$2"'
done
stub stubs/qemu-system-aarch64 'case " $* " in *" --version "*) echo "QEMU emulator version 0"; exit ;; esac; sed "s/\"system\":\"main\"/\"system\":\"Linux 0\"/" bench/report/tests/report.log'
stub bpf-server/programs/build 'mkdir -p "$1"; cp target/axiom/programs/*.o "$1/"'
stub tools/axiom-runner 'while [ "$1" != --name ]; do shift; done; mkdir -p target/axiom/logs; cp bench/report/tests/report.log "target/axiom/logs/$2.log"'
ln -s "$bin/axiom-bench-report" "$tree/tools/axiom-bench-report"
cd "$tree"
PATH=$tree/stubs:$PATH; export PATH
state() { find . -path ./target -prune -o -type f -print0 | sort -z | xargs -0 sha256sum; }
changed() { { diff <(echo "$before") <(state) || true; } | sed -n 's/^[<>].* \.\///p' | sort -u | tr '\n' ' '; }
before=$(state)
compare() { platform/tools/compare-linux tools "$@" >target/said 2>&1 || fail "compare-linux $*: $(tail -n 3 target/said)"; }
for words in "" "--mode icount --runs 1" "--mode icount --axiom-only"; do
  # shellcheck disable=SC2086 # the words are options
  compare $words
  [ -z "$(changed)" ] || fail "compare-linux $words without --record writes $(changed)"
  [ -s target/axiom/compare/results/linux-icount-1.jsonl ] || fail "compare-linux $words leaves no results"
done
[ "$(platform/tools/results-folder)" = target/axiom/results ] || fail "results go into the tree without --record"
! platform/tools/results-folder --recrod 2>/dev/null || fail "a misspelt --record is accepted"
# Recorded is what was run, and nothing else is lost: the small Linux's rows stay.
compare --mode icount --runs 2 --axiom-only --record
said=$(changed)
for run in 1 2 3; do [[ $said = *"bench/results/compare/axiom-icount-$run.jsonl "* ]] || fail "run $run is not replaced: $said"; done
said=${said//bench\/results\/compare\/axiom-icount-[0-9].jsonl /}
[ -z "$said" ] || fail "--axiom-only --record also writes $said"
compare --mode icount --runs 1 --record
for file in $(changed); do
  case $file in bench/results/compare/axiom-icount-* | bench/results/compare/linux-icount-* | bench/results/linux-qemu-aarch64-icount.jsonl) ;;
    *) fail "--record writes $file" ;; esac
done
for words in "--axiom-only" "--axiom-only --mode tcg" "--axiom-only --mode icount --small"; do
  # shellcheck disable=SC2086 # the words are options
  ! platform/tools/compare-linux tools $words >/dev/null 2>&1 || fail "compare-linux $words is accepted"
done
