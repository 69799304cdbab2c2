//! Finds things of the record by what a person typed, and names them as the audit log does.
//!
//! Looking never makes a journal: a mistyped state directory is an error and not an empty record.

use arx_journal::{Journal, JournalError, Run, World};
use arx_types::{EffectKey, RunId};
use jiff::SignedDuration;

use crate::command_error::CommandError;
use crate::context::Context;
use crate::library;

/// Below this similarity a suggestion confuses more than it helps.
const SIMILARITY_MIN: f64 = 0.75;
/// The longest name of a person in the record.
const WHO_BYTES_MAX: usize = 128;
/// The longest reason that a person may give.
const REASON_BYTES_MAX: usize = 2000;

/// The journal, where there is one.
pub(super) fn present(ctx: &Context) -> Result<Option<&Journal>, CommandError> {
    if arx_journal::StateDir::has_journal(ctx.state_dir()) {
        ctx.journal().map(Some)
    } else {
        Ok(None)
    }
}

/// The journal, which must be there.
pub(super) fn journal(ctx: &Context) -> Result<&Journal, CommandError> {
    present(ctx)?.ok_or_else(|| {
        CommandError::missing(format!("there is no journal in `{}`", ctx.state_dir().display()))
            .hint("the first run makes one; --state-dir or ARX_HOME choose another directory")
    })
}

/// A run by its identifier.
pub(super) async fn run(journal: &Journal, text: &str) -> Result<Run, CommandError> {
    let missing = || {
        CommandError::missing(format!("there is no run `{text}`"))
            .hint("`arx runs list` shows the runs of this state directory")
    };
    let id: RunId = text.trim().parse().map_err(|_| missing())?;
    let found = journal.read(move |reader| reader.run(&id)).await?;
    found.ok_or_else(missing)
}

/// A workflow's name, which a recorded version or the library must have.
pub(super) async fn workflow(journal: &Journal, name: &str) -> Result<String, CommandError> {
    let mut known = journal.read(|reader| reader.workflow_names()).await?;
    known.extend(library::ALL.iter().map(|workflow| workflow.name.to_owned()));
    known.sort();
    known.dedup();
    if known.iter().any(|workflow| workflow == name) {
        return Ok(name.to_owned());
    }
    let error = CommandError::missing(format!("no workflow called `{name}` is known here"));
    Err(match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("known: {}", known.join(", "))),
    })
}

/// The candidate that `name` was most likely meant to be.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

/// A person's name as the record keeps it.
pub(super) fn person(text: &str) -> Result<String, CommandError> {
    let name = text.trim();
    if name.is_empty() || name.len() > WHO_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(CommandError::user("a person's name is 1 to 128 printable bytes")
            .hint("write --as NAME"));
    }
    Ok(name.to_owned())
}

/// A person's reason as the record keeps it.
pub(super) fn reason(text: &str) -> Result<String, CommandError> {
    let reason = text.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(CommandError::user(format!("a reason is 1 to {REASON_BYTES_MAX} bytes")));
    }
    Ok(reason.to_owned())
}

/// An effect's name in the audit log: a simulated one begins with its world.
pub(super) fn log_key(world: &World, key: &EffectKey) -> String {
    match world.scenario() {
        None => key.to_string(),
        Some(_) => format!("{world}/{key}"),
    }
}

/// The length of a span in its largest unit: `3 min`, `2 h`.
pub(super) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().unsigned_abs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Signs the log after something that matters was written, so that it cannot be cut off unseen.
pub(super) async fn sign(journal: &Journal) -> Result<(), JournalError> {
    journal.checkpoint().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::{nearest, span};
    use jiff::SignedDuration;

    #[test]
    fn a_span_has_one_unit() {
        #[track_caller]
        fn check(seconds: i64, expected: &str) {
            assert_eq!(span(SignedDuration::from_secs(seconds)), expected);
        }
        check(0, "0 s");
        check(59, "59 s");
        check(-61, "1 min");
        check(3600, "1 h");
        check(172_799, "47 h");
        check(172_800, "2 days");
    }

    #[test]
    fn a_typo_finds_what_was_meant() {
        let known = ["critical-vuln-escalation", "patch-verification"];
        assert_eq!(nearest("critcal-vuln", known), Some("critical-vuln-escalation"));
        assert_eq!(nearest("zzz", known), None);
    }
}
