//! Atlassian Document Format: what Jira accepts as rich text.
//!
//! Checked are the node kinds that may stand where they stand, their attributes, and that text is
//! not empty.

use serde_json::{Value, json};

/// Nesting beyond this is refused.
const DEPTH_MAX: usize = 64;
/// The most characters a rich text field holds.
pub(super) const CHARS_MAX: usize = 32_767;

const BLOCKS: &[&str] = &[
    "paragraph",
    "heading",
    "bulletList",
    "orderedList",
    "codeBlock",
    "blockquote",
    "rule",
    "panel",
    "table",
    "mediaSingle",
    "expand",
];
const INLINES: &[&str] = &["text", "hardBreak", "inlineCard", "emoji", "mention", "date", "status"];
const IN_ITEM: &[&str] = &["paragraph", "bulletList", "orderedList", "codeBlock"];
const IN_PANEL: &[&str] = &["paragraph", "heading", "bulletList", "orderedList"];
const MARKS: &[&str] =
    &["strong", "em", "code", "link", "strike", "subsup", "textColor", "underline"];

/// Why a value is no document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not a document at all, e.g. a plain string.
    NotADocument,
    /// A document with something in it that does not belong.
    Invalid,
    TooLong,
}

/// Which nodes may stand inside a kind of node; `None` where nothing may.
fn children(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "doc" | "tableCell" | "tableHeader" | "expand" => BLOCKS,
        "paragraph" | "heading" => INLINES,
        "bulletList" | "orderedList" => &["listItem"],
        "listItem" => IN_ITEM,
        "codeBlock" => &["text"],
        "blockquote" => &["paragraph", "bulletList", "orderedList", "codeBlock"],
        "panel" => IN_PANEL,
        "table" => &["tableRow"],
        "tableRow" => &["tableCell", "tableHeader"],
        "mediaSingle" => &["media"],
        _ => return None,
    })
}

pub(super) fn check(value: &Value) -> Result<(), Refused> {
    let is_document = value.get("type").and_then(Value::as_str) == Some("doc");
    if !is_document {
        return Err(Refused::NotADocument);
    }
    if value.get("version").and_then(Value::as_i64) != Some(1)
        || !value.get("content").is_some_and(Value::is_array)
    {
        return Err(Refused::Invalid);
    }
    check_node(value, 0)?;
    if plain_text(value).chars().count() > CHARS_MAX { Err(Refused::TooLong) } else { Ok(()) }
}

fn check_node(node: &Value, depth: usize) -> Result<(), Refused> {
    let kind = node.get("type").and_then(Value::as_str).unwrap_or_default();
    if depth > DEPTH_MAX || !has_attributes(kind, node) {
        return Err(Refused::Invalid);
    }
    if kind == "text" {
        return check_text(node);
    }
    let content = match node.get("content") {
        None => return if needs_content(kind) { Err(Refused::Invalid) } else { Ok(()) },
        Some(Value::Array(content)) => content,
        Some(_) => return Err(Refused::Invalid),
    };
    if content.is_empty() && needs_content(kind) {
        return Err(Refused::Invalid);
    }
    let allowed = children(kind).unwrap_or_default();
    for child in content {
        let kind = child.get("type").and_then(Value::as_str).unwrap_or_default();
        if !allowed.contains(&kind) {
            return Err(Refused::Invalid);
        }
        check_node(child, depth + 1)?;
    }
    Ok(())
}

/// Kinds that mean nothing without something in them.
fn needs_content(kind: &str) -> bool {
    matches!(
        kind,
        "bulletList" | "orderedList" | "listItem" | "blockquote" | "panel" | "table" | "tableRow"
    )
}

fn has_attributes(kind: &str, node: &Value) -> bool {
    let text = |pointer: &str| node.pointer(pointer).and_then(Value::as_str);
    match kind {
        "heading" => node
            .pointer("/attrs/level")
            .and_then(Value::as_i64)
            .is_some_and(|level| (1..=6).contains(&level)),
        "panel" => matches!(
            text("/attrs/panelType"),
            Some("info" | "note" | "tip" | "warning" | "error" | "success")
        ),
        "inlineCard" => text("/attrs/url").is_some(),
        "mention" => text("/attrs/id").is_some(),
        "emoji" => text("/attrs/shortName").is_some(),
        "status" => text("/attrs/text").is_some_and(|text| !text.is_empty()),
        _ => true,
    }
}

fn check_text(node: &Value) -> Result<(), Refused> {
    if node.get("text").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Refused::Invalid);
    }
    let marks = match node.get("marks") {
        None => return Ok(()),
        Some(Value::Array(marks)) => marks,
        Some(_) => return Err(Refused::Invalid),
    };
    let kinds: Vec<&str> =
        marks.iter().filter_map(|mark| mark.get("type").and_then(Value::as_str)).collect();
    let is_known = kinds.len() == marks.len() && kinds.iter().all(|kind| MARKS.contains(kind));
    let has_targets = marks.iter().all(|mark| {
        mark.get("type").and_then(Value::as_str) != Some("link")
            || mark.pointer("/attrs/href").and_then(Value::as_str).is_some_and(|h| !h.is_empty())
    });
    // Code stands alone, or with a link.
    let is_code_alone =
        !kinds.contains(&"code") || kinds.iter().all(|kind| matches!(*kind, "code" | "link"));
    if is_known && has_targets && is_code_alone { Ok(()) } else { Err(Refused::Invalid) }
}

/// The words of a document, a line for each block; a plain string is itself.
pub(super) fn plain_text(value: &Value) -> String {
    let mut out = String::new();
    push_text(value, &mut out);
    out.trim_end().to_owned()
}

fn push_text(node: &Value, out: &mut String) {
    match node {
        Value::String(text) => out.push_str(text),
        Value::Array(nodes) => nodes.iter().for_each(|node| push_text(node, out)),
        Value::Object(object) => {
            if let Some(text) = object.get("text").and_then(Value::as_str) {
                out.push_str(text);
            }
            if let Some(content) = object.get("content") {
                push_text(content, out);
            }
            let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
            if matches!(kind, "paragraph" | "heading" | "codeBlock" | "hardBreak" | "tableRow") {
                out.push('\n');
            }
        }
        _ => {}
    }
}

/// A document from plain text, as a v3 reader sees an issue that a v2 writer made.
pub(super) fn from_text(text: &str) -> Value {
    let paragraphs: Vec<Value> = text
        .split("\n\n")
        .map(|part| match part {
            "" => json!({ "type": "paragraph", "content": [] }),
            part => json!({ "type": "paragraph", "content": [{ "type": "text", "text": part }] }),
        })
        .collect();
    json!({ "type": "doc", "version": 1, "content": paragraphs })
}
