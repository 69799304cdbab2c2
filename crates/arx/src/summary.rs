//! What a run did, for a security lead.

use std::fmt::Write as _;

use arx_engine::Report;
use arx_types::RunStatus;
use serde_json::Value;

use crate::context::Context;
use crate::output::{Paint, printable, printable_lines};
use crate::progress::grouped;

/// Items that are listed one by one; `arx runs show` lists all.
const ITEMS_SHOWN_MAX: usize = 10;
/// Verified tickets that are listed with their evidence.
const TICKETS_SHOWN_MAX: usize = 40;
/// Failed items that are listed with their reasons.
const FAILED_SHOWN_MAX: usize = 50;
/// Width of the names of the figures.
const LABEL_WIDTH: usize = 18;
/// Width of the figures.
const FIGURE_WIDTH: usize = 9;
/// The longest title shown, in characters.
const TITLE_CHARS_MAX: usize = 60;
/// The longest id that others are lined up with.
const ID_WIDTH_MAX: usize = 30;

/// The summary of a run.
pub(crate) fn of_run(report: &Report, ctx: &Context) -> String {
    let paint = ctx.output().paint();
    let mut text = Summary { text: String::new(), paint };
    text.head(report);
    text.failure(report);
    text.figures(report);
    text.tickets(report);
    text.items(report);
    text.failed(report);
    text.warnings(report);
    text.record(report, ctx);
    text.next(report);
    text.text
}

/// The word of a status in its colour.
pub(crate) fn status(status: RunStatus, paint: Paint) -> String {
    let word = status.as_str().replace('_', " ");
    match status {
        RunStatus::Succeeded => paint.green(&word),
        RunStatus::Failed | RunStatus::NeedsAttention => paint.red(&word),
        RunStatus::Parked | RunStatus::Interrupted | RunStatus::Running => paint.yellow(&word),
        RunStatus::Cancelled => paint.dim(&word),
    }
}

/// Minutes as hours and minutes.
pub(crate) fn hours(minutes: u64) -> String {
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{} h", grouped(hours)),
        (hours, minutes) => format!("{} h {minutes} min", grouped(hours)),
    }
}

struct Summary {
    text: String,
    paint: Paint,
}

impl Summary {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn head(&mut self, report: &Report) {
        let took = report.ended_at.duration_since(report.started_at).as_secs_f64().max(0.0);
        let mut notes = vec![format!("{took:.1} s")];
        if report.world != "live" {
            notes.push(report.world.replacen(':', " ", 1));
        }
        if report.dry_run {
            notes.push("dry run: nothing was sent".to_owned());
        }
        let name = self.paint.bold(&report.workflow);
        let status = status(report.status, self.paint);
        let notes = self.paint.dim(&notes.join(" · "));
        self.line(&format!("{name}  {status}  {notes}"));
        self.line("");
    }

    fn failure(&mut self, report: &Report) {
        let Some(failure) = &report.error else { return };
        let what = format!("{}: {}", printable(&failure.kind), printable(&failure.message));
        self.line(&format!("  {}", self.paint.red(&what)));
        if let Some(traceback) = &failure.traceback {
            for line in printable_lines(traceback).lines() {
                self.line(&format!("    {}", self.paint.dim(line)));
            }
        }
        if let Some(hint) = &failure.hint {
            self.line(&format!("  {} {}", self.paint.cyan("hint:"), printable(hint)));
        }
        self.line("");
    }

    fn figure(&mut self, label: &str, n: u64, note: &str) {
        let figure = format!("{:>FIGURE_WIDTH$}", grouped(n));
        let figure = if n == 0 { self.paint.dim(&figure) } else { figure };
        let note = if note.is_empty() { String::new() } else { self.paint.dim(note) };
        self.line(&format!("  {label:<LABEL_WIDTH$}{figure}   {note}"));
    }

    fn figures(&mut self, report: &Report) {
        let counts = &report.counts;
        let sources: Vec<String> = report
            .sources
            .iter()
            .map(|source| {
                let ending = if source.complete { "" } else { " (not read to its end)" };
                format!("{} {}{ending}", printable(&source.source), grouped(source.findings_read))
            })
            .collect();
        if !report.sources.is_empty() {
            self.figure("findings read", report.findings_read, &sources.join(" · "));
            self.figure("vulnerabilities", report.merged, "merged by CVE");
            self.line("");
            self.figure("paged", counts.paged, "one P1 incident each");
            self.figure("ticketed", counts.ticketed, "one blocker each");
            self.figure("already open", counts.already_open, "paged in an earlier run");
            self.figure("grouped", counts.grouped, "named together in one P1 incident");
            self.figure("below threshold", counts.below_threshold, "");
        }
        if let Some(tickets_read) = report.tickets_read {
            self.figure("tickets read", tickets_read, "pending verification");
            self.line("");
            self.figure("verified", counts.verified, "resolved with their evidence");
            self.figure("flagged", counts.flagged, "to be patched again");
            self.figure("inconclusive", counts.inconclusive, "noted what is missing, left open");
        }
        self.figure("failed", counts.failed, "");
        if counts.denied > 0 {
            self.figure("denied", counts.denied, "calls that the gate or a person refused");
        }
        if counts.escalated > 0 {
            self.figure("escalated", counts.escalated, "calls that were put to a person");
        }
        self.line("");
        let saved = hours(report.time_saved_minutes);
        self.line(&format!("  {:<LABEL_WIDTH$}{saved:>FIGURE_WIDTH$}", "time saved"));
        self.line("");
    }

    fn items(&mut self, report: &Report) {
        let new: Vec<&Value> = report
            .items
            .iter()
            .filter(|item| {
                let is = |outcome| has(item, outcome);
                (is("paged") || is("grouped") || is("ticketed")) && !is("failed")
            })
            .collect();
        if new.is_empty() {
            return;
        }
        self.line(&format!("  {}", self.paint.bold("new")));
        let width = id_width(new.iter().take(ITEMS_SHOWN_MAX));
        for item in new.iter().take(ITEMS_SHOWN_MAX) {
            let id = field(item, "id");
            let title = shortened(field(item, "title"), TITLE_CHARS_MAX);
            let ticket = last_segment(field(item, "ticket"));
            let outcomes = self.paint.dim(&outcomes(item));
            let id = printable(id);
            let line = format!("  {id:<width$}  {title:<TITLE_CHARS_MAX$}  {ticket:<9} {outcomes}");
            self.line(&line);
        }
        if let Some(more) = new.len().checked_sub(ITEMS_SHOWN_MAX).filter(|more| *more > 0) {
            let line = format!("  and {} more", grouped(more as u64));
            self.line(&self.paint.dim(&line));
        }
        self.line("");
    }

    /// Each ticket with what every system says of it.
    fn tickets(&mut self, report: &Report) {
        let tickets: Vec<&Value> =
            report.items.iter().filter(|item| item.get("qualys").is_some()).collect();
        if tickets.is_empty() {
            return;
        }
        self.line(&format!("  {}", self.paint.bold("tickets")));
        let width = id_width(tickets.iter().take(TICKETS_SHOWN_MAX));
        for item in tickets.iter().take(TICKETS_SHOWN_MAX) {
            let id = printable(field(item, "id"));
            let host = match field(item, "host") {
                "" => "no host",
                host => host,
            };
            let words = outcomes(item);
            let words = match words.split(',').next().unwrap_or_default() {
                "verified" => self.paint.green(&words),
                "inconclusive" => self.paint.yellow(&words),
                _ => self.paint.red(&words),
            };
            let (host, did) = (printable(host), printable(field(item, "did")));
            self.line(&format!("  {id:<width$}  {}  {words}  {did}", self.paint.bold(&host)));
            let error = item.pointer("/error/message").and_then(Value::as_str);
            let reason = error.unwrap_or_else(|| field(item, "reason"));
            let says = [
                ("patched", field(item, "patched")),
                ("qualys", field(item, "qualys")),
                ("crowdstrike", field(item, "crowdstrike")),
                ("reason", reason),
            ];
            for (label, text) in says.into_iter().filter(|(_, text)| !text.is_empty()) {
                let text = format!("{label:<12} {}", printable(text));
                self.line(&format!("  {:<width$}  {}", "", self.paint.dim(&text)));
            }
        }
        if let Some(more) = tickets.len().checked_sub(TICKETS_SHOWN_MAX).filter(|more| *more > 0) {
            let line =
                format!("  and {} more; `arx runs show` lists them all", grouped(more as u64));
            self.line(&self.paint.dim(&line));
        }
        self.line("");
    }

    fn failed(&mut self, report: &Report) {
        let failed: Vec<&Value> = report.items.iter().filter(|item| has(item, "failed")).collect();
        if failed.is_empty() {
            return;
        }
        self.line(&format!("  {}", self.paint.red("failed")));
        let width = id_width(failed.iter().take(FAILED_SHOWN_MAX));
        for item in failed.iter().take(FAILED_SHOWN_MAX) {
            let why = item
                .pointer("/error/message")
                .and_then(Value::as_str)
                .unwrap_or("no reason was given");
            let id = printable(field(item, "id"));
            self.line(&format!("  {id:<width$}  {}", printable(why)));
        }
        if let Some(more) = failed.len().checked_sub(FAILED_SHOWN_MAX).filter(|more| *more > 0) {
            let line = format!("  and {} more", grouped(more as u64));
            self.line(&self.paint.dim(&line));
        }
        self.line("");
    }

    fn warnings(&mut self, report: &Report) {
        for attention in &report.needs_attention {
            let label = self.paint.red("needs attention");
            let (effect, why) = (printable(&attention.effect), printable(&attention.why));
            self.line(&format!("  {label}  {effect}: {why}"));
        }
        for warning in &report.warnings {
            self.line(&format!("  {}  {}", self.paint.yellow("warning"), printable(warning)));
        }
        if !(report.needs_attention.is_empty() && report.warnings.is_empty()) {
            self.line("");
        }
    }

    fn record(&mut self, report: &Report, ctx: &Context) {
        let leaves = grouped(report.audit.leaves);
        let root = self.paint.dim(&format!("checkpoint root {}", report.audit.root));
        self.line(&format!("  {:<LABEL_WIDTH$}{leaves} leaves · {root}", "audit log"));
        let record = ctx.state_dir().join("arx.db");
        self.line(&format!("  {:<LABEL_WIDTH$}{}", "record", record.display()));
        self.line(&format!("  {:<LABEL_WIDTH$}{}", "run", report.run_id));
        self.line("");
    }

    fn next(&mut self, report: &Report) {
        let run = report.run_id.as_str();
        let mut next = Vec::new();
        match report.status {
            RunStatus::Parked => {
                next.push(("arx approvals list".to_owned(), "what waits for a person"));
                for approval in &report.approvals {
                    next.push((format!("arx approvals approve {approval} --as WHO"), ""));
                }
                next.push((format!("arx runs resume {run}"), "after the decision"));
            }
            RunStatus::NeedsAttention => {
                next.push(("arx effects list".to_owned(), "what may or may not have happened"));
                for attention in &report.needs_attention {
                    let effect = printable(&attention.effect);
                    next.push((format!("arx effects settle {effect} --happened ID"), ""));
                }
                next.push((format!("arx runs resume {run}"), "after settling"));
            }
            RunStatus::Interrupted => {
                next.push((format!("arx runs resume {run}"), "or simply run it again"));
            }
            RunStatus::Running
            | RunStatus::Succeeded
            | RunStatus::Failed
            | RunStatus::Cancelled => {}
        }
        next.push((format!("arx runs show {run}"), "every step, decision and effect"));
        next.push(("arx audit verify".to_owned(), "re-derives the whole record"));
        if report.status == RunStatus::Succeeded {
            let export = format!("arx audit export --run {run} -o evidence.json");
            next.push((export, "evidence for an auditor"));
        }
        let width = next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
        self.line(&format!("  {}", self.paint.bold("next")));
        for (command, what) in next {
            let what = self.paint.dim(what);
            self.line(&format!("  {command:<width$}   {what}"));
        }
    }
}

/// The width at which the texts beside these items' ids line up.
fn id_width<'v>(items: impl Iterator<Item = &'v &'v Value>) -> usize {
    let widths = items.map(|item| printable(field(item, "id")).chars().count());
    widths.max().unwrap_or(0).min(ID_WIDTH_MAX)
}

fn has(item: &Value, outcome: &str) -> bool {
    item.get("outcomes")
        .and_then(Value::as_array)
        .is_some_and(|outcomes| outcomes.iter().any(|value| value == outcome))
}

/// An item's outcomes as words.
pub(crate) fn outcomes(item: &Value) -> String {
    let words = item.get("outcomes").and_then(Value::as_array).into_iter().flatten();
    let words: Vec<_> = words.filter_map(Value::as_str).map(printable).collect();
    words.join(", ")
}

/// A text of an item.
pub(crate) fn field<'v>(item: &'v Value, name: &str) -> &'v str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The end of an address, such as a ticket's key.
fn last_segment(url: &str) -> String {
    printable(url.rsplit('/').next().unwrap_or_default()).into_owned()
}

/// A text that fits, in printable characters.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= chars_max {
        return text.into_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    let _ = write!(short, "…");
    short
}
