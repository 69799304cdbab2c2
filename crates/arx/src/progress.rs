//! What a person watches while a run goes on, on standard error: bars on a terminal, plain lines
//! at sensible intervals elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arx_engine::Observer;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::output::{Output, printable};

/// How often a plain line about one thing is printed at most.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(120);
/// Things watched at once; further ones are not shown.
const WATCHED_MAX: usize = 16;

/// Shows progress.
pub(crate) struct Progress {
    output: Output,
    /// The least level of log lines that are shown.
    shows_debug: bool,
    /// Warnings are shown as they come where no summary will repeat them.
    shows_warnings: bool,
    bars: Option<MultiProgress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watched: BTreeMap<String, Watched>,
    n_items: u64,
    n_failed: u64,
}

struct Watched {
    bar: Option<ProgressBar>,
    said_at: Instant,
}

impl Progress {
    /// `is_terminal` says whether standard error is one.
    pub(crate) fn new(output: Output, verbose: bool, is_terminal: bool) -> Self {
        Self {
            output,
            shows_debug: verbose,
            shows_warnings: output.is_json(),
            bars: is_terminal.then(MultiProgress::new),
            state: Mutex::default(),
        }
    }

    /// Takes every bar off the terminal, so that a summary stands alone.
    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            // Bars are an ornament: a terminal that is gone is no error.
            let _ = bars.clear();
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// Says a line without breaking the bars.
    fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.output.note(text)),
            None => self.output.note(text),
        }
    }

    /// Shows how far one thing has come.
    fn show(&self, name: &str, done: u64, total: Option<u64>, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.watched.contains_key(name) {
            if state.watched.len() >= WATCHED_MAX {
                return;
            }
            let bar = self.bars.as_ref().map(|bars| {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.enable_steady_tick(TICK);
                bar
            });
            state.watched.insert(name.to_owned(), Watched { bar, said_at: Instant::now() });
        }
        let Some(watched) = state.watched.get_mut(name) else { return };
        match &watched.bar {
            Some(bar) => {
                if let Some(total) = total
                    && bar.length() != Some(total)
                {
                    bar.set_length(total);
                    bar.set_style(style("{spinner} {bar:30} {pos}/{len} {msg}"));
                }
                bar.set_position(done);
                bar.set_message(text.to_owned());
            }
            None if watched.said_at.elapsed() >= LINE_INTERVAL => {
                watched.said_at = Instant::now();
                drop(state);
                self.output.note(text);
            }
            None => {}
        }
    }

    fn finish(&self, name: &str, text: &str) {
        let watched =
            self.state.lock().unwrap_or_else(PoisonError::into_inner).watched.remove(name);
        if let Some(bar) = watched.and_then(|watched| watched.bar) {
            bar.finish_and_clear();
        }
        self.say(text);
    }
}

impl Observer for Progress {
    fn findings(&self, source: &str, n_findings: u64) {
        let text = format!("reading {}: {} findings", printable(source), grouped(n_findings));
        self.show(source, n_findings, None, &text);
    }

    fn read_ended(&self, source: &str, n_findings: u64, complete: bool) {
        let ending = if complete { "" } else { ", and not to its end" };
        let n = grouped(n_findings);
        self.finish(source, &format!("read {}: {n} findings{ending}", printable(source)));
    }

    fn progress(&self, label: &str, done: u64, total: Option<u64>) {
        let of = total.map(|total| format!(" of {}", grouped(total))).unwrap_or_default();
        let text = format!("{}: {}{of}", printable(label), grouped(done));
        self.show(&format!("progress {label}"), done, total, &text);
    }

    fn item(&self, item: &Value) {
        let failed = item
            .get("outcomes")
            .and_then(Value::as_array)
            .is_some_and(|outcomes| outcomes.iter().any(|outcome| outcome == "failed"));
        let (n, n_failed) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.n_items += 1;
            state.n_failed += u64::from(failed);
            (state.n_items, state.n_failed)
        };
        let failures = match n_failed {
            0 => String::new(),
            n => format!(", {} failed", grouped(n)),
        };
        self.show("items", n, None, &format!("settled {} items{failures}", grouped(n)));
    }

    fn log(&self, level: &str, text: &str) {
        let paint = self.output.paint_notes();
        let text = printable(text);
        match level {
            "debug" if !self.shows_debug => {}
            "warning" | "error" if !self.shows_warnings => {}
            "warning" => self.say(&format!("{} {text}", paint.yellow("warning:"))),
            "error" => self.say(&format!("{} {text}", paint.red("error:"))),
            _ => self.say(&paint.dim(&text)),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A number with its thousands apart.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        let texts = [0, 7, 999, 1_000, 12_345, 1_200_000].map(grouped);
        assert_eq!(texts, ["0", "7", "999", "1,000", "12,345", "1,200,000"]);
    }
}
