#!/usr/bin/env bash
# Recompiles the test programs; the objects are committed so that tests need no clang.
set -euo pipefail
cd "$(dirname "$0")"
for source in *.c; do
  clang-19 -O2 -target bpf -mcpu=v4 -c "$source" -o "${source%.c}.o"
  llvm-strip-19 --strip-debug "${source%.c}.o" 2>/dev/null || true
done
