use arx_types::Digest;
use jiff::ToSpan as _;

use crate::WorkflowVersion;
use crate::testing::{Fixture, read, write};

fn version(text: &str) -> WorkflowVersion {
    WorkflowVersion {
        digest: Digest::of_bytes(text.as_bytes()),
        name: "demo".to_owned(),
        manifest: text.to_owned(),
        source: String::new(),
        policy_version: "p".to_owned(),
    }
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one_and_keeps_the_pause() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    for (text, by) in [("one", "alice"), ("two", "bob")] {
        let version = version(text);
        write(&journal, move |tx| {
            tx.put_workflow_version(&version)?;
            tx.register("demo", &version.digest, by)
        })
        .unwrap();
        if text == "one" {
            assert!(write(&journal, |tx| tx.pause_schedule("demo", "carol")).unwrap());
            assert!(!write(&journal, |tx| tx.pause_schedule("demo", "dave")).unwrap());
            fixture.clock.advance_secs(3600);
        }
    }
    let all = read(&journal, |reader| reader.registrations());
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((one.version, one.registered_by.as_str()), (version("two").digest, "bob"));
    assert_eq!(one.paused.as_ref().map(|(_, by)| by.as_str()), Some("carol"));
    assert_eq!(one.due_after, one.registered_at);
    fixture.clock.advance_secs(3600);
    assert!(write(&journal, |tx| tx.resume_schedule("demo")).unwrap());
    let resumed = read(&journal, |reader| reader.registration("demo")).unwrap();
    assert_eq!(resumed.paused, None);
    assert_eq!(
        resumed.due_after,
        one.due_after + 1.hour(),
        "what was due in the pause is nobody's"
    );
    assert!(write(&journal, |tx| tx.unregister("demo")).unwrap());
    assert!(!write(&journal, |tx| tx.unregister("demo")).unwrap());
    assert_eq!(read(&journal, |reader| reader.registration("demo")), None);
}
