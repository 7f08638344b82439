#!/usr/bin/env bash
# What a first run shows: at most 100 columns, nothing for tools, no carriage return, no colours in a pipe, no line cut in two by another,
# and nothing lost that would have to be explained; the log has the figures, and the report of it agrees with itself in every form.
set -euo pipefail
bin=$1; out=target/axiom/tests/terminal; rm -rf "$out"; mkdir -p "$out"
fail() { echo "terminal: $*" >&2; exit 1; }
# Whoever reads `| head` has read enough: no tool panics about a pipe that its reader has closed.
for tool in "axiom-runner --help" "axiom-rpi5 --help" "axiom-bpf --help" "axiom-compose --help" "axiom-check book" "axiom-bench-report --help"; do
  exec 3> >(:); wait $!
  # shellcheck disable=SC2086 # the words of $tool are its arguments
  status=0; "$bin"/$tool >&3 2>"$out/errors" || status=$?
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
# What README says the first run prints, but for figures and commits; in that order.
platform/tools/readme-excerpt "$out/shown" >"$out/README.md" || fail "see above"
last=0
while IFS= read -r line; do
  at=$(grep -nxF -- "$line" "$out/shown" | cut -d : -f 1 | awk -v last=$last '$1 > last { print; exit }')
  [ -n "$at" ] || fail "README shows a line after those that it comes before: $line"
  last=$at
done < <(awk '/^What the first prints/ { here = 1 } here && /^```text$/ { inside = 1; next } inside && /^```$/ { exit } inside && $0 != "..."' "$out/README.md")
[ "$last" -gt 20 ] || fail "README shows nothing of the run"
# The servers' first lines come before the demonstration's, with nothing between them.
[ "$(sed -n '2,4p' "$out/shown" | grep -cE '^(iio-server: .*: found|init: all servers are ready)')" = 3 ] || fail "the first lines are mixed: $(head -n 6 "$out/shown")"
# No word of it needs the source to be understood: scans have their channels' names, and programs their sizes.
grep -qE '^demo:     accel_x -?[0-9]+, accel_y -?[0-9]+, accel_z -?[0-9]+, raw, at [0-9.]+ s$' "$out/shown" || fail "the buffer's numbers have no names"
grep -qE '^bench:   1000 insns \+ proof ' "$out/shown" && ! grep -q '_proved' "$out/shown" || fail "a program with its proof has no name for people"
grep -q '^bench: n: samples; p99: ' "$out/shown" && grep -q '^bench: cycles: ' "$out/shown" && grep -q '^bench: total: ' "$out/shown" || fail "the columns are not explained"
# README itself, and who may reach what, are read on the same terminal.
for text in README.md "$out/grants"; do
  [ "$text" = README.md ] || platform/tools/as-text target/axiom/qemu-aarch64.report.md >"$text"
  long=$(grep -E '^.{101}' "$text" || true); [ -z "$long" ] || fail "$text has a line of more than 100 columns: $long"
done
! grep -nE '[|`]|\*\*' "$out/grants" || fail "grants shows marks of Markdown"
grep -qE 'restarted once$' "$out/grants" && ! grep -q '1 times' "$out/grants" || fail "grants does not say that a server is started again once"
# No word is lost on the way: cells are broken, and marks left out, but that is all.
words() { tr -s ' |' '\n\n' <"$1" | tr -d '`*' | grep -E '[a-z]{4}' | sort | uniq -c; }
diff <(words target/axiom/qemu-aarch64.report.md | awk '{ print $2 }') <(words "$out/grants" | awk '{ print $2 }') >"$out/lost" || fail "grants loses words: $(head -n 3 "$out/lost")"
platform_report=$("$bin/axiom-bench-report" text target/axiom/logs/terminal.log --beside bench/results/linux-qemu-aarch64-tcg.jsonl)
grep -qE '^ +Axiom +other +Axiom is +the other system$' <<<"$platform_report" || fail "what stands beside has no heads"
