//! The places of a source file where a branch can stand: functions' bodies, arms of matches, expressions outside of constants.
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A function's body.
#[derive(Clone, Debug)]
pub struct Body {
    pub name: String,
    pub block: Range<usize>,
    /// Its keyword `const`, which the woven copy loses.
    pub constant: Option<Range<usize>>,
    /// It returns `impl Trait`, whose one type the first `return` decides: no other value can stand beside it.
    pub opaque: bool,
}

/// An arm of a match.
#[derive(Clone, Debug)]
pub struct Arm {
    pub whole: Range<usize>,
    pub pattern_end: usize,
    pub guard: Option<Range<usize>>,
    /// The guard binds names, so nothing can be put before it.
    pub guard_binds: bool,
    /// Without it, values are left that no arm of its match takes.
    pub needed: bool,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expression {
    pub range: Range<usize>,
    /// The compiler needs its value: no branch can stand here.
    pub constant: bool,
    /// `let` in a chain of conditions: no branch can stand around it.
    pub binds: bool,
}

/// All places of a file.
#[derive(Default)]
pub struct Sites {
    pub bodies: Vec<Body>,
    pub arms: Vec<Arm>,
    pub expressions: Vec<Expression>,
    constants: usize,
}

/// The places of a source text.
pub fn find(text: &str) -> Result<Sites, String> {
    let file = syn::parse_file(text).map_err(|e| e.to_string())?;
    let mut sites = Sites::default();
    sites.visit_file(&file);
    Ok(sites)
}

fn bytes(node: &impl Spanned) -> Range<usize> {
    node.span().byte_range()
}

/// Whether a condition binds names itself: `let` that is not inside of another expression.
fn binds(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(both) => binds(&both.left) || binds(&both.right),
        _ => false,
    }
}

impl Sites {
    fn constant(&mut self, visit: impl FnOnce(&mut Self)) {
        self.constants += 1;
        visit(self);
        self.constants -= 1;
    }

    fn body(&mut self, sig: &syn::Signature, block: &syn::Block) {
        let opaque = matches!(&sig.output, syn::ReturnType::Type(_, ty) if Opaque::is_in(ty));
        let constant = sig.constness.as_ref().map(bytes);
        self.bodies.push(Body { name: sig.ident.to_string(), block: bytes(block), constant, opaque });
    }
}

/// Looks for `impl Trait` in a type.
struct Opaque(bool);

impl Opaque {
    fn is_in(ty: &syn::Type) -> bool {
        let mut search = Opaque(false);
        search.visit_type(ty);
        search.0
    }
}

impl<'ast> Visit<'ast> for Opaque {
    fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
        self.0 = true;
    }
}

impl<'ast> Visit<'ast> for Sites {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.body(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.body(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.body(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr(&mut self, expr: &'ast syn::Expr) {
        let binds = binds(expr);
        self.expressions.push(Expression { range: bytes(expr), constant: self.constants > 0, binds });
        visit::visit_expr(self, expr);
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let takes_all = |arm: &syn::Arm| match &arm.pat {
            syn::Pat::Wild(_) => true,
            syn::Pat::Ident(name) => {
                name.subpat.is_none() && name.ident.to_string().starts_with(char::is_lowercase)
            }
            _ => false,
        };
        let complete = expr.arms.iter().any(takes_all);
        for arm in &expr.arms {
            let (guard, guard_binds) = match &arm.pat {
                syn::Pat::Guard(guarded) => (Some(bytes(&guarded.guard)), binds(&guarded.guard)),
                _ => (None, false),
            };
            let (whole, pattern_end) = (bytes(arm), bytes(&arm.pat).end);
            let needed = !complete && guard.is_none();
            self.arms.push(Arm { whole, pattern_end, guard, guard_binds, needed });
        }
        visit::visit_expr_match(self, expr);
    }

    fn visit_pat_guard(&mut self, pat: &'ast syn::PatGuard) {
        self.visit_pat(&pat.pat);
        // The guard is computed, whatever pattern it stands in.
        let depth = std::mem::take(&mut self.constants);
        self.visit_expr(&pat.guard);
        self.constants = depth;
    }

    fn visit_pat(&mut self, pat: &'ast syn::Pat) {
        self.constant(|s| visit::visit_pat(s, pat));
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constant(|s| visit::visit_item_const(s, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.constant(|s| visit::visit_item_static(s, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constant(|s| visit::visit_impl_item_const(s, item));
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.constant(|s| visit::visit_trait_item_const(s, item));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.constant(|s| visit::visit_variant(s, variant));
    }

    fn visit_type(&mut self, ty: &'ast syn::Type) {
        self.constant(|s| visit::visit_type(s, ty));
    }

    fn visit_generic_argument(&mut self, argument: &'ast syn::GenericArgument) {
        self.constant(|s| visit::visit_generic_argument(s, argument));
    }

    fn visit_expr_const(&mut self, expr: &'ast syn::ExprConst) {
        self.constant(|s| visit::visit_expr_const(s, expr));
    }

    fn visit_expr_repeat(&mut self, expr: &'ast syn::ExprRepeat) {
        self.visit_expr(&expr.expr);
        self.constant(|s| s.visit_expr(&expr.len));
    }
}
