use jiff::{Timestamp, ToSpan as _};

use super::{Fire, FireCause, FireState, NewFire};
use crate::testing::{Fixture, WORKFLOW, new_run, read, run_id, start, version, write};
use crate::{Journal, JournalError, World};

const DUE: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn due(minutes: i64, cause: FireCause) -> NewFire {
    let at = DUE + minutes.minutes();
    NewFire {
        world: World::live(),
        workflow: WORKFLOW.to_owned(),
        cause,
        due_at: at,
        last_due_at: at,
        n_due: 1,
        not_before: at,
        actor: "schedule".to_owned(),
        skipped: None,
    }
}

fn put(journal: &Journal, fire: NewFire) -> Option<u64> {
    write(journal, move |tx| tx.put_fire(&fire)).unwrap()
}

fn waiting(journal: &Journal, minutes: i64) -> Vec<u64> {
    let found = read(journal, move |reader| {
        reader.waiting_fires(&World::live(), DUE + minutes.minutes(), 10)
    });
    found.into_iter().map(|fire: Fire| fire.n).collect()
}

#[test]
fn a_time_of_the_schedule_is_recorded_once() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let last = || read(&journal, |reader| reader.last_due(WORKFLOW, &World::live()));
    assert_eq!(last(), None);
    assert_eq!(put(&journal, due(0, FireCause::Schedule)), Some(1));
    assert_eq!(put(&journal, due(0, FireCause::Schedule)), None);
    assert_eq!(put(&journal, due(0, FireCause::CatchUp)), None);
    assert_eq!(last(), Some(DUE));
    // What a person asks for is no time of the schedule.
    assert!(put(&journal, due(5, FireCause::Person)).is_some());
    assert!(put(&journal, due(5, FireCause::Person)).is_some());
    assert_eq!(last(), Some(DUE));
    // Another world has times of its own.
    let elsewhere = NewFire { world: World::simulate("x"), ..due(0, FireCause::Schedule) };
    assert!(put(&journal, elsewhere).is_some());
}

#[test]
fn a_fire_is_decided_once() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let first = put(&journal, due(0, FireCause::Schedule)).unwrap();
    let later = put(&journal, due(1, FireCause::Schedule)).unwrap();
    assert_eq!((waiting(&journal, 0), waiting(&journal, 1)), (vec![first], vec![first, later]));
    let run = run_id(1);
    let begun = run.clone();
    let fire = write(&journal, move |tx| {
        tx.put_workflow_version(&version())?;
        tx.start_run(&new_run(&begun))?;
        tx.start_fire(first, &begun)
    });
    let fire = fire.unwrap();
    assert_eq!((fire.state, fire.run.as_ref()), (FireState::Started, Some(&run)));
    let of = run.clone();
    assert_eq!(read(&journal, move |reader| reader.fire_of(&of)), Some(fire));
    let again = run.clone();
    let twice = write(&journal, move |tx| tx.start_fire(first, &again));
    assert!(matches!(twice, Err(JournalError::Conflict { .. })), "{twice:?}");
    let skipped = write(&journal, move |tx| tx.drop_fire(later, false, "paused")).unwrap();
    assert_eq!(skipped.map(|fire| fire.state), Some(FireState::Skipped));
    assert_eq!(write(&journal, move |tx| tx.drop_fire(later, true, "x")).unwrap(), None);
    assert_eq!(waiting(&journal, 9), Vec::<u64>::new());
    let listed = read(&journal, move |reader| reader.fires(WORKFLOW, &World::live(), None, 10));
    let listed: Vec<u64> = listed.into_iter().map(|fire| fire.n).collect();
    assert_eq!(listed, [later, first]);
}

/// A begin that fails leaves the fire waiting.
#[test]
fn a_run_that_does_not_begin_leaves_its_fire_waiting() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    start(&journal, &run_id(1));
    let n = put(&journal, due(0, FireCause::Schedule)).unwrap();
    let failed: Result<(), JournalError> = write(&journal, move |tx| {
        tx.start_fire(n, &run_id(1))?;
        Err(JournalError::Conflict { what: "held".to_owned() })
    });
    assert!(failed.is_err());
    assert_eq!(waiting(&journal, 0), [n]);
}
