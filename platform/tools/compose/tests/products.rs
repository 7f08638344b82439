//! The systems of the boards are like products: none of them has a right that only tests have, and one server alone may end the run.
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, TableLike};

/// The manifests of the boards, and those of their tests.
fn manifests() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let platform = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let within = |folder: &Path| -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let files = entries.map(|e| e.unwrap().path());
        files.filter(|f| f.extension().is_some_and(|e| e == "toml")).collect()
    };
    let boards = std::fs::read_dir(platform).unwrap().map(|e| e.unwrap().path());
    let boards: Vec<PathBuf> = boards.filter(|b| b.join("system.toml").exists()).collect();
    let own = boards.iter().flat_map(|b| within(b)).collect();
    (own, boards.iter().flat_map(|b| within(&b.join("tests"))).collect())
}

/// Whether a manifest asks for what only tests have.
fn asks_for_tests(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap();
    let document: DocumentMut = text.parse().unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let tables = |name: &str| document.get(name).and_then(|item| item.as_table_like());
    let debugs = |server: &dyn TableLike| server.contains_key("debugs");
    let any = tables("server")
        .is_some_and(|servers| servers.iter().any(|(_, s)| s.as_table_like().is_some_and(debugs)));
    any || tables("system").is_some_and(|system| system.contains_key("test"))
}

#[test]
fn only_tests_may_debug_other_servers() {
    let (products, tests) = manifests();
    assert!(products.len() >= 5, "{products:?}");
    for product in &products {
        assert!(!asks_for_tests(product), "{} has a right of tests", product.display());
    }
    assert!(
        tests.iter().any(|test| asks_for_tests(test)),
        "no test uses the right: is it looked for rightly?"
    );
}

/// The systems of this tree are runs with a verdict: the demonstration gives it, or the server of the attacks in the system that tests
/// extend, and nobody else can. A product leaves that server out.
#[test]
fn only_the_demonstration_ends_a_run() {
    let mut seen = 0;
    for product in manifests().0 {
        let text = std::fs::read_to_string(&product).unwrap();
        let document: DocumentMut = text.parse().unwrap();
        let servers = document.get("server").and_then(|servers| servers.as_table_like()).unwrap();
        for (name, server) in servers.iter() {
            let ends = server.as_table_like().is_some_and(|s| s.contains_key("ends_run"));
            let may = name == "demo" || (name == "hostile" && product.ends_with("hostile.toml"));
            assert!(!ends || may, "{}: {name} may end the run", product.display());
            seen += usize::from(ends);
        }
    }
    assert!(seen >= 5, "{seen} manifests: is it looked for rightly?");
}
