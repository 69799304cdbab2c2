//! A connector that does what a test says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arx_gateway::http::parse_base;
use arx_gateway::{
    Auth, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError, Request, Settlement,
    Variable, Variables,
};
use arx_types::{Access, OperationSpec, RiskClass};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

const fn operation(name: &'static str, access: Access, implemented: bool) -> OperationSpec {
    let class = match access {
        Access::Read => RiskClass::Low,
        Access::Write => RiskClass::Medium,
    };
    OperationSpec { name, class, access, targeted: false, implemented, summary: "for tests" }
}

pub static SPEC: ConnectorSpec = ConnectorSpec {
    name: "desk",
    title: "Desk",
    variables: &[
        Variable { name: "DESK_URL", required: true, secret: false },
        Variable { name: "DESK_TOKEN", required: true, secret: true },
    ],
    operations: &[
        operation("notes:read", Access::Read, true),
        operation("notes:create", Access::Write, true),
        operation("notes:change", Access::Write, true),
        operation("notes:delete", Access::Write, false),
    ],
    hosts: &[".desk.example"],
    rate: None,
    in_flight_max: 4,
    settle_for: Duration::from_millis(50),
};

/// What `perform` does next.
pub enum Do {
    Answer(Value),
    Fail(CallError),
    /// Sends a POST that may have an effect, and tells what came.
    Post,
    /// The same, good for no time at all.
    PostAtOnce,
    /// Sends a GET.
    Get,
}

#[derive(Default)]
pub struct Desk {
    pub performs: Mutex<VecDeque<Do>>,
    pub settlements: Mutex<VecDeque<Settlement>>,
    pub performed: Mutex<Vec<Value>>,
    pub looked: Mutex<u32>,
}

impl Desk {
    pub fn new(performs: Vec<Do>, settlements: Vec<Settlement>) -> Arc<Self> {
        Arc::new(Self {
            performs: Mutex::new(performs.into()),
            settlements: Mutex::new(settlements.into()),
            ..Self::default()
        })
    }

    pub fn n_performed(&self) -> usize {
        self.performed.lock().unwrap().len()
    }
}

pub fn environment(url: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("DESK_URL".to_owned(), url.to_owned()),
        ("DESK_TOKEN".to_owned(), "canary-3f9a1c".to_owned()),
    ])
}

pub fn unknown() -> CallError {
    CallError::OutcomeUnknown { vendor: "Desk", message: "no reply".to_owned() }
}

pub fn refused() -> CallError {
    CallError::Refused { vendor: "Desk", status: Some(400), message: "no".to_owned() }
}

#[async_trait]
impl Connector for Desk {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    fn endpoint(&self, variables: &Variables, _: &Value) -> Result<Endpoint, EndpointError> {
        let base = parse_base("DESK_URL", variables.get("DESK_URL").unwrap_or_default())?;
        let auth = Auth::Authorization { prefix: "Bearer ", credential: "DESK_TOKEN" };
        Ok(Endpoint { base, auth })
    }

    async fn probe(&self, call: Call<'_>) -> Result<(), CallError> {
        let reply = call.http.send(call.permit, Request::get("/me")).await;
        match reply {
            Ok(reply) if reply.is_success() => Ok(()),
            Ok(reply) => Err(call.refused(&reply, &reply.excerpt())),
            Err(error) => Err(call.failed(error)),
        }
    }

    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError> {
        self.performed.lock().unwrap().push(call.params.clone());
        let next = self.performs.lock().unwrap().pop_front().expect("one call fewer");
        let request = match next {
            Do::Answer(value) => return Ok(value),
            Do::Fail(error) => return Err(error),
            Do::Post => Request::post("/notes").json(&json!({ "text": "x" })),
            Do::PostAtOnce => {
                Request::post("/notes").json(&json!({ "text": "x" })).fresh_for(Duration::ZERO)
            }
            Do::Get => Request::get("/notes"),
        };
        match call.http.send(call.permit, request).await {
            Ok(reply) if reply.is_success() => {
                Ok(json!({ "status": reply.status, "body": reply.excerpt() }))
            }
            Ok(reply) => Err(call.refused(&reply, &reply.excerpt())),
            Err(error) => Err(call.failed(error)),
        }
    }

    async fn settle(&self, _: Call<'_>, _: Timestamp, _: bool) -> Result<Settlement, CallError> {
        *self.looked.lock().unwrap() += 1;
        let mut settlements = self.settlements.lock().unwrap();
        // The last one is what the vendor goes on saying.
        let next = match settlements.len() {
            0 => Settlement::Unknown { why: "the desk cannot tell".to_owned() },
            1 => settlements[0].clone(),
            _ => settlements.pop_front().unwrap(),
        };
        Ok(next)
    }
}
