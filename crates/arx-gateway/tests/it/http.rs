//! What leaves, what is tried again, and what is never followed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arx_gateway::http::{RateLimit, parse_base, standard_pushback};
use arx_gateway::{CallError, GateError, Pushback, Settlement};
use arx_testkit::TestGate;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::fake::{Desk, Do, environment};

/// What a server does with one request.
enum Serve {
    Reply(&'static str),
    /// Reads the request and closes the connection.
    Hang,
}

/// A server that serves these, then nothing; gives its address and the requests it read.
async fn serve(script: Vec<Serve>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let read = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&read);
    tokio::spawn(async move {
        for serve in script {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let n = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&request).into_owned();
                if n == 0 || is_whole(&text) {
                    seen.lock().unwrap().push(text);
                    break;
                }
            }
            if let Serve::Reply(reply) = serve {
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
            stream.shutdown().await.ok();
        }
    });
    (url, read)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";
const SLOW_DOWN: &str =
    "HTTP/1.1 429 Slow\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\nconnection: close\r\n\r\nhalf";
const AWAY: &str = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:1/steal\r\n\
                    content-length: 0\r\nconnection: close\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 400 Bad\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad";
const UNAUTHORIZED: &str = "HTTP/1.1 401 No\r\ncontent-length: 25\r\nconnection: close\r\n\r\n\
                            bad token canary-3f9a1c !";

async fn call(does: Do, script: Vec<Serve>) -> (Result<Value, GateError>, Vec<String>) {
    let (url, seen) = serve(script).await;
    let is_read = matches!(does, Do::Get);
    let desk = Desk::new(vec![does], vec![Settlement::Unknown { why: "no idea".to_owned() }]);
    let settle_for = Some(Duration::ZERO);
    let gate = TestGate::new(desk, environment(&url), Value::Null, settle_for).await;
    let result = if is_read {
        gate.read("desk.notes:read", json!({}), None).await
    } else {
        gate.write("desk.notes:create", json!({}), "a/1/note").await.map(|reply| reply.value)
    };
    let seen = seen.lock().unwrap().clone();
    (result, seen)
}

#[tokio::test]
async fn a_request_names_its_sender_and_carries_the_credential() {
    let (result, seen) = call(Do::Get, vec![Serve::Reply(OK)]).await;
    assert_eq!(result.unwrap()["body"], json!("ok"));
    assert!(seen[0].contains("authorization: Bearer canary-3f9a1c"), "{}", seen[0]);
    assert!(seen[0].contains(&format!("user-agent: arx/{}", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_read_is_tried_again_and_a_write_is_not() {
    for (script, n_read) in [
        (vec![Serve::Reply(BUSY), Serve::Reply(OK)], 2),
        (vec![Serve::Hang, Serve::Reply(OK)], 2),
        (vec![Serve::Reply(CUT), Serve::Reply(OK)], 2),
        (vec![Serve::Reply(SLOW_DOWN), Serve::Reply(OK)], 2),
    ] {
        let (result, seen) = call(Do::Get, script).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(seen.len(), n_read);
    }
    for unclear in [BUSY, CUT] {
        let (result, seen) = call(Do::Post, vec![Serve::Reply(unclear), Serve::Reply(OK)]).await;
        assert!(matches!(result, Err(GateError::NeedsAttention { .. })), "{result:?}");
        assert_eq!(seen.len(), 1);
    }
    let (result, seen) = call(Do::Post, vec![Serve::Hang, Serve::Reply(OK)]).await;
    assert!(matches!(result, Err(GateError::NeedsAttention { .. })), "{result:?}");
    assert_eq!(seen.len(), 1);
}

/// What a write was built on is old once it had to wait: it is not sent on it.
#[tokio::test]
async fn a_write_that_waited_too_long_is_not_sent() {
    let (result, seen) = call(Do::PostAtOnce, vec![Serve::Reply(OK)]).await;
    let error = result.expect_err("not sent");
    assert!(matches!(error, GateError::Call(CallError::Unreachable { .. })), "{error:?}");
    assert!(error.to_string().contains("was not sent"), "{error}");
    assert!(seen.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn being_asked_to_wait_is_no_failure_even_of_a_write() {
    let (result, seen) =
        call(Do::Post, vec![Serve::Reply(SLOW_DOWN), Serve::Reply(SLOW_DOWN), Serve::Reply(OK)])
            .await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_credential_is_never_sent_elsewhere() {
    let (result, seen) = call(Do::Get, vec![Serve::Reply(AWAY)]).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("redirected to `127.0.0.2`"), "{error}");
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn refusals_speak_the_vendors_words_without_the_secret() {
    let (result, _) = call(Do::Post, vec![Serve::Reply(REFUSED)]).await;
    let error = result.unwrap_err();
    assert!(matches!(error, GateError::Call(CallError::Refused { status: Some(400), .. })));
    let (result, _) = call(Do::Get, vec![Serve::Reply(UNAUTHORIZED)]).await;
    let error = result.unwrap_err().to_string();
    assert_eq!(error, "Desk does not accept DESK_TOKEN: bad token [redacted] !");
}

#[tokio::test]
async fn nobody_there_means_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let desk = Desk::new(vec![Do::Post], vec![]);
    let gate = TestGate::new(desk, environment(&url), Value::Null, None).await;
    let error = gate.write("desk.notes:create", json!({}), "a/1/note").await.unwrap_err();
    assert!(matches!(error, GateError::Call(CallError::Unreachable { .. })), "{error}");
}

#[test]
fn addresses_are_https_or_on_this_machine() {
    #[track_caller]
    fn check(text: &str, problem: Option<&str>) {
        let parsed = parse_base("DESK_URL", text).map_err(|error| error.to_string());
        match problem {
            None => assert!(parsed.is_ok(), "{text}: {parsed:?}"),
            Some(problem) => {
                let error = parsed.unwrap_err();
                assert!(error.starts_with("DESK_URL ") && error.contains(problem), "{error}");
            }
        }
    }
    check("https://desk.example/base/", None);
    check("http://127.0.0.1:80", None);
    check("http://[::1]:80", None);
    check("http://localhost", None);
    check("http://desk.example", Some("plain http"));
    check("http://127.0.0.1.desk.example", Some("plain http"));
    check("ftp://127.0.0.1", Some("must begin with `https://`"));
    check("desk.example", Some("is not an address"));
    check("https://user:word@desk.example", Some("must not hold a user name"));
}

#[test]
fn a_pause_is_asked_for_by_status_and_header() {
    #[track_caller]
    fn check(status: u16, headers: &[(&'static str, &'static str)], expected: Option<Pushback>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        assert_eq!(standard_pushback(status, &map), expected, "{status} {headers:?}");
    }
    let seconds = |seconds| Some(Pushback::For(Duration::from_secs(seconds)));
    check(429, &[], Some(Pushback::Unspecified));
    check(429, &[("retry-after", "7")], seconds(7));
    check(503, &[("retry-after", "7")], seconds(7));
    check(503, &[], None);
    check(200, &[("retry-after", "7")], None);
    check(429, &[("retry-after", "soon")], Some(Pushback::Unspecified));
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    check(429, &[("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT"), date], seconds(30));
    check(429, &[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT"), date], seconds(0));
    check(429, &[("retry-after", "-1")], Some(Pushback::Unspecified));
}

#[tokio::test(start_paused = true)]
async fn no_window_holds_more_than_the_limit() {
    use arx_gateway::Budget;
    let limit = RateLimit { requests: 3, per: Duration::from_secs(10) };
    let budget = Budget::new(Some(limit), 100);
    let begun = tokio::time::Instant::now();
    let mut sent = Vec::new();
    for _ in 0..10 {
        budget.turn().await;
        sent.push(begun.elapsed());
    }
    for window in sent.windows(4) {
        assert!(window[3] - window[0] >= limit.per, "{sent:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(31), "no longer than the limit forces");
}

/// A write that was permitted waits for its turn; what happens meanwhile withdraws it.
async fn check_withdrawn(meanwhile: impl AsyncFnOnce(&TestGate)) {
    const LATER: &str =
        "HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (url, seen) = serve(vec![Serve::Reply(LATER), Serve::Reply(OK)]).await;
    let desk = Desk::new(vec![Do::Post], vec![]);
    let gate = TestGate::new(desk, environment(&url), Value::Null, None).await;
    let waits = async {
        while seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        meanwhile(&gate).await;
    };
    let (result, ()) = tokio::join!(gate.write("desk.notes:create", json!({}), "a/1/note"), waits);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("before the request was sent"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stop_holds_for_a_write_that_waits_for_its_turn() {
    check_withdrawn(async |gate| {
        gate.journal.write(|tx| tx.stop_workflow("test", "alice", "drill")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_write_that_waits_for_its_turn_is_not_sent_once_another_process_has_the_run() {
    check_withdrawn(async |gate| drop(gate.take_over().await)).await;
}
