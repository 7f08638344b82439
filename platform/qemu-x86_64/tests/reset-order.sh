#!/usr/bin/env bash
# A function is reset between its server's death and its next access to memory: reset-order.sh TOOLS-DIR
#
# In the emulator's own trace of writes to configuration space, and of virtio's status. On the root bus the function has no reset of PCI's, and
# virtio's does it; behind a PCI Express port it has one (function-level), which is then the one.
set -uo pipefail
bin=${1:?usage: reset-order.sh TOOLS-DIR}
images=${CARGO_TARGET_DIR:-target}/x86_64-unknown-none/system
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
bad=0
say() { if [ "$1" = 0 ]; then echo "  reset-order: $2: ok"; else echo "  reset-order: $2: FAILED"; bad=1; fi; }
test=platform/qemu-x86_64/tests/driver-crash.toml
"$bin/axiom-compose" "$test" -o "$folder/bundle" --report "$folder/report" --images "$images" --blobs target/axiom/programs >/dev/null || exit 1
run() { # name, options...
  local name=$1; shift
  "$bin/axiom-runner" --quiet --board platform/qemu-x86_64/model.options --bundle "$folder/bundle" --test "$test" --name "qemu-x86_64-reset-order-$name" \
    --timeout 300 --qemu-argument -trace --qemu-argument pci_cfg_write --qemu-argument -trace --qemu-argument virtio_set_status \
    --qemu-argument -D --qemu-argument "$folder/$name" "$@" </dev/null
  say $? "the driver dies and comes back, $name"
}
# Each time the adapter may access memory (bit 2 of its command register): how often, and how often without a reset since it could before.
orders() { # name, what a reset looks like
  awk -v reset="$2" '
    $0 ~ reset { clean = 1; next }
    /pci_cfg_write .*i2c.* @0x4 <- / {
      on = $NF ~ /[4567cdef]$/
      if (on && !was) { times++; if (!clean) dirty++ }
      if (on) clean = 0
      was = on
    }
    END { print times + 0, dirty + 0 }' "$folder/$1"
}
run root-bus
read -r times dirty <<<"$(orders root-bus 'virtio_set_status .*val 0$')"
[ "$times" -ge 2 ] && [ "$dirty" = 0 ]; say $? "on the root bus: $times times a bus master, $dirty times without a reset before"
run behind-a-port --device pcie-root-port,id=rp0,addr=6 --sensor-device vhost-user-i2c-pci,bus=rp0
read -r times dirty <<<"$(orders behind-a-port 'pci_cfg_write .*i2c.* @0x[4-9a-f][0-9a-f] <- 0x[89a-f][0-9a-f][0-9a-f][0-9a-f]$')"
[ "$times" -ge 2 ] && [ "$dirty" = 0 ]; say $? "behind a port: $times times a bus master, $dirty times without a reset before"
exit $bad
