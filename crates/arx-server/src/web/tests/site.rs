//! A daemon's console over a small record, with somebody of every role.

use std::net::SocketAddr;
use std::sync::Arc;

use arx_audit::LeafKind;
use arx_engine::registry;
use arx_gateway::Budgets;
use arx_journal::people::NewSession;
use arx_journal::{
    Journal, LeafDraft, NewAction, NewApproval, NewIntent, NewReport, NewRun, Packed, Process,
    Settlement, StateDir, World,
};
use arx_testkit::TestEnv;
use arx_types::{ApprovalId, Digest, EffectKey, EffectState, RiskClass, Role, RunId, RunStatus};
use arx_workflow::bundle::{Bundle, parse};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::identity::{Identity, Via};
use crate::web::views::permission::specs;
use crate::web::{Peer, Rule, Settings};
use crate::{App, daemon};

/// What a text looks like that wants to be more than a text.
pub(super) const HOSTILE: &str =
    "<script>alert(1)</script>\"><img src=x onerror=alert(2)>'\u{202e}gnp.exe\u{200b}&lt;b&gt;";
pub(super) const WORKFLOW: &str = "critical-vuln-escalation";
const MANIFEST: &str =
    include_str!("../../../../../library/workflows/critical-vuln-escalation/arx.yaml");
const SOURCE: &str =
    include_str!("../../../../../library/workflows/critical-vuln-escalation/workflow.py");

pub(super) struct Site {
    pub(super) app: App,
    pub(super) settings: Settings,
    pub(super) router: Router,
    pub(super) run: RunId,
    pub(super) approval: ApprovalId,
    _env: TestEnv,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}

impl Site {
    pub(super) async fn new() -> Self {
        Self::with(|settings| settings).await
    }

    pub(super) async fn with(set: impl FnOnce(Settings) -> Settings) -> Self {
        let env = TestEnv::new().unwrap();
        let journal = env.journal().unwrap();
        let process = Arc::new(Process::register(&StateDir::open(&env.state()).unwrap()).unwrap());
        let handle = daemon::Handle::new(journal.clone(), process.clone(), Budgets::default());
        let app = App {
            identity: Arc::new(Identity::new(journal.clone())),
            journal: journal.clone(),
            process,
            world: World::simulate("default"),
            daemon: handle,
        };
        let settings = set(Settings {
            listen: "127.0.0.1:7717".parse().unwrap(),
            public_url: None,
            tls: false,
        });
        people(&journal);
        register(&journal).await;
        let (run, approval) = record(&journal);
        let router = crate::web::router(app.clone(), settings.clone());
        Self { app, settings, router, run, approval, _env: env }
    }

    pub(super) fn rules(&self) -> Vec<Rule> {
        crate::web::rules(self.app.clone(), self.settings.clone())
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let is_stream = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.to_str().unwrap().starts_with("text/event-stream"));
        let text = if is_stream {
            String::new()
        } else {
            let bytes = axum::body::to_bytes(body, 64 * 1024 * 1024).await.unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// A request as a browser of somebody makes it when they look.
    pub(super) async fn get(&self, path: &str, who: Option<Role>) -> Answer {
        let mut request = ask(Method::GET, path);
        if let Some(role) = who {
            request = request.header(header::COOKIE, format!("arx={}", cookie(role)));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A form as the browser of somebody sends it from one of our pages.
    pub(super) async fn post(&self, path: &str, who: Role, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf(who).await;
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        let request = ask(Method::POST, path)
            .header(header::COOKIE, format!("arx={}", cookie(who)))
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(encoded(&all))).unwrap()).await
    }

    /// A request of a program.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request =
            ask(method, path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(super) async fn csrf(&self, who: Role) -> String {
        let caller = self.app.identity.session(&cookie(who)).await.unwrap().unwrap();
        match caller.via {
            Via::Session { csrf } => csrf,
            Via::Token { .. } => unreachable!("a cookie is a session"),
        }
    }

    /// An API token of somebody.
    pub(super) async fn token(&self, who: Role) -> String {
        use secrecy::ExposeSecret as _;
        let caller = self.app.identity.session(&cookie(who)).await.unwrap().unwrap();
        let day = std::time::Duration::from_secs(86_400);
        let made = self.app.identity.new_token(&caller, "a test", who, day).await.unwrap();
        made.secret.expose_secret().to_owned()
    }
}

pub(super) fn ask(method: Method, path: &str) -> axum::http::request::Builder {
    let peer: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "127.0.0.1:7717")
        .extension(Peer(peer))
}

pub(super) fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub(super) fn name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "vic",
        Role::Approver => "apo",
        Role::Admin => "ada",
    }
}

/// The session of somebody, as their browser has it.
pub(super) fn cookie(role: Role) -> String {
    format!("arxs_{:0<43}", name(role))
}

fn people(journal: &Journal) {
    let add = |tx: &mut arx_journal::Tx<'_>| {
        for role in Role::ALL {
            tx.add_person(name(role), role, "arx").unwrap();
            let session = NewSession {
                digest: Digest::of_bytes(cookie(role).as_bytes()),
                expires_at: tx.now() + SignedDuration::from_hours(24),
                from: None,
            };
            tx.start_session(name(role), &session).unwrap();
        }
        Ok(())
    };
    journal.write_blocking(add).unwrap();
}

async fn register(journal: &Journal) {
    let catalogue: Vec<_> = specs().iter().map(|spec| (spec.name, spec.operations)).collect();
    let manifest = parse("arx.yaml", MANIFEST, &catalogue).unwrap();
    let bundle = Bundle::new(manifest, MANIFEST.to_owned(), SOURCE.to_owned());
    let review = registry::review(journal, bundle, &specs()).await.unwrap();
    registry::register(journal, &review, HOSTILE).await.unwrap();
    registry::fire_now(journal, &World::simulate("default"), WORKFLOW, HOSTILE).await.unwrap();
}

fn packed(value: &Value) -> Packed {
    Packed::json(value).unwrap()
}

/// A parked run with a report, a request for approval, an effect that nobody could find out about,
/// and a stop that was lifted; every text of it is hostile.
fn record(journal: &Journal) -> (RunId, ApprovalId) {
    let run = RunId::from_parts(1_767_225_600_000, 7);
    let approval = ApprovalId::from_parts(1_767_225_600_000, 8);
    let (of, asked) = (run.clone(), approval.clone());
    let fill = move |tx: &mut arx_journal::Tx<'_>| {
        let version = tx.registration(WORKFLOW)?.unwrap().version;
        let world = World::simulate("default");
        let id = of.clone();
        tx.start_run(&NewRun {
            id: id.clone(),
            workflow: WORKFLOW.to_owned(),
            version,
            policy_version: "p".to_owned(),
            world: world.clone(),
            actor: HOSTILE.to_owned(),
            inputs: packed(&json!({ "label": HOSTILE })),
            args: packed(&json!({ "dry_run": false })),
        })?;
        let operation: arx_types::Operation = "pagerduty.incidents:create".parse().unwrap();
        let leaf = |kind, status: &str| {
            LeafDraft::new(kind, HOSTILE)
                .of_run(&id, WORKFLOW, &version, "p")
                .status(status)
                .with("reason", HOSTILE)
                .with("error", HOSTILE)
        };
        tx.append_leaf(leaf(LeafKind::Run, "started"))?;
        let params = json!({ "title": HOSTILE, "url": format!("javascript:{HOSTILE}") });
        let action = |n: u8| NewAction {
            digest: Digest::of_bytes(&[n]),
            operation: operation.clone(),
            preview: packed(&json!({
                "params": params, "rule": HOSTILE, "reasons": [HOSTILE],
                "lineage": [format!("vulnerability:{HOSTILE}"), HOSTILE],
            })),
            effect_key: None,
            risk: Some(packed(&json!({
                "class": "MEDIUM", "raw": 35, "score": 35,
                "factors": [{ "name": HOSTILE, "points": 25, "on": HOSTILE }],
            }))),
            reason: HOSTILE.to_owned(),
        };
        tx.request_approval(&NewApproval {
            expires_at: tx.now() + SignedDuration::from_hours(1),
            actions: vec![action(1), action(2), action(3)],
            ..approval_of(&asked, &id)
        })?;
        let key: EffectKey = format!("{WORKFLOW}/CVE-2026-0001/1/page").parse().unwrap();
        let intent = NewIntent {
            world: world.clone(),
            key: key.clone(),
            run: id.clone(),
            workflow: WORKFLOW.to_owned(),
            operation: operation.clone(),
            params_sha256: Digest::of_bytes(b"p"),
            params: packed(&params),
            covers: Vec::new(),
        };
        tx.intend_effect(&intent, leaf(LeafKind::Intent, "intended"))?;
        let settlement = Settlement {
            state: EffectState::Unknown,
            attempt: 1,
            result: Some(packed(&params)),
            detail: Some(HOSTILE.to_owned()),
        };
        tx.settle_effect(&world, &key, &settlement, leaf(LeafKind::Outcome, "unknown"))?;
        let report = json!({
            "sources": [{ "source": HOSTILE, "findings_read": 3, "complete": false, "why": HOSTILE }],
            "warnings": [HOSTILE],
            "needs_attention": [{ "effect": HOSTILE, "why": HOSTILE }],
            "error": { "kind": HOSTILE, "message": HOSTILE, "traceback": HOSTILE, "hint": HOSTILE },
            "items": [{
                "id": HOSTILE, "title": HOSTILE, "outcomes": ["paged", HOSTILE],
                "incident": format!("javascript:{HOSTILE}"), "ticket": HOSTILE,
                "error": { "message": HOSTILE },
            }],
        });
        let figures = json!({
            "findings_read": 3, "merged": 1, "counts": { "paged": 1 }, "error": HOSTILE,
        });
        let report =
            NewReport { report: packed(&report), figures: packed(&figures), minutes_saved: 30 };
        tx.put_report(&id, &report)?;
        tx.set_run_status(&id, RunStatus::Parked)?;
        tx.stop_workflow(WORKFLOW, HOSTILE, HOSTILE)?;
        Ok(())
    };
    journal.write_blocking(fill).unwrap();
    (run, approval)
}

fn approval_of(id: &ApprovalId, run: &RunId) -> NewApproval {
    NewApproval {
        id: id.clone(),
        run: run.clone(),
        workflow: WORKFLOW.to_owned(),
        requester: HOSTILE.to_owned(),
        approvers: vec!["role:approver".to_owned()],
        quorum: 1,
        expires_at: jiff::Timestamp::MAX,
        severity: RiskClass::Medium,
        escalate_to: Vec::new(),
        remind_at: None,
        escalate_at: None,
        actions: Vec::new(),
    }
}
