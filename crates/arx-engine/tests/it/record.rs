//! What the record of a run is good for afterwards: tracing, and refusing to go on.

use arx_engine::provenance::trace;
use arx_engine::{EngineError, start};
use arx_journal::{JournalError, JournalOptions, World};
use arx_types::RunStatus;

use crate::world::TestWorld;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_vulnerability_is_traced_to_findings_that_hash_to_its_lineage() {
    let world = TestWorld::new("default", "").await;
    let report = world.run().await;
    let (driver, _) = world.driver(JournalOptions::default());
    let mut n_aliases = 0;
    for item in &report.items {
        let id = item["id"].as_str().unwrap();
        let found = trace(&driver.journal, &report.run_id, id).await.unwrap().unwrap();
        assert!(found.lineage_holds && !found.findings.is_empty(), "{id}: {found:#?}");
        for alias in found.aliases.iter().filter(|alias| alias.into.is_some()) {
            n_aliases += 1;
            let name = alias.name.to_lowercase();
            let same = trace(&driver.journal, &report.run_id, &name).await.unwrap().unwrap();
            assert_eq!((same.vulnerability.as_str(), same.lineage), (id, found.lineage));
        }
    }
    assert!(n_aliases > 0, "the scenario has vulnerabilities with several names");
    let nothing = trace(&driver.journal, &report.run_id, "CVE-1999-0001").await.unwrap();
    assert!(nothing.is_none());
}

fn is_conflict<T>(result: &Result<T, EngineError>) -> bool {
    matches!(result, Err(EngineError::Journal(JournalError::Conflict { .. })))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ended_is_not_unfinished_and_cannot_be_cancelled_or_resumed() {
    let world = TestWorld::new("empty", "").await;
    let report = world.run().await;
    assert_eq!(report.status, RunStatus::Succeeded);
    let (driver, workflow) = world.driver(JournalOptions::default());
    let journal = &driver.journal;
    let live = World::live();

    let left = start::unfinished(journal, &workflow.name, &live, false).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let process = world.register();
    let refused = start::cancel(journal, &process, &report.run_id, "tester").await;
    assert!(is_conflict(&refused), "{refused:?}");
    let refused = driver.engine.resume(&report.run_id, "tester").await;
    assert!(is_conflict(&refused), "{refused:?}");

    let run = start::new_run(journal.clock().as_ref(), live.clone(), "tester", true);
    driver.engine.begin(&workflow, &run).await.unwrap();
    // While its process may live, nobody else gives it up.
    let refused = start::cancel(journal, &process, &run.id, "tester").await;
    assert!(matches!(refused, Err(EngineError::Held { .. })), "{refused:?}");
    drop(driver);
    let journal = &world.journal(JournalOptions::default()).unwrap();
    // A dry run that was left goes on as a dry run only.
    let left = start::unfinished(journal, &workflow.name, &live, false).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let left = start::unfinished(journal, &workflow.name, &live, true).await.unwrap();
    assert!(matches!(left.as_slice(), [one] if one.id == run.id), "{left:?}");
    assert!(start::is_same(&left[0], &workflow));
    start::cancel(journal, &process, &run.id, "tester").await.unwrap();
    let left = start::unfinished(journal, &workflow.name, &live, true).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(world.verify().await.is_ok());
}
