#!/usr/bin/env bash
# The same random calls to the release and to the checked kernel, which looks at its invariants at every exit: each answer is the same.
set -euo pipefail
bin=$1 images=$2 logs=target/axiom/logs
platform/tools/build-kernel >/dev/null
platform/tools/build-kernel --features checked >/dev/null
platform/tools/axiom-cargo server build -q --profile system -p axiom-root-test --bin axiom-kernel-answers
for kind in release checked; do
  kernel=target/axiom/kernel-aarch64.img; [ $kind = release ] || kernel=target/axiom/kernel-aarch64-checked.img
  "$bin/axiom-runner" --quiet --icount --counting shift=0,sleep=off --no-sensors --root-task --name "answers-$kind" --timeout 300 --cpu cortex-a53 \
    --kernel "$kernel" --bundle "$images/axiom-kernel-answers" --expect "run ended: ok" --forbid KERNEL </dev/null >/dev/null
done
platform/tools/compare-answers "$logs/answers-release.log" "$logs/answers-checked.log"
# A difference is one: the test would pass on anything otherwise.
sed '0,/-> 0 0 0/s//-> 1 0 0/' "$logs/answers-checked.log" >"$logs/answers-planted.log"
if platform/tools/compare-answers "$logs/answers-release.log" "$logs/answers-planted.log" >/dev/null; then
  echo "answers: a changed answer was not noticed" >&2; exit 1
fi
head -c 100000 "$logs/answers-checked.log" >"$logs/answers-planted.log"
if platform/tools/compare-answers "$logs/answers-release.log" "$logs/answers-planted.log" >/dev/null 2>&1; then
  echo "answers: a log without its end was taken for one that agrees" >&2; exit 1
fi
rm "$logs/answers-planted.log"
