//! `plugin`: what the runner of the public conformance suite starts for each of its cases.

use crate::args::Engine;
use crate::load::{self, Ready};
use crate::run::execute;
use crate::world::{Helpers, World};
use crate::{Failure, Out};
use std::io::Read;

fn bytes(hex: &str) -> Result<Vec<u8>, Failure> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let pair = |p: &[char]| match p {
        [high, low] => Some((high.to_digit(16)? << 4 | low.to_digit(16)?) as u8),
        _ => None,
    };
    digits
        .chunks(2)
        .map(|p| pair(p).ok_or_else(|| Failure::Usage(format!("'{hex}' is not bytes in base 16"))))
        .collect()
}

/// Runs the program on standard input over this memory and prints r0.
pub fn plugin(out: &mut Out, engine: Engine, memory: &str) -> Result<(), Failure> {
    let memory = bytes(memory)?;
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| Failure::Usage(format!("standard input cannot be read: {e}")))?;
    let insns = load::raw(&bytes(&text)?)?;
    let ready =
        Ready { name: String::new(), insns, maps: Vec::new(), context: None, raw: true, accepted: None };
    let mut world = World::new(&ready, &memory, Helpers::Suite)?;
    let (r0, _) = execute(&mut world, &ready, engine, 1)?;
    out.line(format_args!("{r0:x}"));
    Ok(())
}
