//! Several processes on one state directory: one drives, the others are refused or take over.

use std::sync::Arc;
use std::time::Duration;

use arx_engine::{EngineError, RunError};
use arx_journal::{JournalError, JournalOptions, World};
use arx_sim::Vendor;
use arx_types::{RunId, RunStatus};
use tokio::sync::watch;

use crate::world::TestWorld;

const SMALL: &str = "generated:seed=3,findings=8,detections=0,cves=2,assets=4";
/// Longer than a lease.
const SILENCE: Duration = Duration::from_secs(31);

async fn small(faults: &str) -> TestWorld {
    let mut world = TestWorld::new(SMALL, faults).await;
    world.overrides.push(("qualys_enabled".to_owned(), "false".to_owned()));
    world.settle_at_once();
    world
}

fn new_run(n: u128) -> arx_engine::NewRun {
    let (id, world) = (RunId::from_parts(1, n), World::live());
    arx_engine::NewRun { id, world, actor: "tester".to_owned(), dry_run: false, fire: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_by_name_while_the_first_may_live() {
    let world = small("").await;
    let (first, workflow) = world.driver(JournalOptions::default());
    let (second, _) = world.driver(JournalOptions::default());
    let lease = first.engine.begin(&workflow, &new_run(1)).await.unwrap();
    let number = std::process::id();
    for refused in [
        second.engine.begin(&workflow, &new_run(2)).await,
        second.engine.resume(&lease.run, "tester").await,
    ] {
        let expected = format!(
            "`critical-vuln-escalation` is already running: run {} in process {number}",
            lease.run
        );
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
    // Nothing of the run that was refused is left.
    let missing = second.engine.started_at(&new_run(2).id).await.unwrap();
    assert_eq!(missing, None);
    drop(first);
    let taken = second.engine.resume(&lease.run, "tester").await.unwrap();
    assert!(taken.epoch > lease.epoch);
}

/// The first process has asked for its pages when it falls silent; the second takes over, finds
/// nothing at the pager, and asks for them itself. Whatever the first one learns, it does nothing
/// more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_owner_is_fenced_off_and_nothing_happens_twice() {
    let world = Arc::new(small("pagerduty.incidents.create:latency=700ms").await);
    let (slow, workflow) = world.driver(JournalOptions::default());
    let run = new_run(1);
    let lease = slow.engine.begin(&workflow, &run).await.unwrap();
    let driven = tokio::spawn(async move {
        let (_keep, interrupted) = watch::channel(false);
        slow.drive(&run, &lease, &workflow, interrupted).await
    });
    // The pager is asked for its priorities, and then for two pages.
    while world.simulators.control().requests(Vendor::PagerDuty) < 3 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(SILENCE);
    let report = world.run().await;
    assert_eq!(report.status, RunStatus::Succeeded, "{report:#?}");
    let fenced = driven.await.unwrap();
    assert!(
        matches!(fenced, Err(RunError::Engine(EngineError::Journal(JournalError::Fenced { .. })))),
        "{fenced:#?}"
    );
    let effects = world.effects();
    assert!(effects.len() == 4 && effects.values().all(|n| *n == 1), "{effects:?}");
    assert!(world.verify().await.is_ok());
}
