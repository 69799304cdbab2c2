//! The gate's own cost for one permitted write: bind, score, decide with twenty rules, record
//! decision and intent, record the outcome. The connector answers at once, and the journal is on
//! a memory file system where there is one, so that no disk is measured.
//!
//! `cargo bench -p arx-gateway`
#![expect(clippy::expect_used, reason = "a broken bench ends at once")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arx_gateway::http::parse_base;
use arx_gateway::{
    Auth, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError, Settlement, Variable,
    Variables,
};
use arx_testkit::TestGate;
use arx_types::{Access, OperationSpec, RiskClass};
use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Value, json};

/// Actions in one measured batch, all at once, as a workflow's `gather` makes them.
const BATCH: u64 = 256;

static SPEC: ConnectorSpec = ConnectorSpec {
    name: "desk",
    title: "Desk",
    variables: &[Variable { name: "DESK_TOKEN", required: true, secret: true }],
    operations: &[OperationSpec {
        name: "notes:create",
        class: RiskClass::Medium,
        access: Access::Write,
        targeted: false,
        implemented: true,
        summary: "for the bench",
    }],
    hosts: &[],
    rate: None,
    in_flight_max: 1024,
    settle_for: std::time::Duration::ZERO,
};

struct Desk;

#[async_trait]
impl Connector for Desk {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    fn endpoint(&self, _: &Variables, _: &Value) -> Result<Endpoint, EndpointError> {
        let base = parse_base("DESK_URL", "http://127.0.0.1:9")?;
        Ok(Endpoint { base, auth: Auth::Authorization { prefix: "", credential: "DESK_TOKEN" } })
    }

    async fn probe(&self, _: Call<'_>) -> Result<(), CallError> {
        Ok(())
    }

    async fn perform(&self, _: Call<'_>) -> Result<Value, CallError> {
        Ok(json!({ "id": "N1", "url": "http://127.0.0.1:9/N1" }))
    }

    async fn settle(
        &self,
        _: Call<'_>,
        _: jiff::Timestamp,
        _: bool,
    ) -> Result<Settlement, CallError> {
        Ok(Settlement::Absent)
    }
}

fn main() {
    divan::main();
}

fn policy() -> Value {
    let mut rules: Vec<Value> = (0..19)
        .map(|n| {
            json!({
                "name": format!("other-{n}"), "effect": "deny",
                "connector": format!("{{a{n},b{n}}}"), "operation": "*:{delete,write}",
            })
        })
        .collect();
    rules.push(json!({ "name": "all", "effect": "permit", "connector": "desk", "operation": "*" }));
    json!({ "risk_threshold": 100, "rules": rules })
}

#[divan::bench(sample_count = 20)]
fn permitted_write(bencher: divan::Bencher<'_, '_>) {
    if Path::new("/dev/shm").is_dir() {
        // A journal on a disk would measure the disk.
        tempfile::env::override_temp_dir(Path::new("/dev/shm")).ok();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let environment = [("DESK_TOKEN".to_owned(), "token".to_owned())].into();
    let gate =
        runtime.block_on(TestGate::under(policy(), Arc::new(Desk), environment, Value::Null, None));
    let n = AtomicU64::new(0);
    bencher.counter(divan::counter::ItemsCount::new(BATCH)).bench(|| {
        runtime.block_on(async {
            let first = n.fetch_add(BATCH, Ordering::Relaxed);
            let calls = (first..first + BATCH).map(|n| {
                let params = json!({ "title": "CVE-2021-44228 Apache Log4j2", "n": n });
                let gate = &gate;
                async move { gate.write("desk.notes:create", params, &format!("v{n}/1/note")).await }
            });
            for reply in join_all(calls).await {
                reply.expect("a permitted write");
            }
        });
    });
}
