//! What the command line asks for.
use crate::inject::After;
use std::path::PathBuf;
use std::time::Duration;

/// How to run, and what to look for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The kernel image.
    pub kernel: PathBuf,
    /// The bundle, or any root task; none tests the kernel's refusal.
    pub bundle: Option<PathBuf>,
    /// The emulator.
    pub qemu: PathBuf,
    /// What to print where there is no such emulator: how to get it.
    pub qemu_hint: String,
    /// Only say whether the emulator is there.
    pub probe: bool,
    /// Boots from this image, as a USB stick, instead of having kernel and bundle put into memory.
    pub iso: bool,
    /// The image.
    pub iso_file: PathBuf,
    /// The machine's firmware is UEFI, which boots images only.
    pub uefi: bool,
    /// That firmware.
    pub uefi_firmware: PathBuf,
    /// A machine of its own instead of `virt`, with its properties; then CPU and interrupt controller are its affair.
    pub machine: Option<String>,
    /// A device tree instead of QEMU's.
    pub dtb: Option<PathBuf>,
    /// Cores.
    pub cores: u32,
    /// Devices added to the machine.
    pub devices: Vec<String>,
    /// A reset starts the machine again instead of ending it.
    pub reboot: bool,
    /// What is done to the machine while it runs.
    pub after: Vec<After>,
    /// The simulator of sensors.
    pub simulator: Option<PathBuf>,
    /// The device by which the machine reaches it.
    pub sensor_device: String,
    /// The device by which the machine reaches the simulator's controller of lines, where it has no pins of its own.
    pub lines_device: Option<String>,
    /// Arguments for it.
    pub sensor_args: Vec<String>,
    /// Where the accelerometer's interrupt line leads: a qtest line that wants the level at its end.
    pub sensor_interrupt: Option<String>,
    /// No sensors at all.
    pub no_sensors: bool,
    /// CPU model.
    pub cpu: String,
    /// The model was asked for, also of a machine of its own.
    pub cpu_chosen: bool,
    /// What is told the kernel besides.
    pub append: Vec<String>,
    /// The status with which QEMU must end by itself after a good verdict: that of a device which only the kernel uses.
    pub exit_status: Option<i32>,
    /// RAM, as QEMU takes it.
    pub memory: String,
    /// Interrupt controller version.
    pub gic: String,
    /// Entered at EL2.
    pub el2: bool,
    /// One instruction, one nanosecond.
    pub icount: bool,
    /// How QEMU is to count them.
    pub counting: String,
    /// Give up after that.
    pub timeout: Duration,
    /// Texts that must come, in this order.
    pub expect: Vec<String>,
    /// Texts that must not come.
    pub forbid: Vec<String>,
    /// The run need not end with a verdict: it ends when everything expected came.
    pub no_verdict: bool,
    /// The bundle is one root task, for which nobody else can speak: its verdict needs no token.
    pub root_task: bool,
    /// What makes a verdict this run's: init gets it with the boot arguments, and nobody else.
    pub token: Option<String>,
    /// The verdict must be a failure that contains this.
    pub expect_failure: Option<String>,
    /// Stay after the verdict.
    pub linger: bool,
    /// Print the console only if the run fails.
    pub quiet: bool,
    /// A server whose file is to be named instead of a run.
    pub elf_of: Option<String>,
    /// A log to be explained instead of a run.
    pub explain: Option<PathBuf>,
    /// The terminal shows the console as it is.
    pub raw: bool,
    /// Names the log.
    pub name: String,
    /// Where logs go.
    pub logs: PathBuf,
    /// More arguments for QEMU.
    pub extra: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernel: "target/axiom/kernel-aarch64.img".into(),
            bundle: Some("target/axiom/qemu-aarch64.bundle".into()),
            qemu: "qemu-system-aarch64".into(),
            qemu_hint: "./justw setup installs it".into(),
            probe: false,
            iso: false,
            iso_file: "target/axiom/qemu-x86_64.iso".into(),
            uefi: false,
            uefi_firmware: "/usr/share/ovmf/OVMF.fd".into(),
            machine: None,
            dtb: None,
            cores: 1,
            devices: vec![],
            reboot: false,
            after: vec![],
            simulator: None,
            sensor_device: "vhost-user-i2c-device".into(),
            lines_device: None,
            sensor_args: vec![],
            sensor_interrupt: None,
            no_sensors: false,
            cpu: "cortex-a76".into(),
            cpu_chosen: false,
            append: vec![],
            exit_status: None,
            memory: "1G".into(),
            gic: "3".into(),
            el2: false,
            icount: false,
            counting: "shift=0".into(),
            timeout: Duration::from_secs(120),
            expect: vec![],
            forbid: vec![],
            no_verdict: false,
            root_task: false,
            token: None,
            expect_failure: None,
            linger: false,
            quiet: false,
            raw: false,
            explain: None,
            elf_of: None,
            name: "qemu-aarch64".into(),
            logs: "target/axiom/logs".into(),
            extra: vec![],
        }
    }
}

/// What `--help` prints.
pub const HELP: &str = "\
axiom-runner [OPTIONS] [-- QEMU-ARGUMENTS...]
runs Axiom in QEMU; the exit status is the run's verdict. The defaults are qemu-aarch64's; the
recipes of other machines set their own

  --kernel FILE        default target/axiom/kernel-aarch64.img
  --bundle FILE        default target/axiom/qemu-aarch64.bundle; any static root task works;
                       --no-bundle gives none
  --test FILE.toml     options from the file's header lines `#! --option value`; its name names
                       the log
  --board FILE         options from a file, one a line; `#` starts a comment (model.options)
  --machine TEXT       another machine than virt, with properties; --gic, --el2 and the CPU,
                       unless --cpu follows, are then its affair
  --property NAME=VALUE  a property of that machine (repeatable)
  --dtb FILE           a device tree instead of QEMU's own
  --cores N            default 1
  --reboot             a reset starts the machine again instead of ending the run
  --device TEXT        one more device, as QEMU's -device takes it (repeatable); --no-devices
                       forgets those before
  --after 'TEXT => qmp qom-set PATH PROPERTY VALUE'
  --after 'TEXT => qtest LINE'
  --after 'TEXT => line set LINE LEVEL', or 'TEXT => line get'
                       once the console said TEXT, does that to the machine; several: one after
                       the other. The answer becomes a line `runner: qtest LINE -> ANSWER`, for
                       --expect and --after. {qom:TYPE} is the path of the first object of that
                       type. Example: ready => qtest set_irq_in {qom:pl061} unnamed-gpio-in 5 1
  --cpu MODEL          default cortex-a76        --memory SIZE   default 1G
  --gic 2|3            default 3                 --el2           enter the kernel at EL2
  --icount             one instruction = 1 ns of virtual time: exact, slower
  --counting TEXT      how: what -icount gets, default shift=0; with sensors, which live in the
                       host's time, the clock never jumps: sleep=off is left out
  --append TEXT        words for the kernel's command line (repeatable)
  --qemu-argument TEXT one more argument for QEMU (repeatable); on the command line, what follows
                       -- is the same
  --iso                a PC only: boot from its image, as a USB stick, by BIOS (SeaBIOS) and
                       GRUB; words for the kernel go through the machine's description
  --iso-file FILE      the image, default target/axiom/qemu-x86_64.iso (`just image-x86_64`)
  --uefi               the same by UEFI (OVMF)
  --uefi-firmware FILE default /usr/share/ovmf/OVMF.fd (Debian: ovmf)
  --exit-status STATUS after a good verdict QEMU must end by itself with this status: on a PC,
                       status 0 may be a crash; none asks for nothing
  --expect TEXT        must be printed; several: in this order
  --forbid TEXT        must not be printed
  --expect-failure TEXT  the verdict must be FAILED with this reason
  --no-verdict         the run ends when all expected texts came (for foreign root tasks)
  --root-task          the bundle is one root task and no system: its verdict is believed as it
                       stands. Else init gets a random word with the boot arguments and puts it
                       after the verdict, so that no server can end a run by printing one
  --sensors FILE       the sensor simulator; default: axiom-sensor-sim beside this program
  --sensor-device NAME how the machine reaches it, default vhost-user-i2c-device; with properties
  --lines-device NAME  how it reaches a controller of lines that the simulator has besides; default
                       none: the machine has pins of its own
  --sensor-arg ARG     an argument for it (repeatable)
  --sensor-interrupt LINE
                       the pin that the accelerometer's INT1 is wired to: a qtest line without its
                       level, for example set_irq_in {qom:pl061} unnamed-gpio-in 4
  --no-sensors         run without
  --timeout SECONDS    default 120; 0 is for ever
  --linger             stay when the run has ended; leave with Ctrl-A x
  --quiet              print the console's end only if the run fails
  --raw                print the console as it is; else lines of at most 100 columns, without what
                       is for tools, which the log has
  --elf-of SERVER      no run: the file that the bundle's server was made of
  --explain LOG        no run: shows the log, with function, file and line of what died in it,
                       from --kernel and --bundle
  --name NAME          names the log                --logs DIR     default target/axiom/logs
  --qemu FILE          default qemu-system-aarch64
  --qemu-variable NAME an environment variable that names the emulator, before --qemu
  --qemu-hint TEXT     what to tell who does not have it
  --probe              only find the emulator: status 0 if it is there

exit status: 0 as expected, 1 not, 2 could not start, 3 out of time, 130 interrupted";

/// Reads the command line; `Ok(None)` asks for help.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    let mut args = args.into_iter().collect::<Vec<_>>();
    if let Some(split) = args.iter().position(|a| a == "--") {
        options.extra = args.split_off(split)[1..].to_vec();
    }
    if args.iter().any(|a| a == "-h" || a == "--help") {
        return Ok(None);
    }
    apply(&mut options, args, Nested::No)?;
    Ok(Some(options))
}

/// Where options stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nested {
    /// On the command line.
    No,
    /// In the header of a test's manifest: lines `#! --option value`.
    Test,
    /// In a board's file: lines `--option value`.
    Board,
}

impl Nested {
    fn boards(self) -> bool {
        self != Nested::Board
    }
}

fn apply(o: &mut Options, args: Vec<String>, nested: Nested) -> Result<(), String> {
    let mut args = args.into_iter();
    let mut variable = None;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value; see --help"));
        match arg.as_str() {
            "--kernel" => o.kernel = value()?.into(),
            "--bundle" => o.bundle = Some(value()?.into()),
            "--no-bundle" => o.bundle = None,
            "--qemu" => o.qemu = value()?.into(),
            "--qemu-variable" => {
                let name = value()?;
                variable = std::env::var_os(&name).filter(|v| !v.is_empty()).or(variable);
            }
            "--qemu-hint" => o.qemu_hint = value()?,
            "--probe" => o.probe = true,
            "--iso" => o.iso = true,
            "--iso-file" => o.iso_file = value()?.into(),
            "--uefi" => (o.iso, o.uefi) = (true, true),
            "--uefi-firmware" => o.uefi_firmware = value()?.into(),
            "--board" if nested.boards() => file(o, &value()?, Nested::Board)?,
            "--machine" => o.machine = Some(value()?),
            "--property" => {
                let property = value()?;
                match &mut o.machine {
                    Some(machine) => *machine = format!("{machine},{property}"),
                    None => {
                        return Err(format!(
                            "--property {property}: it belongs to a --machine, which comes first"
                        ));
                    }
                }
            }
            "--dtb" => o.dtb = Some(value()?.into()),
            "--cores" => {
                let text = value()?;
                o.cores = text.parse().map_err(|_| format!("--cores {text}: a whole number"))?;
            }
            "--reboot" => o.reboot = true,
            "--no-devices" => o.devices.clear(),
            "--device" => o.devices.push(value()?),
            "--after" => o.after.push(After::read(&value()?)?),
            "--sensors" => o.simulator = Some(value()?.into()),
            "--sensor-device" => o.sensor_device = value()?,
            "--lines-device" => o.lines_device = Some(value()?),
            "--sensor-arg" => o.sensor_args.push(value()?),
            "--sensor-interrupt" => o.sensor_interrupt = Some(value()?),
            "--no-sensors" => o.no_sensors = true,
            "--cpu" => {
                o.cpu = value()?;
                o.cpu_chosen = true;
            }
            "--append" => o.append.push(value()?),
            "--qemu-argument" => o.extra.push(value()?),
            "--exit-status" => {
                let text = value()?;
                o.exit_status = match text.as_str() {
                    "none" => None,
                    number => {
                        Some(number.parse().map_err(|_| format!("--exit-status {text}: a number, or none"))?)
                    }
                };
            }
            "--memory" => o.memory = value()?,
            "--gic" => match value()?.as_str() {
                v @ ("2" | "3") => o.gic = v.into(),
                v => return Err(format!("--gic {v}: the machine has version 2 or 3")),
            },
            "--el2" => o.el2 = true,
            "--icount" => o.icount = true,
            "--counting" => o.counting = value()?,
            "--timeout" => {
                let text = value()?;
                let seconds =
                    text.parse().map_err(|_| format!("--timeout {text}: seconds, a whole number"))?;
                o.timeout = Duration::from_secs(seconds);
            }
            "--expect" => o.expect.push(value()?),
            "--forbid" => o.forbid.push(value()?),
            "--no-verdict" => o.no_verdict = true,
            "--root-task" => o.root_task = true,
            "--expect-failure" => o.expect_failure = Some(value()?),
            "--linger" => o.linger = true,
            "--quiet" => o.quiet = true,
            "--raw" => o.raw = true,
            "--elf-of" => o.elf_of = Some(value()?),
            "--explain" => o.explain = Some(value()?.into()),
            "--name" => o.name = value()?,
            "--logs" => o.logs = value()?.into(),
            "--test" if nested == Nested::No => file(o, &value()?, Nested::Test)?,
            other => return Err(format!("unknown option '{other}'; see --help")),
        }
    }
    if let Some(path) = variable {
        o.qemu = path.into();
    }
    if o.no_verdict && o.expect.is_empty() {
        return Err("--no-verdict needs an --expect: the run must end with something".into());
    }
    Ok(())
}

/// Options from a file, each with the text up to the line's end as its value.
fn file(o: &mut Options, path: &str, kind: Nested) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: cannot be read: {e}"))?;
    if kind == Nested::Test {
        let stem = std::path::Path::new(path).file_stem().and_then(|s| s.to_str()).unwrap_or("test");
        o.name = stem.to_owned();
    }
    let mut args = Vec::new();
    for line in text.lines() {
        let line = match kind {
            Nested::Test => line.strip_prefix("#!"),
            _ => Some(line).filter(|l| !l.starts_with('#')),
        };
        let Some(line) = line.map(str::trim).filter(|l| !l.is_empty()) else { continue };
        match line.split_once(' ') {
            Some((option, value)) => args.extend([option.to_owned(), value.trim().to_owned()]),
            None => args.push(line.to_owned()),
        }
    }
    apply(o, args, kind).map_err(|e| format!("{path}: {e}"))
}

/// A word that no server can guess.
pub fn random_token() -> Result<String, String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
    read.map_err(|e| format!("/dev/urandom: {e}: a run's verdict needs a random word"))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// A path as a value among QEMU's comma-separated ones: its commas are doubled.
pub fn quoted(path: &std::path::Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The socket of the simulator's controller of lines, beside its other one.
pub fn lines_socket(socket: &std::path::Path) -> std::path::PathBuf {
    socket.with_file_name("lines.sock")
}

/// QEMU's arguments; `socket` is the simulator's.
pub fn qemu_arguments(o: &Options, socket: Option<&std::path::Path>) -> Vec<String> {
    let mut machine = match &o.machine {
        Some(machine) => machine.clone(),
        None if o.el2 => format!("virt,gic-version={},virtualization=on", o.gic),
        None => format!("virt,gic-version={}", o.gic),
    };
    let mut args: Vec<String> = Vec::new();
    if let Some(socket) = socket {
        // The simulator reads requests from the guest's memory, so that is shared with it.
        machine += ",memory-backend=mem";
        let memory = format!("memory-backend-memfd,id=mem,size={},share=on", o.memory);
        let chardev = format!("socket,id=vi2c,path={}", quoted(socket));
        for (key, value) in [
            ("-object", memory.as_str()),
            ("-global", "virtio-mmio.force-legacy=false"),
            ("-chardev", &chardev),
        ] {
            args.extend([key.to_owned(), value.to_owned()]);
        }
    }
    args.extend(["-M".into(), machine]);
    if o.machine.is_none() || o.cpu_chosen {
        args.extend(["-cpu".into(), o.cpu.clone()]);
    }
    args.extend(["-m".into(), o.memory.clone()]);
    if o.cores != 1 {
        args.extend(["-smp".into(), o.cores.to_string()]);
    }
    for device in &o.devices {
        args.extend(["-device".into(), device.clone()]);
    }
    if let Some(socket) = socket {
        args.extend(["-device".into(), format!("{},chardev=vi2c", o.sensor_device)]);
        if let Some(device) = &o.lines_device {
            let chardev = format!("socket,id=vgpio,path={}", quoted(&lines_socket(socket)));
            args.extend(["-chardev".into(), chardev, "-device".into(), format!("{device},chardev=vgpio")]);
        }
    }
    if let Some(dtb) = &o.dtb {
        args.extend(["-dtb".into(), dtb.display().to_string()]);
    }
    args.extend(["-nographic", "-nic", "none"].map(str::to_owned));
    if !o.reboot {
        args.push("-no-reboot".into());
    }
    let mut words = o.append.clone();
    words.extend(o.token.iter().map(|token| format!("axiom.verdict={token}")));
    if o.iso {
        args.extend(boot_from_image(o, &words));
    } else {
        args.extend(["-kernel".into(), o.kernel.display().to_string()]);
        if let Some(bundle) = &o.bundle {
            args.extend(["-initrd".into(), bundle.display().to_string()]);
        }
        if !words.is_empty() {
            args.extend(["-append".into(), words.join(" ")]);
        }
    }
    if o.icount {
        args.extend(["-icount".into(), counting(o, socket.is_some())]);
    }
    args.extend(o.extra.iter().cloned());
    args
}

/// How instructions are counted. The simulator answers in the host's time: a clock that jumps while the processor waits for it would be past
/// every deadline.
pub fn counting(o: &Options, simulator: bool) -> String {
    if simulator { o.counting.replace(",sleep=off", "") } else { o.counting.clone() }
}

/// The image as a stick in a USB port; a comma is doubled, as QEMU wants it in a value.
fn boot_from_image(o: &Options, words: &[String]) -> Vec<String> {
    let quoted = |text: String| text.replace(',', ",,");
    let mut args = Vec::new();
    if o.uefi {
        args.extend(["-bios".into(), o.uefi_firmware.display().to_string()]);
    }
    let file = quoted(o.iso_file.display().to_string());
    let drive = format!("if=none,id=stick,format=raw,readonly=on,file={file}");
    for (key, value) in [
        ("-device", "qemu-xhci"),
        ("-drive", drive.as_str()),
        ("-device", "usb-storage,drive=stick,bootindex=0"),
    ] {
        args.extend([key.to_owned(), value.to_owned()]);
    }
    if !words.is_empty() {
        args.extend(["-smbios".into(), format!("type=11,value={}", quoted(words.join(" ")))]);
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Options>, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_become_qemus_arguments() {
        let o =
            read("--gic 2 --el2 --icount --memory 512M --kernel k --bundle b -- -d int").unwrap().unwrap();
        let args = qemu_arguments(&o, Some(std::path::Path::new("/s"))).join(" ");
        assert_eq!(
            args,
            "-object memory-backend-memfd,id=mem,size=512M,share=on -global virtio-mmio.force-legacy=false \
             -chardev socket,id=vi2c,path=/s -M virt,gic-version=2,virtualization=on,memory-backend=mem -cpu cortex-a76 \
             -m 512M -device vhost-user-i2c-device,chardev=vi2c -nographic -nic none -no-reboot \
             -kernel k -initrd b -icount shift=0 -d int"
        );
        let commas = qemu_arguments(&o, Some(std::path::Path::new("/a, b,c/s"))).join(" ");
        assert!(commas.contains("path=/a,, b,,c/s -M "), "{commas}");
        let without = qemu_arguments(&Options { bundle: None, ..Options::default() }, None).join(" ");
        assert!(!without.contains("vhost") && !without.contains("initrd"));
    }

    #[test]
    fn a_board_brings_its_machine_and_emulator() {
        let path = std::env::temp_dir().join(format!("axiom-runner-{}.options", std::process::id()));
        let text = "# a board\n--machine pi,rp1=on\n--qemu-variable AXIOM_TEST_NO_SUCH\n--qemu ../pi-qemu\n--qemu-hint build it so\n\n--dtb t.dtb\n--device dps310\n";
        std::fs::write(&path, text).unwrap();
        let more = "--property link=off --no-devices --cores 4 --device tmp105,id=t0 --no-bundle --kernel k";
        let board = ["--board".to_owned(), path.display().to_string()];
        let o = parse(board.into_iter().chain(more.split(' ').map(str::to_owned)));
        std::fs::remove_file(&path).unwrap();
        let o = o.unwrap().unwrap();
        assert_eq!((o.qemu.to_str(), o.qemu_hint.as_str()), (Some("../pi-qemu"), "build it so"));
        assert_eq!(
            qemu_arguments(&o, None).join(" "),
            "-M pi,rp1=on,link=off -m 1G -smp 4 -device tmp105,id=t0 -dtb t.dtb -nographic -nic none -no-reboot -kernel k"
        );
    }

    #[test]
    fn a_pc_has_its_own_way_to_count_and_to_end() {
        let o = read(
            "--machine q35 --cpu max --counting shift=0,sleep=off --icount --append axiom.exit=0xf4 --append quiet \
             --qemu-argument -nodefaults --exit-status 33 --no-bundle --kernel k",
        );
        let o = o.unwrap().unwrap();
        assert_eq!(o.exit_status, Some(33));
        assert_eq!(read("--exit-status 33 --exit-status none").unwrap().unwrap().exit_status, None);
        assert_eq!(
            qemu_arguments(&o, None).join(" "),
            "-M q35 -cpu max -m 1G -nographic -nic none -no-reboot -kernel k -append axiom.exit=0xf4 quiet \
             -icount shift=0,sleep=off -nodefaults"
        );
        let lines_device = Some("vhost-user-gpio-pci,addr=5".into());
        let o = Options { sensor_device: "vhost-user-i2c-pci,addr=4".into(), lines_device, ..o };
        let with_sensors = qemu_arguments(&o, Some(std::path::Path::new("/t/s"))).join(" ");
        assert!(with_sensors.contains("-M q35,memory-backend=mem "));
        assert!(with_sensors.contains(
            "-device vhost-user-i2c-pci,addr=4,chardev=vi2c -chardev socket,id=vgpio,path=/t/lines.sock \
             -device vhost-user-gpio-pci,addr=5,chardev=vgpio -nographic"
        ));
        assert!(with_sensors.contains("-icount shift=0 -nodefaults"), "its clock waits for the simulator");
    }

    #[test]
    fn an_image_is_a_stick_and_words_come_by_the_machines_description() {
        let line = "--machine q35 --append axiom.exit=0xf4 --append a=1,2 --kernel k --iso-file a,b.iso";
        let o = read(&format!("{line} --iso")).unwrap().unwrap();
        let by_bios = "-M q35 -m 1G -nographic -nic none -no-reboot -device qemu-xhci \
             -drive if=none,id=stick,format=raw,readonly=on,file=a,,b.iso -device usb-storage,drive=stick,bootindex=0 \
             -smbios type=11,value=axiom.exit=0xf4 a=1,,2";
        assert_eq!(qemu_arguments(&o, None).join(" "), by_bios);
        let o = read(&format!("{line} --uefi --uefi-firmware f.fd")).unwrap().unwrap();
        let by_uefi = by_bios.replace("-device qemu-xhci", "-bios f.fd -device qemu-xhci");
        assert_eq!(qemu_arguments(&o, None).join(" "), by_uefi);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, message) in [
            ("--gic 4", "--gic 4: the machine has version 2 or 3"),
            ("--timeout soon", "--timeout soon: seconds, a whole number"),
            ("--expect", "--expect needs a value; see --help"),
            ("--warp", "unknown option '--warp'; see --help"),
            ("--cores four", "--cores four: a whole number"),
            ("--exit-status odd", "--exit-status odd: a number, or none"),
            ("--property a=b", "--property a=b: it belongs to a --machine, which comes first"),
            ("--board /nowhere", "/nowhere: cannot be read: No such file or directory (os error 2)"),
            (
                "--after ready",
                "--after ready: write 'TEXT => qmp ...', 'TEXT => qtest ...' or 'TEXT => line ...'",
            ),
            ("--no-verdict", "--no-verdict needs an --expect: the run must end with something"),
            ("--test /nowhere.toml", "/nowhere.toml: cannot be read: No such file or directory (os error 2)"),
        ] {
            assert_eq!(read(line).unwrap_err(), message);
        }
        assert_eq!(read("--help"), Ok(None));
    }

    #[test]
    fn a_test_manifest_brings_its_own_options() {
        let path = std::env::temp_dir().join(format!("axiom-runner-{}-crash.toml", std::process::id()));
        std::fs::write(&path, "#! --expect two words here\n#! --icount\nextends = \"x\"\n").unwrap();
        let o = parse(["--test".into(), path.display().to_string()]).unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((o.expect, o.icount), (vec!["two words here".to_owned()], true));
        assert!(o.name.ends_with("-crash"));
    }
}
