//! A small log for tests: one run that pages somebody, and the start of another.
//!
//! The golden files are made from it, so a change here changes a lasting format.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    Action, INTEGER_MAX, Leaf, LeafKind, MemoryStore, Risk, RiskClass, SigningKey, Verdict,
    Workflow, canonical, sha256_hex, tree,
};

/// The seed of the sample's key; public, so good for nothing else.
pub(crate) const SEED: [u8; 32] = *b"arx golden key, never use it now";
/// The run that the sample's bundle is about.
pub(crate) const RUN: &str = "run_01JCXZ5V2M8Q4T6W8Y0A2C4E6G";
/// The other run.
pub(crate) const OTHER_RUN: &str = "run_01JCXZ6B1N3P5R7T9V1X3Z5B7D";
/// The effect that the run causes.
pub(crate) const EFFECT_KEY: &str = "critical-vuln-escalation/CVE-2021-44228/1/page";
/// The size of the earlier checkpoint.
pub(crate) const EARLIER_SIZE: u64 = 4;

/// A log in memory, with its key.
pub(crate) struct Log {
    pub(crate) key: SigningKey,
    pub(crate) leaves: Vec<(u64, Vec<u8>)>,
    pub(crate) store: MemoryStore,
}

impl Log {
    pub(crate) fn new(leaves: impl IntoIterator<Item = Leaf>) -> Self {
        let key = SigningKey::generate(SEED).unwrap();
        let mut log = Self { key, leaves: Vec::new(), store: MemoryStore::new() };
        for mut leaf in leaves {
            leaf.seq = log.store.size();
            let bytes = leaf.encode().unwrap();
            log.store.push(tree::leaf_hash(&bytes));
            log.leaves.push((leaf.seq, bytes));
        }
        log
    }

    pub(crate) fn checkpoint(&self, size: u64) -> String {
        let root = tree::root(&self.store, size).unwrap();
        self.key.sign_checkpoint(size, root).unwrap()
    }

    /// The leaves of one run.
    pub(crate) fn of_run(&self, run: &str) -> Vec<(u64, Vec<u8>)> {
        let is_of_run = |bytes: &[u8]| Leaf::decode(bytes).unwrap().run.is_some_and(|of| of == run);
        self.leaves.iter().filter(|(_, bytes)| is_of_run(bytes)).cloned().collect()
    }
}

pub(crate) fn log() -> Log {
    Log::new(leaves())
}

pub(crate) fn leaves() -> Vec<Leaf> {
    let register = leaf(0, LeafKind::Register, |leaf| leaf.run = None);
    let started = leaf(1, LeafKind::Run, |leaf| leaf.status = Some("started".into()));
    let decision = leaf(2, LeafKind::Decision, |leaf| {
        leaf.action = Some(page());
        leaf.verdict = Some(Verdict::Permit);
        leaf.rule = Some("page".into());
        leaf.risk = Some(Risk {
            class: RiskClass::Medium,
            raw: 35,
            score: 35,
            factors: [("connector", 10), ("frequency", 0), ("operation", 25), ("target", 0)]
                .map(|(name, points)| (name.to_owned(), points))
                .into(),
        });
        leaf.lineage = vec![format!("merge:{}", sha256_hex(b"the merged findings"))];
    });
    let intent = leaf(3, LeafKind::Intent, |leaf| leaf.action = Some(page()));
    let other = leaf(4, LeafKind::Run, |leaf| {
        leaf.run = Some(OTHER_RUN.into());
        leaf.status = Some("started".into());
    });
    let outcome = leaf(5, LeafKind::Outcome, |leaf| {
        leaf.action = Some(page());
        leaf.status = Some("done".into());
        leaf.result_sha256 = Some(sha256_hex(br#"{"id":"Q2W3E4R5T6Y7U8"}"#));
    });
    let ended = leaf(6, LeafKind::Run, |leaf| {
        leaf.status = Some("succeeded".into());
        let detail = json!({"note": "caf\u{e9} \u{20ac}5 \u{1f510} \"quoted\"\n", "run_leaves": 4});
        leaf.detail = detail.as_object().cloned();
    });
    vec![register, started, decision, intent, other, outcome, ended]
}

pub(crate) fn page() -> Action {
    let params = json!({"service": "PSERVIC", "title": "Log4Shell on 3 hosts", "urgency": "high"});
    Action {
        connector: "pagerduty".into(),
        operation: "incidents:create".into(),
        effect_key: Some(EFFECT_KEY.into()),
        params_sha256: Some(sha256_hex(&canonical(&params).unwrap())),
    }
}

pub(crate) fn leaf(seq: u64, kind: LeafKind, fill: impl FnOnce(&mut Leaf)) -> Leaf {
    let at: Timestamp = "2026-01-15T10:00:00.000125Z".parse().unwrap();
    let at = at + jiff::SignedDuration::from_millis(i64::try_from(seq).unwrap() * 137);
    let mut leaf = Leaf::new(seq, at, kind, "schedule");
    leaf.run = Some(RUN.into());
    leaf.workflow =
        Some(Workflow { name: "critical-vuln-escalation".into(), version: "9f2c41d07ab3".into() });
    leaf.policy_version = Some("5d0e8f6a1b2c".into());
    fill(&mut leaf);
    leaf
}

/// Any value that has a canonical form.
pub(crate) fn any_json(numbers: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        numbers,
        any::<String>().prop_map(Value::from),
    ];
    plain.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

pub(crate) fn any_integer() -> BoxedStrategy<Value> {
    let max = i64::try_from(INTEGER_MAX).unwrap();
    (-max..=max).prop_map(Value::from).boxed()
}
