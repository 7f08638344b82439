# Axiom's recipes. `./justw RECIPE` installs what is missing first; `just` alone shows them.
set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

# What a recipe takes is said where it stands, and looked at before anything is built: platform/tools/answer
ask := "platform/tools/ask"
answer := "platform/tools/answer"

export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", justfile_directory() / "target")
cargo := "platform/tools/axiom-cargo"
# What others may take as packages of their own: README, licences, versions, no path that leads out.
kept_packages := "-p axiom-trace -p axiom-mmio -p sel4-sys -p bcm2712-pac -p hpet-rs -p axiom-bpf-isa -p axiom-bpf-checker -p axiom-bpf-interp -p axiom-bpf-jit -p axiom-bpf-maps -p axiom-iio -p axiom-chips"
# Quoted: any path may have spaces and quotes. In recipes they stand outside quotes.
bin := quote(CARGO_TARGET_DIR / "release")
images := quote(CARGO_TARGET_DIR / "aarch64-unknown-none-softfloat/system")
pc_images := quote(CARGO_TARGET_DIR / "x86_64-unknown-none/system")
out := "target/axiom"
rpi5_manifest := env("AXIOM_RPI5_MANIFEST", "platform/rpi5/system.toml")
rpi5_image := out / "rpi5/axiom-rpi5.img"
tool_packages := "-p axiom-bpf -p axiom-compose -p axiom-runner -p axiom-check -p axiom-bench-report -p axiom-sensor-sim -p axiom-rpi5 -p axiom-handover"
# What runs on Axiom says so in its Cargo.toml; those without a heap are built by themselves.
steady_packages := `platform/tools/packages steady`
server_packages := `platform/tools/packages heap`

pc_steady_packages := `platform/tools/packages steady pc`
pc_packages := `platform/tools/packages heap pc`

# The first recipes, and the names of the others
[private]
[no-exit-message]
default:
    @platform/tools/recipes

# Boot the system in QEMU, to the report; flags for the runner: --icount, --linger, --gic 2, --help ...
[group("start here")]
[no-exit-message]
qemu-aarch64 *flags:
    @{{ ask }} qemu-aarch64 runner "$@"

[no-exit-message]
_qemu-aarch64 *flags: build
    @exec {{ bin }}/axiom-runner "$@"

# Run an SD card's image on a model of the Raspberry Pi 5, to the report; the model is found by AXIOM_RPI5_QEMU; flags for the runner: --icount, --cores 4, --property rp1-link=off ...
[group("Raspberry Pi 5")]
[no-exit-message]
qemu-rpi5 *flags:
    @{{ ask }} qemu-rpi5 runner "$@"

[no-exit-message]
_qemu-rpi5 *flags: _image-rpi5
    @{{ bin }}/axiom-rpi5 unpack {{ rpi5_image }} {{ out }}/rpi5/card >/dev/null
    @exec {{ bin }}/axiom-runner --board platform/rpi5/model.options "$@"

# A button and an LED with a program in between; the edges come from outside. Boards: qemu-aarch64, qemu-x86_64, qemu-rpi5
[group("run")]
[no-exit-message]
demo-button board="qemu-aarch64":
    @{{ ask }} demo-button board "$@"

[no-exit-message]
_demo-button board: (demo "button" board)

# A limit switch that stops a motor, and everything that tries to drive it all the same. Boards: qemu-aarch64, qemu-x86_64, qemu-rpi5
[group("run")]
[no-exit-message]
demo-limit board="qemu-aarch64":
    @{{ ask }} demo-limit board "$@"

[no-exit-message]
_demo-limit board: (demo "limit" board)

# The filter on the accelerometer's samples. Boards: qemu-aarch64, qemu-x86_64, qemu-rpi5
[group("run")]
[no-exit-message]
demo-filter board="qemu-aarch64":
    @{{ ask }} demo-filter board "$@"

[no-exit-message]
_demo-filter board: (demo "filter" board)

[private]
[no-exit-message]
demo name board:
    @if [ "{{ board }}" = qemu-x86_64 ]; then just kernel-x86_64 tools programs servers-x86_64; else just kernel dtb-rpi5 tools servers programs; fi
    @platform/tools/demo {{ bin }} {{ images }} "{{ name }}" "{{ board }}"

# All recipes, and what each does
[group("build")]
[no-exit-message]
recipes:
    @platform/tools/recipes --all

# Install what is missing (./justw does it by itself)
[group("build")]
setup:
    @echo "setup: everything that the recipes need is installed"

# Everything that QEMU needs: target/axiom/kernel-aarch64.img and target/axiom/qemu-aarch64.bundle
[group("build")]
build: kernel _bundle

# The kernel's image
[group("build")]
kernel:
    @echo "build: kernel"
    @platform/tools/build-kernel

# The kernel for x86-64: target/axiom/kernel-x86_64.elf
[group("build")]
kernel-x86_64:
    @echo "build: kernel (x86-64)"
    @platform/tools/build-kernel --arch x86_64

# The kernel's checks from a plain root task on QEMU's PC, q35; instructions counted; flags for the runner: --cpu Skylake-Client, --memory 6G, ...
[group("run")]
[no-exit-message]
root-task-x86_64 *flags:
    @{{ ask }} root-task-x86_64 runner "$@"

[no-exit-message]
_root-task-x86_64 *flags: kernel-x86_64 tools
    @{{ cargo }} server-x86_64 build -q --profile system -p axiom-root-test
    @exec {{ bin }}/axiom-runner --board platform/qemu-x86_64/model.options --root-task --icount "$@"

# Boot the system on QEMU's PC, q35, to the report; --iso from an image on a USB stick, by BIOS, with --uefi by UEFI; flags for the runner: --icount, --linger, --qemu-argument -bios --qemu-argument qboot.rom ...
[group("start here")]
[no-exit-message]
qemu-x86_64 *flags:
    @{{ ask }} qemu-x86_64 runner "$@"

[no-exit-message]
_qemu-x86_64 *flags:
    @case " $* " in *" --iso "* | *" --uefi "*) just image-x86_64 ;; *) just bundle-x86_64 ;; esac
    @exec {{ bin }}/axiom-runner --board platform/qemu-x86_64/model.options --bundle {{ out }}/qemu-x86_64.bundle "$@"

# The system of q35, checked and packed: target/axiom/qemu-x86_64.bundle
[group("build")]
bundle-x86_64: kernel-x86_64 tools programs servers-x86_64
    @mkdir -p {{ out }}
    @{{ bin }}/axiom-compose platform/qemu-x86_64/system.toml -o {{ out }}/qemu-x86_64.bundle --report {{ out }}/qemu-x86_64.report --images {{ pc_images }} --blobs {{ out }}/programs

# An image for a PC's USB stick, disk or CD, for BIOS and UEFI: target/axiom/qemu-x86_64.iso; the same bytes each time
[group("build")]
image-x86_64: bundle-x86_64
    @platform/tools/image-x86_64 --kernel {{ out }}/kernel-x86_64.elf --bundle {{ out }}/qemu-x86_64.bundle -o {{ out }}/qemu-x86_64.iso

# The servers
[group("build")]
servers:
    @echo "build: servers (each optimised as a whole: the first time takes minutes)"
    @{{ cargo }} server build -q --profile system {{ steady_packages }}
    @{{ cargo }} server build -q --profile system {{ server_packages }}

# The servers for x86-64
[group("build")]
servers-x86_64:
    @echo "build: servers (x86-64)"
    @{{ cargo }} server-x86_64 build -q --profile system {{ pc_steady_packages }}
    @{{ cargo }} server-x86_64 build -q --profile system {{ pc_packages }}

# The sample eBPF programs, with clang
[group("build")]
programs:
    @echo "build: programs"
    @{{ cargo }} host build -q --release -p axiom-bpf
    @bpf-server/programs/build "$PWD/{{ out }}/programs" {{ bin }}/axiom-bpf

# The host tools: compose, runner, check, report, sensor simulator
[group("build")]
tools:
    @echo "build: tools"
    @{{ cargo }} host build -q --release {{ tool_packages }}

# Check the manifest; write the bundle and the report of who may reach what
[group("build")]
[no-exit-message]
bundle manifest="platform/qemu-aarch64/system.toml" output="target/axiom/qemu-aarch64":
    @{{ ask }} bundle manifest,path "$@"

[no-exit-message]
_bundle manifest="platform/qemu-aarch64/system.toml" output="target/axiom/qemu-aarch64": tools servers programs
    @mkdir -p "$(dirname "{{ output }}")"
    @{{ bin }}/axiom-compose "{{ manifest }}" -o "{{ output }}.bundle" --report "{{ output }}.report" --images {{ images }} --blobs {{ out }}/programs

# An SD card's image for the Raspberry Pi 5: target/axiom/rpi5/axiom-rpi5.img; --dtb PATH takes the official device tree (a file, or a mounted boot partition)
[group("start here")]
[no-exit-message]
image-rpi5 *flags:
    @{{ ask }} image-rpi5 rpi5,--dtb=place "$@"

[no-exit-message]
_image-rpi5 *flags: kernel dtb-rpi5 (_bundle rpi5_manifest "target/axiom/rpi5/rpi5")
    @{{ bin }}/axiom-rpi5 image -o {{ rpi5_image }} --config platform/rpi5/config.txt --kernel {{ out }}/kernel-aarch64.img --bundle {{ out }}/rpi5/rpi5.bundle --tree {{ out }}/rpi5/bcm2712-axiom.dtb=bcm2712-rpi-5-b.dtb --tree {{ out }}/rpi5/bcm2712d0-axiom.dtb=bcm2712d0-rpi-5-b.dtb --commit "$(platform/tools/commit)" "$@"

# Write the card and read it back; without DEVICE, list the disks that can be removed; --yes-really for what is hardly a card
[group("Raspberry Pi 5")]
[no-exit-message]
flash-rpi5 *device:
    @{{ answer }} flash-rpi5 rpi5,--yes-really,path "$@" || { [ $? = 1 ] && { [ -e {{ rpi5_image }} ] || just image-rpi5; } && platform/tools/stale {{ rpi5_image }} image-rpi5 && {{ bin }}/axiom-rpi5 flash {{ rpi5_image }} "$@"; }

# The board's serial console, 115200 8N1; log: target/axiom/logs/rpi5.log
[group("Raspberry Pi 5")]
[no-exit-message]
console-rpi5 *port:
    @{{ answer }} console-rpi5 rpi5,--log=path,--until-verdict,--patience=number,path "$@" || { [ $? = 1 ] && { [ -x {{ bin }}/axiom-rpi5 ] || just tools; } && {{ bin }}/axiom-rpi5 console "$@"; }

# The Raspberry Pi 5's device trees from our own source
[private]
dtb-rpi5:
    @mkdir -p {{ out }}/rpi5
    @for tree in bcm2712-axiom bcm2712d0-axiom; do dtc -I dts -O dtb -o {{ out }}/rpi5/$tree.dtb platform/rpi5/$tree.dts; done

# All tests: host, lint, then the system in QEMU
[group("start here")]
test: lint test-host test-system

# Tests on this machine
[group("test")]
test-host: programs
    @echo "test: host"
    @{{ cargo }} host test -q
    @just rules-x86_64
    @just _search-programs 2 "$(platform/tools/search-seed)"

# The kernel's rules as x86-64 has them, on this machine: tables of each level, ports, pins; the worlds' searches again; and init on them
[group("test")]
rules-x86_64:
    @echo "test: the rules of x86-64"
    @RUSTFLAGS='--cfg axiom_arch="x86_64"' CARGO_TARGET_DIR="$CARGO_TARGET_DIR/rules-x86_64" {{ cargo }} host test -q -p sel4-sys -p axiom-objects --lib
    @RUSTFLAGS='--cfg axiom_arch="x86_64"' CARGO_TARGET_DIR="$CARGO_TARGET_DIR/rules-x86_64" {{ cargo }} host test -q -p axiom-init --test rules -- pc:: functions:: life::

# What every test run searches: MINUTES of accepted random programs beside their proofs, on another core half as long of forged ones, from a SEED that each commit has of its own
[group("search and fuzz")]
[no-exit-message]
search-programs minutes="2" seed=`platform/tools/search-seed`:
    @{{ ask }} search-programs number,number "$@"

[no-exit-message]
_search-programs minutes seed:
    @platform/tools/search-programs "{{ minutes }}" "{{ seed }}"

# For so many MINUTES, accepted random programs beside their proofs, from a seed of the moment
[group("search and fuzz")]
[no-exit-message]
fuzz-programs minutes="2":
    @{{ ask }} fuzz-programs number "$@"

[no-exit-message]
_fuzz-programs minutes:
    @AXIOM_FUZZ_MINUTES={{ minutes }} AXIOM_FUZZ_FIRST="$(date +%s)000000" \
        {{ cargo }} host test -q --release -p axiom-bpf-verifier --test fuzz -- --nocapture

# Forge proofs for MINUTES: state more than holds, of programs whose proofs hold; what is accepted is run beside what it states
[group("search and fuzz")]
[no-exit-message]
fuzz-proofs minutes="2":
    @{{ ask }} fuzz-proofs number "$@"

[no-exit-message]
_fuzz-proofs minutes:
    @AXIOM_FORGE_MINUTES={{ minutes }} AXIOM_FORGE_FIRST="$(date +%s)000000" \
        {{ cargo }} host test -q --profile fuzz -p axiom-bpf-verifier --test fuzz forged -- --nocapture

# Put faults into copies of the checker, one by one: the generators must find each within a minute of processor time; NAMES chooses some
[group("search and fuzz")]
[no-exit-message]
fuzz-planted *names:
    @{{ ask }} fuzz-planted 'any*' "$@"

[no-exit-message]
_fuzz-planted *names:
    @platform/tools/fuzz-planted bpf-server/verifier/tests/fuzz/planted.txt "$@"

# Everyday loops in C, 43 and four algorithms at five optimisation levels: how many of 235 are accepted, and why the others are not
[group("test")]
everyday-loops:
    @{{ cargo }} host build -q --release -p axiom-bpf
    @bpf-server/verifier/tests/loops/run {{ bin }}/axiom-bpf "$PWD/{{ out }}/loops"

# COUNT damaged proofs of each of twelve programs through the checker
[group("search and fuzz")]
[no-exit-message]
mutate-proofs count="84000":
    @{{ ask }} mutate-proofs number "$@"

[no-exit-message]
_mutate-proofs count:
    @AXIOM_FUZZ_SEEDS={{ count }} {{ cargo }} host test -q --release -p axiom-bpf-verifier --test proofs -- --nocapture

# COUNT damaged objects through the object reader: the samples and the verifier's programs at every optimisation level
[group("search and fuzz")]
[no-exit-message]
mutate-objects count="1000000":
    @{{ ask }} mutate-objects number "$@"

[no-exit-message]
_mutate-objects count:
    @bpf-server/programs/build-all "$PWD/{{ out }}/objects"
    @AXIOM_MUTATIONS={{ count }} AXIOM_MUTATION_OBJECTS="$PWD/{{ out }}/objects" \
        {{ cargo }} host test -q --release -p axiom-bpf-object --test mutations -- --nocapture

# Tests of the whole system in QEMU; NAMES chooses some
[group("test")]
[no-exit-message]
test-system *names:
    @{{ ask }} test-system 'test*' "$@"

[no-exit-message]
_test-system *names:
    #!/usr/bin/env bash
    set -euo pipefail
    # What the named tests run on, in one call, so that what several need is built once; all of it if none is named.
    aarch64= pc= rpi5=
    if [ $# = 0 ]; then aarch64=1 pc=1 rpi5=1; fi
    for name in "$@"; do
      case $name in qemu-x86_64/*) pc=1 ;; rpi5/*) rpi5=1 ;; *) aarch64=1 ;; esac
    done
    recipes=(tools programs)
    [ -z "$aarch64" ] || recipes+=(build)
    [ -z "$pc" ] || recipes+=(kernel-x86_64 servers-x86_64)
    # The last: it would take what follows for flags of its own.
    [ -z "$rpi5" ] || recipes+=(_image-rpi5)
    just "${recipes[@]}"
    [ -z "$rpi5" ] || {{ bin }}/axiom-rpi5 unpack {{ rpi5_image }} {{ out }}/rpi5/card >/dev/null
    platform/tools/system-tests {{ bin }} {{ images }} "$@"

# Format every Rust file
[group("test")]
fmt:
    @{{ cargo }} host fmt --all

# How strong the tests of CRATE (axiom-objects, axiom-bpf-checker, ...) are: all its mutants in one build, and those that no test notices; --sample 150 --seed 7, --names FILE, --with CRATE for the tests of another one
[group("search and fuzz")]
[no-exit-message]
mutants crate="" *flags:
    @{{ ask }} mutants crate!,--sample=number,--after=number,--seed=number,--names=file,--least=number,--jobs=number,--longest=number,--with=any "$@"

[no-exit-message]
_mutants crate *flags:
    @cargo mutants --version >/dev/null 2>&1 || {{ cargo }} host install -q --locked cargo-mutants
    @{{ cargo }} host build -q --release -p axiom-mutants
    @AXIOM_SEARCH_STATES="${AXIOM_SEARCH_STATES:-1500}" PROPTEST_CASES="${PROPTEST_CASES:-30}" AXIOM_FUZZ_PROGRAMS="${AXIOM_FUZZ_PROGRAMS:-1000}" AXIOM_EXHAUSTIVE_THIN="${AXIOM_EXHAUSTIVE_THIN:-30}" nice {{ bin }}/axiom-mutants "{{ crate }}" --output "{{ out }}/mutants" "${@:2}"

# COUNT mutants of each of the three crates, other ones each day; fails if less than 90 % are noticed, which a hundred of a crate at 95 % are on one day in ninety
[group("search and fuzz")]
[no-exit-message]
mutants-sample count="100" seed=`date +%Y%m%d`:
    @{{ ask }} mutants-sample number,number "$@"

[no-exit-message]
_mutants-sample count seed:
    @for crate in axiom-fdt axiom-boot axiom-objects; do just mutants $crate --sample "{{ count }}" --seed "{{ seed }}" --least 90; done

# Fuzz the kernel's system calls for MINUTES, from SEED, on ARCH (aarch64, x86_64); release and checked kernel in turn, as many at a time as there are cores. Ends with calls, coverage and what failed
[group("search and fuzz")]
[no-exit-message]
fuzz-kernel minutes="" seed=`date +%Y%m%d%H%M` arch="aarch64":
    @{{ ask }} fuzz-kernel 'number!,number,aarch64|x86_64' "$@"

[no-exit-message]
_fuzz-kernel minutes seed arch: tools
    @platform/tools/fuzz-kernel {{ bin }} {{ images }} --arch "{{ arch }}" --minutes "{{ minutes }}" --seed "{{ seed }}" --jobs "$(nproc)" --stretch 5000

# Random calls by SEED and what the kernel answers to them: target/axiom/logs/answers-SEED.log; with the LOG of another kernel, where they differ
[group("test")]
[no-exit-message]
answers seed="1" log="":
    @{{ ask }} answers number,file "$@"

[no-exit-message]
_answers seed log: kernel tools
    @AXIOM_ANSWERS_SEED="{{ seed }}" {{ cargo }} server build -q --profile system -p axiom-root-test --bin axiom-kernel-answers
    @{{ bin }}/axiom-runner --quiet --icount --no-sensors --root-task --name "answers-{{ seed }}" --timeout 600 --cpu cortex-a53 --bundle {{ images }}/axiom-kernel-answers >/dev/null
    @echo "answers: $(grep -ac '^answer ' {{ out }}/logs/answers-{{ seed }}.log) lines in {{ out }}/logs/answers-{{ seed }}.log"
    @[ -z "{{ log }}" ] || platform/tools/compare-answers "{{ out }}/logs/answers-{{ seed }}.log" "{{ log }}"

# Format, lints and directions of dependencies
[group("test")]
lint: check-deps
    @echo "lint: format"
    @{{ cargo }} host fmt --all --check
    @echo "lint: host crates"
    @{{ cargo }} host clippy -q --all-targets -- -D warnings
    @{{ cargo }} host clippy -q -p axiom-bench-jit -- -D warnings
    @echo "lint: kernel"
    @{{ cargo }} kernel clippy -q -p axiom-kernel -- -D warnings
    @{{ cargo }} kernel clippy -q -p axiom-kernel --features checked -- -D warnings
    @{{ cargo }} kernel-x86_64 clippy -q -p axiom-kernel -- -D warnings
    @{{ cargo }} kernel-x86_64 clippy -q -p axiom-kernel --features checked -- -D warnings
    @RUSTFLAGS='--cfg axiom_arch="x86_64"' CARGO_TARGET_DIR="$CARGO_TARGET_DIR/rules-x86_64" {{ cargo }} host clippy -q -p sel4-sys -p axiom-objects -p axiom-init --all-targets -- -D warnings
    @echo "lint: servers"
    @{{ cargo }} server clippy -q {{ steady_packages }} -- -D warnings
    @{{ cargo }} server clippy -q {{ server_packages }} -- -D warnings
    @{{ cargo }} server-x86_64 clippy -q {{ steady_packages }} -- -D warnings
    @{{ cargo }} server-x86_64 clippy -q {{ server_packages }} -- -D warnings
    @echo "lint: packages"
    @{{ cargo }} host package -q --allow-dirty --no-verify {{ kept_packages }}

# Crates that others may take, as packages: each is unpacked and built alone
[group("test")]
package:
    @{{ cargo }} host package --allow-dirty {{ kept_packages }}

# Kernel and runtime meet only in sel4-sys, and so on; the documents' links and the places in the code that they name
[group("test")]
check-deps:
    @{{ cargo }} host run -q --release -p axiom-check
    @{{ cargo }} host run -q --release -p axiom-check -- book

# The documentation of the crates, without a warning
[group("test")]
doc-check:
    @RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" {{ cargo }} host doc -q --no-deps --document-private-items && echo "doc: no warnings"

# Put right the lines of the code that the documents name
[group("documents")]
places:
    @{{ cargo }} host run -q --release -p axiom-check -- book --fix

# Run the benchmarks, plain and instruction-exact, and the kernel's alone; results go to target/axiom/results, with --record to bench/results/
[group("measure")]
[no-exit-message]
bench *record:
    @{{ ask }} bench --record "$@"

[no-exit-message]
_bench *record: build (_bench-kernel "cortex-a53" record)
    #!/usr/bin/env bash
    set -euo pipefail
    results=$(platform/tools/results-folder "$@")
    for kind in icount tcg; do
      flags=(); [ $kind = tcg ] || flags=(--icount)
      echo "bench: $kind"
      {{ bin }}/axiom-runner --quiet --name "bench-$kind" --timeout 600 "${flags[@]}"
      {{ bin }}/axiom-bench-report results "{{ out }}/logs/bench-$kind.log" "$results/qemu-aarch64-$kind.jsonl" "command=just bench ($kind)" "emulator=$(platform/tools/emulator)"
    done

# The kernel's operations in instructions, from a plain root task: kernel-icount.jsonl in target/axiom/results; --record as for bench
[group("measure")]
[no-exit-message]
bench-kernel cpu="cortex-a53" *record:
    @if [ "$1" = --record ]; then set -- cortex-a53 "$@"; fi; {{ ask }} bench-kernel any,--record "$@"

[no-exit-message]
_bench-kernel cpu *record: kernel tools
    @{{ cargo }} server build -q --profile system -p axiom-root-test
    @{{ bin }}/axiom-runner --quiet --icount --no-sensors --root-task --name bench-kernel --timeout 60 --cpu "{{ cpu }}" --bundle {{ images }}/axiom-kernel-bench
    @results=$(platform/tools/results-folder {{ record }}) && {{ bin }}/axiom-bench-report results "{{ out }}/logs/bench-kernel.log" "$results/kernel-icount.jsonl" "command=just bench-kernel {{ cpu }}" "commit=$(platform/tools/commit)" "cpu={{ cpu }}" "emulator=$(platform/tools/emulator)"

# The BPF compiler's code for this machine (x86-64) beside clang -O2, rbpf and, where bpf() is allowed, Linux's own: twelve kinds of programs
[group("measure")]
bench-jit:
    @{{ cargo }} host build -q --release -p axiom-bench-jit
    @bench/jit/run {{ out }}/bench-jit {{ bin }}/axiom-bench-jit

# The kernel's operations in instructions on x86-64, QEMU's q35: kernel-x86_64-icount.jsonl; --record as for bench
[group("measure")]
[no-exit-message]
bench-kernel-x86_64 *record:
    @{{ ask }} bench-kernel-x86_64 --record "$@"

[no-exit-message]
_bench-kernel-x86_64 *record: kernel-x86_64 tools
    @{{ cargo }} server-x86_64 build -q --profile system -p axiom-root-test
    @{{ bin }}/axiom-runner --quiet --board platform/qemu-x86_64/model.options --icount --root-task --name bench-kernel-x86_64 --timeout 60 --bundle {{ pc_images }}/axiom-kernel-bench
    @results=$(platform/tools/results-folder "$@") && {{ bin }}/axiom-bench-report results {{ out }}/logs/bench-kernel-x86_64.log "$results/kernel-x86_64-icount.jsonl" "command=just bench-kernel-x86_64" "commit=$(platform/tools/commit)" cpu=max "emulator=$(platform/tools/emulator)"

# Fails if an instruction-exact figure is 2 % worse than the committed one in bench/results/, or missing
[group("measure")]
bench-check: build bundle-x86_64
    #!/usr/bin/env bash
    set -uo pipefail
    {{ cargo }} server build -q --profile system -p axiom-root-test || exit 1
    {{ cargo }} server-x86_64 build -q --profile system -p axiom-root-test || exit 1
    bad=0
    check() { # log, baseline, runner's options...
      {{ bin }}/axiom-runner --quiet --icount --name "$1" --timeout 600 "${@:3}" && {{ bin }}/axiom-bench-report guard "bench/results/$2.jsonl" "{{ out }}/logs/$1.log" || bad=1
    }
    check check-kernel kernel-icount --root-task --no-sensors --cpu cortex-a53 --bundle {{ images }}/axiom-kernel-bench
    check check-kernel-x86_64 kernel-x86_64-icount --board platform/qemu-x86_64/model.options --name check-kernel-x86_64 --root-task --bundle {{ pc_images }}/axiom-kernel-bench
    check check-system qemu-aarch64-icount
    check check-system-x86_64 qemu-x86_64-icount --board platform/qemu-x86_64/model.options --name check-system-x86_64 --bundle {{ out }}/qemu-x86_64.bundle
    exit $bad

# Take the figures of the last `just bench-check` as the new baseline
[group("measure")]
bench-accept: tools
    @{{ bin }}/axiom-bench-report results {{ out }}/logs/check-kernel.log bench/results/kernel-icount.jsonl "command=just bench-kernel cortex-a53" "commit=$(platform/tools/commit)" cpu=cortex-a53 "emulator=$(platform/tools/emulator)"
    @{{ bin }}/axiom-bench-report results {{ out }}/logs/check-kernel-x86_64.log bench/results/kernel-x86_64-icount.jsonl "command=just bench-kernel-x86_64" "commit=$(platform/tools/commit)" cpu=max "emulator=$(platform/tools/emulator)"
    @{{ bin }}/axiom-bench-report results {{ out }}/logs/check-system.log bench/results/qemu-aarch64-icount.jsonl "command=just bench (icount)" "emulator=$(platform/tools/emulator)"
    @{{ bin }}/axiom-bench-report results {{ out }}/logs/check-system-x86_64.log bench/results/qemu-x86_64-icount.jsonl "command=just bench-check" cpu=max "emulator=$(platform/tools/emulator)"

# The same on the Raspberry Pi 5's model, instruction-exact: rpi5-model-icount.jsonl in target/axiom/results; --record as for bench
[group("measure")]
[no-exit-message]
bench-rpi5 *record:
    @{{ ask }} bench-rpi5 --record "$@"

[no-exit-message]
_bench-rpi5 *record: _image-rpi5
    @{{ bin }}/axiom-rpi5 unpack {{ rpi5_image }} {{ out }}/rpi5/card >/dev/null
    @{{ bin }}/axiom-runner --quiet --board platform/rpi5/model.options --icount --name bench-rpi5 --timeout 600
    @results=$(platform/tools/results-folder "$@") && {{ bin }}/axiom-bench-report results {{ out }}/logs/bench-rpi5.log "$results/rpi5-model-icount.jsonl" "command=just bench-rpi5 (a model of the board, instruction counting)" emulated=true

# Axiom beside Linux on the same emulated machine: --board qemu-x86_64 (without: qemu-aarch64), --runs N, --mode icount|tcg, --small, --axiom-only (beside the others' recorded figures); all in target/axiom/compare, with --record also in bench/results/
[group("start here")]
[no-exit-message]
compare-linux *flags:
    @{{ ask }} compare-linux '--board=qemu-aarch64|qemu-x86_64,--runs=number,--mode=icount|tcg,--small,--axiom-only,--record' "$@"

[no-exit-message]
_compare-linux *flags:
    @case " $* " in *" --board qemu-x86_64 "*) just bundle-x86_64 ;; *) just build ;; esac
    @platform/tools/compare-linux {{ bin }} "$@"

# docs/benchmarks.md, the book's page and its charts, from docs/benchmarks.template.md and bench/results/
[group("documents")]
bench-docs: tools
    #!/usr/bin/env bash
    set -euo pipefail
    sources=()
    for file in bench/results/*.jsonl; do
      label=$(basename "$file" .jsonl); sources+=("${label/qemu-aarch64-/}=$file")
    done
    {{ bin }}/axiom-bench-report docs docs/benchmarks.template.md docs "${sources[@]}"

# A captured log (without LOG the newest one that has figures) as tables here, Markdown, JSON and charts in target/axiom/report; with --html one page that needs nothing else
[group("look into a run")]
[no-exit-message]
report *log_and_flags:
    @{{ ask }} report file,--html "$@"

[no-exit-message]
_report *log_and_flags: tools
    #!/usr/bin/env bash
    set -euo pipefail
    log= html=
    for word in "$@"; do
      case $word in
        --html) html=1 ;;
        *) log=$word ;;
      esac
    done
    if [ -z "$log" ]; then
      log=$(platform/tools/last-report {{ out }}/logs)
      echo "report: of $log"
    fi
    beside=()
    # Those that were taken in another way, or on another machine, are left out by the tool.
    for file in bench/results/{linux,sel4}-*.jsonl; do [ ! -e "$file" ] || beside+=(--beside "$file"); done
    if [ -n "$html" ]; then exec {{ bin }}/axiom-bench-report html "$log" {{ out }}/report/report.html "${beside[@]}"; fi
    {{ bin }}/axiom-bench-report report "$log" {{ out }}/report "${beside[@]}"
    {{ bin }}/axiom-bench-report text "$log" "${beside[@]}"

# Boot and a few samples' ways as a picture for ui.perfetto.dev: target/axiom/trace.json; without LOG the system is run for it
[group("look into a run")]
[no-exit-message]
trace log="":
    @{{ ask }} trace file "$@"

[no-exit-message]
_trace log:
    #!/usr/bin/env bash
    set -euo pipefail
    log="{{ log }}"
    if [ -n "$log" ]; then
      just tools
    else
      # One call, so that what both need is built once.
      just kernel _bundle platform/qemu-aarch64/trace.toml {{ out }}/trace
      echo "trace: the system runs for it, a minute or so"
      {{ bin }}/axiom-runner --quiet --icount --name trace --timeout 300 --bundle {{ out }}/trace.bundle
      log={{ out }}/logs/trace.log
    fi
    {{ bin }}/axiom-bench-report trace "$log" {{ out }}/trace.json
    echo "trace: {{ out }}/trace.json; open it at ui.perfetto.dev"

# The system in QEMU under gdb, at the kernel's first line of Rust, or where SERVER starts: just debug iio-server
[group("run")]
[no-exit-message]
debug *server:
    @{{ ask }} debug server "$@"

[no-exit-message]
_debug *server: build
    @exec platform/tools/debug {{ bin }} "$@"

# A captured log (of a board, say) with function, file and line of what died in it, from the files built here, or from another --kernel and --bundle
[group("look into a run")]
[no-exit-message]
explain log="" *flags:
    @{{ ask }} explain file!,--kernel=file,--bundle=file "$@"

[no-exit-message]
_explain log *flags: tools
    @exec {{ bin }}/axiom-runner --explain "$1" "${@:2}"

# Who may reach what, as the manifest grants it
[group("look into a run")]
[no-exit-message]
grants: _bundle
    @platform/tools/as-text {{ out }}/qemu-aarch64.report.md
    @echo; echo "grants: for other tools: {{ out }}/qemu-aarch64.report.md, {{ out }}/qemu-aarch64.report.json"

# docs/src/program-reference.md from the code: attach points, contexts, helpers, map types, limits
[group("documents")]
reference:
    @AXIOM_WRITE_DOCS=1 {{ cargo }} host test -q -p axiom-bpf-server --test reference the_page_is && echo "reference: docs/src/program-reference.md"

# What README says that the first run prints, from a run of this tree; on a quiet machine, as its times are kept
[group("documents")]
readme: build
    @{{ bin }}/axiom-runner --timeout 240 --name readme </dev/null >{{ out }}/readme.shown
    @platform/tools/readme-excerpt {{ out }}/readme.shown >{{ out }}/README.md && cat {{ out }}/README.md >README.md && echo "readme: README.md"

# The book, with mdbook where it is installed
[group("documents")]
docs:
    @if command -v mdbook >/dev/null; then mdbook build docs -d "$PWD/{{ out }}/book" && echo "docs: {{ out }}/book/index.html"; else echo "docs: read docs/src; a rendered book needs mdbook (cargo install mdbook)"; fi

# Remove everything that was built
[group("build")]
clean:
    rm -rf target/axiom && {{ cargo }} host clean -q

# The kernel's small worlds with a preemption at every point, up to AXIOM_SEARCH_STATES states of each (400,000; `just test-host` does a part); names choose some
[group("search and fuzz")]
[no-exit-message]
search-kernel *worlds:
    @{{ ask }} search-kernel 'any*' "$@"

[no-exit-message]
_search-kernel *worlds:
    @AXIOM_SEARCH_ALL=1 AXIOM_SEARCH_STATES="${AXIOM_SEARCH_STATES:-400000}" {{ cargo }} host test -q -p axiom-objects --test deletion -- --nocapture --test-threads 1 "$@"
    @if [ $# -eq 0 ]; then set -- worlds; fi; AXIOM_SEARCH_STATES="${AXIOM_SEARCH_STATES:-400000}" {{ cargo }} host test -q -p axiom-objects --lib -- --nocapture --test-threads 1 "$@"

# The kernel's rules under Miri: every host test of the library but those that say why not; names choose some. Needs a nightly toolchain (rustup component add miri --toolchain nightly)
[group("search and fuzz")]
[no-exit-message]
miri *names:
    @{{ ask }} miri 'any*' "$@"

[no-exit-message]
_miri *names:
    @cargo +nightly miri --version >/dev/null 2>&1 || { echo "miri: not installed: rustup toolchain install nightly --component miri,rust-src" >&2; exit 1; }
    @PROPTEST_CASES="${PROPTEST_CASES:-1}" MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-disable-isolation -Zmiri-ignore-leaks" CARGO_TARGET_DIR="$CARGO_TARGET_DIR/miri" cargo +nightly miri test -q -p axiom-objects --lib -- "$@"
