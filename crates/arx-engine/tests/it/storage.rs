//! Makes the storage fail at every write of the journal in turn, and starts the process again once
//! it is sound.

use std::collections::BTreeMap;

use arx_journal::{EffectFilter, Fault, FaultPoint, JournalOptions};
use arx_sim::Entry;
use arx_testkit::world::effect_key;

use crate::world::{PATCHES, TestWorld};

/// How a write fails, whether those after it fail too, and how many writes lie between two tries.
const TRIED: &[(Fault, bool, usize)] = &[
    (Fault::Full, false, 1),
    (Fault::Full, true, 9),
    (Fault::CommitLost, false, 1),
    (Fault::CommitKept, false, 1),
    (Fault::Io, false, 9),
    (Fault::Locked, false, 9),
];

/// By this write every read is done.
const READS_END: u64 = 20;
/// More writes than a run makes.
const WRITES_MAX: u64 = 400;

async fn escalation() -> TestWorld {
    let mut world =
        TestWorld::new("generated:seed=3,findings=8,detections=0,cves=2,assets=4", "").await;
    world.overrides.push(("qualys_enabled".to_owned(), "false".to_owned()));
    world.settle_at_once();
    world
}

async fn patches() -> TestWorld {
    let mut world = TestWorld::of(PATCHES, "generated:seed=5,tickets=4", "").await;
    world.settle_at_once();
    world
}

/// Everything that the simulators accepted was announced: its effect is on disk.
#[track_caller]
fn check_announced(world: &TestWorld, at: &str) {
    let journal = world.journal(JournalOptions::default()).unwrap();
    let effects = journal.read_blocking(|reader| reader.effects(&EffectFilter::default())).unwrap();
    let keys: Vec<&str> = effects.iter().map(|effect| effect.key.as_str()).collect();
    for entry in world.simulators.ledger().iter().filter(|entry| is_effect(entry)) {
        // The key is the effect's own, or the number of the ticket that it is about.
        let key = entry.key.as_ref().and_then(effect_key).unwrap();
        let is_announced = |known: &&str| known.split('/').any(|part| part == key) || *known == key;
        assert!(keys.iter().any(is_announced), "{at}: `{key}` was sent unannounced: {keys:?}");
    }
}

/// The link of an issue to its incident belongs to the issue.
fn is_effect(entry: &Entry) -> bool {
    entry.operation != "remote_links.put"
}

async fn check(make: impl AsyncFn() -> TestWorld, n_effects: usize, every: usize) {
    for (fault, lasting, step) in TRIED {
        let mut tries = (1..WRITES_MAX).step_by(step * every);
        loop {
            let write = tries.next().unwrap();
            let at = format!("{fault:?} at write {write}");
            let world = make().await;
            let point = FaultPoint { write, fault: *fault, lasting: *lasting };
            let options = JournalOptions { fault: Some(point), ..Default::default() };
            let failed = world.process(options).await;
            check_announced(&world, &at);
            let report = world.run().await;
            assert_eq!(report.counts.failed, 0, "{at}: {report:#?}");
            let mut written = BTreeMap::new();
            for entry in world.simulators.ledger().into_iter().filter(is_effect) {
                *written.entry((entry.operation, entry.id)).or_insert(0) += 1;
            }
            assert_eq!(written.len(), n_effects, "{at}: {written:?}");
            assert!(written.values().all(|n| *n == 1), "{at}: {written:?}");
            let verified = world.verify().await;
            assert!(verified.is_ok(), "{at}: {:#?}", verified.findings);
            // A read whose findings cannot be kept fails as a read does, and the run goes on with
            // what it has; whatever else cannot be written ends the process.
            if failed.is_ok() && write > READS_END {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_unannounced_or_twice_wherever_the_storage_fails() {
    check(escalation, 4, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_ticket_is_written_to_unannounced_or_twice_wherever_the_storage_fails() {
    check(patches, 4, 4).await;
}
