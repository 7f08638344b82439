//! Located values to typed ones: every key of the manifest, its type and its range.
use crate::diagnostic::{At, Diagnostic, nearest};
use crate::pins::{self, Motor, Program, Wishes};
use crate::source::{Located, Raw, RawServer};
use axiom_layout::MAX_SERVERS;
use axiom_layout::manifest::{DEVICE, Key, Kind, Otherwise, SERVER, SYSTEM};
use axiom_proto::bundle::Restart;
use std::collections::BTreeMap;
use toml_edit::{InlineTable, Value};

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: At,
}

/// A device as the manifest asks for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The server's name for it.
    pub name: String,
    /// The device tree's.
    pub compatible: String,
    /// For virtio: the device type.
    pub virtio_id: Option<u32>,
    /// Which of several.
    pub instance: u32,
    /// Interrupts too?
    pub interrupts: bool,
    /// For a bridge: what lies behind it too?
    pub ranges: bool,
    /// It is a PCI function.
    pub is_function: bool,
    /// Most addresses that it takes if it is one, KiB.
    pub registers_kib: u32,
    /// For a block that turns messages into interrupts: these too?
    pub messages: bool,
    /// May be absent?
    pub optional: bool,
}

/// A server as the manifest asks for it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its heading.
    pub at: At,
    /// File name of its image.
    pub image: Placed<String>,
    /// Numbers by key; every number of the schema is here.
    pub numbers: BTreeMap<&'static str, Placed<u64>>,
    /// Yes or no by key; every flag of the schema is here.
    pub flags: BTreeMap<&'static str, bool>,
    /// Whom it calls.
    pub calls: Vec<Placed<String>>,
    /// Whom it signals.
    pub signals: Vec<Placed<String>>,
    /// Whose threads it may stop and change.
    pub debugs: Vec<Placed<String>>,
    /// Who alone may call it, if it says so.
    pub clients: Option<Placed<Vec<String>>>,
    /// Its devices.
    pub devices: Vec<Placed<Device>>,
    /// Its files.
    pub blobs: Vec<Placed<String>>,
    /// After a crash.
    pub restart: Restart,
    /// Keys that the manifest says, and where.
    pub given: BTreeMap<String, At>,
    /// Settings.
    pub args: Vec<(String, Placed<String>)>,
    /// Timers, by name.
    pub timers: Vec<Placed<String>>,
    /// Interfaces that it serves.
    pub serves: Vec<u16>,
    /// GPIO chips that it owns.
    pub gpio_chips: Vec<Placed<String>>,
    /// PWM chips that it owns.
    pub pwm_chips: Vec<Placed<String>>,
    /// What it asks for of lines and channels.
    pub wishes: Wishes,
    /// Peripherals of RP1 that it opens.
    pub rp1: Vec<Placed<String>>,
    /// Kinds of attach points on which it runs programs.
    pub hosts: Vec<Placed<String>>,
    /// Who places those programs.
    pub loader: Option<Placed<String>>,
    /// Sensors that it may start, stop and read out.
    pub iio: Vec<Placed<String>>,
}

impl Server {
    /// A number of the schema.
    pub fn number(&self, key: &str) -> u64 {
        self.numbers.get(key).map_or(0, |n| n.value)
    }

    /// Where that number stands.
    pub fn number_at(&self, key: &str) -> &At {
        self.numbers.get(key).map_or(&self.at, |n| &n.at)
    }

    /// A flag of the schema.
    pub fn flag(&self, key: &str) -> bool {
        self.flags.get(key).copied().unwrap_or(false)
    }
}

/// A system as the manifest asks for it.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its board.
    pub board: String,
    /// init prints what the machine says of itself.
    pub print_facts: bool,
    /// The kernel's debug system calls stay.
    pub debug_calls: bool,
    /// It tests others: rights that no product gives may be given.
    pub test: bool,
    /// The least RAM of the board, MiB.
    pub memory_mib: u64,
    /// Addresses for PCI functions that firmware gave none: the first, and bytes.
    pub pci_window: (u64, u64),
    /// Where `[system]` stands.
    pub at: At,
    /// The servers.
    pub servers: Vec<Server>,
    /// Rights of programs.
    pub programs: Vec<Program>,
    /// The motors.
    pub motors: Vec<Motor>,
}

/// A number as a reader wants it: key, smallest, largest, default (none: it must be given), unit.
type Number = (&'static str, u64, u64, Option<u64>, &'static str);

fn numbers(table: &'static [Key]) -> impl Iterator<Item = Number> {
    table.iter().filter_map(|key| match (key.kind, key.default) {
        (Kind::Number(least, most, unit), Otherwise::Must) => Some((key.name, least, most, None, unit)),
        (Kind::Number(least, most, unit), Otherwise::Number(n)) => {
            Some((key.name, least, most, Some(n), unit))
        }
        // What it is then depends on others.
        (Kind::Number(least, most, unit), _) => Some((key.name, least, most, Some(0), unit)),
        _ => None,
    })
}

/// A number of a table, by its key.
pub(crate) fn number_of(table: &'static [Key], name: &str) -> Number {
    numbers(table).find(|n| n.0 == name).unwrap_or(("?", 0, 0, Some(0), "?"))
}

fn flags(table: &'static [Key]) -> impl Iterator<Item = (&'static str, bool)> {
    table.iter().filter_map(|key| match key.default {
        Otherwise::Flag(default) => Some((key.name, default)),
        _ => None,
    })
}

/// The names of a table's keys.
pub(crate) fn names(table: &'static [Key]) -> Vec<&'static str> {
    table.iter().map(|key| key.name).collect()
}

/// The heap of a server whose program allocates, where the manifest says nothing, KiB.
pub const HEAP_KIB: u64 = 64;
/// A server in the background runs for so many microseconds at a time; then those of the same priority have their turn.
pub const TURN_US: u64 = 5_000;

fn show(value: &Value) -> String {
    value.to_string().trim().to_owned()
}

pub(crate) struct Reader<'a> {
    pub(crate) who: String,
    pub(crate) keys: &'a BTreeMap<String, Located>,
    pub(crate) at: &'a At,
    pub(crate) errors: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    pub(crate) fn wrong(&mut self, found: &Located, rule: &str, advice: &str) {
        let (key, what) = (found.at.clone(), format!("{}: {}", self.who, show(&found.value)));
        self.errors.push(Diagnostic::new(&key, what, rule, advice));
    }

    pub(crate) fn text(&mut self, key: &str, advice: &str) -> Option<Placed<String>> {
        let Some(found) = self.keys.get(key) else {
            self.errors.push(Diagnostic::new(
                self.at,
                format!("{} has no {key}", self.who),
                format!("{key} must be given"),
                advice,
            ));
            return None;
        };
        match found.value.as_str() {
            Some(text) if !text.is_empty() => Some(Placed { value: text.into(), at: found.at.clone() }),
            _ => {
                self.wrong(&found.clone(), &format!("{key} is a text"), advice);
                None
            }
        }
    }

    pub(crate) fn number(&mut self, spec: &(&str, u64, u64, Option<u64>, &str)) -> Option<Placed<u64>> {
        let (key, least, most, default, unit) = *spec;
        let Some(found) = self.keys.get(key) else {
            if default.is_none() {
                self.errors.push(Diagnostic::new(
                    self.at,
                    format!("{} has no {key}", self.who),
                    format!("{key} must be given, {least} to {most} {unit}"),
                    format!("{key} = {}", least.max(1000).min(most)),
                ));
                return None;
            }
            return default.map(|value| Placed { value, at: self.at.clone() });
        };
        match found.value.as_integer() {
            Some(value) if u64::try_from(value).is_ok_and(|v| (least..=most).contains(&v)) => {
                Some(Placed { value: value.unsigned_abs(), at: found.at.clone() })
            }
            Some(value) => {
                let near = value.clamp(least as i64, most as i64);
                let what = format!("{}: {key} = {value} is out of range", self.who);
                let rule = format!("{key} is {least} to {most} {unit}");
                self.errors.push(Diagnostic::new(&found.at, what, rule, format!("{key} = {near}")));
                None
            }
            None => {
                let what = format!("{}: {key} = {} is not a whole number", self.who, show(&found.value));
                let rule = format!("{key} is {least} to {most} {unit}");
                self.errors.push(Diagnostic::new(&found.at, what, rule, format!("{key} = {least}")));
                None
            }
        }
    }

    /// A key that a server in the background does not have.
    fn without(&mut self, key: &str) -> At {
        let Some(found) = self.keys.get(key) else { return self.at.clone() };
        self.errors.push(Diagnostic::new(
            &found.at,
            format!("{} runs in the background, and has {key} = {}", self.who, show(&found.value)),
            "a server has a budget in each period, or runs in the background on what the budgets leave",
            format!("leave {key} out, or background = false"),
        ));
        found.at.clone()
    }

    pub(crate) fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(found) = self.keys.get(key) else { return default };
        found.value.as_bool().unwrap_or_else(|| {
            let what = format!("{}: {key} = {} is neither true nor false", self.who, show(&found.value));
            self.errors.push(Diagnostic::new(
                &found.at,
                what,
                "it is a yes or a no",
                format!("{key} = true"),
            ));
            default
        })
    }

    pub(crate) fn texts(&mut self, key: &str) -> Vec<Placed<String>> {
        let Some(found) = self.keys.get(key) else { return Vec::new() };
        let list: Option<Vec<String>> =
            found.value.as_array().and_then(|a| a.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        let Some(list) = list else {
            let what = format!("{}: {key} = {} is not a list of texts", self.who, show(&found.value));
            self.errors.push(Diagnostic::new(
                &found.at,
                what,
                format!("{key} is a list of names"),
                format!("{key} = [\"console\"]"),
            ));
            return Vec::new();
        };
        for (i, name) in list.iter().enumerate() {
            if list[..i].contains(name) {
                self.errors.push(Diagnostic::new(
                    &found.at,
                    format!("{}: {key} names '{name}' twice", self.who),
                    "one right is granted once",
                    format!("leave one '{name}' out"),
                ));
            }
        }
        list.into_iter().map(|value| Placed { value, at: found.at.clone() }).collect()
    }

    pub(crate) fn unknown(&mut self, known: &[&str]) {
        for (key, found) in self.keys {
            if !known.contains(&key.as_str()) {
                self.errors.push(Diagnostic::new(
                    &found.at,
                    format!("{}: unknown key '{key}'", self.who),
                    format!("the keys here are {}", known.join(", ")),
                    nearest(key, known.iter().copied()),
                ));
            }
        }
    }
}

/// Reads every key; what is wrong goes to `errors`.
pub fn read(raw: &Raw, errors: &mut Vec<Diagnostic>) -> Option<Manifest> {
    let at = raw.at.clone()?;
    let mut r = Reader { who: "[system]".into(), keys: &raw.system, at: &at, errors };
    r.unknown(&names(SYSTEM));
    let print_facts = r.flag("print_facts", false);
    let debug_calls = r.flag("debug_calls", false);
    let test = r.flag("test", false);
    let name = r.text("name", "[system] name = \"main\"");
    let board = r.text("board", "board = \"qemu-aarch64\"");
    let memory = r.number(&number_of(SYSTEM, "memory_mib"));
    let mut mib = |key| r.number(&number_of(SYSTEM, key)).map_or(0, |n| n.value << 20);
    let pci_window = (mib("pci_window_from_mib"), mib("pci_window_mib"));
    let how_many_servers = format!("a system has 1 to {MAX_SERVERS} servers");
    if raw.servers.is_empty() {
        errors.push(Diagnostic::new(
            &at,
            "the system has no server",
            how_many_servers.as_str(),
            "[server.console]",
        ));
    } else if let Some(extra) = raw.servers.get(MAX_SERVERS) {
        let what = format!("server '{}' is number {}", extra.name, raw.servers.len());
        errors.push(Diagnostic::new(&extra.at, what, how_many_servers.as_str(), "take servers together"));
    }
    let servers: Vec<_> = raw.servers.iter().filter_map(|s| server(s, errors)).collect();
    let programs = raw.programs.iter().filter_map(|p| pins::program(p, errors)).collect();
    let motors = raw.motors.iter().filter_map(|m| pins::motor(m, errors)).collect();
    Some(Manifest {
        name: name?.value,
        board: board?.value,
        print_facts,
        debug_calls,
        test,
        memory_mib: memory?.value,
        pci_window,
        at,
        servers,
        programs,
        motors,
    })
}

fn server(raw: &RawServer, errors: &mut Vec<Diagnostic>) -> Option<Server> {
    let mut r = Reader { who: format!("server '{}'", raw.name), keys: &raw.keys, at: &raw.at, errors };
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if raw.name.is_empty() || raw.name.len() > 24 || !raw.name.chars().all(good) || raw.name == "init" {
        let what = format!("'{}' cannot name a server", raw.name);
        let rule = "names are 1 to 24 of a-z, 0-9 and '-'; 'init' is the root task's";
        r.errors.push(Diagnostic::new(&raw.at, what, rule, format!("[server.{}]", mend(&raw.name))));
    }
    r.unknown(&names(SERVER));
    let image = r.text("image", &format!("image = \"axiom-{}\"", raw.name));
    let mut given_numbers = BTreeMap::new();
    let mut whole = true;
    let background = r.flag("background", false);
    for spec in numbers(SERVER) {
        if background && matches!(spec.0, "budget_us" | "period_us") {
            given_numbers.insert(spec.0, Placed { value: TURN_US, at: r.without(spec.0) });
            continue;
        }
        match r.number(&spec) {
            Some(n) => drop(given_numbers.insert(spec.0, n)),
            None => whole = false,
        }
    }
    let flags = flags(SERVER)
        .filter(|f| f.0 != "removed")
        .map(|(key, default)| (key, r.flag(key, default)))
        .collect();
    let (calls, signals, blobs) = (r.texts("calls"), r.texts("signals"), r.texts("blobs"));
    let debugs = r.texts("debugs");
    let clients = raw.keys.get("clients").map(|found| Placed {
        value: r.texts("clients").into_iter().map(|p| p.value).collect(),
        at: found.at.clone(),
    });
    let (gpio_chips, pwm_chips) = (r.texts("gpio_chips"), r.texts("pwm_chips"));
    let wishes = pins::wishes(&mut r);
    let (rp1, hosts, iio) = (r.texts("rp1"), r.texts("hosts"), r.texts("iio"));
    let loader =
        if raw.keys.contains_key("loader") { r.text("loader", "loader = \"bpf-server\"") } else { None };
    let devices = devices(&mut r);
    let restart = restart(&mut r);
    let timers = r.texts("timers");
    let placed = |found: &Located| Placed { value: plain(&found.value), at: found.at.clone() };
    for (key, found) in raw.args.iter().filter(|(_, f)| f.value.is_array() || f.value.is_inline_table()) {
        let what = format!("{}: the setting {key} = {}", r.who, show(&found.value));
        let advice = format!("{key} = \"...\", words with blanks between");
        r.errors.push(Diagnostic::new(
            &found.at,
            what,
            "a setting is one text or number, no list or table",
            advice,
        ));
    }
    let one = |(_, f): &(&String, &Located)| !f.value.is_array() && !f.value.is_inline_table();
    let args = raw.args.iter().filter(one).map(|(key, found)| (key.clone(), placed(found))).collect();
    // What is said to be nothing is not asked for.
    let said = |found: &&Located| match &found.value {
        Value::Boolean(yes) => *yes.value(),
        Value::Integer(n) => *n.value() != 0,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    let given =
        raw.keys.iter().filter(|(_, found)| said(found)).map(|(k, f)| (k.clone(), f.at.clone())).collect();
    if !whole {
        return None;
    }
    Some(Server {
        name: raw.name.clone(),
        at: raw.at.clone(),
        image: image?,
        numbers: given_numbers,
        flags,
        calls,
        signals,
        debugs,
        clients,
        devices,
        blobs,
        restart,
        given,
        args,
        timers,
        serves: Vec::new(),
        gpio_chips,
        pwm_chips,
        wishes,
        rp1,
        hosts,
        loader,
        iio,
    })
}

fn mend(name: &str) -> String {
    let mended: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(24)
        .collect();
    if mended.is_empty() || mended == "init" { "my-server".into() } else { mended }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| show(value), str::to_owned)
}

fn restart(r: &mut Reader<'_>) -> Restart {
    let Some(found) = r.keys.get("restart") else { return Restart::Never };
    let max = found.value.as_inline_table().filter(|t| t.len() == 1).and_then(|t| t.get("max")?.as_integer());
    match (found.value.as_str(), max.and_then(|n| u32::try_from(n).ok())) {
        (Some("always"), _) => Restart::Always,
        (Some("never"), _) => Restart::Never,
        (_, Some(n)) if n > 0 => Restart::Max(n),
        (text, _) => {
            let what = format!("{}: restart = {} is no policy", r.who, show(&found.value));
            let advice = text.map_or("restart = { max = 3 }".into(), |t| nearest(t, ["always", "never"]));
            let rule = "restart is \"always\", \"never\" or { max = <how often> }";
            r.errors.push(Diagnostic::new(&found.at, what, rule, advice));
            Restart::Never
        }
    }
}

fn devices(r: &mut Reader<'_>) -> Vec<Placed<Device>> {
    let Some(found) = r.keys.get("devices") else { return Vec::new() };
    let example = "devices = [{ name = \"uart\", compatible = \"arm,pl011\" }]";
    let Some(array) = found.value.as_array() else {
        r.wrong(&found.clone(), "devices is a list of tables", example);
        return Vec::new();
    };
    let mut list: Vec<Placed<Device>> = Vec::new();
    for value in array {
        let Some(table) = value.as_inline_table() else {
            let one = Located { value: value.clone(), at: found.at.clone() };
            r.wrong(&one, "a device is a table", example);
            continue;
        };
        if let Some(device) = device(r, table, &found.at) {
            if list.iter().any(|d| d.value.name == device.name) {
                r.errors.push(Diagnostic::new(
                    &found.at,
                    format!("{}: two devices are named '{}'", r.who, device.name),
                    "a server's devices have different names",
                    format!("name = \"{}2\"", device.name),
                ));
            }
            list.push(Placed { value: device, at: found.at.clone() });
        }
    }
    list
}

fn is_pci_number(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    digits && (1..=4).contains(&text.len()) && (text.len() == 1 || !text.starts_with('0'))
}

fn device(r: &mut Reader<'_>, table: &InlineTable, at: &At) -> Option<Device> {
    let keys: BTreeMap<String, Located> =
        table.iter().map(|(k, v)| (k.to_owned(), Located { value: v.clone(), at: at.clone() })).collect();
    let mut d = Reader { who: format!("{}, a device", r.who), keys: &keys, at, errors: r.errors };
    d.unknown(&names(DEVICE));
    let name = d.text("name", "name = \"uart\"");
    let compatible = d.text("compatible", "compatible = \"arm,pl011\"")?.value;
    let instance = d.number(&number_of(DEVICE, "instance"))?.value as u32;
    let virtio = keys.contains_key("virtio_id");
    let virtio_id = d.number(&number_of(DEVICE, "virtio_id"))?.value as u32;
    let (interrupts, optional) = (d.flag("interrupts", true), d.flag("optional", false));
    let (ranges, messages) = (d.flag("ranges", false), d.flag("messages", false));
    let wrong = |what: &str, rule: &str, advice: &str| {
        Diagnostic::new(at, format!("{}: compatible = \"{compatible}\" {what}", r.who), rule, advice)
    };
    let (vendor, model) = compatible.split_once(',').unwrap_or(("", ""));
    if vendor.is_empty() || model.is_empty() || !compatible.chars().all(|c| c.is_ascii_graphic()) {
        let advice = nearest(&compatible, ["arm,pl011", "virtio,mmio", "arm,pl061", "arm,pl031"]);
        d.errors.push(wrong("is not a device-tree name", "compatible is \"manufacturer,model\"", &advice));
    } else if axiom_fdt::kernels::keeps(&compatible) {
        d.errors.push(wrong(
            "is the kernel's own",
            "interrupt controller, CPU timer and firmware are never given to a server",
            "ask for interrupts with the device that raises them, for time with timers = 1",
        ));
    }
    let number =
        vendor.strip_prefix("pci").filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_hexdigit()));
    if number.is_some_and(|number| !is_pci_number(number) || !is_pci_number(model)) {
        d.errors.push(wrong(
            "names no PCI function",
            "a PCI function is \"pci\", vendor, comma, device: hexadecimal in lower case, without leading zeroes",
            "\"pci1af4,1062\"",
        ));
    }
    if (compatible == "virtio,mmio") != virtio {
        d.errors.push(wrong(
            if virtio { "has a virtio_id" } else { "has no virtio_id" },
            "virtio_id says which virtio device is meant, for \"virtio,mmio\" only",
            if virtio { "leave virtio_id out" } else { "virtio_id = 34 (I2C)" },
        ));
    }
    let registers_kib = d.number(&number_of(DEVICE, "registers_kib"))?.value as u32;
    if keys.contains_key("registers_kib") && number.is_none() {
        d.errors.push(wrong(
            "has registers_kib",
            "registers_kib bounds what a PCI function says of itself; a device tree says how large its devices are",
            "leave registers_kib out",
        ));
    }
    Some(Device {
        registers_kib,
        is_function: number.is_some(),
        name: name?.value,
        compatible,
        virtio_id: virtio.then_some(virtio_id),
        instance,
        interrupts,
        ranges,
        messages,
        optional,
    })
}
