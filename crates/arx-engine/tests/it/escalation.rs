//! The whole of critical-vuln-escalation.

use arx_types::RunStatus;

use crate::world::TestWorld;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_tickets_each_vulnerability_once() {
    let world = TestWorld::new("default", "").await;
    let report = world.run().await;
    assert_eq!(report.status, RunStatus::Succeeded, "{report:#?}");
    assert!(report.counts.paged > 10, "{:?}", report.counts);
    assert_eq!(report.counts.paged, report.counts.ticketed);
    assert_eq!(report.counts.failed, 0);
    assert!(report.conservation.unwrap().balanced);
    let effects = world.effects();
    assert_eq!(effects.len() as u64, report.counts.paged + report.counts.ticketed);
    assert!(effects.values().all(|n| *n == 1), "{effects:?}");

    let again = world.run().await;
    assert_eq!(again.status, RunStatus::Succeeded);
    assert_eq!(again.counts.paged, 0);
    assert_eq!(again.counts.ticketed, 0);
    assert_eq!(again.counts.already_open, report.counts.paged);
    assert_eq!(world.effects(), effects);

    let verified = world.verify().await;
    assert!(verified.is_ok(), "{:#?}", verified.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_opens_one_grouped_incident_and_every_ticket() {
    let mut world = TestWorld::new("default", "").await;
    world.overrides.push(("storm_threshold".to_owned(), "3".to_owned()));
    let report = world.run().await;
    assert_eq!(report.status, RunStatus::Succeeded, "{report:#?}");
    assert_eq!(report.counts.paged, 0);
    assert!(report.counts.grouped > 10);
    assert_eq!(report.counts.grouped, report.counts.ticketed);
    let pages = world.effects().keys().filter(|key| key.ends_with("/page")).count();
    assert_eq!(pages, 1);
    let again = world.run().await;
    assert_eq!(again.counts.grouped, 0);
    assert_eq!(again.counts.already_open, report.counts.grouped);
}

/// What the vendor could not take is told once, not once an item, and not again by later runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_priority_that_the_account_lacks_is_a_warning() {
    let mut world = TestWorld::new("default", "").await;
    world.overrides.push(("pagerduty.priority".to_owned(), "P0".to_owned()));
    let report = world.run().await;
    assert_eq!(report.status, RunStatus::Succeeded, "{report:#?}");
    let told = |warnings: &[String]| {
        warnings.iter().filter(|text| text.contains("paged without a priority")).count()
    };
    assert_eq!(told(&report.warnings), 1, "{:?}", report.warnings);
    assert_eq!(told(&world.run().await.warnings), 0);
}

/// A run that reads one source fewer cannot tell what that source still shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrower_run_closes_nothing() {
    let mut world = TestWorld::new("default", "").await;
    let first = world.run().await;
    world.overrides.push(("qualys_enabled".to_owned(), "false".to_owned()));
    let narrow = world.run().await;
    assert!(narrow.merged < first.merged, "Qualys alone shows something");
    world.overrides.clear();
    let again = world.run().await;
    assert_eq!((again.counts.paged, again.counts.ticketed), (0, 0), "{:?}", again.counts);
    assert_eq!(again.counts.already_open, first.counts.paged);
}
