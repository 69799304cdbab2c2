//! JSON values from bytes: as text where the bytes are JSON, else built from them.
//!
//! A mutated text is rarely JSON any more. Built values always are, and their names and texts are
//! mostly words that the code under test knows, so that mutations reach behind its first check.

use serde_json::{Map, Value};

/// Deepest nesting of a built value.
const DEPTH_MAX: usize = 6;
/// Longest list or mapping of a built value.
const ITEMS_MAX: u8 = 8;

/// The value that bytes stand for.
#[must_use]
pub fn value(bytes: &[u8], words: &[&str]) -> Value {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    Builder { bytes, words }.value(DEPTH_MAX)
}

struct Builder<'a> {
    bytes: &'a [u8],
    words: &'a [&'a str],
}

impl Builder<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    fn value(&mut self, depth: usize) -> Value {
        let kind = self.byte();
        match kind % 10 {
            0 => Value::Null,
            1 => Value::Bool(kind >= 128),
            2 => Value::from(i64::from(self.byte())),
            3 => Value::from(self.number()),
            4 => serde_json::Number::from_f64(f64::from_bits(self.number())).into(),
            5 | 6 => Value::String(self.text()),
            7 if depth > 0 => (0..self.length()).map(|_| self.value(depth - 1)).collect(),
            8 | 9 if depth > 0 => Value::Object(self.fields(depth - 1)),
            _ => Value::String(self.text()),
        }
    }

    fn fields(&mut self, depth: usize) -> Map<String, Value> {
        (0..self.length()).map(|_| (self.text(), self.value(depth))).collect()
    }

    fn length(&mut self) -> u8 {
        self.byte() % (ITEMS_MAX + 1)
    }

    fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A known word, or the next few bytes as text.
    fn text(&mut self) -> String {
        let choice = usize::from(self.byte());
        if let Some(word) = self.words.get(choice) {
            return (*word).to_owned();
        }
        let n = usize::from(self.byte()).min(self.bytes.len());
        let (text, rest) = self.bytes.split_at(n);
        self.bytes = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}
