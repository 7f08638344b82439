//! Random trees, and what a reader that has them as values says of them.
use super::*;
use std::boxed::Box;

#[derive(Clone, Debug)]
struct Tree {
    name: String,
    props: Vec<(String, Vec<u8>)>,
    children: Vec<Tree>,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,9}", "[a-c]@[0-9]{1,8}"]
}

fn tree() -> impl Strategy<Value = Tree> {
    let props = || prop::collection::vec(("[a-f]{1,6}", prop::collection::vec(any::<u8>(), 0..9)), 0..4);
    let leaf = (name(), props()).prop_map(|(name, props)| Tree { name, props, children: Vec::new() });
    leaf.prop_recursive(5, 24, 4, move |inner| {
        (name(), props(), prop::collection::vec(inner, 0..4)).prop_map(|(name, props, children)| Tree {
            name,
            props,
            children,
        })
    })
}

impl Tree {
    fn write(&self, b: Builder, root: bool, nops: &mut dyn Iterator<Item = u8>) -> Builder {
        // Tokens that say nothing stand anywhere between the others.
        let mut pad = |b: Builder| (0..nops.next().unwrap_or(0)).fold(b, |b, _| b.nop());
        let mut b = pad(b.begin(if root { "" } else { &self.name }));
        for (name, value) in &self.props {
            b = pad(b.prop(name, value));
        }
        for child in &self.children {
            b = child.write(b, false, nops);
        }
        let mut pad = |b: Builder| (0..nops.next().unwrap_or(0)).fold(b, |b, _| b.nop());
        pad(b.end())
    }

    /// Every node with its path, parents first.
    fn list<'a>(&'a self, path: &[&'a str], out: &mut Vec<(Vec<&'a str>, &'a Tree)>) {
        out.push((path.to_vec(), self));
        for child in &self.children {
            let path: Vec<&str> = path.iter().copied().chain([child.name.as_str()]).collect();
            child.list(&path, out);
        }
    }
}

proptest! {
    #[test]
    fn a_tree_reads_as_it_was_written(tree in tree(), nops in prop::collection::vec(0u8..3, 64)) {
        // NOPs behind the root's end would be behind the tree: the writer ends it there.
        let mut nops: Box<dyn Iterator<Item = u8>> = Box::new(nops.into_iter());
        let blob = tree.write(Builder::default(), true, &mut *nops).blob();
        let fdt = Fdt::new(&blob).unwrap();
        let mut expected = Vec::new();
        tree.list(&[], &mut expected);
        let mut at = 0;
        let mut wrong = None;
        let walked = fdt.walk(|node| {
            let Some((path, model)) = expected.get(at) else {
                wrong = Some((at, "a node too many".to_string()));
                return Walk::Stop;
            };
            at += 1;
            let mut written = String::new();
            node.write_path(&mut written).unwrap();
            let full: String = if path.is_empty() { "/".into() } else { path.iter().flat_map(|p| ["/", p]).collect() };
            // Of two properties with one name the first counts.
            let first = |name: &str| model.props.iter().find(|p| p.0 == name).map(|p| &p.1[..]);
            let good = written == full
                && node.depth == path.len()
                && node.name == path.last().copied().unwrap_or("")
                && node.is_at(&full)
                && !node.is_at(&std::format!("{full}/x"))
                && model.props.iter().all(|(name, _)| node.prop(name) == first(name))
                && ["a", "zz", "ab"].iter().all(|name| node.prop(name) == first(name));
            if !good {
                wrong = Some((at, full));
                return Walk::Stop;
            }
            Walk::On
        });
        prop_assert_eq!((walked, wrong), (Ok(()), None));
        prop_assert_eq!(at, expected.len());
        // The first of several at one path.
        for (path, _) in &expected {
            let full: String = path.iter().flat_map(|p| ["/", p]).collect();
            let found = fdt.at_path(if full.is_empty() { "/" } else { &full }).unwrap();
            let first = expected.iter().find(|(p, _)| p == path).unwrap().1;
            for (name, _) in &first.props {
                let value = first.props.iter().find(|p| p.0 == *name).map(|p| &p.1[..]);
                prop_assert_eq!(found.prop(name), value);
            }
        }
    }
}
