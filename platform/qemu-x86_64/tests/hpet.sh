#!/usr/bin/env bash
# The HPET as a second time base: hpet.sh TOOLS-DIR
#
# Boot's phases by both clocks, programs at timers of both; the same system on a machine without HPET says so and goes on. Instructions are
# counted, so both clocks are one emulator's: they must agree to a step.
set -uo pipefail
bin=${1:?usage: hpet.sh TOOLS-DIR}
just bundle-x86_64 >/dev/null || exit 1
bad=0
run() { # name, runner's options...
  local name=qemu-x86_64-$1; shift
  "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --bundle target/axiom/qemu-x86_64.bundle --icount --timeout 600 \
    --name "$name" "$@" --expect "axiom: run ended: ok" </dev/null
}
# The median of a row of the report, in a log.
median() { sed -n "s/^bench: {\"metric\":\"$2\",.*\"median\":\([0-9]*\).*/\1/p" "target/axiom/logs/qemu-x86_64-$1.log"; }
say() { if [ "$1" = 0 ]; then echo "  hpet: $2: ok"; else echo "  hpet: $2: FAILED"; bad=1; fi; }
below() { [ -n "$1" ] && [ -n "$2" ] && [ "$1" -lt "$2" ]; }
run hpet --expect "timer-server: HPET: 100000000 Hz, 64 bits, 3 comparators"
say $? "the system runs"
below "$(median hpet boot.difference.hpet)" 20; say $? "boot by both clocks differs by less than two steps"
for phase in firmware_tables_read memory_map interrupt_controller root_objects root_start init all_ready; do
  counter=$(median hpet boot.entry_to_$phase) second=$(median hpet boot.entry_to_$phase.hpet)
  difference=$((${counter:-0} - ${second:-0}))
  [ -n "$counter" ] && [ -n "$second" ] && [ ${difference#-} -lt 200 ]; say $? "entry to $phase: $counter ns, by the HPET $second ns"
done
for row in 10ms:9990000:10010000 1ms:990000:1010000; do
  IFS=: read -r name least most <<<"$row"
  for base in "" .hpet; do
    interval=$(median hpet "timer.$name.program.interval$base") late=$(median hpet "timer.$name.program.lateness$base")
    below "$least" "$interval" && below "$interval" "$most" && below "$late" 20000
    say $? "a program each $name${base:+ by the HPET}: interval $interval ns, $late ns late"
  done
done
run no-hpet --property hpet=off --expect "timer-server: this machine has no HPET" --expect "not measured: boot by the hpet: this machine has no hpet"
say $? "a machine without says so and goes on"
run many-timers --qemu-argument -global --qemu-argument hpet.timers=8 --expect "8 comparators"
say $? "more comparators"
exit $bad
