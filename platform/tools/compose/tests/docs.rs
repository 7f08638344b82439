//! The book's page on manifests says what compose checks by: `BLESS=1 cargo test -p axiom-compose --test docs` makes its tables anew.
use axiom_compose::{docs, takes};
use std::path::Path;

#[test]
fn the_page_on_manifests_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    // Every program of the workspace that says what it takes.
    let mut programs: Vec<(String, takes::Takes)> = Vec::new();
    let mut folders =
        vec![root.join("servers"), root.join("drivers"), root.join("bpf-server"), root.join("bench")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            }
        }
        let Ok(said) = std::fs::read_to_string(folder.join("takes.toml")) else { continue };
        let cargo = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let name =
            cargo.lines().find_map(|l| l.strip_prefix("name = ")).unwrap().trim_matches('"').to_owned();
        let takes = takes::read(&said).unwrap_or_else(|why| panic!("{}/takes.toml: {why}", folder.display()));
        programs.push((name, takes));
    }
    programs.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(programs.len() >= 12, "{}", programs.len());
    let mut tables = String::from("## Keys\n");
    tables += &docs::keys();
    tables += "\n## Programs\n\nWhat each program says it takes, in its `takes.toml`; settings are given by `args`.\n";
    programs.iter().for_each(|(name, takes)| tables += &docs::program(name, takes));

    let path = root.join("docs/src/manifest.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let wanted = docs::renew(&page, &tables).expect("the page has its marks");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    assert!(
        page == wanted,
        "docs/src/manifest.md is not what compose checks by: BLESS=1 cargo test -p axiom-compose --test docs"
    );
}
