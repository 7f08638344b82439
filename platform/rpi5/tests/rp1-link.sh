#!/usr/bin/env bash
# RP1 is where the root complex's registers say, in either window; a dead link is never touched, whether its reads give 0xdeaddead
# or abort, and the rest of the system runs; a tree without a root complex is no fault either.
set -euo pipefail
bin=$1 out=target/axiom/tests/rpi5-link
mkdir -p "$out"
run() { # name, runner's options...
  local name=$1; shift
  "$bin/axiom-runner" --quiet --board platform/rpi5/model.options --name "rpi5-link-$name" --timeout 60 --no-verdict "$@" \
    --expect "init: all servers are ready" --forbid "died:"
}
run low --property rp1-window=0x1f --expect "rp1-server: RP1 0x20001927 at 0x1f00000000"
run high --property rp1-window=0x1c --expect "rp1-server: RP1 0x20001927 at 0x1c00000000"
run off --property rp1-link=off --expect "RP1 is not there: the PCIe link to RP1 is down"
run abort --property rp1-link=off --property rp1-abort=on --expect "RP1 is not there: the PCIe link to RP1 is down"
cp target/axiom/rpi5/card/board.dtb "$out/no-pcie.dtb"
fdtput -r "$out/no-pcie.dtb" /axi@1000000000/pcie@1000120000
run no-pcie --dtb "$out/no-pcie.dtb" --expect "RP1 is not there"
