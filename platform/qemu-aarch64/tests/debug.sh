#!/usr/bin/env bash
# `just debug`: gdb stops in the kernel, and in a server, at a line of their sources.
set -euo pipefail
bin=$1
if ! command -v gdb-multiarch >/dev/null; then echo "test: system/debug: NOT RUN: no gdb-multiarch (Debian's package of that name)"; exit 0; fi
fail() { echo "debug: $*" >&2; exit 1; }
said=$(timeout 120 platform/tools/debug "$bin" -- -batch 2>&1) || fail "$said"
grep -q 'axiom_boot () at microkernel/kernel/src/arch/aarch64/boot.rs:' <<<"$said" || fail "it does not stop in the kernel: $said"
said=$(timeout 120 platform/tools/debug "$bin" iio-server -- -batch 2>&1) || fail "$said"
grep -q 'axiom_iio_server.*axiom_start () at servers/runtime/src/lib.rs:' <<<"$said" || fail "it does not stop in iio-server: $said"
! platform/tools/debug "$bin" nobody -- -batch >/dev/null 2>&1 || fail "a server that is not there is accepted"
