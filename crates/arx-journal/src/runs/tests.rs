use arx_types::RunStatus::{
    Cancelled, Failed, Interrupted, NeedsAttention, Parked, Running, Succeeded,
};

use super::*;
use crate::testing::{Fixture, new_run, packed, read, run_id, start, version, write};
use crate::{FireCause, Journal, NewFire};

fn set(journal: &Journal, run: &RunId, status: RunStatus) -> Result<(), JournalError> {
    let run = run.clone();
    write(journal, move |tx| tx.set_run_status(&run, status))
}

#[test]
fn a_run_comes_back_as_it_was_started() {
    let fixture = Fixture::new();
    let (journal, id) = fixture.with_run();
    let run = read(&journal, |reader| reader.run(&id)).unwrap();
    let expected = new_run(&id);
    assert_eq!(
        (run.id, run.workflow, run.version),
        (expected.id, expected.workflow, expected.version)
    );
    assert_eq!((run.inputs, run.args), (expected.inputs, expected.args));
    assert_eq!((run.status, run.actor.as_str()), (Running, "alice"));
    assert_eq!((run.world.mode(), run.ended_at, run.lease), (RunMode::Live, None, None));
    assert_eq!(run.started_at.to_string(), "2026-01-01T00:00:00Z");
    let stored = read(&journal, |reader| reader.workflow_version(&run.version));
    assert_eq!(stored, Some(version()));
    assert_eq!(read(&journal, |reader| reader.run(&run_id(9))).map(|run| run.id), None);
}

#[test]
fn a_run_needs_its_version_and_a_name_of_its_own() {
    let fixture = Fixture::new();
    let (journal, id) = fixture.with_run();
    let again = new_run(&id);
    let error = write(&journal, move |tx| tx.start_run(&again)).unwrap_err();
    assert!(matches!(error, JournalError::Conflict { .. }), "{error:?}");
    let unknown = NewRun { version: Digest::of_bytes(b"other"), ..new_run(&run_id(2)) };
    let error = write(&journal, move |tx| tx.start_run(&unknown)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the record names a run, version or approval that is not recorded"
    );
}

#[test]
fn a_run_that_has_ended_stays_ended() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let mut n = 0;
    let mut check = |before: RunStatus, after: RunStatus, expected: Option<&str>| {
        n += 1;
        let id = run_id(n);
        start(&journal, &id);
        set(&journal, &id, before).unwrap();
        let error = set(&journal, &id, after).err().map(|error| error.to_string());
        let expected = expected.map(|status| format!("run `{id}` is {status} already"));
        assert_eq!(error, expected, "{before} to {after}");
        let run = read(&journal, |reader| reader.run(&id)).unwrap();
        assert_eq!(run.ended_at.is_none(), run.status.is_unfinished());
    };
    for unfinished in [Running, Parked, Interrupted, NeedsAttention] {
        for after in [Running, Parked, Interrupted, NeedsAttention, Succeeded, Failed, Cancelled] {
            check(unfinished, after, None);
        }
    }
    for (ended, word) in [(Succeeded, "succeeded"), (Failed, "failed"), (Cancelled, "cancelled")] {
        for after in [Running, Parked, Interrupted, NeedsAttention, Succeeded, Failed, Cancelled] {
            check(ended, after, Some(word));
        }
    }
}

#[test]
fn the_unfinished_run_of_a_workflow_is_the_newest_in_its_world() {
    let fixture = Fixture::new();
    let (journal, first) = fixture.with_run();
    let unfinished = |world: World| {
        read(&journal, |reader| reader.unfinished_run("demo", &world)).map(|run| run.id)
    };
    assert_eq!(unfinished(World::live()), Some(first.clone()));
    assert_eq!(unfinished(World::simulate("acme")), None);
    let second = run_id(2);
    start(&journal, &second);
    assert_eq!(unfinished(World::live()), Some(second.clone()));
    set(&journal, &second, Succeeded).unwrap();
    assert_eq!(unfinished(World::live()), Some(first.clone()));
    set(&journal, &first, Failed).unwrap();
    assert_eq!(unfinished(World::live()), None);
}

#[test]
fn runs_are_listed_newest_first_a_page_at_a_time() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    for n in 1..=5 {
        start(&journal, &run_id(n));
    }
    let simulated = NewRun { world: World::simulate("acme"), ..new_run(&run_id(6)) };
    write(&journal, move |tx| tx.start_run(&simulated)).unwrap();
    set(&journal, &run_id(3), Succeeded).unwrap();
    let list = |filter: RunFilter| -> Vec<RunId> {
        read(&journal, |reader| reader.runs(&filter)).into_iter().map(|run| run.id).collect()
    };
    let ids = |ns: &[u128]| -> Vec<RunId> { ns.iter().map(|n| run_id(*n)).collect() };
    assert_eq!(list(RunFilter::default()), ids(&[6, 5, 4, 3, 2, 1]));
    assert_eq!(list(RunFilter { limit: 2, ..RunFilter::default() }), ids(&[6, 5]));
    let page = RunFilter { limit: 2, before: Some(run_id(5)), ..RunFilter::default() };
    assert_eq!(list(page), ids(&[4, 3]));
    assert_eq!(list(RunFilter { status: Some(Succeeded), ..RunFilter::default() }), ids(&[3]));
    let world = Some(World::simulate("acme"));
    assert_eq!(list(RunFilter { world, ..RunFilter::default() }), ids(&[6]));
    let workflow = Some("other".to_owned());
    assert_eq!(list(RunFilter { workflow, ..RunFilter::default() }), ids(&[]));
}

fn report(text: &str) -> NewReport {
    NewReport { report: packed(text), figures: packed("figures"), minutes_saved: 30 }
}

#[test]
fn the_last_report_stands() {
    let fixture = Fixture::new();
    let (journal, id) = fixture.with_run();
    assert_eq!(read(&journal, |reader| reader.report(&id)), None);
    for text in ["first", "second"] {
        let (run, report) = (id.clone(), report(text));
        write(&journal, move |tx| tx.put_report(&run, &report)).unwrap();
    }
    assert_eq!(read(&journal, |reader| reader.report(&id)), Some(packed("second")));
    let run = read(&journal, |reader| reader.run(&id)).unwrap();
    assert_eq!((run.figures, run.minutes_saved), (Some(packed("figures")), 30));
    let error = write(&journal, |tx| tx.put_report(&run_id(9), &report("x"))).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no run `{}`", run_id(9)));
}

#[test]
fn a_run_goes_on_by_itself_when_nothing_is_left_to_answer() {
    let fixture = Fixture::new();
    let (journal, id) = fixture.with_run();
    let resumable = || {
        let found = read(&journal, |reader| reader.resumable_runs(&World::live(), 10));
        found.into_iter().map(|(run, answers)| (run.id, answers)).collect::<Vec<_>>()
    };
    for (status, mine) in [(Running, 0), (Interrupted, 0), (Parked, 1), (NeedsAttention, 1)] {
        set(&journal, &id, status).unwrap();
        assert_eq!(resumable().len(), mine, "{status}: started at a terminal");
    }
    let of = id.clone();
    write(&journal, move |tx| {
        let now = tx.now();
        let fire = tx.put_fire(&NewFire {
            world: World::live(),
            workflow: "demo".to_owned(),
            cause: FireCause::Schedule,
            due_at: now,
            last_due_at: now,
            n_due: 1,
            not_before: now,
            actor: "schedule".to_owned(),
            skipped: None,
        })?;
        tx.start_fire(fire.unwrap(), &of).map(drop)
    })
    .unwrap();
    for status in [Running, Interrupted, Parked, NeedsAttention] {
        set(&journal, &id, status).unwrap();
        assert_eq!(resumable(), [(id.clone(), 0)], "{status}: fired, and nothing is asked");
    }
    // An effect that nobody could find out stands in the way until somebody says.
    let run = id.as_str().to_owned();
    let effect = |state: &'static str| {
        let run = run.clone();
        write(&journal, move |tx| {
            let sql = "INSERT INTO effects (world, key, run, workflow, operation, params_sha256, \
                       params, state, attempts, intent_at, intent_seq, settled_at) \
                       VALUES ('live', 'demo/1/1/page', ?1, 'demo', 'a.b', zeroblob(32), x'', ?2, \
                       1, 0, 0, CASE ?2 WHEN 'done' THEN 1 END) \
                       ON CONFLICT DO UPDATE SET state = ?2, settled_at = 1";
            tx.execute(sql, rusqlite::params![run, state]).map(drop)
        })
        .unwrap();
    };
    effect("unknown");
    assert_eq!(resumable(), []);
    effect("done");
    assert_eq!(resumable(), [(id.clone(), 1)]);
    set(&journal, &id, Cancelled).unwrap();
    assert_eq!(resumable(), []);
}
