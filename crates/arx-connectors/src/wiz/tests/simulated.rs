//! Reads from a faithful simulator that misbehaves on demand.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

use crate::scripted::{Outcome, read_simulated};
use crate::wiz::Wiz;

async fn read(faults: &str) -> Outcome {
    let params = json!({ "page_size": 25 });
    read_simulated(Arc::new(Wiz::default()), faults, json!(null), params).await
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_change_nothing_but_time() {
    let plain = read("").await;
    let value = plain.value.expect("a value");
    assert_eq!(value["complete"], json!(true));
    assert!(value["pages"].as_u64() > Some(3), "{value}");
    assert_eq!(value["findings"], json!(plain.rows.len()));

    let cases = [
        "wiz:expire-token@3",
        "wiz:token-life=1s",
        "wiz:429=0@2x2",
        "wiz:500@2x2",
        "wiz:503@2",
        "wiz:reset@2",
        "wiz:truncate@2",
        "wiz:cut@3",
        "wiz:graphql-error=UNAUTHENTICATED@2",
        "wiz:graphql-error=INTERNAL@2x2",
        "wiz:graphql-error=RATE_LIMIT_EXCEEDED@2x2",
        "wiz:latency=5ms%50",
    ];
    let outcomes = join_all(cases.map(read)).await;
    for (faults, outcome) in cases.into_iter().zip(outcomes) {
        assert_eq!(outcome.value.expect(faults), value, "{faults}");
        assert_eq!(outcome.rows, plain.rows, "{faults}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_that_lies_is_incomplete() {
    for faults in [
        "wiz:bad-paging=null@2",
        "wiz:bad-paging=repeat@2",
        "wiz:bad-paging=empty@2",
        "wiz:graphql-error=BAD_USER_INPUT@2",
        "wiz:graphql-error=INTERNAL@2x99",
    ] {
        let outcome = read(faults).await;
        let value = outcome.value.expect(faults);
        assert_eq!(value["complete"], json!(false), "{faults}");
        assert!(value["why"].is_string(), "{faults}");
        assert!(!outcome.rows.is_empty(), "{faults}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_cannot_begin_is_an_error() {
    for faults in ["wiz:graphql-error=UNAUTHORIZED", "wiz:graphql-error=FORBIDDEN_IP"] {
        let error = read(faults).await.value.expect_err(faults);
        assert!(error.to_string().contains("WIZ_CLIENT_ID"), "{faults}: {error}");
    }
}
