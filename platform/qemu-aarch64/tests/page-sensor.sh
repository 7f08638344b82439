#!/usr/bin/env bash
# "A sensor driver", followed literally in a copy of the tree: it ends with the sensor found and sampled.
set -euo pipefail
bin=$1; platform/tools/follow-page "$bin" docs/src/adding.md "A sensor driver" axiom-iio-server
cd target/axiom/follow/A-sensor-driver; rustfmt --check drivers/iio/chips/src/tmp101.rs
