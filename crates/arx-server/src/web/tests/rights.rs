//! Every route as everybody: nobody, a viewer, an approver, an admin, and tokens of each.

use arx_types::Role;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::site::{Site, WORKFLOW, ask, cookie};
use crate::web::routes::Speaks;
use crate::web::{Needs, Rule};

/// A path of the table with something that is there in the place of each name.
fn filled(site: &Site, rule: &Rule) -> String {
    rule.path
        .replace("/runs/{id}", &format!("/runs/{}", site.run))
        .replace("/approvals/{id}", &format!("/approvals/{}", site.approval))
        .replace("/tokens/{id}", "/tokens/tok_01J00000000000000000000000")
        .replace("/workflows/{name}/{act}", &format!("/workflows/{WORKFLOW}/none"))
        .replace("/people/{name}/{act}", "/people/vic/none")
        .replace("/workflows/{name}", &format!("/workflows/{WORKFLOW}"))
        .replace("/people/{name}", "/people/nobody-of-this-name")
        .replace("{seq}", "0")
        .replace("{digest}", "0")
        .replace("{name}", "none")
        .replace("{link}", "arxl_none")
}

fn allowed(needs: Needs, role: Option<Role>) -> bool {
    match needs {
        Needs::Nothing | Needs::OwnPage => true,
        Needs::ViewerOrLoopback => role.is_some(),
        Needs::Role(needed) => role.is_some_and(|role| role >= needed),
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let site = Site::new().await;
    let rules = site.rules();
    assert!(rules.len() > 75, "{} routes", rules.len());
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role, site.token(role).await));
    }
    for rule in &rules {
        let path = filled(&site, rule);
        assert!(!path.contains('{'), "{path} is not filled in");
        for role in [None, Some(Role::Viewer), Some(Role::Approver), Some(Role::Admin)] {
            for by_token in [false, true] {
                let token = tokens.iter().find(|(of, _)| Some(*of) == role).map(|(_, token)| token);
                let mut request = ask(rule.method.clone(), &path);
                match (by_token, role, token) {
                    (true, Some(_), Some(token)) => {
                        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                    }
                    (false, Some(role), _) => {
                        request = request
                            .header(header::COOKIE, format!("arx={}", cookie(role)))
                            .header("x-csrf-token", site.csrf(role).await)
                            .header("sec-fetch-site", "same-origin");
                    }
                    // Something that looks like a token and is none.
                    (true, None, _) => {
                        request = request.header(header::AUTHORIZATION, "Bearer arxt_guessed");
                    }
                    (false, None, _) | (true, Some(_), None) => {
                        request = request.header("sec-fetch-site", "same-origin");
                    }
                }
                // Whoever signs out ends the session that the other requests of this test need.
                if rule.path == "/sign-out" && role.is_some() {
                    continue;
                }
                let answer = site.send(request.body(Body::empty()).unwrap()).await;
                let what = format!("{} {path} as {role:?} by_token={by_token}", rule.method);
                let is_turned_away = match (role, rule.speaks) {
                    (None, Speaks::Html) => {
                        answer.status == StatusCode::SEE_OTHER
                            && answer.header("location").starts_with("/sign-in")
                    }
                    (None, Speaks::Json) => answer.status == StatusCode::UNAUTHORIZED,
                    (Some(_), _) => {
                        answer.status == StatusCode::FORBIDDEN && answer.text.contains("this needs")
                    }
                };
                assert_eq!(!is_turned_away, allowed(rule.needs, role), "{what}: {}", answer.status);
                // The daemon of this test never looks at the record.
                let may_fail = rule.path == "/readyz";
                assert!(may_fail || !answer.status.is_server_error(), "{what}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_does_not_mean_it_changes_nothing() {
    let site = Site::new().await;
    let csrf = site.csrf(Role::Admin).await;
    let other = site.csrf(Role::Approver).await;
    let paths: Vec<String> = site
        .rules()
        .iter()
        .filter(|rule| rule.method != Method::GET && matches!(rule.needs, Needs::Role(_)))
        .map(|rule| format!("{} {}", rule.method, filled(&site, rule)))
        .collect();
    let before = site.app.journal.read(|reader| reader.tree_size()).await.unwrap();
    for path in &paths {
        let (method, path) = path.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        for (token, headers) in [
            // No token, another session's, one that was cut.
            (None, vec![("sec-fetch-site", "same-origin")]),
            (Some(other.as_str()), vec![("sec-fetch-site", "same-origin")]),
            (csrf.get(..10), vec![("sec-fetch-site", "same-origin")]),
            // The right token, from elsewhere, or from nowhere that the browser would name.
            (Some(csrf.as_str()), vec![("sec-fetch-site", "cross-site")]),
            (Some(csrf.as_str()), vec![("sec-fetch-site", "same-site")]),
            (Some(csrf.as_str()), vec![("origin", "https://evil.example")]),
            (Some(csrf.as_str()), vec![("origin", "null")]),
            (Some(csrf.as_str()), vec![]),
        ] {
            let mut request = ask(method.clone(), path)
                .header(header::COOKIE, format!("arx={}", cookie(Role::Admin)));
            if let Some(token) = token {
                request = request.header("x-csrf-token", token);
            }
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let answer = site.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} {headers:?}");
        }
    }
    let after = site.app.journal.read(|reader| reader.tree_size()).await.unwrap();
    assert_eq!(before, after, "something was recorded");
}

#[tokio::test]
async fn nothing_that_is_looked_at_is_recorded() {
    let site = Site::new().await;
    let before = site.app.journal.read(|reader| reader.tree_size()).await.unwrap();
    for rule in site.rules().iter().filter(|rule| rule.method == Method::GET) {
        site.get(&filled(&site, rule), Some(Role::Admin)).await;
    }
    let after = site.app.journal.read(|reader| reader.tree_size()).await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn another_host_name_is_not_answered() {
    let site = Site::new().await;
    for (host, expected) in [
        ("127.0.0.1:7717", StatusCode::OK),
        ("localhost:7717", StatusCode::OK),
        ("rebound.example:7717", StatusCode::MISDIRECTED_REQUEST),
        ("", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let mut request = ask(Method::GET, "/healthz");
        request.headers_mut().unwrap().insert(header::HOST, host.parse().unwrap());
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, expected, "{host}");
    }
}

#[tokio::test]
async fn metrics_are_for_viewers_and_for_this_machine() {
    let site = Site::new().await;
    assert_eq!(site.get("/metrics", None).await.status, StatusCode::UNAUTHORIZED);
    let answer = site.get("/metrics", Some(Role::Viewer)).await;
    assert!(answer.text.contains("arx_runs{status=\"parked\"} 1"), "{}", answer.text);
    assert!(answer.text.contains("arx_approvals_waiting 1"));
    assert!(answer.text.contains("arx_http_request_seconds_bucket"));
    let local: std::net::SocketAddr = "127.0.0.1:9".parse().unwrap();
    for (header, expected) in [
        (("accept", "*/*"), StatusCode::OK),
        // A proxy on this machine asks for somebody who may be anywhere.
        (("x-forwarded-for", "192.0.2.7"), StatusCode::UNAUTHORIZED),
        (("forwarded", "for=192.0.2.7"), StatusCode::UNAUTHORIZED),
    ] {
        let mut request = ask(Method::GET, "/metrics").header(header.0, header.1);
        request.extensions_mut().unwrap().insert(crate::web::Peer(local));
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, expected, "{header:?}");
    }
}
