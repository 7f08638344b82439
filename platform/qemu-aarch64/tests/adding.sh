#!/usr/bin/env bash
# How many places a server and a sensor take: adding.sh TOOLS-DIR IMAGES-DIR
#
# In a copy of the tree a script adds a server, in at most four places, and a sensor, in at most three; both are built, checked and run.
# What docs/src/adding.md says is what this does. Log: target/axiom/logs/adding.log.
set -euo pipefail
bin=$(cd "${1:?usage: adding.sh TOOLS-DIR IMAGES-DIR}" && pwd); images=$(cd "${2:?}" && pwd)
root=$(cd "$(dirname "$0")/../../.." && pwd); cd "$root"
copy=$root/target/axiom/adding; log=$root/target/axiom/logs/adding.log
rm -rf "$copy"; mkdir -p "$copy" "$(dirname "$log")"; : >"$log"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -c --ignore-failed-read 2>>"$log" | tar -x -C "$copy"
cd "$copy"; git init -q .; git add -A; git -c user.name=test -c user.email=test@invalid commit -qm before
fail() { echo "adding: $*" >&2; exit 1; }
# A place is a file that is changed, or a folder or file that is new.
places() { git status --porcelain | cut -c4- | sort; }
bounded() { # what, most
  local all; all=$(places)
  [ "$(wc -l <<<"$all")" -le "$2" ] || fail "$1 takes more than $2 places: ${all//$'\n'/, }"
  echo "$1: ${all//$'\n'/, }" >>"$log"
}
built() { CARGO_TARGET_DIR=$root/target/axiom/adding-target platform/tools/axiom-cargo server build -q --profile system "$@" >>"$log" 2>&1 || fail "the build failed: see $log"; }

# A server: its folder, its line in Cargo.toml, its word among the packages, its section in a manifest.
mkdir -p servers/newcomer/src
cat >servers/newcomer/Cargo.toml <<'END'
[package]
name = "axiom-newcomer"
version.workspace = true
edition.workspace = true
license.workspace = true
rust-version.workspace = true
publish = false

[lints]
workspace = true

[[bin]]
name = "axiom-newcomer"
path = "src/main.rs"
test = false
bench = false

[dependencies]
axiom-runtime.workspace = true
END
cat >servers/newcomer/takes.toml <<'END'
serves = ["bench"]

[timer.tick]
doc = "it says something"

[setting.greeting]
type = "text"
doc = "what it says"
END
cat >servers/newcomer/src/main.rs <<'END'
//! Says something, and echoes.
#![no_std]
#![no_main]
use axiom_runtime::proto::Error;
use axiom_runtime::proto::bench::{INTERFACE, Reply as Answer, Request};
use axiom_runtime::{Incoming, Reply, Runtime, Service, info, serve, time};

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

struct Newcomer(Runtime);

impl Service for Newcomer {
    fn request(&mut self, message: &Incoming<'_>) -> Reply {
        match message.decode::<Request>() {
            Ok(Request::Echo { value }) if message.interface == INTERFACE => Reply::ok(&Answer::Echo { value }),
            Ok(_) => Reply::error(Error::NoSuchInterface),
            Err(error) => Reply::error(error),
        }
    }
    fn notified(&mut self, _: u64) {
        info!("{}", self.0.arg("greeting").unwrap_or("nothing to say"));
    }
}

fn main(rt: Runtime) -> ! {
    if let Some((timer, _)) = rt.timer("tick")
        && timer.arm(time::ticks() + time::frequency() / 1000, 0).is_err()
    {
        info!("its timer cannot be armed");
    }
    rt.ready();
    serve(&mut Newcomer(rt))
}
END
sed -i 's#"servers/console", #"servers/console", "servers/newcomer", #' Cargo.toml
sed -i 's#^server_packages := "#&-p axiom-newcomer #' justfile
cat >>platform/qemu-aarch64/system.toml <<'END'

[server.newcomer]
image = "axiom-newcomer"
priority = 60
background = true
calls = ["console"]
args = { greeting = "a newcomer speaks" }
END
bounded "a server" 4
"$bin/axiom-check" >>"$log" 2>&1 || fail "the newcomer is in no layer, or breaks one: see $log"
built -p axiom-newcomer
git add -A; git -c user.name=test -c user.email=test@invalid commit -qm server

# A sensor: its driver, that the crate of chips has it, and its line in the server's table.
sed 's/Lm75/Newchip/g; s/"lm75"/"newchip"/g' drivers/iio/src/lm75.rs >drivers/iio/chips/src/newchip.rs
sed -i 's/use crate::{/use axiom_iio::{/; s/crate::/axiom_iio::/g' drivers/iio/chips/src/newchip.rs
printf '\npub mod newchip;\n' >>drivers/iio/chips/src/lib.rs
sed -i 's#^    "lm75" 0x48 =>#    "newchip" 0x48 => Newchip |address| axiom_chips::newchip::Newchip::new(address),\n&#; s#^use axiom_chips::{#use axiom_chips::newchip::Newchip;\n&#' drivers/iio/server/src/sensors.rs
bounded "a sensor" 3
built -p axiom-iio-server

# Both run.
mine=$copy/images; mkdir -p "$mine"; cp "$images"/axiom-* "$mine/" 2>>"$log"
cp "$root"/target/axiom/adding-target/*/system/axiom-newcomer "$root"/target/axiom/adding-target/*/system/axiom-iio-server "$mine/"
cat >"$copy/system.toml" <<'END'
extends = "platform/qemu-aarch64/system.toml"
[server.iio-server]
args = { sensors = "newchip" }
[server.demo]
calls = ["bpf-server", "iio-server", "console"]
iio = ["newchip"]
args = { sensors = "optional" }
[server.bench]
removed = true
[server.bench-partner]
removed = true
END
cd "$root"
"$bin/axiom-compose" "$copy/system.toml" -o "$copy/adding.bundle" --report "$copy/adding.report" --images "$mine" --blobs target/axiom/programs >>"$log" 2>&1 ||
  fail "the system with the newcomers is refused: see $log"
"$bin/axiom-runner" --quiet --name adding-run --bundle "$copy/adding.bundle" --timeout 120 \
  --expect "newcomer: a newcomer speaks" --expect "demo: newchip: 1 channel" --forbid died: </dev/null
rm -rf "$copy"
