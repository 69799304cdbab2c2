//! A text that a vendor or a workflow gave stays a text, wherever it is shown.

use arx_types::Role;
use axum::http::Method;

use super::site::{HOSTILE, Site, WORKFLOW};

/// Every page that shows something of the record.
fn paths(site: &Site) -> Vec<String> {
    let item: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    vec![
        "/".to_owned(),
        "/runs".to_owned(),
        format!("/runs?workflow={item}"),
        format!("/runs/{}", site.run),
        format!("/runs/{}/steps", site.run),
        format!("/runs/{}/item?id={item}", site.run),
        "/approvals".to_owned(),
        format!("/approvals/{}", site.approval),
        "/workflows".to_owned(),
        format!("/workflows/{WORKFLOW}"),
        "/effects".to_owned(),
        format!(
            "/effects/settle?world=simulate:default&effect={WORKFLOW}%2FCVE-2026-0001%2F1%2Fpage"
        ),
        "/audit".to_owned(),
        format!("/audit?text={item}&actor={item}&workflow={item}"),
        "/audit/leaf/4".to_owned(),
        "/people".to_owned(),
        "/tokens".to_owned(),
        // What is not there is named in the answer.
        format!("/workflows/{}", item.replace('+', "%20")),
        format!("/runs/{}/item?id=none{item}", site.run),
    ]
}

#[tokio::test]
async fn what_strangers_say_is_never_markup() {
    let site = Site::new().await;
    for path in paths(&site) {
        let answer = site.get(&path, Some(Role::Admin)).await;
        let page = &answer.text;
        assert!(!answer.status.is_server_error(), "{path}: {page}");
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
        assert!(!page.contains("<script>"), "{path}");
        assert!(!page.contains("<img src=x"), "{path}");
        assert!(!page.contains("href=\"javascript:"), "{path}");
        assert!(!page.contains("\" onerror"), "{path}");
        assert!(!page.chars().any(|c| matches!(c, '\u{202e}' | '\u{200b}')), "{path}");
        assert!(!page.contains(" style="), "{path}: a style that the policy refuses");
        assert!(!page.contains(" onclick="), "{path}");
    }
    // And it is shown all the same.
    let page = site.get(&format!("/runs/{}", site.run), Some(Role::Admin)).await.text;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains("\\u{202e}gnp.exe"));
}

#[tokio::test]
async fn every_answer_says_how_it_may_be_used() {
    let site = Site::new().await;
    let mut paths = paths(&site);
    paths.extend(
        ["/sign-in", "/healthz", "/none", "/api/v1/none", "/api/v1/runs"].map(str::to_owned),
    );
    for path in paths {
        for who in [None, Some(Role::Viewer)] {
            let answer = site.get(&path, who).await;
            let csp = answer.header("content-security-policy");
            assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"));
            assert!(!csp.contains("unsafe"), "{csp}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
            assert_eq!(answer.header("x-request-id").len(), 26, "{path}");
            assert_eq!(answer.header("strict-transport-security"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn files_are_kept_by_browsers_for_good() {
    let site = Site::new().await;
    let page = site.get("/sign-in", None).await.text;
    let style = page.split('"').find(|part| part.ends_with("style.css")).unwrap();
    let answer = site.get(style, None).await;
    assert!(answer.header("cache-control").contains("immutable"));
    assert!(answer.header("content-type").starts_with("text/css"));
    let other = site.get("/assets/0000000000000000/style.css", None).await;
    assert_eq!(other.status, 404);
    let head = super::site::ask(Method::HEAD, style).body(axum::body::Body::empty()).unwrap();
    assert_eq!(site.send(head).await.status, 200);
}
