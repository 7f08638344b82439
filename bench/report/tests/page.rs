//! The tool as its users start it: the HTML page needs nothing else and opens in a browser without an error; refusals and the
//! guard's verdict are the exit status.
use std::io::Write;
use std::path::Path;
use std::process::Command;

mod common;
use common::{LOG, beside, folder, tool};

fn made(what: &str, out: &Path) -> String {
    let done = tool(&[what, LOG, out.to_str().expect("a path")]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read_to_string(out).expect("what was made")
}

#[test]
fn the_page_has_every_chart_and_asks_for_nothing() {
    let page = made("html", &folder("page").join("report.html"));
    assert_eq!(page.matches("<figure>").count(), 6);
    assert_eq!(page.matches("<svg ").count(), 6);
    // An address may only be a name space or a place in the page.
    for (at, _) in page.match_indices("http") {
        assert!(page[at..].starts_with("http://www.w3.org/2000/svg\""), "{}", &page[at..at + 60]);
    }
    for asks in ["<script", "<link rel=\"stylesheet", "@import", "url(", "<img", "src="] {
        assert!(!page.contains(asks), "{asks}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn only_what_was_measured_in_the_same_way_stands_beside() {
    let folder = folder("beside");
    let line = "{\"metric\":\"boot.entry_to_init\",\"unit\":\"ns\",\"n\":1,\"min\":7e8,\"median\":7e8,\"mean\":7e8,\"p99\":7e8,\"max\":7e8,\"stddev\":0,\"overhead\":0}";
    for (exact, shown) in [(true, true), (false, false)] {
        let other = folder.join(format!("{exact}.jsonl"));
        let circumstances = format!(
            "{{\"circumstances\":{{\"format\":1,\"board\":\"qemu-aarch64\",\"system\":\"Linux 9.9\",\"instruction_exact\":{exact}}}}}"
        );
        let text =
            format!("-----BEGIN AXIOM REPORT-----\n{circumstances}\n{line}\n-----END AXIOM REPORT-----\n");
        std::fs::write(&other, text).expect("written");
        let out = folder.join("report.html");
        let (out_name, other) = (out.to_str().expect("a path"), other.to_str().expect("a path"));
        assert!(tool(&["html", LOG, out_name, "--beside", other]).status.success());
        let page = std::fs::read_to_string(&out).expect("the page");
        assert_eq!(page.contains("Linux 9.9: 700 ms"), shown);
        assert_eq!(page.contains("Linux 9.9: qemu-aarch64"), shown, "where it was measured is said");
    }
}

#[test]
fn every_form_of_a_report_says_the_same_of_other_systems() {
    let kernel = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/kernel-icount.jsonl");
    for (name, log) in [("system", LOG), ("kernel", kernel)] {
        let out = folder(&format!("same-{name}"));
        let page = out.join("report.html");
        let run = |words: &[&str]| {
            let others = beside();
            let words: Vec<&str> = words.iter().copied().chain(others.iter().map(String::as_str)).collect();
            let done = tool(&words);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8(done.stdout).expect("text")
        };
        let text = run(&["text", log]);
        run(&["html", log, page.to_str().expect("a path")]);
        run(&["report", log, out.to_str().expect("a path")]);
        let page = std::fs::read_to_string(page).expect("the page");
        let markdown = std::fs::read_to_string(out.join("report.md")).expect("report.md");
        assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
        let (_, lines) = text.split_once("Beside other systems").expect("what stands beside");
        let mut seen = 0;
        let heads = lines.lines().nth(1).expect("heads of its columns");
        assert_eq!(
            heads.split_whitespace().collect::<Vec<_>>().join(" "),
            "Axiom other Axiom is the other system"
        );
        for line in lines.lines().skip(2).take_while(|l| !l.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ratio = words.iter().position(|w| *w == "x").expect("a ratio");
            let (metric, ratio, system) = (words[0], words[ratio + 1], words[ratio + 2..].join(" "));
            let row = |text: &str, start: &str| {
                let row = text.lines().find(|l| l.contains(start) && l.contains("(x ")).unwrap_or_default();
                assert!(
                    row.contains(&format!("{system}: ")) && row.contains(&format!("(x {ratio})")),
                    "{line}: {row}"
                );
            };
            row(&page, &format!("<code>{metric}</code>"));
            row(&markdown, &format!("| `{metric}` |"));
            seen += 1;
        }
        assert!(seen > 5, "{name}: {seen} rows stand beside others");
    }
}

#[test]
fn sel4s_figures_say_whether_its_threads_use_the_fpu() {
    let kernel = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/kernel-icount.jsonl");
    let others = beside();
    let words: Vec<&str> = ["text", kernel].into_iter().chain(others.iter().map(String::as_str)).collect();
    let text = String::from_utf8(tool(&words).stdout).expect("text");
    for (metric, figure, system) in [
        ("kernel.call.passive.0w", "270 insns", "seL4 16.0 (FPU)"),
        ("kernel.call.passive.0w", "209 insns", "seL4 16.0 (no FPU)"),
        ("kernel.reply_recv.passive.0w", "323 insns", "seL4 16.0 (FPU)"),
        ("kernel.reply_recv.passive.0w", "266 insns", "seL4 16.0 (no FPU)"),
    ] {
        let line = text.lines().find(|l| l.contains(metric) && l.ends_with(system));
        assert!(line.is_some_and(|l| l.contains(figure)), "{metric}: {line:?}");
    }
    assert!(text.contains("threads without the FPU"), "{text}");
}

#[test]
fn results_go_into_the_tree_only_when_that_is_asked_for() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../platform/tools/results-folder");
    let run = |words: &[&str]| {
        let done =
            Command::new(script).args(words).current_dir(folder("record")).output().expect("it starts");
        (done.status.success(), String::from_utf8(done.stdout).expect("a path"))
    };
    assert_eq!(run(&[]), (true, "target/axiom/results\n".into()));
    assert_eq!(run(&["--record"]), (true, "bench/results\n".into()));
    assert_eq!(run(&["--recrod"]), (false, String::new()));
    let recipes =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../justfile")).expect("justfile");
    for line in recipes.lines().filter(|l| l.contains("axiom-bench-report results")) {
        let accepts = line.contains("/logs/check-");
        assert!(accepts || line.contains("$results/"), "writes into the tree unasked: {line}");
    }
}

#[test]
fn charts_are_files_that_follow_the_colour_scheme() {
    let out = folder("charts");
    let done = tool(&["report", LOG, out.to_str().expect("a path")]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for name in ["boot", "latency", "operations", "bpf-load", "messages", "memory"] {
        let svg = std::fs::read_to_string(out.join(format!("{name}.svg"))).expect(name);
        assert!(svg.contains("currentColor") && svg.contains("prefers-color-scheme:dark"), "{name}");
        assert!(!svg.contains("#010203") && svg.contains("commit"), "{name}");
    }
    let markdown = std::fs::read_to_string(out.join("report.md")).expect("report.md");
    assert!(markdown.contains("![Boot](boot.svg)") && markdown.contains("## Targets"));
    let json = std::fs::read_to_string(out.join("report.json")).expect("report.json");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(json["metrics"].as_array().is_some_and(|m| m.len() > 50));
}

#[test]
fn what_is_said_of_a_trace_fits_the_terminal() {
    let out = folder("trace-said").join("trace.json");
    let out = out.to_str().expect("a path");
    let said = String::from_utf8(tool(&["trace", LOG, out]).stderr).expect("text");
    assert!(said.contains("https://ui.perfetto.dev"), "{said}");
    for line in said.replace(out, "target/axiom/trace.json").lines() {
        assert!(line.len() <= 100, "{} columns: {line}", line.len());
    }
}

#[test]
fn the_trace_of_a_real_run_passes_the_check() {
    let trace = made("trace", &folder("trace").join("trace.json"));
    let trace: serde_json::Value = serde_json::from_str(&trace).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let count = |kind: &str| events.iter().filter(|e| e["ph"] == kind).count();
    assert!(count("X") > 40 && count("s") > 10 && count("s") == count("f") && count("i") > 3);
    // It opens on something: boot and the samples lie side by side, however long they were apart.
    let last = events.iter().filter_map(|e| e["ts"].as_f64()).fold(0.0, f64::max);
    assert!(last < 200_000.0, "the picture is {last} us long");
    assert!(events.iter().any(|e| e["name"].as_str().is_some_and(|n| n.ends_with("left out here"))));
    for name in ["builds iio-server", "starts", "runs", "sample", "message"] {
        assert!(events.iter().any(|e| e["name"] == name), "{name}");
    }
}

#[test]
fn the_guards_verdict_is_the_exit_status() {
    let same = tool(&["guard", LOG, LOG]);
    assert!(same.status.success());
    assert!(String::from_utf8_lossy(&same.stdout).contains(", 0 worse"));
    let text = std::fs::read_to_string(LOG).expect("the log");
    let line = text.lines().find(|l| l.contains("\"page.map\"")).expect("a line");
    let lost = folder("guard").join("lost.log");
    let without = text.replace(&format!("{line}\n"), "");
    let count = |t: &str| t.lines().filter(|l| l.starts_with("{\"metric\"")).count();
    let without = without.replace(
        &format!("{{\"metrics\":{}}}", count(&text)),
        &format!("{{\"metrics\":{}}}", count(&without)),
    );
    std::fs::write(&lost, without).expect("written");
    let worse = tool(&["guard", LOG, lost.to_str().expect("a path")]);
    assert!(!worse.status.success());
    assert!(String::from_utf8_lossy(&worse.stdout).contains("WORSE: page.map: missing"));
    assert!(String::from_utf8_lossy(&worse.stderr).contains("just bench-accept"));
}

#[test]
fn the_page_opens_in_a_browser_without_an_error() {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|b| Command::new(b).arg("--version").output().is_ok_and(|o| o.status.success()))
    else {
        // Written past the test harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "page in a browser: NOT RUN: no Chromium on this machine (Debian's package: chromium)"
        );
        return;
    };
    let folder = folder("browser");
    let page = folder.join("report.html");
    made("html", &page);
    let shot = folder.join("report.png");
    let done = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args([
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--window-size=1200,4600",
            "--timeout=20000",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--screenshot={}", shot.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(!said.contains("CONSOLE"), "the console has errors: {said}");
    let size = std::fs::metadata(&shot).expect("a screenshot").len();
    assert!(size > 50_000, "the screenshot is nearly empty: {size} bytes");
}

#[test]
fn sel4s_figures_stand_beside_the_kernels_of_both_architectures() {
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/");
    for (ours, theirs) in [
        ("kernel-icount", "sel4-fpu-qemu-aarch64-icount"),
        ("kernel-x86_64-icount", "sel4-qemu-x86_64-icount"),
    ] {
        let [ours, theirs] = [ours, theirs].map(|name| format!("{results}{name}.jsonl"));
        let done = tool(&["text", &ours, "--beside", &theirs]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let text = String::from_utf8_lossy(&done.stdout);
        for metric in ["kernel.call.passive.0w", "kernel.call.passive.10w", "kernel.reply_recv.passive.4w"] {
            let beside = |line: &str| line.trim_start().starts_with(metric) && line.contains("seL4 16.0");
            assert!(text.lines().any(beside), "{ours}: nothing stands beside {metric}");
        }
    }
}

#[test]
fn every_comparison_that_is_recorded_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let template =
        std::fs::read_to_string(root.join("docs/benchmarks.template.md")).expect("the page's template");
    for entry in std::fs::read_dir(root.join("bench/results")).expect("the results") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let shown = template.contains(&format!("{{{{compare:bench/results/{name}}}}}"));
        assert!(!name.starts_with("compare") || shown, "bench/results/{name} is on no page");
    }
}
