//! What weaving makes of small texts.
use crate::compile::{copy_tree, sources};
use crate::list::{Genre, Mutant, byte};
use crate::run::seconds;
use crate::weave::{CHAIN, CONSTANT, NEEDED, OPAQUE, Woven, weave};
use std::collections::BTreeSet;

/// The mutant that replaces `what` (where it stands first) by `replacement`.
fn mutant(text: &str, what: &str, replacement: &str, genre: Genre) -> Mutant {
    let start = text.find(what).expect("the text has what is replaced");
    let span = start..start + what.len();
    Mutant {
        name: format!("{what} -> {replacement}"),
        file: "lib.rs".into(),
        genre,
        span,
        replacement: replacement.into(),
    }
}

fn woven(text: &str, mutants: &[Mutant]) -> Woven {
    let numbered: Vec<_> = (1..).zip(mutants).collect();
    let woven = weave(text, &numbered, &BTreeSet::new(), 40).expect("the text is a program");
    assert!(syn::parse_file(&woven.text).is_ok(), "no program: {}", woven.text);
    woven
}

#[test]
fn an_operators_mutants_stand_around_its_expression() {
    let text = "fn f(a: u8, b: u8) -> bool { a < b }";
    let all = ["==", ">"].map(|new| mutant(text, "<", new, Genre::Expression));
    let woven = woven(text, &all);
    let expected = "(match crate::woven::at(40) { 1 => (a == b), 2 => (a > b), _ => (a < b) })";
    assert_eq!(woven.text, text.replace("a < b", expected));
    assert_eq!(woven.sites, [(1, 40), (2, 40)], "one place, one site");
}

#[test]
fn what_was_keeps_the_branches_inside_of_it() {
    let text = "fn f(a: u8, b: u8) -> bool { a == 1 && !b.is_power_of_two() }";
    let all =
        [("&&", "||"), ("==", "!="), ("!", "")].map(|(old, new)| mutant(text, old, new, Genre::Expression));
    let inner = "(match crate::woven::at(41) { 2 => (a != 1), _ => (a == 1) }) && \
                 (match crate::woven::at(42) { 3 => (b.is_power_of_two()), _ => (!b.is_power_of_two()) })";
    let outer =
        format!("(match crate::woven::at(40) {{ 1 => (a == 1 || !b.is_power_of_two()), _ => ({inner}) }})");
    assert_eq!(woven(text, &all).text, format!("fn f(a: u8, b: u8) -> bool {{ {outer} }}"));
}

#[test]
fn a_function_that_returns_some_type_of_a_trait_is_left() {
    let text = "fn f() -> impl Iterator<Item = u8> { [1].into_iter() }";
    let none = mutant(text, "[1].into_iter()", "::std::iter::empty()", Genre::FnValue);
    let woven = woven(text, std::slice::from_ref(&none));
    assert_eq!((woven.text.as_str(), woven.left.as_slice()), (text, &[(1, OPAQUE)][..]));
}

#[test]
fn a_value_comes_first_and_constant_functions_become_ordinary() {
    let text = "pub const fn f() -> u8 { 7 }";
    let zero = mutant(text, "7", "0", Genre::FnValue);
    let woven = woven(text, std::slice::from_ref(&zero));
    assert_eq!(woven.text, "pub  fn f() -> u8 { if crate::woven::at(40) == 1 { return 0; } 7 }");
    let stay = BTreeSet::from(["f".to_string()]);
    let left = weave(text, &[(1, &zero)], &stay, 0).expect("a program");
    assert_eq!((left.text.as_str(), left.left.as_slice()), (text, &[(1, CONSTANT)][..]));
}

#[test]
fn an_arm_that_is_gone_does_not_match() {
    let text = "fn f(a: u8) -> u8 { match a { 1 => 2, 3 if a > 2 => 4, _ => 5 } }";
    let all = [
        mutant(text, "1 => 2,", "", Genre::MatchArm),
        mutant(text, "3 if a > 2 => 4,", "", Genre::MatchArm),
        mutant(text, "a > 2", "true", Genre::Expression),
    ];
    let woven = woven(text, &all);
    let guard = "crate::woven::at(41) != 2 && ((match crate::woven::at(42) { 3 => (true), _ => (a > 2) }))";
    let expected = format!("match a {{ 1 if crate::woven::at(40) != 1 => 2, 3 if  {guard} => 4, _ => 5 }}");
    assert_eq!(woven.text, format!("fn f(a: u8) -> u8 {{ {expected} }}"));
}

#[test]
fn what_cannot_be_a_branch_is_told() {
    let text = "const A: u8 = 1 + 2; fn f(a: Option<u8>) -> u8 { if let Some(x) = a && x > 0 { x } else { 0 } }\n\
                fn g(a: bool) -> u8 { match a { true => 1, false => 2 } }";
    let all = [
        mutant(text, "+", "-", Genre::Expression),
        mutant(text, "&&", "||", Genre::Expression),
        mutant(text, "false => 2", "", Genre::MatchArm),
        mutant(text, "x > 0", "x < 0", Genre::Expression),
    ];
    let woven = woven(text, &all);
    assert_eq!(woven.left, [(1, CONSTANT), (2, CHAIN), (3, NEEDED)]);
    assert!(
        woven.text.contains("a && (match crate::woven::at(40) { 4 => (x < 0), _ => (x > 0) })"),
        "{}",
        woven.text
    );
}

#[test]
fn an_error_is_found_in_the_branch_that_has_it() {
    let text = "fn f(a: u8, b: u8) -> bool { a < b }";
    let all = ["==", ">"].map(|new| mutant(text, "<", new, Genre::Expression));
    let woven = woven(text, &all);
    let at = woven.text.find("a > b").expect("the second branch");
    let around: Vec<u32> =
        woven.places.iter().filter(|(place, _)| place.contains(&at)).map(|(_, id)| *id).collect();
    assert_eq!(around, [2]);
}

#[test]
fn lines_and_columns_count_characters_from_one() {
    let text = "ab\n\u{e4}x\n";
    assert_eq!((byte(text, 1, 1), byte(text, 2, 2), byte(text, 2, 3)), (Some(0), Some(5), Some(6)));
    assert_eq!((byte(text, 2, 5), byte(text, 0, 1), byte(text, 1, 0)), (None, None, None));
}

#[test]
fn sources_are_what_a_program_was_made_of() {
    let rules = "/t/rules-1.d: src/lib.rs src/a\\ b.rs\n\n/t/rules-1: src/lib.rs /x/main.rs\n\nsrc/lib.rs:\n# env-dep:A=1\n";
    let expected = ["/x/main.rs", "src/a b.rs", "src/lib.rs"].map(String::from);
    assert_eq!(sources(rules), BTreeSet::from(expected));
}

#[test]
fn the_shells_times_are_minutes_and_seconds() {
    assert_eq!((seconds("1m2.5s"), seconds("0m0.000000s"), seconds("2.5s")), (Some(62.5), Some(0.0), None));
}

#[test]
fn what_was_copied_and_is_gone_goes_from_the_copy() {
    let folder = std::env::temp_dir().join(format!("axiom-mutants-{}", std::process::id()));
    let (root, copy) = (folder.join("root"), folder.join("copy/tree"));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::create_dir_all(&copy).unwrap();
    let done = std::process::Command::new("git").args(["init", "-q"]).current_dir(&root).status().unwrap();
    assert!(done.success());
    for name in ["stays.rs", "moves.rs"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    copy_tree(&root, &copy).unwrap();
    // What the run itself puts there is not its to take.
    std::fs::write(copy.join("made.rs"), "made").unwrap();
    std::fs::remove_file(root.join("moves.rs")).unwrap();
    std::fs::create_dir(root.join("moves")).unwrap();
    std::fs::write(root.join("moves/mod.rs"), "moved").unwrap();
    copy_tree(&root, &copy).unwrap();
    let there = |name: &str| copy.join(name).exists();
    assert_eq!(["stays.rs", "moves.rs", "moves/mod.rs", "made.rs"].map(there), [true, false, true, true]);
    std::fs::remove_dir_all(&folder).unwrap();
}
