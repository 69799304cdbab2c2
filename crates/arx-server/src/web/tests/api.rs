//! The API: its answers, its problems, its pages, and its description.

use arx_types::{Role, RunId};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::site::{HOSTILE, Site, WORKFLOW, ask};

#[test]
fn the_description_is_committed() {
    let committed = include_str!("../../../../../docs/spec/openapi.json");
    assert!(
        committed == crate::web::openapi(),
        "docs/spec/openapi.json is stale; run `cargo run -p arx-server --example openapi`"
    );
}

#[tokio::test]
async fn every_route_of_the_api_is_described() {
    let site = Site::new().await;
    let described: Value = serde_json::from_str(&crate::web::openapi()).unwrap();
    assert_eq!(described["openapi"], "3.1.0");
    let mut n_operations = 0;
    for rule in site.rules().iter().filter(|rule| rule.path.starts_with("/api/v1/")) {
        if rule.path.ends_with("openapi.json") {
            continue;
        }
        let method = rule.method.as_str().to_lowercase();
        let operation = &described["paths"][&rule.path][&method];
        assert!(operation["operationId"].is_string(), "{method} {} is not described", rule.path);
        assert!(operation["summary"].is_string() || operation["description"].is_string());
        n_operations += 1;
    }
    assert!(n_operations > 40);
    let served = site.get("/api/v1/openapi.json", None).await;
    assert_eq!(served.json(), described);
}

#[tokio::test]
async fn what_goes_wrong_is_a_problem_with_a_code() {
    let site = Site::new().await;
    let token = site.token(Role::Admin).await;
    #[track_caller]
    fn check(answer: &super::site::Answer, status: u16, code: &str) {
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["title"].is_string() && problem["type"] == "about:blank");
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.ends_with('.'), "{detail}");
    }
    let call = async |method: Method, path: &str, body: Option<Value>| {
        site.call(method, path, &token, body).await
    };
    check(&call(Method::GET, "/api/v1/none", None).await, 404, "ARX-E010");
    check(&call(Method::GET, "/api/v1/runs/none", None).await, 404, "ARX-E010");
    let unknown = format!("/api/v1/runs/{}", RunId::from_parts(1, 1));
    check(&call(Method::GET, &unknown, None).await, 404, "ARX-E010");
    check(&call(Method::PUT, "/api/v1/runs", None).await, 405, "ARX-E001");
    check(&call(Method::GET, "/api/v1/runs?status=none", None).await, 422, "ARX-E001");
    check(&call(Method::GET, "/api/v1/runs?cursor=none", None).await, 422, "ARX-E001");
    check(&call(Method::GET, "/api/v1/runs?limit=many", None).await, 400, "ARX-E001");
    check(&call(Method::GET, "/api/v1/runs?limit=0", None).await, 400, "ARX-E001");
    check(&call(Method::POST, "/api/v1/audit/verify", Some(json!([]))).await, 422, "ARX-E001");
    check(&call(Method::GET, "/api/v1/audit/leaves?kind=none", None).await, 422, "ARX-E001");
    check(&call(Method::GET, "/api/v1/audit/consistency?from=9999", None).await, 422, "ARX-E001");
    let vote = format!("/api/v1/approvals/{}/votes", site.approval);
    check(&call(Method::POST, &vote, Some(json!({ "vote": "perhaps" }))).await, 422, "ARX-E001");
    check(&call(Method::POST, &vote, Some(json!({ "vote": "deny" }))).await, 422, "ARX-E001");
    check(&call(Method::POST, &vote, None).await, 415, "ARX-E001");
    let raw = |body: Vec<u8>| {
        ask(Method::POST, &vote)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap()
    };
    check(&site.send(raw(b"{ not json".to_vec())).await, 400, "ARX-E001");
    check(&site.send(raw(vec![b' '; 2 * 1024 * 1024])).await, 413, "ARX-E001");
    let register = json!({ "manifest": "kind: Nothing", "source": "" });
    check(&call(Method::POST, "/api/v1/workflows", Some(register)).await, 422, "ARX-E006");
    check(&site.get("/api/v1/runs", None).await, 401, "ARX-E003");
    check(&site.get("/api/v1/people", Some(Role::Viewer)).await, 403, "ARX-E003");
    let pause = "/api/v1/workflows/none/pause";
    check(&call(Method::POST, pause, None).await, 404, "ARX-E010");
}

#[tokio::test]
async fn programs_read_and_decide() {
    let site = Site::new().await;
    let token = site.token(Role::Approver).await;
    let get = async |path: &str| site.call(Method::GET, path, &token, None).await.json();
    // Every kind that the log knows can be asked for.
    for kind in [
        "run", "decision", "approval", "intent", "outcome", "merge", "episode", "register", "stop",
        "settle", "schedule", "identity",
    ] {
        let page = get(&format!("/api/v1/audit/leaves?kind={kind}")).await;
        assert!(page["items"].is_array(), "{kind}: {page}");
    }
    let overview = get("/api/v1/overview").await;
    assert_eq!(overview["n_waiting"]["n"], 1);
    assert_eq!(overview["n_attention"]["n"], 1);
    assert_eq!(overview["stops"][0]["workflow"], WORKFLOW);
    assert_eq!(get("/api/v1/effects/attention").await["items"][0]["state"], "unknown");
    let run = get(&format!("/api/v1/runs/{}", site.run)).await;
    assert_eq!((&run["status"], &run["figures"]["counts"]["paged"]), (&json!("parked"), &json!(1)));
    assert_eq!(get(&format!("/api/v1/runs/{}/items", site.run)).await["items"][0]["n"], 0);
    let timeline = get(&format!("/api/v1/runs/{}/timeline", site.run)).await;
    assert_eq!(timeline["items"][0]["leaf"]["kind"], "run");
    let workflow = get(&format!("/api/v1/workflows/{WORKFLOW}")).await;
    assert_eq!(workflow["schedule"]["next"].as_array().unwrap().len(), 5);
    assert_eq!(
        get(&format!("/api/v1/workflows/{WORKFLOW}/fires")).await["items"][0]["state"],
        "waiting"
    );

    let vote = format!("/api/v1/approvals/{}/votes", site.approval);
    let some = json!({ "vote": "approve", "actions": [0, 2] });
    let answer = site.call(Method::POST, &vote, &token, Some(some)).await;
    assert_eq!(answer.json()["decided"], json!([0, 2]), "{}", answer.text);
    let rest = json!({ "vote": "deny", "reason": "too many" });
    let answer = site.call(Method::POST, &vote, &token, Some(rest)).await.json();
    assert_eq!(answer, json!({ "state": "approved", "decided": [1], "quorum": 1 }));
    let leaf = get("/api/v1/audit/leaves?kind=approval&limit=1").await;
    assert_eq!(leaf["items"][0]["leaf"]["actor"], "apo");
    let seq = leaf["items"][0]["seq"].as_u64().unwrap();
    let proof = get(&format!("/api/v1/audit/leaves/{seq}")).await;
    assert_eq!((&proof["holds"], &proof["seq"]), (&json!(true), &json!(seq)));
    let consistency = get("/api/v1/audit/consistency?from=3").await;
    assert_eq!(consistency["holds"], true);
}

#[tokio::test]
async fn a_list_is_read_by_page_to_its_end() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer).await;
    let all = site.call(Method::GET, "/api/v1/audit/leaves?limit=200", &token, None).await.json();
    let all: Vec<u64> = seqs(&all);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/audit/leaves?limit=3{cursor}");
        let page = site.call(Method::GET, &path, &token, None).await.json();
        let items = seqs(&page);
        assert!(items.len() <= 3);
        seen.extend(items);
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let found = async |query: &str| {
        let path = format!("/api/v1/audit/leaves?{query}");
        seqs(&site.call(Method::GET, &path, &token, None).await.json())
    };
    assert!(found("text=ONERROR").await.len() < all.len());
    assert_eq!(found("text=found-nowhere").await, [0_u64; 0]);
    assert_eq!(found("actor=nobody").await, [0_u64; 0]);
    let hostile: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let by_hostile = found(&format!("actor={hostile}&workflow={WORKFLOW}")).await;
    assert!(by_hostile.len() >= 4 && by_hostile.len() < all.len(), "{by_hostile:?}");
}

fn seqs(page: &Value) -> Vec<u64> {
    page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn what_became_wider_has_to_be_accepted() {
    let site = Site::new().await;
    let token = site.token(Role::Admin).await;
    let path = format!("/api/v1/workflows/{WORKFLOW}");
    let manifest =
        include_str!("../../../../../library/workflows/critical-vuln-escalation/arx.yaml");
    let wider = manifest.replace("max: 50", "max: 5000");
    assert_ne!(wider, manifest);
    let body = |more: Value| {
        let mut body = json!({ "manifest": wider, "source": "async def main():\n    pass\n" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Some(body)
    };
    let post = async |body| site.call(Method::POST, "/api/v1/workflows", &token, body).await;
    let review = post(body(json!({ "review": true }))).await.json();
    assert_eq!((&review["registered"], &review["n_wider"]), (&json!(false), &json!(1)), "{review}");
    assert_eq!(post(body(json!({}))).await.status, StatusCode::CONFLICT);
    let done = post(body(json!({ "accept_wider": true }))).await.json();
    assert_eq!(done["registered"], true);
    let now = site.call(Method::GET, &path, &token, None).await.json();
    assert_eq!(now["registered"]["version"], done["version"]);
}
