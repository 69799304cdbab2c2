//! What to write instead.

use std::collections::BTreeSet;

use super::names;

/// What to do instead of an operating-system call that Python offers and a workflow lacks.
pub(super) fn os(function: &str) -> &'static str {
    if function.contains("now") || function.contains("today") {
        "use `arx.now`, the run's time"
    } else if function.contains("env") {
        "declare an input in arx.yaml and use `config`"
    } else {
        "a workflow has no files; use `config`, connectors and `arx`"
    }
}

/// What may help with an exception of this message.
pub(super) fn exception(message: &str, field_names: &BTreeSet<String>) -> Option<String> {
    if message.contains("'Record' object") && message.contains("subscript") {
        return Some("write `record.name`, or `record.get(\"name\")` for a name with signs".into());
    }
    if message.contains("'Record' object") && message.contains("item assignment") {
        return Some("write `record.name = value`".into());
    }
    let missing = message.strip_prefix("'Record' object has no attribute '")?.strip_suffix('\'')?;
    let nearest = names::nearest(missing, field_names.iter().map(String::as_str));
    Some(match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("write `record.get(\"{missing}\")` where the field may be absent"),
    })
}
