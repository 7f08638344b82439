#!/usr/bin/env bash
# "A server", followed literally in a copy of the tree: it ends with the server running. It takes two places and stands in a layer.
set -euo pipefail
bin=$(cd "$1" && pwd)
platform/tools/follow-page "$bin" docs/src/adding.md "A server" axiom-newcomer
cd target/axiom/follow/A-server
"$bin/axiom-check"
rustfmt --check servers/newcomer/src/main.rs
places=$(find . -path ./target -prune -o -newer target/axiom/followed -type f ! -name Cargo.lock -print | sed 's#^\./\(servers/newcomer\)/.*#\1#; s#^\./##' | sort -u | paste -sd ' ')
[ "$places" = "platform/qemu-aarch64/system.toml servers/newcomer" ] || { echo "page-server: it touches other places: $places" >&2; exit 1; }
