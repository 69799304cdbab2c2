//! The whole of patch-verification.

use std::collections::BTreeMap;

use arx_engine::Report;
use arx_engine::provenance::trace_ticket;
use arx_journal::JournalOptions;
use arx_sim::Expected;
use arx_types::RunStatus;
use serde_json::Value;

use crate::world::{PATCHES, TestWorld};

/// Outcomes by ticket.
fn outcomes(report: &Report) -> BTreeMap<String, String> {
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    let outcome = |item: &Value| item["outcomes"][0].as_str().unwrap().to_owned();
    report.items.iter().map(|item| (text(item, "id"), outcome(item))).collect()
}

/// Accepted writes by ticket.
fn writes(world: &TestWorld) -> BTreeMap<String, usize> {
    let mut writes = BTreeMap::new();
    for entry in world.simulators.ledger() {
        let number = entry.key.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        *writes.entry(number).or_default() += 1;
    }
    writes
}

fn state_of(world: &TestWorld, number: &str) -> String {
    let tickets = world.simulators.control().tickets();
    tickets.into_iter().find(|ticket| ticket.number == number).unwrap().state
}

/// Every ticket of the scenario ends as whoever wrote the scenario says it should, gets one write
/// at most, and a second run writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ticket_ends_as_it_should_and_is_written_to_once() {
    let world = TestWorld::of(PATCHES, "awkward", "").await;
    let expected: BTreeMap<String, Expected> = world
        .simulators
        .control()
        .tickets()
        .into_iter()
        .filter(|ticket| ticket.table == "incident")
        .filter_map(|ticket| Some((ticket.number, ticket.expected?)))
        .collect();
    let report = world.run().await;
    let found = outcomes(&report);
    let words = |expected: &Expected| match expected {
        Expected::Verified => "verified",
        Expected::Failed => "flagged",
        Expected::Inconclusive => "inconclusive",
        Expected::Unusable => "failed",
    };
    let wanted: BTreeMap<String, String> =
        expected.iter().map(|(number, what)| (number.clone(), words(what).to_owned())).collect();
    assert_eq!(found, wanted, "{report:#?}");
    assert_eq!(report.tickets_read, Some(found.len() as u64));
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    // Unusable tickets are left alone, but for the one whose fault only a write brings to light.
    let writes = writes(&world);
    assert!(writes.values().all(|n| *n == 1), "{writes:?}");
    assert_eq!(found.keys().filter(|number| !writes.contains_key(*number)).count(), 1);
    for (number, outcome) in &found {
        let state = match outcome.as_str() {
            "verified" => "6",
            "flagged" => "2",
            _ => continue,
        };
        assert_eq!(state_of(&world, number), state, "{number}");
    }

    let before = world.simulators.ledger().len();
    let again = world.run().await;
    assert_eq!(again.counts.verified + again.counts.flagged, 0, "{again:#?}");
    assert_eq!(again.counts.inconclusive, report.counts.inconclusive);
    assert_eq!(world.simulators.ledger().len(), before, "the second run wrote");
    let verified = world.verify().await;
    assert!(verified.is_ok(), "{:#?}", verified.findings);

    // From a resolved ticket back to what each system said.
    let (driver, _) = world.driver(JournalOptions::default());
    let number = found.iter().find(|(_, outcome)| *outcome == "verified").unwrap().0;
    let traced = trace_ticket(&driver.journal, &report.run_id, number).await.unwrap().unwrap();
    assert!(traced.verification_holds);
    assert!(traced.reads.iter().all(|read| read.holds && !read.says.is_null()), "{traced:#?}");
}

/// A human who reopens a ticket is not overruled on the evidence that did not convince them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reopened_ticket_waits_for_a_newer_scan() {
    let world = TestWorld::of(PATCHES, "default", "").await;
    let report = world.run().await;
    let found = outcomes(&report);
    let item = |report: &Report, number: &str| {
        report.items.iter().find(|item| item["id"] == *number).unwrap().clone()
    };
    let number = found.iter().find(|(_, outcome)| *outcome == "verified").unwrap().0;
    let control = world.simulators.control();
    assert!(control.reopen_ticket(number));
    let before = world.simulators.ledger().len();
    let again = world.run().await;
    let ledger = world.simulators.ledger();
    assert_eq!(ledger.len(), before, "{:#?}", &ledger[before..]);
    let left = item(&again, number);
    assert_eq!(left["outcomes"], serde_json::json!(["inconclusive"]), "{left}");
    assert!(left["reason"].as_str().unwrap().contains("newer scan"), "{left}");

    let host = left["host"].as_str().unwrap();
    assert!(control.rescan(host, true) > 0, "{host}");
    let later = world.run().await;
    assert_eq!(outcomes(&later)[number], "verified", "{:#?}", item(&later, number));
    assert_eq!(world.simulators.ledger().len(), before + 1);
}

/// Tickets that get notes and nothing else stay where they are, and get one for the same evidence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_alone_are_written_once() {
    let mut world = TestWorld::of(PATCHES, "default", "").await;
    world.overrides.push(("servicenow.notes_only".to_owned(), "true".to_owned()));
    let report = world.run().await;
    assert_eq!(report.status, RunStatus::Succeeded, "{report:#?}");
    assert!(report.counts.verified > 5 && report.counts.flagged > 3, "{:?}", report.counts);
    assert!(report.time_saved_minutes > 0);
    let pending = |world: &TestWorld| {
        let tickets = world.simulators.control().tickets();
        tickets.iter().filter(|ticket| ticket.table == "incident" && ticket.state == "15").count()
    };
    assert_eq!(Some(pending(&world) as u64), report.tickets_read);
    let before = world.simulators.ledger().len();
    // A daily scan that shows the same is nothing new.
    for item in &report.items {
        world.simulators.control().rescan(item["host"].as_str().unwrap(), true);
    }
    let again = world.run().await;
    let moved = again.items.iter().filter(|item| item["reason"].to_string().contains("moved back"));
    assert_eq!(moved.count(), 0, "{again:#?}");
    let counts = &again.counts;
    let new = counts.verified + counts.flagged - counts.before;
    assert_eq!(again.time_saved_minutes, 20 * new, "{counts:?}");
    assert!(counts.before >= 20, "{counts:?}");
    let new = world.simulators.ledger().split_off(before);
    // Those that the rescan decides are told, and no other.
    assert!(new.len() < 16, "{new:#?}");
    assert!(new.iter().all(|entry| !entry.title.contains("pay-app-21")), "{new:#?}");
}

/// The state may be kept in another field of the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_field_is_a_setting() {
    let mut world = TestWorld::of(PATCHES, "default", "").await;
    world.overrides.push(("servicenow.fields.state".to_owned(), "incident_state".to_owned()));
    let report = world.run().await;
    assert_eq!(report.status, RunStatus::Succeeded, "{:?} {:?}", report.error, report.counts);
    // One of them is known to be patched by the history of `state` alone.
    assert_eq!(report.counts.verified, 12, "{report:#?}");
    assert_eq!((report.counts.flagged, report.counts.failed), (7, 0));
}

/// What writes may lose on their way changes nothing in what arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_write_for_each_ticket_under_faults() {
    let cases = [
        "servicenow.table.update:drop-after%30",
        "servicenow.table.update:500-after@1x5",
        "servicenow.table.update:500@2x3,servicenow.table.get:503@3",
        "servicenow.table.update:reset@1x4",
        "servicenow:429=0%10,qualys:409-concurrency@2,crowdstrike:expire-token@2",
        "servicenow.table.update:cut@1x3,servicenow.table.list:cut@1",
    ];
    for faults in cases {
        let mut world = TestWorld::of(PATCHES, "generated:seed=5,tickets=12", faults).await;
        world.settle_at_once();
        let report = world.run().await;
        assert_eq!(report.tickets_read, Some(12), "under `{faults}`: {report:#?}");
        assert_eq!(report.counts.failed, 0, "under `{faults}`: {report:#?}");
        let writes = writes(&world);
        assert_eq!(writes.len(), 12, "under `{faults}`: {writes:?}");
        assert!(writes.values().all(|n| *n == 1), "under `{faults}`: {writes:?}");
    }
}

/// Beyond 200 updates an hour a human is asked, once for all that is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_hour_asks_a_human() {
    let world = TestWorld::of(PATCHES, "generated:seed=5,tickets=203", "").await;
    let report = world.run().await;
    assert_eq!(report.status, RunStatus::Parked, "{:?}", report.counts);
    assert_eq!(report.approvals.len(), 1);
    assert_eq!(report.counts.escalated, 3);
    assert_eq!(writes(&world).len(), 200);
    let id = report.approvals[0].parse().unwrap();
    let (driver, _) = world.driver(JournalOptions::default());
    let asked = driver.journal.read(move |reader| reader.approval_actions(&id)).await.unwrap();
    assert_eq!(asked.len(), 3);
}

/// What the bundle denies is denied by a decision with a record, and nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_and_hosts_are_not_touched() {
    for (call, operation) in [
        ("qualys.scans.execute(target=\"production\")", "scans:execute"),
        ("crowdstrike.hosts.contain(target=\"production\")", "hosts:contain"),
        ("crowdstrike.hosts.lift_containment(target=\"production\")", "hosts:lift_containment"),
        ("crowdstrike.hosts.update(target=\"production\")", "hosts:update"),
    ] {
        let mut world = TestWorld::of(PATCHES, "default", "").await;
        world.source = format!("async def main():\n    await {call}\n");
        let report = world.run().await;
        assert_eq!(report.status, RunStatus::Failed);
        let error = report.error.unwrap();
        assert_eq!(error.kind, "PermissionError", "{call}: {error:?}");
        assert!(error.message.contains("deny-"), "{call}: {error:?}");
        assert_eq!(report.counts.denied, 1);
        assert!(world.simulators.ledger().is_empty());
        let (driver, _) = world.driver(JournalOptions::default());
        let decisions =
            driver.journal.read(|reader| reader.decisions(&Default::default())).await.unwrap();
        let denied =
            decisions.iter().find(|recorded| recorded.decision.operation.name == operation);
        let denied = denied.unwrap_or_else(|| panic!("no decision on {operation}"));
        assert_eq!(denied.decision.verdict, arx_types::Verdict::Deny);
    }
}
