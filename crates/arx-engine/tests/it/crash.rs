//! Stops the process at every write of the journal in turn and starts it again on what is on disk.
//!
//! One side of the commit for each workflow; `cargo xtask faults` tries both sides, and everything
//! else that can go wrong.

use std::collections::BTreeMap;

use arx_engine::Report;
use arx_journal::{JournalOptions, StopPoint, StopWhen};
use arx_types::RunStatus;

use crate::world::{PATCHES, TestWorld};

/// A small world, so that every write can be tried.
const SCENARIO: &str = "generated:seed=3,findings=8,detections=0,cves=2,assets=4";
/// More writes than a run of it makes.
const WRITES_MAX: u64 = 200;

/// Stops a workflow at every write in turn, finishes it, and looks at what is left.
async fn at_every_write(
    when: StopWhen,
    world: impl AsyncFn() -> TestWorld,
    check: impl Fn(&TestWorld, &Report, &str),
) {
    for write in 1..WRITES_MAX {
        let mut world = world().await;
        world.settle_at_once();
        let stop = JournalOptions { stop: Some(StopPoint { write, when }), ..Default::default() };
        let stopped = world.process(stop).await;
        let report = world.run().await;
        let at = format!("stopped at {write} {when:?}");
        check(&world, &report, &at);
        let verified = world.verify().await;
        assert!(verified.is_ok(), "{at}: {:#?}", verified.findings);
        if stopped.is_ok() {
            assert!(write > 20, "the run made only {write} writes");
            return;
        }
    }
    panic!("a run makes more writes than are tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_effect_is_lost_or_doubled_wherever_the_process_stops() {
    let world = async || {
        let mut world = TestWorld::new(SCENARIO, "").await;
        world.overrides.push(("qualys_enabled".to_owned(), "false".to_owned()));
        world
    };
    at_every_write(StopWhen::AfterCommit, world, |world, report, at| {
        assert_eq!(report.status, RunStatus::Succeeded, "{at}: {report:#?}");
        let effects = world.effects();
        assert!(effects.values().all(|n| *n == 1), "{at}: {effects:?}");
        assert_eq!(effects.len(), 4, "{at}: {effects:?}");
    })
    .await;
}

/// The same over the other workflow, whose writes change records that are there already: each
/// ticket gets its one write, wherever the process stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_ticket_is_written_to_twice_wherever_the_process_stops() {
    let world = async || TestWorld::of(PATCHES, "generated:seed=5,tickets=4", "").await;
    at_every_write(StopWhen::BeforeCommit, world, |world, report, at| {
        assert_eq!(report.counts.failed, 0, "{at}: {report:#?}");
        let mut writes = BTreeMap::new();
        for entry in world.simulators.ledger() {
            *writes.entry(entry.id).or_insert(0) += 1;
        }
        assert_eq!(writes.len(), 4, "{at}: {writes:?}");
        assert!(writes.values().all(|n| *n == 1), "{at}: {writes:?}");
    })
    .await;
}
