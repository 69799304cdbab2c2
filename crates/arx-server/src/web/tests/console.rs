//! What people do in the console.

use arx_journal::{ApprovalState, EffectFilter};
use arx_types::{EffectState, Role, RunStatus};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::site::{HOSTILE, Site, WORKFLOW, ask, cookie, encoded};
use crate::web::Settings;

#[tokio::test]
async fn nobody_sees_anything_but_the_way_in() {
    let site = Site::new().await;
    #[track_caller]
    fn check(answer: &super::site::Answer, location: &str) {
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.header("location"), location);
        assert!(answer.text.is_empty());
    }
    check(&site.get("/", None).await, "/sign-in");
    check(&site.get("/runs", None).await, "/sign-in?next=%2Fruns");
    check(&site.get("/nothing/here", None).await, "/sign-in");
    assert_eq!(site.get("/healthz", None).await.status, StatusCode::OK);
    let page = site.get("/sign-in?next=//evil.example", None).await;
    assert!(page.text.contains("name=\"next\" value=\"/\""), "{}", page.text);
}

#[tokio::test]
async fn some_actions_are_approved_and_some_denied() {
    let site = Site::new().await;
    let path = format!("/approvals/{}", site.approval);
    let page = site.get(&path, Some(Role::Approver)).await.text;
    assert!(page.contains("What will be sent") && page.contains("Approve chosen"), "{page}");
    let page = site.get(&path, Some(Role::Viewer)).await.text;
    assert!(!page.contains("Approve chosen") && page.contains("deciding needs an approver"));

    let vote = format!("{path}/vote");
    let none = site.post(&vote, Role::Approver, &[("vote", "approve")]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    let unfounded = [("vote", "deny"), ("action", "1")];
    let unfounded = site.post(&vote, Role::Approver, &unfounded).await;
    assert_eq!(unfounded.status, StatusCode::UNPROCESSABLE_ENTITY);
    let by_viewer = site.post(&vote, Role::Viewer, &[("vote", "approve"), ("action", "0")]).await;
    assert_eq!(by_viewer.status, StatusCode::FORBIDDEN);

    let yes = [("vote", "approve"), ("action", "0"), ("action", "2")];
    let done = site.post(&vote, Role::Approver, &yes).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, path.as_str()));
    let no = [("vote", "deny"), ("action", "1"), ("reason", "not this one")];
    let done = site.post(&vote, Role::Approver, &no).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let id = site.approval.clone();
    let approval = site.app.journal.read(move |reader| reader.approval(&id)).await.unwrap();
    assert_eq!(approval.unwrap().state, ApprovalState::Approved);
    let again = site.post(&vote, Role::Approver, &yes).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let page = site.get(&path, Some(Role::Viewer)).await.text;
    assert!(page.contains("not this one") && page.contains("apo"));
}

#[tokio::test]
async fn a_workflow_is_stopped_and_started() {
    let site = Site::new().await;
    let path = format!("/workflows/{WORKFLOW}");
    let lifted = site.post(&format!("{path}/start"), Role::Admin, &[]).await;
    assert_eq!((lifted.status, lifted.header("location")), (StatusCode::SEE_OTHER, path.as_str()));
    let page = site.get(&path, Some(Role::Admin)).await.text;
    assert!(page.contains("Stop this workflow") && page.contains("Run now"), "{page}");
    assert!(page.contains("may create incidents in PagerDuty"), "{page}");
    let mute = site.post(&format!("{path}/stop"), Role::Admin, &[]).await;
    assert_eq!(mute.status, StatusCode::UNPROCESSABLE_ENTITY);
    let reason = [("reason", "paging storm")];
    site.post(&format!("{path}/stop"), Role::Admin, &reason).await;
    let page = site.get("/", Some(Role::Viewer)).await.text;
    assert!(page.contains("is stopped") && page.contains("paging storm"));
    let run = site.post(&format!("{path}/run"), Role::Admin, &[]).await;
    assert_eq!(run.status, StatusCode::CONFLICT, "{}", run.text);
    for act in ["pause", "resume", "unregister"] {
        let answer = site.post(&format!("{path}/{act}"), Role::Admin, &[]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{act}: {}", answer.text);
    }
    let unknown = site.post("/workflows/none/stop", Role::Admin, &reason).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_human_says_what_became_of_an_effect() {
    let site = Site::new().await;
    let key = format!("{WORKFLOW}/CVE-2026-0001/1/page");
    let place = [("world", "simulate:default"), ("effect", key.as_str())];
    let with = |more: &[(&'static str, &'static str)]| [&place[..], more].concat();
    let nameless = with(&[("happened", "yes"), ("reason", "I looked")]);
    let answer = site.post("/effects/settle", Role::Admin, &nameless).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let yes = with(&[("happened", "yes"), ("id", "PABC123"), ("reason", "I looked")]);
    let answer = site.post("/effects/settle", Role::Admin, &yes).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let read = |reader: &arx_journal::Reader<'_>| reader.effects(&EffectFilter::default());
    let effects = site.app.journal.read(read).await.unwrap();
    let states: Vec<_> = effects.iter().map(|effect| effect.state).collect();
    assert_eq!(states, [EffectState::Done]);
    let again = site.post("/effects/settle", Role::Admin, &yes).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_run_is_given_up() {
    let site = Site::new().await;
    let answer = site.post(&format!("/runs/{}/cancel", site.run), Role::Admin, &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let id = site.run.clone();
    let run = site.app.journal.read(move |reader| reader.run(&id)).await.unwrap().unwrap();
    assert_eq!(run.status, RunStatus::Cancelled);
    let page = site.get(&format!("/approvals/{}", site.approval), Some(Role::Approver)).await.text;
    assert!(page.contains("cancelled") && !page.contains("Approve chosen"));
}

#[tokio::test]
async fn the_record_is_verified_and_given_away() {
    let site = Site::new().await;
    site.app.journal.checkpoint().await.unwrap();
    let page = site.get("/audit/leaf/0", Some(Role::Viewer)).await.text;
    assert!(page.contains("leads to the root") && page.contains("is signed by this log"), "{page}");
    let answer = site.post("/audit/verify", Role::Viewer, &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("The record"), "{}", answer.text);
    let note = site.get("/audit/checkpoint.txt", Some(Role::Viewer)).await;
    assert!(note.header("content-disposition").starts_with("attachment"));
    arx_audit::verify_checkpoint(site.app.journal.vkey(), &note.text).unwrap();
    let path = format!("/runs/{}/evidence.json", site.run);
    let bundle = site.get(&path, Some(Role::Viewer)).await;
    let bundle = arx_audit::Bundle::parse(bundle.text.as_bytes()).unwrap();
    assert_eq!(bundle.run, site.run.as_str());
}

#[tokio::test]
async fn signing_in_makes_a_session_of_its_own() {
    let site = Site::with(|settings| Settings { tls: true, ..settings }).await;
    let (url, _) = {
        let caller = site.app.identity.session(&cookie(Role::Admin)).await.unwrap().unwrap();
        let web = crate::web::Web::new(site.app.clone(), site.settings.clone());
        crate::web::acts::reset_person(&web, &caller, "vic").await.unwrap()
    };
    let path = url.strip_prefix("https://127.0.0.1:7717").unwrap();
    let before = site.app.journal.read(|reader| reader.tree_size()).await.unwrap();
    for _ in 0..2 {
        let page = site.get(path, None).await.text;
        assert!(page.contains("Welcome, vic"), "looking uses nothing up: {page}");
    }
    assert_eq!(site.app.journal.read(|reader| reader.tree_size()).await.unwrap(), before);
    let planted = format!("arxs_{:0<43}", "planted");
    let post = |path: &str, site_of: &str, fields: &[(&str, &str)]| {
        let request = ask(Method::POST, path)
            .header("sec-fetch-site", site_of)
            .header(header::COOKIE, format!("__Host-arx={planted}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.body(Body::from(encoded(fields))).unwrap()
    };
    let password = "CANARY correct horse";
    let fields = [("name", "vic"), ("password", password), ("again", password)];
    // Nobody is signed in by a page of somebody else.
    let foreign = site.send(post(path, "cross-site", &fields)).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let differs = [("name", "vic"), ("password", password), ("again", "other")];
    assert_eq!(site.send(post(path, "same-origin", &differs)).await.status, 422);
    let joined = site.send(post(path, "same-origin", &fields)).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "{}", joined.text);
    let given = joined.header("set-cookie").to_owned();
    assert!(given.starts_with("__Host-arx=arxs_") && !given.contains("planted"), "{given}");
    for word in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(given.contains(word), "{given}");
    }
    let dead = site.get(path, None).await;
    assert_eq!(dead.status, StatusCode::GONE);
    assert!(dead.text.contains("no good any more"), "{}", dead.text);

    let wrong = [("name", "vic"), ("password", "wrong wrong wrong")];
    let answer = site.send(post("/sign-in", "same-origin", &wrong)).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::UNAUTHORIZED, ""));
    let guess = [("name", "eve"), ("password", "wrong wrong wrong")];
    let mut guessed = site.send(post("/sign-in", "same-origin", &guess)).await;
    for _ in 0..16 {
        guessed = site.send(post("/sign-in", "same-origin", &guess)).await;
    }
    assert_eq!(guessed.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = guessed.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    let right = [("name", "vic"), ("password", password), ("next", "/runs")];
    let answer = site.send(post("/sign-in", "same-origin", &right)).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/runs"));
    let fresh = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_ne!(fresh, given.split(';').next().unwrap());
    assert!(!answer.text.contains(password) && !fresh.contains("planted"));
    let look = || ask(Method::GET, "/runs").header(header::COOKIE, &fresh);
    let answer = site.send(look().body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");

    let csrf = answer.text.split("name=\"csrf\" value=\"").nth(1).unwrap();
    let csrf = csrf.split('"').next().unwrap();
    let out = ask(Method::POST, "/sign-out")
        .header(header::COOKIE, &fresh)
        .header("origin", "https://127.0.0.1:7717")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(encoded(&[("csrf", csrf)])));
    let out = site.send(out.unwrap()).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.text);
    let answer = site.send(look().body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn people_and_tokens_are_managed() {
    let site = Site::new().await;
    let made = site.post("/people", Role::Admin, &[("name", "Bo"), ("role", "approver")]).await;
    assert!(made.text.contains("http://127.0.0.1:7717/join/arxl_"), "{}", made.text);
    assert!(site.get("/people", Some(Role::Admin)).await.text.contains("Bo"));
    let role = site.post("/people/Bo/role", Role::Admin, &[("role", "viewer")]).await;
    assert_eq!(role.status, StatusCode::SEE_OTHER, "{}", role.text);
    let last = site.post("/people/ada/disable", Role::Admin, &[]).await;
    assert_eq!(last.status, StatusCode::CONFLICT);
    let hostile = [("name", HOSTILE), ("role", "viewer")];
    assert_eq!(site.post("/people", Role::Admin, &hostile).await.status, 422);

    let fields = [("label", "ci"), ("role", "viewer"), ("days", "7")];
    let made = site.post("/tokens", Role::Approver, &fields).await;
    let token = made.text.split("<pre>").nth(1).unwrap().split("</pre>").next().unwrap();
    assert!(token.starts_with("arxt_"), "{}", made.text);
    let me = site.call(Method::GET, "/api/v1/me", token, None).await.json();
    assert_eq!((me["name"].as_str(), me["role"].as_str()), (Some("apo"), Some("viewer")));
    let more = [("label", "ci"), ("role", "admin"), ("days", "7")];
    assert_eq!(site.post("/tokens", Role::Approver, &more).await.status, StatusCode::FORBIDDEN);
    let id = me["token"].as_str().unwrap();
    let others = site.post(&format!("/tokens/{id}/revoke"), Role::Viewer, &[]).await;
    assert_eq!(others.status, StatusCode::NOT_FOUND);
    site.post(&format!("/tokens/{id}/revoke"), Role::Approver, &[]).await;
    let answer = site.call(Method::GET, "/api/v1/me", token, None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
