//! Checks a system manifest and writes the bundle, and the report of who may reach what.
//!
//! manifest (TOML) -> [`source`] located values -> [`model`] typed keys -> [`check`] the rules that join servers ->
//! [`image`] the servers' ELF files -> [`bundle`]. Every mistake is a [`Diagnostic`]: file and line, value, rule, the
//! nearest right answer. All are collected, so that one run shows all; nothing is written while there is one.

pub mod bridge;
pub mod bundle;
pub mod check;
pub mod diagnostic;
pub mod docs;
mod fitting;
mod given;
pub mod image;
pub mod model;
pub mod pins;
pub mod report;
pub mod source;
pub mod takes;
mod words;

use axiom_layout::address;
use axiom_proto::bundle as wire;
use diagnostic::{At, Diagnostic, nearest};
use std::path::{Path, PathBuf};

/// Where things are.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The manifest.
    pub manifest: PathBuf,
    /// Folders with the servers' ELF files.
    pub images: Vec<PathBuf>,
    /// Folders with BPF objects and other files.
    pub blobs: Vec<PathBuf>,
    /// File name of the root task's image.
    pub init: String,
}

/// A composed system.
pub struct Composed {
    /// What init will read.
    pub system: wire::System,
    /// Who may do what with lines, channels, motors and RP1.
    pub rights: pins::Rights,
    /// The bundle: an ELF.
    pub elf: Vec<u8>,
    /// Bytes of the payload in it.
    pub payload_bytes: usize,
}

/// init's own window: its image, below the payload.
const INIT_WINDOW: std::ops::Range<u64> = address::INIT..address::PAYLOAD;

fn find(name: &str, folders: &[PathBuf]) -> Result<Vec<u8>, String> {
    for folder in folders {
        if let Ok(bytes) = std::fs::read(folder.join(name)) {
            return Ok(bytes);
        }
    }
    let places: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    Err(places.join(", "))
}

/// Names of the files there, for advice.
fn listed(folders: &[PathBuf], keep: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = folders.iter().filter_map(|f| std::fs::read_dir(f).ok()).flatten().flatten();
    let files = entries.map(|e| e.path()).filter(|p| p.is_file() && keep(p));
    files.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect()
}

fn load_image(
    who: &str,
    name: &str,
    at: &At,
    options: &Options,
    window: std::ops::Range<u64>,
    errors: &mut Vec<Diagnostic>,
) -> Option<image::Image> {
    let data = match find(name, &options.images) {
        Ok(data) => data,
        Err(places) => {
            let there = listed(&options.images, |p| p.extension().is_none());
            errors.push(Diagnostic::new(
                at,
                format!("{who}: image \"{name}\" is not there (looked in {places})"),
                "image names a server's ELF file, as `just servers` builds it",
                nearest(name, there.iter().map(String::as_str)),
            ));
            return None;
        }
    };
    match image::read(&data, window) {
        Ok(image) => Some(image),
        Err(image::Refusal(what, rule, advice)) => {
            errors.push(Diagnostic::new(at, format!("{who}: image \"{name}\" {what}"), rule, advice));
            None
        }
    }
}

/// Composes a system, or says everything that is wrong with it.
pub fn compose(options: &Options) -> Result<Composed, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let Some(raw) = source::load(&options.manifest, &mut errors) else { return Err(errors) };
    let Some(mut system) = model::read(&raw, &mut errors) else { return Err(errors) };
    let mut images = Vec::new();
    let blobs = |s: &model::Server| s.blobs.iter().map(|b| b.value.clone()).collect();
    let files = system.servers.iter().map(|s| (s.name.clone(), blobs(s))).collect();
    let mut programs = std::collections::BTreeMap::new();
    for server in &mut system.servers {
        let who = format!("server '{}'", server.name);
        let window = address::CODE..address::HEAP;
        let image = load_image(&who, &server.image.value, &server.image.at, options, window, &mut errors);
        if let Some(image) = &image {
            check::heap(server, image.heap, &mut errors);
            if let Some(takes) = &image.takes {
                given::check(server, takes, &files, &mut errors);
                programs.insert(server.name.clone(), takes.clone());
            }
        }
        images.push((server.name.clone(), image));
    }
    // Servers whose keys are wrong are missing here: rules between servers would only repeat that.
    if system.servers.len() == raw.servers.len() {
        check::check(&system, &mut errors);
    }
    given::clients(&system, &programs, &mut errors);
    let mut rights = pins::resolve(&system, &mut errors);
    rights.rp1 = bridge::resolve(&system, &mut errors);
    // Started from the top: whoever is called is there before its callers.
    system.servers.sort_by_key(|s| std::cmp::Reverse(s.number("priority")));

    let init = load_image("the root task", &options.init, &system.at, options, INIT_WINDOW, &mut errors);
    let place = |name: &str| system.servers.iter().position(|s| s.name == name);
    images.sort_by_key(|(name, _)| place(name));
    let images: Vec<_> = images.into_iter().map(|(_, image)| image).collect();
    for (server, image) in system.servers.iter().zip(&images) {
        if let (Some(init), Some(image)) = (&init, image)
            && init.machine != image.machine
        {
            let (name, theirs, ours) = (&server.image.value, image.machine.name(), init.machine.name());
            errors.push(Diagnostic::new(
                &server.image.at,
                format!(
                    "server '{}': image \"{name}\" is for {theirs}, and the root task is for {ours}",
                    server.name
                ),
                "all images of a system are for one processor",
                "look for it in one folder of images only, that of the board's processor",
            ));
        }
    }
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for server in &system.servers {
        let mut total = 0;
        for blob in &server.blobs {
            let known = files.iter().find(|(name, _)| *name == blob.value).map(|(_, bytes)| bytes.len());
            total += 4096
                + match known {
                    Some(len) => len as u64,
                    None => {
                        match find(&blob.value, &options.blobs) {
                            Ok(bytes) => {
                                files.push((blob.value.clone(), bytes));
                                files.last().map_or(0, |f| f.1.len() as u64)
                            }
                            Err(places) => {
                                let there = listed(&options.blobs, |_| true);
                                errors.push(Diagnostic::new(
                            &blob.at,
                            format!("server '{}': file \"{}\" is not there (looked in {places})", server.name, blob.value),
                            "blobs names files that go into the bundle, as `just programs` builds them",
                            nearest(&blob.value, there.iter().map(String::as_str)),
                        ));
                                0
                            }
                        }
                    }
                };
        }
        if total > address::FILES_BYTES {
            let what = format!("server '{}': its files take {total} bytes", server.name);
            let rule = format!("a server's files fit a window of {} bytes", address::FILES_BYTES);
            errors.push(Diagnostic::new(&server.blobs[0].at, what, rule, "fewer or smaller files"));
        }
    }
    let bytes: u64 = files.iter().map(|f| f.1.len() as u64).sum::<u64>()
        + images.iter().flatten().flat_map(|i| &i.segments).map(|s| s.bytes.len() as u64).sum::<u64>();
    check::memory(&system, bytes, &mut errors);
    let (Some(init), true) = (init, errors.is_empty()) else { return Err(errors) };
    let images: Vec<image::Image> = images.into_iter().flatten().collect();
    write(&system, rights, &init, &images, &files).map_err(|what| vec![too_large(&system.at, what)])
}

/// What init has no addresses for.
fn too_large(at: &At, what: String) -> Diagnostic {
    let rule = format!("a payload has at most {} bytes", address::PAYLOAD_BYTES);
    Diagnostic::new(at, what, rule, "fewer servers or smaller files")
}

/// Room for the description, wherever the blobs come to lie: its bytes if each offset is the longest number.
fn description_room(described: &wire::System) -> Result<usize, String> {
    let mut longest = described.clone();
    for server in &mut longest.servers {
        server.segments.iter_mut().for_each(|segment| segment.offset = u64::MAX);
        server.blobs.iter_mut().for_each(|blob| blob.offset = u64::MAX);
    }
    let bytes =
        postcard::to_allocvec(&longest).map_err(|e| format!("its description cannot be written: {e}"))?;
    Ok(bytes.len())
}

/// Puts what servers are made of into `blobs`, and says where it is.
fn place(
    system: &model::Manifest,
    rights: &pins::Rights,
    images: &[image::Image],
    files: &[(String, Vec<u8>)],
    blobs: &mut bundle::Blobs,
) -> Result<wire::System, String> {
    let index = |name: &str| system.servers.iter().position(|s| s.name == name).map(|i| i as u16);
    let describe = |s| describe(s, &index, system, rights).ok_or("what a server may do cannot be written");
    let mut servers: Vec<wire::Server> = system.servers.iter().map(describe).collect::<Result<_, _>>()?;
    // An image that several servers run is there once.
    let mut placed: Vec<(&image::Image, Vec<wire::Segment>)> = Vec::new();
    for (server, image) in servers.iter_mut().zip(images) {
        let known = placed.iter().find(|(other, _)| *other == image).map(|(_, segments)| segments.clone());
        let segments = known.unwrap_or_else(|| {
            let segments: Vec<wire::Segment> = image
                .segments
                .iter()
                .map(|s| wire::Segment {
                    vaddr: s.vaddr,
                    mem_size: s.mem_size,
                    offset: if s.bytes.is_empty() { 0 } else { blobs.add(&s.bytes) },
                    file_size: s.bytes.len() as u64,
                    write: s.write,
                    execute: s.execute,
                })
                .collect();
            placed.push((image, segments.clone()));
            segments
        });
        server.segments = segments;
        server.entry = image.entry;
    }
    let offsets: Vec<(&str, u64, u64)> =
        files.iter().map(|(name, bytes)| (name.as_str(), blobs.add(bytes), bytes.len() as u64)).collect();
    for (server, wanted) in servers.iter_mut().zip(&system.servers) {
        for blob in &wanted.blobs {
            let Some((_, offset, len)) = offsets.iter().find(|(name, ..)| *name == blob.value) else {
                continue;
            };
            server.blobs.push(wire::BlobRequest { name: blob.value.clone(), offset: *offset, len: *len });
        }
    }
    Ok(wire::System {
        name: system.name.clone(),
        board: system.board.clone(),
        print_facts: system.print_facts,
        debug_calls: system.debug_calls,
        pci_window: system.pci_window,
        servers,
    })
}

fn write(
    system: &model::Manifest,
    rights: pins::Rights,
    init: &image::Image,
    images: &[image::Image],
    files: &[(String, Vec<u8>)],
) -> Result<Composed, String> {
    let described = place(system, &rights, images, files, &mut bundle::Blobs::behind(0))?;
    let mut blobs = bundle::Blobs::behind(description_room(&described)?);
    let described = place(system, &rights, images, files, &mut blobs)?;
    blobs.fit()?;
    let payload = bundle::payload(&described, &blobs).ok_or("the description of the servers is too long")?;
    Ok(Composed { elf: bundle::elf(init, &payload), payload_bytes: payload.len(), system: described, rights })
}

fn describe(
    s: &model::Server,
    index: &dyn Fn(&str) -> Option<u16>,
    system: &model::Manifest,
    rights: &pins::Rights,
) -> Option<wire::Server> {
    let names = |list: &[model::Placed<String>]| list.iter().map(|p| p.value.clone()).collect();
    let peers = |list: &[model::Placed<String>]| list.iter().filter_map(|p| index(&p.value)).collect();
    let loads = system.servers.iter().any(|o| o.loader.as_ref().is_some_and(|l| l.value == s.name));
    let bridge = s.devices.iter().any(|d| d.value.ranges);
    Some(wire::Server {
        name: s.name.clone(),
        segments: Vec::new(),
        entry: 0,
        priority: s.number("priority") as u8,
        budget_us: s.number("budget_us"),
        period_us: s.number("period_us"),
        stack_kib: s.number("stack_kib") as u32,
        heap_kib: s.number("heap_kib") as u32,
        calls: peers(&s.calls),
        signals: peers(&s.signals),
        devices: s.devices.iter().map(|d| request(&d.value)).collect(),
        timers: names(&s.timers),
        serves: axiom_proto::Values::of(&s.serves)?,
        untyped_kib: s.number("untyped_kib") as u32,
        dma_kib: s.number("dma_kib") as u32,
        shared_kib: s.number("shared_kib") as u32,
        scratch_kib: s.number("scratch_kib") as u32,
        trace: s.flag("trace"),
        makes_threads: s.flag("makes_threads"),
        hosts: names(&s.hosts),
        loader: s.loader.as_ref().and_then(|l| index(&l.value)),
        debugs: peers(&s.debugs),
        watches_restarts: s.flag("watches_restarts"),
        restart: s.restart,
        ends_run: s.flag("ends_run"),
        reports_ready: s.flag("reports_ready"),
        blobs: Vec::new(),
        args: s.args.iter().map(|(key, given)| (key.clone(), given.value.clone())).collect(),
        grants: words::grants(s, index, system, rights)?,
        parts: words::parts(s, rights)?,
        parks: pins::is_owner(s) && !rights.motors.is_empty(),
        takes_notifications: !s.hosts.is_empty() || pins::is_owner(s) || bridge || loads,
    })
}

fn request(d: &model::Device) -> wire::DeviceRequest {
    wire::DeviceRequest {
        name: d.name.clone(),
        compatible: d.compatible.clone(),
        virtio_id: d.virtio_id,
        instance: d.instance,
        interrupts: d.interrupts,
        ranges: d.ranges,
        messages: d.messages,
        optional: d.optional,
        registers_kib: d.registers_kib,
    }
}
