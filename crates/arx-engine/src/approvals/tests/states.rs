//! No path from a no, an end, a withdrawal or a change to something that is let through.
//!
//! Requests, votes, time, restarts and attempts to act come in any order. What the journal lets
//! through is held against what people said, which is written down here in the plainest way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arx_audit::Verdict;
use arx_journal::{NewDecision, TakenApproval, Vote};
use arx_types::Access;
use proptest::prelude::*;

use super::*;
use crate::approvals::cast::decide;
use crate::start;

/// Everybody who may try, in two spellings each.
const NAMES: [[&str; 2]; 6] = [
    ["alice", "ALICE"],
    ["bob", "Bob"],
    ["carol", "CAROL"],
    ["dave", "dAve"],
    ["erin", "Erin"],
    ["mallory", "Mallory"],
];
/// What each may do, once anybody is known; mallory is nobody.
const ROLES: [Option<Role>; 6] = [
    Some(Role::Approver),
    Some(Role::Approver),
    Some(Role::Approver),
    Some(Role::Admin),
    Some(Role::Viewer),
    None,
];
const REQUESTS_MAX: u128 = 6;

#[derive(Clone, Debug)]
enum Event {
    /// Ask for some of four actions.
    Ask { of: u128, actions: BTreeSet<u8>, quorum: u32, named: bool, escalates: bool },
    /// Say something to a request, or to some of its actions.
    Vote { request: u128, who: usize, spelling: usize, yes: bool, only: Option<Vec<u32>> },
    /// Let time pass.
    Pass { minutes: u64 },
    /// Look what is due.
    Tend,
    /// Give a run up.
    Cancel { of: u128 },
    /// Try to act, with parameters and under a policy.
    Take { of: u128, action: u8, policy: u8 },
    /// The process ends and another starts.
    Restart,
    /// Somebody may do nothing any more.
    Disable { who: usize },
}

/// Few runs, requests and actions, so that what happens is mostly about the same ones.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let of = || prop::sample::select(vec![1_u128, 1, 1, 2]);
    let flags = (any::<bool>(), any::<bool>());
    let actions = prop::collection::btree_set(0..2_u8, 1..3);
    let ask = (of(), actions, 1..3_u32, flags).prop_map(|(of, actions, quorum, flags)| {
        let (named, escalates) = flags;
        Event::Ask { of, actions, quorum, named, escalates }
    });
    let only = prop::option::weighted(0.2, prop::collection::vec(0..3_u32, 1..3));
    let request = prop::sample::select(vec![1_u128, 1, 1, 2, 2, 3]);
    let who = prop::sample::select(vec![0_usize, 1, 1, 2, 2, 3, 3, 4, 5]);
    let vote = (request, who, 0..2_usize, prop::bool::weighted(0.9), only).prop_map(
        |(request, who, spelling, yes, only)| Event::Vote { request, who, spelling, yes, only },
    );
    // The policy that was asked under is number 0; a change of it is another number.
    let policy = prop::sample::select(vec![0_u8, 0, 0, 1]);
    let take =
        (of(), 0..2_u8, policy).prop_map(|(of, action, policy)| Event::Take { of, action, policy });
    let event = prop_oneof![
        2 => ask.clone(),
        12 => vote,
        3 => (1..40_u64).prop_map(|minutes| Event::Pass { minutes }),
        2 => Just(Event::Tend),
        1 => prop::sample::select(vec![1_u128, 2]).prop_map(|of| Event::Cancel { of }),
        12 => take,
        1 => Just(Event::Restart),
        1 => (1..NAMES.len()).prop_map(|who| Event::Disable { who }),
    ];
    (prop::collection::vec(ask, 1..3), prop::collection::vec(event, 1..40))
        .prop_map(|(asked, events)| [asked, events].concat())
}

/// What an approval is bound to.
fn digest(of: u128, action: u8, policy: u8) -> Digest {
    let bound = json!({
        "version": of.to_string(),
        "policy": policy,
        "operation": "jira.issues:create",
        "params": action,
    });
    Digest::of_json(&bound).unwrap()
}

/// A request as people remember it.
#[derive(Clone, Debug)]
struct Told {
    of: u128,
    quorum: usize,
    expires_at: Timestamp,
    escalate_at: Option<Timestamp>,
    asked: BTreeSet<&'static str>,
    withdrawn: bool,
    actions: Vec<ToldAction>,
    happened: BTreeSet<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct ToldAction {
    action: u8,
    /// Who said yes or no, by person.
    said: BTreeMap<usize, bool>,
    used: bool,
}

impl ToldAction {
    fn is_denied(&self) -> bool {
        self.said.values().any(|yes| !yes)
    }

    fn is_approved(&self, quorum: usize) -> bool {
        !self.is_denied() && self.said.values().filter(|yes| **yes).count() >= quorum
    }
}

/// What was told so far, and the journal that has to agree.
struct Story {
    fixture: Fixture,
    known: bool,
    disabled: BTreeSet<usize>,
    requests: BTreeMap<u128, Told>,
    ended: BTreeSet<u128>,
    n_taken: usize,
}

impl Story {
    fn new(known: bool) -> Self {
        let fixture = Fixture::new();
        for (names, role) in NAMES.iter().zip(ROLES).filter(|_| known) {
            if let Some(role) = role {
                fixture.add(names[0], role);
            }
        }
        Self {
            fixture,
            known,
            disabled: BTreeSet::new(),
            requests: BTreeMap::new(),
            ended: BTreeSet::new(),
            n_taken: 0,
        }
    }

    fn ask(&mut self, of: u128, actions: &BTreeSet<u8>, quorum: u32, named: bool, escalates: bool) {
        let n = self.requests.len() as u128 + 1;
        if self.ended.contains(&of) || n > REQUESTS_MAX {
            return;
        }
        let now = self.fixture.now();
        let digests: Vec<Digest> = actions.iter().map(|action| digest(of, *action, 0)).collect();
        let approvers = if named { "carol" } else { "role:approver" };
        let escalate_at = escalates.then_some(now + 20 * MINUTE);
        self.fixture.ask(NewApproval {
            approvers: vec![approvers.to_owned()],
            quorum,
            escalate_to: vec!["role:admin".to_owned()],
            remind_at: Some(now + 10 * MINUTE),
            escalate_at,
            ..request(n, of, now, &digests)
        });
        let actions =
            actions.iter().map(|action| ToldAction { action: *action, ..ToldAction::default() });
        self.requests.insert(
            n,
            Told {
                of,
                quorum: quorum as usize,
                expires_at: now + 60 * MINUTE,
                escalate_at,
                asked: [approvers].into(),
                withdrawn: false,
                actions: actions.collect(),
                happened: BTreeSet::new(),
            },
        );
    }

    fn may_decide(&self, who: usize, asked: &BTreeSet<&'static str>) -> bool {
        if !self.known {
            // A name is taken at its word; a role that nobody checks is anybody's.
            return asked.iter().any(|entry| entry.starts_with("role:") || *entry == NAMES[who][0]);
        }
        let Some(role) = ROLES[who].filter(|_| !self.disabled.contains(&who)) else { return false };
        asked.iter().any(|entry| match *entry {
            "role:approver" => role >= Role::Approver,
            "role:admin" => role >= Role::Admin,
            name => name == NAMES[who][0] && role >= Role::Approver,
        })
    }

    fn vote(&mut self, n: u128, who: usize, spelling: usize, yes: bool, only: Option<Vec<u32>>) {
        let voter = Voter::said(NAMES[who][spelling], "nobody").unwrap();
        let vote = match yes {
            true => Vote::Approve,
            false => Vote::Deny { reason: "no".to_owned() },
        };
        let outcome =
            self.fixture.write(move |tx| decide(tx, &id(n), &voter, &vote, only.as_deref()));
        let Ok(cast) = outcome else { return };
        let now = self.fixture.now();
        let told = self.requests.get(&n).expect("a vote needs a request");
        assert_ne!(who, 0, "nobody votes on their own");
        assert!(now < told.expires_at && !told.withdrawn, "{told:?}");
        assert!(self.may_decide(who, &told.asked), "{who} {told:?}");
        let told = self.requests.get_mut(&n).unwrap();
        for (place, n_yes) in cast.actions {
            let action = &mut told.actions[place as usize];
            let is_open = !action.is_denied() && !action.is_approved(told.quorum);
            assert!(is_open, "what is decided is not voted on: {action:?}");
            assert_eq!(action.said.insert(who, yes), None, "one person, one vote");
            let n_people = action.said.values().filter(|yes| **yes).count();
            assert_eq!(n_yes as usize, n_people, "people count, not spellings");
            let is_decided = action.is_denied() || action.is_approved(told.quorum);
            assert_eq!(cast.decided.contains(&place), is_decided);
        }
    }

    async fn tend(&mut self) {
        let now = self.fixture.now();
        for due in tend(&self.fixture.journal, now).await.unwrap() {
            let n = (1..=REQUESTS_MAX).find(|n| due.approval.id == id(*n)).unwrap();
            let told = self.requests.get_mut(&n).unwrap();
            assert!(!told.withdrawn && !told.happened.contains("expired"), "{told:?}");
            let what = match due.what {
                Happened::Reminded => {
                    assert!(!told.happened.contains("escalated"), "no reminder after that");
                    "reminded"
                }
                Happened::Escalated => {
                    assert!(told.escalate_at.is_some_and(|at| at <= now), "{told:?}");
                    told.asked.insert("role:admin");
                    "escalated"
                }
                Happened::Expired => "expired",
            };
            assert_eq!(due.what == Happened::Expired, now >= told.expires_at, "an end wins");
            assert!(told.happened.insert(what), "{what} twice");
        }
    }

    async fn cancel(&mut self, of: u128) {
        let Fixture { journal, process, .. } = &self.fixture;
        let cancelled = start::cancel(journal, process, &run(of), "bob").await;
        assert_eq!(cancelled.is_ok(), self.ended.insert(of), "what has ended stays so");
        for told in self.requests.values_mut().filter(|told| told.of == of) {
            told.withdrawn = true;
        }
    }

    /// The gate takes an approval and records the decision in one write.
    fn take(&mut self, of: u128, action: u8, policy: u8) {
        let bound = digest(of, action, policy);
        let taken = self.fixture.write(move |tx| {
            let taken = tx.take_approval(&run(of), &bound)?;
            if let TakenApproval::Approved { approval, .. } = &taken {
                let record = tx.run(&run(of))?.unwrap();
                let operation = "jira.issues:create".parse().unwrap();
                let mut leaf = LeafDraft::new(LeafKind::Decision, REQUESTER)
                    .of_run(&record.id, &record.workflow, &record.version, "p")
                    .about(&operation, None, Some(&bound))
                    .with("approval", approval.as_str());
                leaf.verdict = Some(Verdict::Permit);
                let seq = tx.append_leaf(leaf)?.seq;
                tx.put_decision(&NewDecision {
                    seq,
                    run: record.id,
                    workflow: record.workflow,
                    world: World::live(),
                    operation,
                    access: Access::Write,
                    verdict: arx_types::Verdict::Escalate,
                    approval: Some(approval.clone()),
                    effect_key: None,
                    request: Packed::json(&json!({}))?,
                })?;
            }
            Ok(taken)
        });
        let TakenApproval::Approved { approval, by } = taken else { return };
        assert_eq!(policy, 0, "another policy is another call");
        let now = self.fixture.now();
        let n = (1..=REQUESTS_MAX).find(|n| approval == id(*n)).unwrap();
        let told = self.requests.get_mut(&n).unwrap();
        assert_eq!(told.of, of, "another run's");
        assert!(!told.withdrawn && now < told.expires_at, "{told:?}");
        assert!(!told.happened.contains("expired"));
        let quorum = told.quorum;
        let action = told.actions.iter_mut().find(|told| told.action == action).unwrap();
        assert!(action.is_approved(quorum) && !action.used, "{action:?}");
        assert_eq!(by.len(), action.said.len());
        action.used = true;
        self.n_taken += 1;
    }

    async fn go(&mut self, event: Event) {
        match event {
            Event::Ask { of, actions, quorum, named, escalates } => {
                self.ask(of, &actions, quorum, named, escalates);
            }
            Event::Vote { request, who, spelling, yes, only } => {
                self.vote(request, who, spelling, yes, only);
            }
            Event::Pass { minutes } => {
                self.fixture.clock.advance(Duration::from_secs(60 * minutes))
            }
            Event::Tend => self.tend().await,
            Event::Cancel { of } => self.cancel(of).await,
            Event::Take { of, action, policy } => self.take(of, action, policy),
            Event::Restart => {
                let fixture = std::mem::replace(&mut self.fixture, Fixture::new());
                self.fixture = fixture.restart();
            }
            Event::Disable { who } => {
                let name = NAMES[who][0];
                let disable = move |tx: &mut Tx<'_>| Ok(tx.disable_person(name, "cli").is_ok());
                if self.fixture.write(disable) {
                    self.disabled.insert(who);
                }
            }
        }
    }

    /// The tables say what the log says, and the log breaks no rule.
    fn check_record(&self) {
        let Fixture { journal, .. } = &self.fixture;
        assert_eq!(journal.read_blocking(|reader| reader.scrub()).unwrap(), []);
        let report = journal.read_blocking(|reader| reader.verify(journal.vkey(), &[])).unwrap();
        assert!(report.is_ok(), "{:?}", report.findings);
    }
}

fn tell(known: bool, events: Vec<Event>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut story = Story::new(known);
        for event in events {
            story.go(event).await;
        }
        story.check_record();
        story.n_taken
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_let_through_but_what_enough_people_agreed_to_in_time(
        known in any::<bool>(),
        events in events(),
    ) {
        tell(known, events);
    }
}

/// The property would hold of a journal that lets nothing through.
#[test]
fn what_enough_people_agreed_to_is_let_through_once() {
    let vote = |who, spelling| Event::Vote { request: 1, who, spelling, yes: true, only: None };
    let take = || Event::Take { of: 1, action: 0, policy: 0 };
    let ask =
        |quorum| Event::Ask { of: 1, actions: [0].into(), quorum, named: false, escalates: true };
    for known in [false, true] {
        assert_eq!(
            tell(known, vec![ask(1), vote(1, 0), take(), take(), Event::Restart, take()]),
            1
        );
        assert_eq!(tell(known, vec![ask(2), vote(1, 0), vote(1, 1), take()]), 0);
        assert_eq!(tell(known, vec![ask(2), vote(1, 0), vote(2, 1), Event::Restart, take()]), 1);
        let late = Event::Pass { minutes: 60 };
        assert_eq!(tell(known, vec![ask(1), vote(1, 0), late, take()]), 0);
        assert_eq!(tell(known, vec![ask(1), vote(0, 1), take()]), 0);
        let again = vec![ask(1), vote(1, 0), take(), ask(1), take()];
        assert_eq!(tell(known, again), 1, "asked again, it needs another yes");
    }
}
