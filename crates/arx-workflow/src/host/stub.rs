//! The stub file that gives editors completion and type checks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{ObjectSpec, names};

/// What every workflow sees, in the syntax of stub files.
pub const STUB: &str = include_str!("arx.pyi");

/// The text of `arx.pyi` for a workflow with these connectors.
#[must_use]
pub fn stub(objects: &[ObjectSpec]) -> String {
    let mut text = String::from(STUB);
    for object in objects {
        let mut root = Node::default();
        for operation in &object.operations {
            let mut node = &mut root;
            for part in names::path(operation) {
                node = node.children.entry(part).or_default();
            }
            node.operation = Some(format!("{}.{operation}", object.connector));
        }
        let connector = names::python(&object.connector);
        let class = write_class(&mut text, &connector, &root);
        push(&mut text, format_args!("\n{connector}: {class}\n"));
    }
    text
}

/// A resource with what is below it, or an operation, or (rarely) both.
#[derive(Default)]
struct Node {
    operation: Option<String>,
    children: BTreeMap<String, Node>,
}

/// Writes the classes below first, and says how this one is called.
fn write_class(text: &mut String, path: &str, node: &Node) -> String {
    let class = format!("_{path}");
    let mut body = String::new();
    for (name, child) in &node.children {
        match &child.operation {
            Some(operation) => push(
                &mut body,
                format_args!(
                    "    async def {name}(self, **params: Any) -> Record:\n        \"\"\"`{operation}`\"\"\"\n"
                ),
            ),
            None => {
                let below = write_class(text, &format!("{path}_{name}"), child);
                push(&mut body, format_args!("    {name}: {below}\n"));
            }
        }
    }
    push(text, format_args!("\nclass {class}:\n{body}"));
    class
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(what);
}
