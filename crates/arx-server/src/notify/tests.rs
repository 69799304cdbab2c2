use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use arx_journal::{
    NewAction, NewApproval, NewNotification, NewRun, NotificationKind, Packed, StateDir, Vote,
    WorkflowVersion, World,
};
use arx_testkit::SimClock;
use arx_types::{ApprovalId, Digest, RiskClass, RunId};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const SECRET: &str = "CANARY-0123456789";

/// A status, with where to go or how long to wait.
type Answer = (u16, Option<&'static str>);

/// Somebody's service on this machine: what it was sent, and what it answers.
#[derive(Clone, Default)]
struct Service {
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Service {
    async fn start(&self) -> String {
        async fn take(
            State(service): State<Service>,
            headers: HeaderMap,
            body: Bytes,
        ) -> impl IntoResponse {
            service.got.lock().unwrap().push((headers, body));
            let (code, header) = service.answers.lock().unwrap().pop_front().unwrap_or((200, None));
            let mut answer = HeaderMap::new();
            if let Some(value) = header {
                let name = if code == 302 { "location" } else { "retry-after" };
                answer.insert(name, value.parse().unwrap());
            }
            (StatusCode::from_u16(code).unwrap(), answer)
        }
        let app = Router::new().fallback(take).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}/services/CANARY-path")
    }

    fn answers(&self, answers: &[Answer]) {
        self.answers.lock().unwrap().extend(answers);
    }

    fn n_got(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    fn body(&self, n: usize) -> Value {
        serde_json::from_slice(&self.got.lock().unwrap()[n].1).unwrap()
    }

    fn header(&self, n: usize, name: &str) -> String {
        self.got.lock().unwrap()[n].0.get(name).unwrap().to_str().unwrap().to_owned()
    }
}

struct Fixture {
    _directory: TempDir,
    clock: Arc<SimClock>,
    journal: Journal,
    slack: Service,
    webhook: Service,
    notifier: Notifier,
}

fn run() -> RunId {
    RunId::from_parts(1, 1)
}

fn approval() -> ApprovalId {
    ApprovalId::from_parts(1, 1)
}

impl Fixture {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let clock = Arc::new(SimClock::new());
        let state = StateDir::open(&directory.path().join("state")).unwrap();
        let dynamic: Arc<dyn arx_journal::Clock> = clock.clone();
        let journal = Journal::open(&state, dynamic).unwrap();
        let digest = Digest::of_bytes(b"demo");
        let version = WorkflowVersion {
            digest,
            name: "demo".to_owned(),
            manifest: String::new(),
            source: String::new(),
            policy_version: "p".to_owned(),
        };
        let empty = || Packed::json(&json!({})).unwrap();
        let new = NewRun {
            id: run(),
            workflow: "demo".to_owned(),
            version: digest,
            policy_version: "p".to_owned(),
            world: World::live(),
            actor: "schedule".to_owned(),
            inputs: empty(),
            args: empty(),
        };
        let action = NewAction {
            digest,
            operation: "pagerduty.incidents:create".parse().unwrap(),
            preview: empty(),
            effect_key: None,
            risk: None,
            reason: String::new(),
        };
        let request = NewApproval {
            id: approval(),
            run: run(),
            workflow: "demo".to_owned(),
            requester: "schedule".to_owned(),
            approvers: vec!["role:approver".to_owned()],
            quorum: 1,
            expires_at: "2026-01-03T00:00:00Z".parse().unwrap(),
            severity: RiskClass::High,
            escalate_to: Vec::new(),
            remind_at: None,
            escalate_at: None,
            actions: vec![action],
        };
        let set_up = move |tx: &mut arx_journal::Tx<'_>| {
            tx.put_workflow_version(&version)?;
            tx.start_run(&new)?;
            tx.request_approval(&request)
        };
        journal.write(set_up).await.unwrap();
        let (slack, webhook) = (Service::default(), Service::default());
        let pairs = [
            (SLACK_URL, slack.start().await),
            (WEBHOOK_URL, webhook.start().await),
            (WEBHOOK_SECRET, SECRET.to_owned()),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value));
        let url: Url = "https://arx.example.com/".parse().unwrap();
        let settings = Settings::new(&Environment::from_pairs(pairs), url).unwrap();
        let notifier = Notifier::new(journal.clone(), settings);
        Self { _directory: directory, clock, journal, slack, webhook, notifier }
    }

    async fn queue(&self, kind: NotificationKind) {
        let asks = !matches!(kind, NotificationKind::RunFailed);
        let payload = json!({
            "run": run(),
            "workflow": "demo",
            "world": "simulate:small",
            "severity": "HIGH",
            "requester": "<!channel> *bold*",
            "approvers": ["role:approver"],
            "quorum": 2,
            "expires_at": "2026-01-02T00:00:00.123456Z",
            "n_actions": 7,
            "actions": [{ "operation": "pagerduty.incidents:create", "effect": "demo/a&b/1", "risk": 85 }],
        });
        let new = NewNotification {
            kind,
            run: run(),
            approval: asks.then(approval),
            payload: Packed::json(&payload).unwrap(),
        };
        self.journal.write(move |tx| tx.queue_notification(&new)).await.unwrap();
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn deliver(&self) -> usize {
        self.notifier.deliver().await.unwrap()
    }

    fn counts(&self) -> (usize, usize) {
        (self.slack.n_got(), self.webhook.n_got())
    }
}

#[tokio::test]
async fn a_request_is_told_once_to_each_with_a_link_and_no_markup() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.deliver().await, 0);
    fixture.queue(NotificationKind::ApprovalRequested).await;
    assert_eq!(fixture.deliver().await, 2);
    fixture.pass(3600);
    assert_eq!((fixture.deliver().await, fixture.counts()), (0, (1, 1)));
    let slack = fixture.slack.body(0);
    let text = slack["text"].as_str().unwrap();
    assert_eq!(text, "[simulate:small] demo asks for approval of 7 actions (HIGH)");
    let all = slack["blocks"].to_string();
    let page = format!("https://arx.example.com/approvals/{}", approval());
    assert!(all.contains(&format!("<{page}|Look at it in ARX>")), "{all}");
    assert!(all.contains("demo/a&amp;b/1, risk 85") && all.contains("and 6 more"), "{all}");
    assert!(all.contains("&lt;!channel&gt;") && !all.contains("<!"), "{all}");
    assert!(!all.contains(" *bold*"), "{all}");
    assert!(all.contains("needs 2 of role:approver, until 2026-01-02T00:00:00Z"), "{all}");
    assert!(!all.contains("\"button\"") && !all.contains("\"actions\""), "a link, no button");
    let body = fixture.webhook.body(0);
    assert_eq!((&body["kind"], &body["url"]), (&json!("approval_requested"), &json!(page)));
    assert_eq!(body["n_actions"], 7);
}

#[tokio::test]
async fn the_signature_is_over_the_time_and_the_bytes() {
    let fixture = Fixture::new().await;
    fixture.queue(NotificationKind::RunFailed).await;
    fixture.deliver().await;
    let given = fixture.webhook.header(0, "x-arx-signature");
    let (at, mac) = given.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    assert_eq!(at, "1767225600");
    let body = fixture.webhook.got.lock().unwrap()[0].1.clone();
    let verify = |signed: &[u8]| {
        let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        key.chain_update(signed).verify_slice(&hex::decode(mac).unwrap()).is_ok()
    };
    assert!(verify(&[at.as_bytes(), b".", &body].concat()));
    assert!(!verify(&body), "the time is signed, too");
    assert!(fixture.webhook.body(0)["url"].as_str().unwrap().ends_with(run().as_str()));
    let id = fixture.webhook.header(0, "x-arx-delivery");
    assert_eq!(fixture.webhook.body(0)["id"], id.as_str());
}

#[tokio::test]
async fn what_was_not_taken_comes_again_the_same_and_nobody_else_hears_it_twice() {
    let fixture = Fixture::new().await;
    fixture.webhook.answers(&[(500, None), (302, Some("/elsewhere")), (503, Some("60"))]);
    fixture.queue(NotificationKind::RunFailed).await;
    assert_eq!((fixture.deliver().await, fixture.counts()), (1, (1, 1)));
    fixture.pass(4);
    assert_eq!((fixture.deliver().await, fixture.counts()), (0, (1, 1)), "too soon");
    fixture.pass(1);
    assert_eq!((fixture.deliver().await, fixture.counts()), (0, (1, 2)), "redirects end here");
    fixture.pass(10);
    assert_eq!((fixture.deliver().await, fixture.counts()), (0, (1, 3)));
    fixture.pass(59);
    assert_eq!((fixture.deliver().await, fixture.counts()), (0, (1, 3)), "it asked for a minute");
    fixture.pass(1);
    assert_eq!((fixture.deliver().await, fixture.counts()), (1, (1, 4)));
    fixture.pass(86_400);
    assert_eq!((fixture.deliver().await, fixture.counts()), (0, (1, 4)));
    let sent = fixture.webhook.got.lock().unwrap().clone();
    assert!(sent.iter().all(|(headers, body)| {
        *body == sent[0].1 && headers["x-arx-delivery"] == sent[0].0["x-arx-delivery"]
    }));
}

#[tokio::test]
async fn one_that_is_down_is_asked_once_for_all() {
    let fixture = Fixture::new().await;
    fixture.webhook.answers(&[(500, None)]);
    for _ in 0..3 {
        fixture.queue(NotificationKind::RunFailed).await;
    }
    assert_eq!((fixture.deliver().await, fixture.counts()), (3, (3, 1)));
    fixture.pass(5);
    assert_eq!((fixture.deliver().await, fixture.counts()), (3, (3, 4)));
}

#[tokio::test]
async fn nobody_is_asked_for_what_is_decided() {
    let fixture = Fixture::new().await;
    fixture.queue(NotificationKind::ApprovalReminder).await;
    let vote = |tx: &mut arx_journal::Tx<'_>| tx.vote(&approval(), "bob", &Vote::Approve, None);
    fixture.journal.write(vote).await.unwrap();
    fixture.queue(NotificationKind::ApprovalExpired).await;
    assert_eq!((fixture.deliver().await, fixture.counts()), (2, (1, 1)));
    assert_eq!(fixture.webhook.body(0)["kind"], "approval_expired");
}

#[tokio::test]
async fn no_secret_is_shown() {
    let fixture = Fixture::new().await;
    fixture.slack.answers(&[(404, None)]);
    fixture.queue(NotificationKind::RunFailed).await;
    fixture.deliver().await;
    let kept = fixture.journal.read_blocking(|reader| reader.notifications(10)).unwrap();
    let shown = format!("{:?} {kept:?}", fixture.notifier.settings);
    assert!(!shown.contains("CANARY"), "{shown}");
    assert!(shown.contains("the service answered 404"), "{shown}");
    let sent = fixture.webhook.got.lock().unwrap()[0].clone();
    assert!(!format!("{:?} {:?}", sent.0, sent.1).contains("CANARY"));
}

#[test]
fn what_cannot_work_is_told_at_the_start_without_the_values() {
    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: &str) {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let url: Url = "http://127.0.0.1:7717".parse().unwrap();
        let error = Settings::new(&Environment::from_pairs(pairs), url).unwrap_err().to_string();
        assert_eq!(error, expected);
    }
    let secret =
        "ARX_NOTIFY_WEBHOOK_URL needs ARX_NOTIFY_WEBHOOK_SECRET, of at least 16 characters";
    check(&[(WEBHOOK_URL, "https://example.com/x")], secret);
    check(&[(WEBHOOK_URL, "https://example.com/x"), (WEBHOOK_SECRET, "short")], secret);
    check(
        &[(SLACK_URL, "http://hooks.example.com/CANARY")],
        "ARX_NOTIFY_SLACK_URL is plain http to another machine; write `https://`",
    );
    check(
        &[(SLACK_URL, "CANARY")],
        "ARX_NOTIFY_SLACK_URL is not an address; write it as `https://host` or `https://host/path`",
    );
}
