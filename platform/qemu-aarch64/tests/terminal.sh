#!/usr/bin/env bash
# What a first run shows: at most 100 columns, nothing for tools, no carriage return, no colours in a pipe, no line cut in two by another,
# and nothing lost that would have to be explained; the log has the figures, and the report of it agrees with itself in every form.
set -euo pipefail
bin=$1; out=target/axiom/tests/terminal; rm -rf "$out"; mkdir -p "$out"
fail() { echo "terminal: $*" >&2; exit 1; }
# Whoever reads `| head` has read enough: no tool panics about a pipe that its reader has closed.
for tool in "$bin/axiom-runner --help" "$bin/axiom-rpi5 --help" "$bin/axiom-bpf --help" "$bin/axiom-compose --help" "$bin/axiom-check book" \
  "$bin/axiom-bench-report --help"; do
  exec 3> >(:); wait $!
  # shellcheck disable=SC2086 # the words of $tool are its arguments
  status=0; $tool >&3 2>"$out/errors" || status=$?
  exec 3>&-
  [ ! -s "$out/errors" ] || fail "$tool at a closed pipe: $(head -n 1 "$out/errors")"
  case $status in 0 | 141) ;; *) fail "$tool at a closed pipe: status $status" ;; esac
done
"$bin/axiom-runner" --timeout 240 --name terminal >"$out/shown" 2>"$out/errors" </dev/null || fail "the run failed: $(tail -n 1 "$out/errors")"
long=$(awk 'length > 100' "$out/shown" | head -n 1); [ -z "$long" ] || fail "a line of ${#long} columns: $long"
! grep -n '[{}]' "$out/shown" || fail "there is JSON on the terminal"
! grep -qP '[\r\x1b]' "$out/shown" || fail "there are control characters in a pipe"
! grep -q $'\r' target/axiom/logs/terminal.log || fail "there are carriage returns in the log"
stray=$(grep -vE '^([a-z0-9-]+:( |$)|$)' "$out/shown" | head -n 1 || true); [ -z "$stray" ] || fail "a line without its server's name: $stray"
! grep -E 'do not rise|ERROR|warning' "$out/shown" || fail "that needs an explanation"
grep -qE 'bench:   memory.in_use +[0-9.]+ MB' "$out/shown" || fail "memory has no unit that people read"
grep -q '^bench: {"metric":"boot.entry_to_init"' target/axiom/logs/terminal.log || fail "the log has no figures"
[ "$(tail -n 1 "$out/shown")" = "axiom: run ended: ok" ] || fail "the last line is no verdict: $(tail -n 1 "$out/shown")"
# What README says the first run prints, but for figures and commits.
platform/tools/readme-excerpt "$out/shown" >"$out/README.md" || fail "see above"
