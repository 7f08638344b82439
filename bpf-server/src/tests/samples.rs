//! The sample programs, with what the manifest of the demonstration grants them.
use super::*;

fn pin_rights() -> Rights {
    let line = |line| axiom_proto::gpio::Line { chip: 0, line };
    let grants = |program: &str, get: &[u8], set: &[u8]| {
        let mut grants = Grants::NONE;
        get.iter().for_each(|l| grants.grant_line(line(*l), false));
        set.iter().for_each(|l| grants.grant_line(line(*l), true));
        grants.grant_channel(axiom_proto::gpio::Channel { chip: 0, channel: 0 });
        grants.motor_stop = program == "limit_switch";
        ProgramGrants {
            program: program.into(),
            object: format!("{program}.o"),
            grants,
            owner: "owner".into(),
            pinned: None,
        }
    };
    Rights {
        programs: vec![
            grants("button_led", &[5], &[6]),
            grants("limit_switch", &[4], &[]),
            grants("greedy", &[5], &[]),
            grants("speed_limit", &[], &[]),
            grants("oscillator", &[], &[17]),
        ],
        gpio_chips: vec!["pl061".into()],
        pwm_chips: vec!["soft-pwm".into()],
        clients: clients(),
    }
}

/// A line that is a setting is a constant to the verifier, so that a line without a grant is refused before the run.
fn pins_by_setting(l: &mut Loader<Fake>, blob: &str) {
    let mut request = load(Source::Blob(blob));
    if let Request::Load { settings, .. } = &mut request {
        settings[0] = Some(Setting { name: "led_line", value: 17 });
    }
    let used = l.platform().used();
    let (why, text) = refused(l, &request);
    assert_eq!(why, Refusal::NotGranted, "{text}");
    assert!(text.contains("bpf_gpio_set drives line 17 of chip 'pl061'"), "{text}");
    assert!(text.contains("At:         button_led.c:"), "{text}");
    assert!(text.contains("line = 17, out = true }] in [program.button_led]"), "{text}");
    if let Request::Load { settings, point, .. } = &mut request {
        settings[0] = None;
        *point = "gpio/pl061/3/both";
    }
    let (why, text) = refused(l, &request);
    assert_eq!(why, Refusal::NotGranted, "{text}");
    assert!(text.contains("it would see the edges of line 3"), "{text}");
    assert_eq!(l.platform().used(), used, "nothing was placed");
}

/// The sample programs, where `bpf-server/programs/build` has compiled them (the recipe and CI do so first).
#[test]
fn the_samples_are_accepted_and_the_bad_ones_refused_with_their_lines() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/axiom/programs");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} does not exist; run bpf-server/programs/build", folder.display());
        return;
    };
    let mut l = loader();
    l.set_rights(pin_rights());
    for name in ["accel_y", "accel_z"] {
        l.platform().host.add_point(&format!("iio/adxl345/{name}")).unwrap();
    }
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        let bytes = std::fs::read(&path).unwrap();
        for (i, chunk) in bytes.chunks(800).enumerate() {
            l.handle(ClientBadge::new(1), &Request::Upload { offset: i as u32 * 800, bytes: chunk }, (0, 0));
        }
        let mut request = load(Source::Uploaded);
        let blob = format!("{name}.o");
        if ["button_led", "limit_switch", "greedy", "speed_limit", "oscillator"].contains(&name.as_str()) {
            // What a client sends has no rights to lines, whatever its names.
            let (why, text) = refused(&mut l, &request);
            assert_eq!(why, Refusal::NotGranted, "{text}");
            assert!(text.contains("a program that a client sends has no rights"), "{text}");
            l.platform().blobs.push((blob.clone(), bytes.leak()));
            request = load(Source::Blob(&blob));
            if name == "button_led" {
                pins_by_setting(&mut l, &blob);
            }
        }
        if name.starts_with("bad_") {
            let (why, text) = refused(&mut l, &request);
            println!("{name}:\n{text}");
            assert_eq!(why, Refusal::Verifier, "{name}");
            assert!(text.contains(&format!("{name}.c:")), "{text}");
        } else {
            let id = loaded(&mut l, &request);
            assert_eq!(
                l.handle(ClientBadge::new(1), &Request::Unload { program: id }, (0, 0)).reply,
                Reply::Done
            );
        }
    }
}
