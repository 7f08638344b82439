//! What the page's pictures must be for a person: legends that show the lines as they are drawn, a colour for each system, boot's phases on
//! a linear axis, the kernel's operations as bars beside seL4's, figures with units and ratios, and text that is read at 600 pixels.
//!
//! The page itself is looked at, as a browser would get it: its elements, their places, lengths and colours.
mod common;
use common::{LOG, beside, folder, tool};

/// The page of a log beside what other systems are known to need.
fn page_of(name: &str, log: &str) -> String {
    let page = folder(name).join("report.html");
    let others = beside();
    let page_name = page.to_str().expect("a path");
    let words: Vec<&str> =
        ["html", log, page_name].into_iter().chain(others.iter().map(String::as_str)).collect();
    let done = tool(&words);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read_to_string(page).expect("the page")
}

fn kernels_page(name: &str) -> String {
    page_of(name, concat!(env!("CARGO_MANIFEST_DIR"), "/../results/kernel-icount.jsonl"))
}

/// The picture under a heading.
fn picture<'a>(page: &'a str, heading: &str) -> &'a str {
    let from = page.find(&format!("<h2 id=\"{heading}\">")).expect("the heading");
    let svg = &page[from..][page[from..].find("<svg ").expect("a picture")..];
    &svg[..svg.find("</svg>").expect("the picture's end")]
}

/// An element of a picture: its name, its attributes, its text.
struct Element<'a> {
    name: &'a str,
    attributes: &'a str,
    text: &'a str,
}

impl<'a> Element<'a> {
    fn attribute(&self, name: &str) -> Option<&'a str> {
        let start = self.attributes.find(&format!(" {name}=\""))? + name.len() + 3;
        self.attributes[start..].split('"').next()
    }

    fn number(&self, name: &str) -> f64 {
        let text = self.attribute(name).unwrap_or_else(|| panic!("no {name}: {}", self.attributes));
        text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}"))
    }
}

fn elements(svg: &str) -> Vec<Element<'_>> {
    let parts = svg.split('<').skip(1).filter(|part| !part.starts_with('/'));
    let element = |part| {
        let (head, text): (&str, &str) = str::split_once(part, '>').expect("an element");
        let end = head.find([' ', '/']).unwrap_or(head.len());
        Element { name: &head[..end], attributes: &head[end..], text: text.trim() }
    };
    parts.map(element).collect()
}

/// The names of a diagram's legend: the colour of the stroke before each, and in how many pieces it is.
fn legend_of_lines(svg: &str) -> Vec<(String, String, usize)> {
    let mut out = Vec::new();
    let mut strokes: Vec<(String, f64)> = Vec::new();
    for element in elements(svg) {
        if element.name == "polyline" && element.attribute("stroke-width") == Some("3") {
            let y = element.attribute("points").and_then(|p| p.split([',', ' ']).nth(1)).expect("a place");
            strokes
                .push((element.attribute("stroke").expect("a colour").into(), y.parse().expect("a number")));
        } else if element.name == "text" && !strokes.is_empty() {
            out.push((element.text.to_owned(), strokes[0].0.clone(), strokes.len()));
            strokes.clear();
        }
    }
    out
}

/// The names of a panel's legend, with their colours: a square and the text after it on the same line.
fn legend_of_bars(svg: &str) -> Vec<(String, String)> {
    let all = elements(svg);
    let square = |e: &Element<'_>| e.name == "rect" && e.attribute("height") == Some("12");
    let pairs = all.windows(2).filter(|pair| square(&pair[0]));
    pairs.map(|p| (p[1].text.to_owned(), p[0].attribute("fill").expect("a colour").to_owned())).collect()
}

#[test]
fn legends_show_the_dashes_of_other_systems_lines() {
    let mut dashed = 0;
    for (page, name) in [(page_of("dashes", LOG), "bpf-load"), (kernels_page("dashes-kernel"), "messages")] {
        let svg = picture(&page, name);
        let legend = legend_of_lines(svg);
        for (label, colour, pieces) in &legend {
            assert_eq!(*pieces > 1, !label.starts_with("Axiom"), "{name}: {label}: {pieces} pieces");
            // The line itself is of that colour, and in pieces, too.
            let drawn = elements(svg)
                .iter()
                .filter(|e| {
                    e.name == "polyline"
                        && e.attribute("stroke-width") == Some("2")
                        && e.attribute("stroke") == Some(colour)
                })
                .count();
            assert_eq!(drawn > 1, *pieces > 1, "{name}: {label} is drawn in {drawn} pieces");
            dashed += usize::from(*pieces > 1);
        }
        assert!(legend.len() > 3, "{name}: {} names", legend.len());
    }
    assert!(dashed >= 4, "{dashed} lines of others");
}

#[test]
fn no_two_systems_share_a_colour() {
    let small = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/compare/small-icount-1.jsonl");
    let mut systems: Vec<(String, String)> = Vec::new();
    let out = folder("colours").join("small.html");
    let linux = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/linux-qemu-aarch64-icount.jsonl");
    let done = tool(&["html", LOG, out.to_str().expect("a path"), "--beside", linux, "--beside", small]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let both = std::fs::read_to_string(out).expect("the page");
    for page in [page_of("colours", LOG), kernels_page("colours-kernel"), both] {
        let names: Vec<&str> = ["boot", "latency", "operations", "bpf-load", "messages", "memory"]
            .into_iter()
            .filter(|name| page.contains(&format!("<h2 id=\"{name}\">")))
            .collect();
        for name in names {
            let svg = picture(&page, name);
            let lines = legend_of_lines(svg);
            let all = lines.iter().map(|l| (l.0.clone(), l.1.clone()));
            let mut here: Vec<(String, String)> = Vec::new();
            for (label, colour) in all.chain(legend_of_bars(svg)) {
                let system = label.split([':', ';']).next().unwrap_or_default().to_owned();
                let colour = colour.to_lowercase();
                // Another system's colour means nothing else in a picture.
                let others = |name: &str| name.starts_with("Linux") || name.starts_with("seL4");
                let taken = |h: &&(String, String)| {
                    h.1 == colour && h.0 != system && (others(&h.0) || others(&system))
                };
                assert!(!here.iter().any(|h| taken(&h)), "{name}: {label} has another's colour");
                here.push((system.clone(), colour.clone()));
                if system == "Axiom" || system.starts_with("Linux") || system.starts_with("seL4") {
                    systems.push((system, colour));
                }
            }
        }
    }
    let of = |start: &str| {
        systems.iter().filter(|s| s.0.starts_with(start)).map(|s| s.1.as_str()).collect::<Vec<_>>()
    };
    let (axiom, linux, sel4) = (of("Axiom"), of("Linux"), of("seL4"));
    assert!(!axiom.is_empty() && !linux.is_empty() && !sel4.is_empty());
    let names: std::collections::BTreeSet<&str> =
        systems.iter().filter(|s| s.0.starts_with("Linux")).map(|s| s.0.as_str()).collect();
    assert_eq!(names.len(), 2, "a distribution's and a small one: {names:?}");
    // Nowhere on the pages is Linux drawn as Axiom is. (seL4's lines have colours of their own in their picture alone, as checked above.)
    assert!(axiom.iter().all(|colour| !linux.contains(colour)), "{axiom:?} {linux:?}");
    for colour in &linux {
        assert!(!sel4.contains(colour), "{linux:?} {sel4:?}");
        let with: std::collections::BTreeSet<&str> =
            systems.iter().filter(|s| s.1 == *colour).map(|s| s.0.as_str()).collect();
        assert_eq!(with.len(), 1, "{colour} is the colour of {with:?}");
    }
}

#[test]
fn boots_phases_have_an_inset_whose_lengths_are_their_times() {
    let page = page_of("phases", LOG);
    let svg = picture(&page, "boot");
    let (_, inset) = svg.split_once("up to init, linear").expect("an inset of its own");
    let all = elements(inset);
    let text = std::fs::read_to_string(LOG).expect("the log");
    let ends: Vec<f64> = [
        "mmu",
        "device_tree_read",
        "memory_map",
        "interrupt_controller",
        "root_objects",
        "root_start",
        "init",
    ]
    .iter()
    .map(|phase| {
        let line =
            text.lines().find(|l| l.contains(&format!("\"boot.entry_to_{phase}\""))).expect("measured");
        let line: serde_json::Value =
            serde_json::from_str(&line[line.find('{').expect("JSON")..]).expect("JSON");
        line["median"].as_f64().expect("a figure")
    })
    .collect();
    let bars: Vec<(f64, f64)> =
        all.iter().filter(|e| e.name == "rect").map(|e| (e.number("x"), e.number("width"))).collect();
    assert_eq!(bars.len(), ends.len(), "a bar for each phase");
    let (left, most) = (bars[0].0, ends[ends.len() - 1]);
    let scale = (bars[bars.len() - 1].0 - left) / ends[ends.len() - 2];
    let mut from = 0.0;
    for ((x, width), end) in bars.iter().zip(&ends) {
        assert!((x - left - from * scale).abs() < 0.5, "a phase begins at {x}");
        assert!(
            (width - ((end - from) * scale).max(1.5)).abs() < 0.5,
            "{width} pixels for {} ns",
            end - from
        );
        from = *end;
    }
    // It fills the picture: no later phase squeezes these together.
    assert!(most * scale > 300.0, "{} pixels for all", most * scale);
}

#[test]
fn kernel_operations_are_bars_beside_sel4s_with_unit_and_ratio() {
    let page = kernels_page("operations");
    let svg = picture(&page, "operations");
    let legend = legend_of_bars(svg);
    let colour = |system: &str| {
        legend.iter().find(|l| l.0 == system).unwrap_or_else(|| panic!("{system}: {legend:?}")).1.clone()
    };
    let colours = [colour("Axiom"), colour("seL4 16.0 (FPU)"), colour("seL4 16.0 (no FPU)")];
    let all = elements(svg);
    let at = all.iter().position(|e| e.text == "kernel.call.passive.0w").expect("the call");
    // Three bars, each with its figure after it; a bar's length is its figure's share.
    let bars: Vec<(&str, f64, &str)> = all[at + 1..at + 7]
        .chunks(2)
        .map(|pair| (pair[0].attribute("fill").expect("a bar"), pair[0].number("width"), pair[1].text))
        .collect();
    for ((fill, width, label), (colour, (figure, ratio))) in bars.iter().zip(colours.iter().zip([
        (197.0, None),
        (270.0, Some("Axiom x 0.73")),
        (209.0, Some("Axiom x 0.94")),
    ])) {
        assert_eq!(fill, colour);
        assert!(label.contains(" insns"), "{label}");
        let number: f64 = label.split(' ').next().and_then(|n| n.parse().ok()).expect("a figure");
        // Axiom's own may get better.
        assert!(ratio.is_none() || number == figure, "{label}");
        assert!((width / bars[1].1 - number / 270.0).abs() < 0.02, "{label} is {width} wide");
        assert_eq!(label.contains("Axiom x "), ratio.is_some(), "{label}");
    }
    // No spread of what does not spread: no tick, no line to a largest one.
    assert!(!svg.contains("stroke-width=\"2\""));
    let rows = all.iter().filter(|e| e.name == "text" && e.text.starts_with("kernel.")).count();
    assert!(rows > 15, "{rows} operations");
}

#[test]
fn every_bar_has_its_figure_with_a_unit_and_beside_others_the_ratio() {
    const UNITS: [&str; 9] = ["ns", "\u{b5}s", "ms", "s", "B", "kB", "MB", "insns", "cycles"];
    for page in [page_of("units", LOG), kernels_page("units-kernel")] {
        for name in ["boot", "latency", "operations", "memory"] {
            if !page.contains(&format!("<h2 id=\"{name}\">")) {
                continue;
            }
            let svg = picture(&page, name);
            let all = elements(svg);
            let own: Vec<String> = legend_of_bars(svg)
                .into_iter()
                .filter(|l| l.0.starts_with("Linux") || l.0.starts_with("seL4"))
                .map(|l| l.1)
                .collect();
            let bars = all
                .iter()
                .enumerate()
                .filter(|(_, e)| e.name == "rect" && e.attribute("height") == Some("10"));
            let mut count = 0;
            for (at, bar) in bars {
                let label = all[at + 1..].iter().find(|e| e.name == "text").expect("a label").text;
                let words: Vec<&str> = label.split([' ', ',', ';']).collect();
                assert!(words[0].parse::<f64>().is_ok() && UNITS.contains(&words[1]), "{name}: {label}");
                let other = own.iter().any(|c| Some(c.as_str()) == bar.attribute("fill"));
                assert_eq!(label.contains("Axiom x "), other, "{name}: {label}");
                count += 1;
            }
            assert!(count > 2, "{name}: {count} bars");
        }
        for name in ["bpf-load", "messages"] {
            if page.contains(&format!("<h2 id=\"{name}\">")) {
                for (label, _, pieces) in legend_of_lines(picture(&page, name)) {
                    assert_eq!(label.contains("Axiom x "), pieces > 1, "{name}: {label}");
                }
            }
        }
    }
}

/// At that width a page is still read without turning or enlarging it.
const NARROW: f64 = 600.0;

#[test]
fn the_page_is_readable_at_600_pixels() {
    for page in [page_of("narrow", LOG), kernels_page("narrow-kernel")] {
        assert!(page.contains("<meta name=\"viewport\" content=\"width=device-width\">"));
        let (_, style) = page.split_once("<style>").expect("a style");
        let (style, _) = style.split_once("</style>").expect("its end");
        // Nothing of the page's own asks for more; wide tables scroll by themselves.
        for (at, _) in style.match_indices("width:").filter(|(at, _)| !style[..*at].ends_with("max-")) {
            let value = &style[at + 6..];
            let value = &value[..value.find([';', '}', ')']).unwrap_or(value.len())];
            let pixels = match value
                .strip_suffix("px")
                .map(|v| (v, 1.0))
                .or(value.strip_suffix("rem").map(|v| (v, 16.0)))
            {
                Some((number, size)) => number.parse::<f64>().expect("a number") * size,
                None => {
                    assert_eq!(value, "100%");
                    continue;
                }
            };
            assert!(pixels < NARROW / 2.0, "{value}");
        }
        assert!(style.contains("figure svg{width:100%"), "pictures shrink with the page");
        assert_eq!(page.matches("<table>").count(), page.matches("<div class=\"wide\"><table>").count());
        // What is left of it beside the margins.
        let room = NARROW - 2.0 * 8.0;
        assert!(style.contains("@media(max-width:760px){body{padding:.5rem}"));
        for svg in page.split("<svg ").skip(1) {
            let svg = &svg[..svg.find("</svg>").expect("its end")];
            let svg = format!("<svg {svg}");
            let drawn = elements(&svg);
            let width = drawn[0].number("width");
            assert!(drawn[0].attribute("viewBox").is_some(), "it could not shrink");
            let scale = (room / width).min(1.0);
            for text in drawn.iter().filter(|e| e.name == "text") {
                let size = text.number("font-size");
                assert!(size * scale >= 10.5, "{:.1} pixels: {}", size * scale, text.text);
                // A letter of a sans-serif is about six tenths as wide as it is high.
                let wide = text.text.replace("&lt;", "<").replace("&quot;", "\"").chars().count() as f64
                    * size
                    * 0.55;
                let x = text.number("x");
                let turned = text.attribute("transform").is_some();
                let end = match text.attribute("text-anchor") {
                    Some("middle") => x + wide / 2.0,
                    Some("end") => x,
                    _ => x + wide,
                };
                assert!(turned || end <= width + 8.0, "ends at {end:.0} of {width}: {}", text.text);
            }
        }
    }
}
