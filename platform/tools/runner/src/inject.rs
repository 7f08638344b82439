//! What is done to the machine while it runs: sensor values and pin levels, through QEMU's QMP and qtest sockets, or the simulator's own where the
//! pins are those of its controller.
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest wait for an answer; under instruction counting QEMU is slow to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a machine that counts instructions may say nothing before it is [nudged](Injector::nudge).
pub const SILENCE: Duration = Duration::from_secs(1);

/// Something that is done once the console said a text.
#[derive(Clone, Debug, PartialEq)]
pub struct After {
    text: String,
    action: Action,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    /// A command and its words: `qom-set PATH PROPERTY VALUE`, `qom-get PATH PROPERTY`, or one without arguments.
    Qmp(Vec<String>),
    /// A line of the qtest protocol.
    Qtest(String),
    /// A request to the simulator's controller of lines: `set LINE LEVEL` or `get`.
    Line(String),
}

impl After {
    /// Reads `TEXT => qmp COMMAND ...` or `TEXT => qtest LINE`.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("--after {text}: write 'TEXT => qmp ...', 'TEXT => qtest ...' or 'TEXT => line ...'");
        let (trigger, action) = text.split_once("=>").ok_or_else(wrong)?;
        let action = match action.trim().split_once(' ') {
            Some(("qtest", line)) => Action::Qtest(line.trim().to_owned()),
            Some(("line", line)) => Action::Line(line.trim().to_owned()),
            Some(("qmp", line)) => {
                let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
                match (words.first().map(String::as_str), words.len()) {
                    (Some("qom-set"), 4) | (Some("qom-get"), 3) => {}
                    (Some("qom-set" | "qom-get"), _) | (None, _) | (_, 2..) => return Err(wrong()),
                    (Some(_), _) => {}
                }
                Action::Qmp(words)
            }
            _ => return Err(wrong()),
        };
        Ok(Self { text: trigger.trim().to_owned(), action })
    }

    fn name(&self) -> String {
        match &self.action {
            Action::Qmp(words) => format!("qmp {}", words.join(" ")),
            Action::Qtest(line) => format!("qtest {line}"),
            Action::Line(line) => format!("line {line}"),
        }
    }
}

/// Where the simulator's lines are moved and read.
pub fn control_socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

/// Does them, one after the other.
pub struct Injector {
    waiting: VecDeque<After>,
    qmp_path: PathBuf,
    qtest_path: PathBuf,
    lines_path: PathBuf,
    qmp: Option<Socket>,
    qtest: Option<Socket>,
    lines: Option<Socket>,
    /// A qtest line that wants a level, and the same with its path found.
    interrupt: Option<String>,
    /// Whether the machine may need a nudge.
    nudges: bool,
}

impl Injector {
    /// Sockets go into that folder; `nudges` if the machine counts instructions, and the host's time passes while it idles.
    pub fn new(after: &[After], interrupt: Option<&str>, nudges: bool, folder: &Path) -> Self {
        Self {
            waiting: after.iter().cloned().collect(),
            qmp_path: folder.join("qmp.sock"),
            qtest_path: folder.join("qtest.sock"),
            lines_path: control_socket(folder),
            qmp: None,
            qtest: None,
            lines: None,
            interrupt: interrupt.map(str::to_owned),
            nudges,
        }
    }

    /// Wakes QEMU's main loop. With instructions counted, an idle machine's time is moved by a timer of that loop, which is set when the
    /// loop wakes and may be let go for an earlier deadline that was then taken back; it sleeps on then, and the machine's time stands
    /// (seen in 3 of 120 runs of one that sleeps for a second right after a pin moved). Any word to it sets the timer again.
    pub fn nudge(&mut self) -> Result<(), String> {
        if !self.nudges {
            return Ok(());
        }
        let answer = self.qmp(&json!({"execute": "query-status"}));
        if answer.is_err() {
            // An answer that comes too late is not the next request's.
            self.qmp = None;
        }
        answer.map(drop)
    }

    /// Drives the pin that the accelerometer's interrupt line is wired to.
    pub fn interrupt(&mut self, level: bool) -> Result<(), String> {
        let Some(line) = self.interrupt.take() else { return Ok(()) };
        // The path is asked for once.
        let line = self.with_paths(&line)?;
        let socket = opened(&mut self.qtest, &self.qtest_path)?;
        socket.send(&format!("{line} {}", u8::from(level)))?;
        let answer = socket.receive()?;
        self.interrupt = Some(line);
        if answer.starts_with("OK") { Ok(()) } else { Err(format!("qtest answers: {answer}")) }
    }

    /// What QEMU needs for them.
    pub fn qemu_arguments(&self) -> Vec<String> {
        let socket = |path: &Path| format!("unix:{},server=on,wait=off", crate::options::quoted(path));
        let mut args = Vec::new();
        let to_qemu = self.waiting.iter().any(|a| !matches!(a.action, Action::Line(_)));
        if !to_qemu && self.interrupt.is_none() && !self.nudges {
            return args;
        }
        args.extend(["-qmp".into(), socket(&self.qmp_path)]);
        let pins = self.waiting.iter().any(|a| matches!(a.action, Action::Qtest(_)));
        if pins || self.interrupt.is_some() {
            args.extend(["-accel", "tcg", "-qtest-log", "none", "-qtest"].map(str::to_owned));
            args.push(socket(&self.qtest_path));
        }
        args
    }

    /// Takes a line of the console; gives the answers of what it set off, a line each.
    pub fn line(&mut self, line: &str) -> Result<Vec<String>, String> {
        let mut answers = Vec::new();
        let mut line = line.to_owned();
        // An answer may set off the next.
        while self.waiting.front().is_some_and(|a| line.contains(&a.text)) {
            let Some(after) = self.waiting.pop_front() else { break };
            let answer = self.act(&after.action).map_err(|e| format!("{}: {e}", after.name()))?;
            let said = format!("runner: {} -> {answer}", after.name());
            // The same line may set off the next one too.
            line += &said;
            answers.push(said);
        }
        Ok(answers)
    }

    fn act(&mut self, action: &Action) -> Result<String, String> {
        match action {
            Action::Qmp(words) => {
                let words = words.iter().map(|w| self.with_paths(w)).collect::<Result<Vec<_>, _>>()?;
                let answer = self.qmp(&request(&words))?;
                Ok(answer.to_string())
            }
            Action::Qtest(line) => {
                let line = self.with_paths(line)?;
                let socket = opened(&mut self.qtest, &self.qtest_path)?;
                socket.send(&line)?;
                let answer = socket.receive()?;
                if answer.starts_with("OK") { Ok(answer) } else { Err(format!("qtest answers: {answer}")) }
            }
            Action::Line(line) => {
                let socket = opened(&mut self.lines, &self.lines_path)?;
                socket.send(line)?;
                let answer = socket.receive()?;
                if answer.starts_with("OK") { Ok(answer) } else { Err(format!("the lines answer: {answer}")) }
            }
        }
    }

    /// Replaces `{qom:TYPE}` by the path of the first object of that type.
    fn with_paths(&mut self, text: &str) -> Result<String, String> {
        let Some((before, rest)) = text.split_once("{qom:") else { return Ok(text.to_owned()) };
        let (kind, after) = rest.split_once('}').ok_or("'{qom:' without '}'")?;
        let wanted = format!("child<{kind}>");
        for folder in ["/machine/unattached", "/machine/peripheral", "/machine/peripheral-anon", "/machine"] {
            let list = self.qmp(&json!({"execute": "qom-list", "arguments": {"path": folder}}))?;
            let found = list.as_array().into_iter().flatten().find(|p| p["type"].as_str() == Some(&wanted));
            if let Some(name) = found.and_then(|p| p["name"].as_str()) {
                return Ok(format!("{before}{folder}/{name}{after}"));
            }
        }
        Err(format!("the machine has no object of type {kind}"))
    }

    fn qmp(&mut self, request: &Value) -> Result<Value, String> {
        let fresh = self.qmp.is_none();
        let socket = opened(&mut self.qmp, &self.qmp_path)?;
        if fresh {
            socket.receive()?;
            socket.send("{\"execute\": \"qmp_capabilities\"}")?;
            socket.answer()?;
        }
        socket.send(&request.to_string())?;
        socket.answer()
    }
}

fn request(words: &[String]) -> Value {
    // Numbers, truth values and quoted texts are JSON; anything else is a text.
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    match words {
        [set, path, property, to] if set == "qom-set" => {
            json!({"execute": set, "arguments": {"path": path, "property": property, "value": value(to)}})
        }
        [get, path, property] if get == "qom-get" => {
            json!({"execute": get, "arguments": {"path": path, "property": property}})
        }
        _ => json!({"execute": words.first()}),
    }
}

struct Socket(BufReader<UnixStream>);

fn opened<'a>(slot: &'a mut Option<Socket>, path: &Path) -> Result<&'a mut Socket, String> {
    if slot.is_none() {
        let stream =
            UnixStream::connect(path).map_err(|e| format!("QEMU's socket {}: {e}", path.display()))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        *slot = Some(Socket(BufReader::new(stream)));
    }
    slot.as_mut().ok_or_else(|| "no socket".into())
}

impl Socket {
    fn send(&mut self, line: &str) -> Result<(), String> {
        self.0
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())
            .map_err(|e| format!("QEMU does not listen: {e}"))
    }

    fn receive(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(1..) => Ok(line.trim().to_owned()),
            Ok(0) => Err("QEMU hung up".into()),
            Err(e) => Err(format!("QEMU does not answer: {e}")),
        }
    }

    /// The next answer; events in between are left out.
    fn answer(&mut self) -> Result<Value, String> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let mut line: Value = serde_json::from_str(&self.receive()?).map_err(|e| format!("QMP: {e}"))?;
            if let Some(error) = line.get("error") {
                return Err(format!("QMP answers: {}", error["desc"].as_str().unwrap_or("an error")));
            }
            if let Some(answer) = line.get_mut("return") {
                return Ok(answer.take());
            }
        }
        Err("QMP sends events only".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A QEMU that answers from a list, after its greeting, and gives back what it was asked.
    fn qemu(
        path: PathBuf,
        greeting: bool,
        answers: Vec<&'static str>,
    ) -> std::thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            if greeting {
                stream.get_mut().write_all(b"{\"QMP\": {}}\n").unwrap();
            }
            let mut asked = Vec::new();
            for answer in answers {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                asked.push(line.trim().to_owned());
                stream.get_mut().write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
            asked
        })
    }

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("axiom-inject-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn after(list: &[&str]) -> Vec<After> {
        list.iter().map(|text| After::read(text).unwrap()).collect()
    }

    #[test]
    fn a_sensor_is_set_when_the_console_says_so() {
        let folder = folder("qmp");
        let events = "{\"event\": \"RESUME\"}\n{\"return\": {}}";
        let qemu =
            qemu(folder.join("qmp.sock"), true, vec!["{\"return\": {}}", events, "{\"return\": 21000}"]);
        let list = after(&[
            "all ready => qmp qom-set /machine/peripheral/t0 temperature 21000",
            "-> {} => qmp qom-get /machine/peripheral/t0 temperature",
        ]);
        let mut injector = Injector::new(&list, None, false, &folder);
        assert_eq!(injector.line("init: all").unwrap(), Vec::<String>::new());
        assert_eq!(
            injector.line("init: all ready").unwrap(),
            [
                "runner: qmp qom-set /machine/peripheral/t0 temperature 21000 -> {}",
                "runner: qmp qom-get /machine/peripheral/t0 temperature -> 21000"
            ]
        );
        assert!(injector.line("init: all ready").unwrap().is_empty());
        let asked = qemu.join().unwrap();
        let set: Value = serde_json::from_str(&asked[1]).unwrap();
        assert_eq!(
            set["arguments"],
            json!({"path": "/machine/peripheral/t0", "property": "temperature", "value": 21000})
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_pin_is_moved_by_the_type_of_its_controller() {
        let folder = folder("qtest");
        let list = "{\"return\": [{\"name\": \"device[3]\", \"type\": \"child<pl061>\"}]}";
        let qmp = qemu(folder.join("qmp.sock"), true, vec!["{\"return\": {}}", list]);
        let qtest = qemu(folder.join("qtest.sock"), false, vec!["OK"]);
        let mut injector =
            Injector::new(&after(&["ready => qtest set_irq_in {qom:pl061} in 5 1"]), None, false, &folder);
        assert!(injector.qemu_arguments().join(" ").contains("-accel tcg -qtest-log none -qtest unix:"));
        assert_eq!(injector.line("ready").unwrap(), ["runner: qtest set_irq_in {qom:pl061} in 5 1 -> OK"]);
        assert_eq!(qtest.join().unwrap(), ["set_irq_in /machine/unattached/device[3] in 5 1"]);
        qmp.join().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_pin_of_the_simulator_is_moved_and_read_there() {
        let folder = folder("lines");
        let lines = qemu(control_socket(&folder), false, vec!["OK", "OK 0x60", "FAIL there is no line"]);
        let list = after(&["press => line set 5 1", "LED on => line get", "again => line set 9 1"]);
        let mut injector = Injector::new(&list, None, false, &folder);
        assert!(injector.qemu_arguments().is_empty(), "QEMU has nothing to do with it");
        assert_eq!(injector.line("press").unwrap(), ["runner: line set 5 1 -> OK"]);
        assert_eq!(injector.line("LED on").unwrap(), ["runner: line get -> OK 0x60"]);
        assert_eq!(
            injector.line("again").unwrap_err(),
            "line set 9 1: the lines answer: FAIL there is no line"
        );
        assert_eq!(lines.join().unwrap(), ["set 5 1", "get", "set 9 1"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_the_machine_refuses_fails_the_run() {
        let folder = folder("refused");
        let error = "{\"error\": {\"desc\": \"no such property\"}}";
        let qemu = qemu(folder.join("qmp.sock"), true, vec!["{\"return\": {}}", error]);
        let mut injector = Injector::new(&after(&["go => qmp qom-get /machine x"]), None, false, &folder);
        assert_eq!(injector.line("go").unwrap_err(), "qmp qom-get /machine x: QMP answers: no such property");
        qemu.join().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_machine_whose_time_may_stand_is_asked_how_it_is() {
        let folder = folder("nudge");
        let running = "{\"return\": {\"running\": true}}";
        let qemu = qemu(folder.join("qmp.sock"), true, vec!["{\"return\": {}}", running, running]);
        let mut injector = Injector::new(&[], None, true, &folder);
        assert_eq!(injector.qemu_arguments().first().map(String::as_str), Some("-qmp"), "a way to ask it");
        injector.nudge().unwrap();
        injector.nudge().unwrap();
        let asked = qemu.join().unwrap();
        assert!(asked[1..].iter().all(|a| a.contains("query-status")), "{asked:?}");
        assert!(
            injector.nudge().is_err() && injector.qmp.is_none(),
            "it has ended, and nothing of it is read any more"
        );
        assert_eq!(Injector::new(&[], None, false, Path::new("/nowhere")).nudge(), Ok(()));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_injections_nothing_is_opened() {
        let mut injector = Injector::new(&[], None, false, Path::new("/nowhere"));
        assert!(injector.qemu_arguments().is_empty() && injector.line("ready").unwrap().is_empty());
        for text in ["ready => qmp qom-set a b", "ready => qmp", "ready => poke 1", "=> qmp a b"] {
            assert!(After::read(text).is_err(), "{text}");
        }
    }
}
