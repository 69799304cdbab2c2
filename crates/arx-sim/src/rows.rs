//! The lists in replies, whoever sends them, for faults that deliver their rows twice.

use bytes::Bytes;
use serde_json::Value;

/// The members of JSON replies whose arrays are lists of records, of all vendors.
const LISTS: [&str; 6] = ["nodes", "resources", "result", "issues", "incidents", "priorities"];
/// The element of XML replies that is a record.
const HOST: (&str, &str) = ("<HOST>", "</HOST>");

/// The body with every row of its lists twice; none where it has no list.
pub(crate) fn doubled(body: &[u8]) -> Option<Bytes> {
    if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
        return double_lists(&mut value).then(|| value.to_string().into());
    }
    let text = std::str::from_utf8(body).ok()?;
    let (open, close) = HOST;
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(open) {
        let (record, after) = from.split_once(close)?;
        out.push_str(before);
        for _ in 0..2 {
            out.extend([open, record, close]);
        }
        rest = after;
    }
    out.push_str(rest);
    (out.len() > text.len()).then(|| out.into())
}

fn double_lists(value: &mut Value) -> bool {
    let Value::Object(members) = value else { return false };
    let mut has_list = false;
    for (name, member) in members.iter_mut() {
        match member {
            Value::Array(rows) if LISTS.contains(&name.as_str()) => {
                *rows =
                    std::mem::take(rows).into_iter().flat_map(|row| [row.clone(), row]).collect();
                has_list = true;
            }
            Value::Object(_) => has_list |= double_lists(member),
            _ => {}
        }
    }
    has_list
}
