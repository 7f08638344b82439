#!/usr/bin/env bash
# The kernel's system calls, fuzzed from fixed seeds: the release and the checked kernel, whose longest stretch with interrupts
# off is bounded. `just fuzz-kernel` goes on for longer.
set -euo pipefail
exec platform/tools/fuzz-kernel "$1" "$2" --runs 2 --seed 1 --calls 300000 --stretch 5000
