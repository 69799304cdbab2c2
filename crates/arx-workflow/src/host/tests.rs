//! The parts that need no process of their own; the rest is in `tests/it/host`.

use monty::{MontyRepl, ReplProgress};
use monty_types::{
    CompileOptions, ExcType, ExtFunctionResult, MontyException, MontyObject, PrintWriter,
    ResourceTracker,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::frame::{self, FrameError, FromChild};
use super::{ObjectSpec, STUB, check, interpreter, names, stub, value};

/// Documents why no pending future is resumed with an error. When this test fails, the
/// interpreter has learnt to deliver errors into gathered tasks: the tagged values of the prelude
/// (`_arx_unwrap`) can then go.
#[test]
fn the_interpreter_still_cannot_catch_an_error_delivered_into_gather() {
    const SOURCE: &str = "
import asyncio

async def one():
    try:
        return await call()
    except ValueError:
        return 'caught'

await asyncio.gather(one(), one())
";
    let function = MontyObject::Function { name: "call".into(), docstring: None };
    let repl = MontyRepl::new("guard.py", ResourceTracker::default(), CompileOptions::default());
    let mut progress =
        repl.feed_start(SOURCE, vec![("call".into(), function)], PrintWriter::Disabled);
    let caught = loop {
        progress = match progress {
            Ok(ReplProgress::FunctionCall(call)) => call.resume_pending(PrintWriter::Disabled),
            Ok(ReplProgress::ResolveFutures(blocked)) => {
                let id = blocked.pending_call_ids()[0];
                let error = MontyException::new(ExcType::ValueError, Some("no".into()));
                let result = ExtFunctionResult::Error(error);
                blocked.resume(vec![(id, result)], PrintWriter::Disabled)
            }
            Ok(ReplProgress::Complete { value, .. }) => break value.to_string().contains("caught"),
            Ok(other) => panic!("unexpected {other:?}"),
            Err(_) => break false,
        };
    };
    assert!(!caught, "the workaround in the prelude can go");
}

#[test]
fn frames_are_cut_where_they_end() {
    let bytes = frame::encode(&FromChild::Blocked).unwrap();
    assert_eq!(bytes, b"\x00\x00\x00\x13{\"frame\":\"blocked\"}");
    for end in 0..bytes.len() {
        assert!(matches!(frame::decode::<FromChild>(&bytes[..end]), Ok(None)), "{end}");
    }
    let two = [bytes.clone(), bytes.clone()].concat();
    let (_, taken) = frame::decode::<FromChild>(&two).unwrap().unwrap();
    assert_eq!(taken, bytes.len());
    let long = u32::MAX.to_be_bytes();
    assert!(matches!(frame::decode::<FromChild>(&long), Err(FrameError::TooLong { .. })));
}

#[test]
fn names_are_python_names() {
    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(names::python(name), expected);
    }
    check("wiz", "wiz");
    check("palo-alto", "palo_alto");
    check("import", "import_");
    check("2fa", "_2fa");
    check("", "_");
    check("é", "_");
    assert_eq!(names::path("issues:links:create"), ["issues", "links", "create"]);
    assert_eq!(
        names::nearest("incidents.craete", ["incidents.create", "x"]),
        Some("incidents.create")
    );
    assert_eq!(names::nearest("zzz", ["incidents.create"]), None);
}

#[test]
fn times_are_rfc_3339() {
    #[track_caller]
    fn check(now: &str, expected: &str) {
        let time = value::datetime(now.parse().unwrap());
        assert_eq!(value::to_json(time).unwrap(), json!(expected));
    }
    check("2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z");
    check("2026-12-31T23:59:59.999999+02:00", "2026-12-31T21:59:59.999999Z");
    check("1999-01-01T00:00:00.000000001Z", "1999-01-01T00:00:00Z");
}

#[test]
fn the_stub_names_every_operation() {
    let object = ObjectSpec {
        connector: "jira".into(),
        operations: vec![
            "issues:read".into(),
            "issues:links:create".into(),
            "issues:import".into(),
        ],
    };
    let text = stub(&[object]);
    insta::assert_snapshot!(text.strip_prefix(STUB).unwrap(), @r#"

    class _jira_issues_links:
        async def create(self, **params: Any) -> Record:
            """`jira.issues:links:create`"""

    class _jira_issues:
        async def import_(self, **params: Any) -> Record:
            """`jira.issues:import`"""
        links: _jira_issues_links
        async def read(self, **params: Any) -> Record:
            """`jira.issues:read`"""

    class _jira:
        issues: _jira_issues

    jira: _jira
    "#);
    ruff_python_parser::parse_module(&text).unwrap();
}

/// What the checks let through, what the stub names and what the prelude has are the same.
#[test]
fn the_stub_the_checks_and_the_prelude_agree() {
    let class = STUB.split_once("class Arx:").unwrap().1;
    let mut stubbed: Vec<&str> = class
        .lines()
        .filter_map(|line| {
            let line = line.strip_prefix("    ")?;
            let name =
                line.strip_prefix("def ").or(line.strip_prefix("async def ")).unwrap_or(line);
            let end = name.find(|c: char| !c.is_ascii_alphanumeric())?;
            (end > 0).then(|| &name[..end])
        })
        .filter(|name| !["merge", "episodes", "verify"].contains(name))
        .collect();
    stubbed.sort_unstable();
    assert_eq!(stubbed, check::ARX);
    for name in stubbed {
        let spellings =
            [format!(" def {name}(self"), format!("self.{name} ="), format!("api.{name} =")];
        assert!(spellings.iter().any(|text| interpreter::PRELUDE.contains(text)), "{name}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_survives_python(value in any_json()) {
        prop_assert_eq!(value::to_json(value::to_python(value.clone())), Ok(value));
    }

    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = frame::decode::<FromChild>(&bytes);
    }

    #[test]
    fn every_name_becomes_an_identifier(name in ".{0,20}") {
        let python = names::python(&name);
        prop_assert!(python.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        prop_assert!(!python.starts_with(|c: char| c.is_ascii_digit()) && !python.is_empty());
    }
}
