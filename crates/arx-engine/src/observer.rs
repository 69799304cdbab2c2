//! What a person may watch while a run goes on.

/// Is told how a run goes. Called from several threads; must not block.
pub trait Observer: Send + Sync {
    /// So many findings of a source have come in.
    fn findings(&self, _source: &str, _n_findings: u64) {}
    /// A read ended.
    fn read_ended(&self, _source: &str, _n_findings: u64, _complete: bool) {}
    /// So many items are settled, of so many.
    fn progress(&self, _label: &str, _done: u64, _total: Option<u64>) {}
    /// One item has ended.
    fn item(&self, _item: &serde_json::Value) {}
    /// A line from the workflow or about the run. The level is `debug`, `info`, `warning` or
    /// `error`.
    fn log(&self, _level: &str, _text: &str) {}
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {}
