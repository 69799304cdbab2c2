use super::*;
use crate::Journal;
use crate::testing::{Fixture, packed, read, run_id, start, write};

fn step(key: &str, occurrence: u32, position: u64) -> Step {
    Step {
        key: Digest::of_bytes(key.as_bytes()),
        occurrence,
        position,
        operation: "wiz.findings:read".to_owned(),
        outcome: if position.is_multiple_of(2) { StepOutcome::Value } else { StepOutcome::Raised },
        payload: packed(key),
    }
}

fn put(journal: &Journal, n: u128, step: Step) -> Result<(), JournalError> {
    write(journal, move |tx| tx.put_step(&run_id(n), &step))
}

#[test]
fn steps_come_back_in_the_order_of_delivery() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    start(&journal, &run_id(2));
    let expected = [step("b", 0, 0), step("a", 0, 1), step("b", 1, 7)];
    for n in [2, 0, 1] {
        put(&journal, 1, expected[n].clone()).unwrap();
    }
    put(&journal, 2, step("b", 0, 0)).unwrap();
    assert_eq!(read(&journal, |reader| reader.steps(&run)), expected);
    let progress = read(&journal, |reader| reader.step_progress(&run));
    assert_eq!((progress.0, progress.1.is_some()), (3, true));
}

#[test]
fn a_step_is_never_changed() {
    #[track_caller]
    fn check(run: u128, second: Step, accepted: bool) {
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        put(&journal, 1, step("a", 0, 0)).unwrap();
        let result = put(&journal, run, second);
        assert_eq!(result.is_ok(), accepted, "{result:?}");
        assert!(accepted || matches!(result, Err(JournalError::Conflict { .. })));
    }
    check(1, step("a", 1, 1), true);
    check(1, step("b", 0, 1), true);
    check(1, step("a", 0, 1), false);
    check(1, step("b", 0, 0), false);
    check(9, step("a", 0, 0), false);
}
