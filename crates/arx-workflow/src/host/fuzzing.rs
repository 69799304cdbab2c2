//! Doors for the fuzzer: the checks of a script, and what a workflow's process says.
//!
//! Compiled under `cfg(fuzzing)` alone. See `fuzz/fuzz_targets/` in the repository.
#![expect(clippy::expect_used, reason = "a promise that is broken ends the fuzzer")]

use serde_json::Value;

use super::frame::{self, FrameError, FromChild, OwnedScript, VALUE_DEPTH_MAX};
use super::parent::{Checked, Rules};
use super::{Event, ObjectSpec, check, value};

/// The stack that a script is checked on, that of the workflow's process.
pub const STACK_BYTES: usize = super::child::STACK_BYTES;

fn script(source: &str) -> OwnedScript {
    let object = |connector: &str, operations: &[&str]| ObjectSpec {
        connector: connector.to_owned(),
        operations: operations.iter().map(|&operation| operation.to_owned()).collect(),
    };
    OwnedScript {
        file: "workflow.py".to_owned(),
        source: source.to_owned(),
        config: serde_json::json!({ "severities": ["CRITICAL"] }),
        now: "2026-01-01T00:00:00Z".to_owned(),
        objects: vec![
            object("wiz", &["findings:read", "findings:update"]),
            object("jira", &["issues:create", "issues:read"]),
        ],
        functions: ["merge", "episodes", "verify"].map(str::to_owned).to_vec(),
    }
}

/// Checks a script as the workflow's process does before anything of it runs.
pub fn load(source: &str) {
    let script = script(source);
    match check::check(&script) {
        Ok(Checked { operations, functions }) => {
            let names = frame::callable_names(&script.objects, &script.functions);
            for called in operations {
                assert!(names.contains(&called.operation), "`{}` is not bound", called.operation);
                check_place(source, called.line, called.column);
            }
            for name in functions {
                assert!(names.contains(&format!("arx.{name}")), "there is no `arx.{name}`");
            }
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty(), "refused without a reason");
            for diagnostic in diagnostics {
                assert!(diagnostic.code.starts_with("ARX-W"), "no code: {diagnostic}");
                assert!(!diagnostic.message.is_empty(), "no reason: {diagnostic}");
                assert!(!diagnostic.message.contains('\n'), "several lines: {diagnostic}");
                // No place means the whole file.
                if diagnostic.line > 0 {
                    check_place(source, diagnostic.line, diagnostic.column);
                }
            }
        }
    }
}

/// A place stands inside the text, or where it ends.
fn check_place(source: &str, line: u32, column: u32) {
    let lines: Vec<&str> = source.split(['\n', '\r', '\u{c}']).collect();
    assert!(line >= 1 && column >= 1, "{line}:{column} is no place");
    assert!(line as usize <= lines.len() + 1, "line {line} of {}", lines.len());
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(column as usize <= longest.max(source.chars().count()) + 1, "column {column}");
}

/// Reads bytes as what a workflow's process says, and holds it to the rules.
pub fn says(bytes: &[u8]) {
    let script = script("");
    let mut rules = Rules::new(frame::callable_names(&script.objects, &script.functions), 100);
    let mut rest = bytes;
    let mut blocking = bytes;
    let mut pending = 0_usize;
    loop {
        let whole = frame::decode::<FromChild>(rest);
        let read = frame::read::<FromChild>(&mut blocking);
        let (message, taken) = match whole {
            Ok(Some(whole)) => whole,
            Ok(None) => {
                assert!(read.is_err(), "half a frame was read");
                return;
            }
            Err(error) => {
                assert!(read.is_err(), "a frame was read that is none");
                assert!(!matches!(error, FrameError::Closed), "bytes are there");
                return;
            }
        };
        let other = read.expect("both ends read the same frame");
        assert_eq!(format!("{other:?}"), format!("{message:?}"), "one frame, two messages");
        for n in 0..taken {
            let cut = frame::decode::<FromChild>(rest.get(..n).unwrap_or_default());
            assert!(matches!(cut, Ok(None)), "half a frame was taken");
            // The length alone decides; a few cuts tell as much as all.
            if n > 8 {
                break;
            }
        }
        let again = frame::encode(&message).expect("what was read can be written");
        let (again, _) = frame::decode::<FromChild>(&again)
            .expect("what was written can be read")
            .expect("a whole frame");
        assert_eq!(format!("{again:?}"), format!("{message:?}"), "a message changed on its way");

        match rules.accept(message) {
            Ok(Event::Call { name, params, .. }) => {
                pending += 1;
                assert!(name.split_once('.').is_some(), "a call of `{name}`");
                assert!(pending <= 100, "calls without end");
                for param in params.into_values() {
                    passes_through(param);
                }
            }
            Ok(Event::Blocked) => {
                assert!(pending > 0, "waits for nothing");
                return;
            }
            Ok(Event::Done(_) | Event::Raised(_)) => return,
            Ok(_) => {}
            Err(reason) => {
                assert!(!reason.is_empty(), "refused without a reason");
                return;
            }
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
}

/// A value comes back from Python as it went in, or is too deep for it.
pub fn passes_through(value: Value) {
    match value::to_json(value::to_python(value.clone())) {
        Ok(back) => assert_eq!(back, value, "a value changed on its way"),
        Err(why) => {
            assert!(!why.contains('\n') && !why.is_empty(), "{why:?}");
            assert!(!frame::is_shallow(&value), "{VALUE_DEPTH_MAX} levels are fine: {why}");
        }
    }
}
