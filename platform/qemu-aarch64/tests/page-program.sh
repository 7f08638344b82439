#!/usr/bin/env bash
# "Add a program", followed literally in a copy of the tree: it ends with the program running.
set -euo pipefail
bin=$1; exec platform/tools/follow-page "$bin" docs/src/adding.md "A program"
