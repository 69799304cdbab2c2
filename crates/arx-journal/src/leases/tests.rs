use arx_types::RunStatus;

use super::*;
use crate::testing::{Fixture, new_run, read, run_id, start, version, write};
use crate::{Journal, NewRun};

const TTL: Duration = Duration::from_secs(30);

/// Two processes on one state directory with two unfinished runs of one workflow.
struct Two {
    fixture: Fixture,
    journal: Journal,
    one: std::sync::Arc<Process>,
    two: std::sync::Arc<Process>,
}

impl Two {
    fn new() -> Self {
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        start(&journal, &run_id(2));
        let process = || std::sync::Arc::new(Process::register(&fixture.state()).unwrap());
        let (one, two) = (process(), process());
        Self { fixture, journal, one, two }
    }

    fn claim(&self, n: u128, process: &std::sync::Arc<Process>) -> Claim {
        let process = std::sync::Arc::clone(process);
        write(&self.journal, move |tx| tx.claim_run(&run_id(n), &process, TTL)).unwrap()
    }

    fn granted(&self, n: u128, process: &std::sync::Arc<Process>) -> Lease {
        match self.claim(n, process) {
            Claim::Granted(lease) => lease,
            Claim::Held(lease) => panic!("held by {lease:?}"),
        }
    }

    #[track_caller]
    fn refused(&self, n: u128, process: &std::sync::Arc<Process>, by: &Lease) {
        match self.claim(n, process) {
            Claim::Held(lease) => {
                assert_eq!((lease.run, lease.owner), (by.run.clone(), by.owner.clone()));
            }
            Claim::Granted(lease) => panic!("granted {lease:?}"),
        }
    }

    fn holds(&self, lease: &Lease) -> bool {
        let check = |reader: &Reader<'_>| Ok(reader.check_lease(&lease.run, lease.epoch).is_ok());
        read(&self.journal, check)
    }

    fn renew(&self, lease: &Lease) -> Result<(), JournalError> {
        let lease = lease.clone();
        write(&self.journal, move |tx| tx.renew_lease(&lease, TTL))
    }

    fn release(&self, lease: &Lease) {
        let lease = lease.clone();
        write(&self.journal, move |tx| tx.release_lease(&lease)).unwrap();
    }
}

#[test]
fn a_workflow_is_driven_by_one_process_until_its_lease_is_over() {
    let world = Two::new();
    let first = world.granted(1, &world.one);
    assert!(world.holds(&first));
    world.refused(1, &world.two, &first);
    world.refused(2, &world.two, &first);
    // Not even by itself twice.
    world.refused(1, &world.one, &first);

    world.fixture.clock.advance_secs(20);
    world.renew(&first).unwrap();
    world.fixture.clock.advance_secs(20);
    world.refused(1, &world.two, &first);

    world.fixture.clock.advance_secs(20);
    let second = world.granted(1, &world.two);
    assert!(second.epoch > first.epoch);
    assert_eq!((world.holds(&first), world.holds(&second)), (false, true));
    let told = world.renew(&first).unwrap_err();
    assert!(matches!(&told, JournalError::Fenced { run } if *run == first.run), "{told:?}");

    world.release(&first);
    assert!(world.holds(&second), "a former owner gives nothing away");
    world.release(&second);
    assert!(!world.holds(&second) && world.renew(&second).is_err());
    assert!(world.granted(1, &world.one).epoch > second.epoch);
}

#[test]
fn who_is_slow_and_alone_goes_on() {
    let world = Two::new();
    let lease = world.granted(1, &world.one);
    world.fixture.clock.advance_secs(3600);
    assert!(world.holds(&lease));
    world.renew(&lease).unwrap();
    world.refused(1, &world.two, &lease);
}

#[test]
fn a_run_of_a_dead_process_is_taken_over_at_once() {
    let mut world = Two::new();
    let first = world.granted(1, &world.one);
    world.one = std::sync::Arc::clone(&world.two);
    let second = world.granted(1, &world.two);
    assert_eq!((world.holds(&first), world.holds(&second)), (false, true));
}

#[test]
fn driving_another_run_of_the_workflow_fences_a_silent_owner_off() {
    let world = Two::new();
    let silent = world.granted(1, &world.one);
    world.fixture.clock.advance_secs(31);
    let other = world.granted(2, &world.two);
    assert_eq!((world.holds(&silent), world.holds(&other)), (false, true));
}

#[test]
fn other_worlds_and_workflows_stand_in_nobodys_way() {
    let world = Two::new();
    let first = world.granted(1, &world.one);
    let simulated = NewRun { world: World::simulate("acme"), ..new_run(&run_id(3)) };
    let other = NewRun { workflow: "other".to_owned(), ..new_run(&run_id(4)) };
    write(&world.journal, move |tx| {
        tx.put_workflow_version(&version())?;
        tx.start_run(&simulated)?;
        tx.start_run(&other)
    })
    .unwrap();
    let leases = [first, world.granted(3, &world.two), world.granted(4, &world.two)];
    assert!(leases.iter().all(|lease| world.holds(lease)));
}

#[test]
fn what_has_ended_is_nobodys() {
    let world = Two::new();
    let lease = world.granted(1, &world.one);
    write(&world.journal, |tx| tx.set_run_status(&run_id(1), RunStatus::Cancelled)).unwrap();
    assert!(!world.holds(&lease));
    let two = std::sync::Arc::clone(&world.two);
    let claimed = write(&world.journal, move |tx| tx.claim_run(&run_id(1), &two, TTL));
    assert!(matches!(claimed, Err(JournalError::Conflict { .. })), "{claimed:?}");
    world.granted(2, &world.two);
}
