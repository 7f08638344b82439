//! The verifier, asked about one program of an object.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use axiom_bpf_isa::{CtxLayout, LineInfo, Lines, MapDef};
use axiom_bpf_object::{Object, Program};
use axiom_bpf_verifier as verifier;

/// What is known of an accepted program.
pub struct Proof {
    /// Bound on executed instructions.
    pub worst_case: u64,
    /// Functions must clear their stacks.
    pub zero_stack: bool,
    /// Calls of Axiom's own helpers.
    pub own_calls: Vec<verifier::OwnCall>,
}

/// A program's source lines.
pub struct Source<'a, 'o> {
    /// The object.
    pub object: &'a Object<'o>,
    /// The program.
    pub program: &'a Program,
}

impl Lines for Source<'_, '_> {
    fn line(&self, insn: usize) -> Option<LineInfo<'_>> {
        let l = self.object.line(self.program, insn)?;
        Some(LineInfo { file: l.file, line: l.line, text: l.text })
    }
}

/// Verifies; a refusal is the verdict's text.
pub fn verify(
    verifier: &mut verifier::Verifier,
    object: &Object<'_>,
    program: &Program,
    maps: &[MapDef],
    contents: &[Option<&[u8]>],
    ctx: CtxLayout,
) -> Result<Proof, String> {
    let lines = Source { object, program };
    let input = verifier::Program { insns: &program.insns, lines: Some(&lines) };
    let limits =
        verifier::Limits { instructions: ctx.kind.max_instructions(), ..verifier::Limits::default() };
    let env = verifier::Env { maps, contents, ctx, helpers: Some(ctx.kind.helpers()), limits };
    match verifier.verify(&input, &env) {
        Ok(accepted) => Ok(Proof {
            worst_case: accepted.max_insns,
            zero_stack: accepted.zero_stack,
            own_calls: accepted.own_calls,
        }),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// For callers that keep contents beside the maps.
pub fn read_only_contents<'a>(maps: &[MapDef], contents: &'a [Option<Vec<u8>>]) -> Vec<Option<&'a [u8]>> {
    maps.iter().zip(contents).map(|(m, c)| c.as_deref().filter(|_| m.read_only)).collect()
}
