//! What the tests of several connectors share: a sink that keeps rows, a read from the simulators,
//! and a loopback server that answers as a test says, for what no faithful simulator would send.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use arx_gateway::{Connector, GateError};
use arx_testkit::TestGate;
use arx_types::{Finding, FindingSink, SinkError};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Keeps the id of every finding, and the names of its vulnerabilities.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<(String, String)>>);

impl Kept {
    /// What was kept, ordered by id.
    pub(crate) fn rows(&self) -> Vec<(String, String)> {
        let mut rows = self.0.lock().expect("not poisoned").clone();
        rows.sort();
        rows
    }
}

impl FindingSink for Kept {
    fn accept(&self, page: &[Finding<'_>]) -> Result<(), SinkError> {
        let rows = page.iter().map(|f| (f.id.to_string(), f.vulnerabilities.join(" ")));
        self.0.lock().expect("not poisoned").extend(rows);
        Ok(())
    }
}

/// What a read came to: its value or error, and what the sink kept.
pub(crate) struct Outcome {
    pub(crate) value: Result<Value, GateError>,
    pub(crate) rows: Vec<(String, String)>,
}

/// Asks the only vendor of a gate whether it accepts the credential.
pub(crate) async fn probe(gate: &TestGate) -> Result<(), String> {
    let checked = gate.gateway.check_credentials("test", &gate.ctx.world).await.expect("recorded");
    let only = checked.into_iter().next().expect("a vendor");
    only.result.map_err(|error| error.to_string())
}

/// Reads findings from the simulators, with faults.
pub(crate) async fn read_simulated(
    connector: Arc<dyn Connector>,
    faults: &str,
    settings: Value,
    params: Value,
) -> Outcome {
    let faults = faults.parse().expect("faults");
    let options = arx_sim::Options { faults, ..arx_sim::Options::default() };
    let simulators = arx_sim::start(options).await.expect("simulators");
    let operation = format!("{}.findings:read", connector.spec().name);
    let gate = TestGate::new(connector, simulators.environment(), settings, None).await;
    let kept = Arc::new(Kept::default());
    let sink: Arc<dyn FindingSink> = kept.clone();
    let value = gate.read(&operation, params, Some(sink)).await;
    simulators.shutdown().await;
    Outcome { value, rows: kept.rows() }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method, path and query, `GET /path?query`.
    pub(crate) line: String,
    /// Headers in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// Close the connection after so many bytes of the body.
    pub(crate) cut_at: Option<usize>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut_at: None }
    }

    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::new(200, body)
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn cut_at(mut self, bytes: usize) -> Self {
        self.cut_at = Some(bytes);
        self
    }
}

/// A running server; it stops when dropped.
pub(crate) struct Scripted {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Starts a server whose answers come from `answer`.
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (record, answer) = (Arc::clone(&asked), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let request = loop {
                        if let Some(request) = parse(&bytes) {
                            break request;
                        }
                        if stream.read_buf(&mut bytes).await.unwrap_or_default() == 0 {
                            return;
                        }
                    };
                    let reply = answer(&request);
                    record.lock().expect("not poisoned").push(request);
                    // A client that has gone away is a test's business, not the server's.
                    let _ = stream.write_all(&write(&reply)).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { url, asked, task }
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }

    /// The requests whose line contains `part`.
    pub(crate) fn asked_for(&self, part: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|request| request.line.contains(part));
        asked
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn parse(bytes: &[u8]) -> Option<Asked> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.rsplit_once(' ')?.0.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let body = bytes.get(end + 4..end + 4 + length)?;
    Some(Asked { line, headers, body: String::from_utf8_lossy(body).into_owned() })
}

fn write(reply: &Reply) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        write!(head, "{name}: {value}\r\n").expect("a text grows");
    }
    // Without a length the end of the connection is the end of the body, so that a cut is only
    // seen by who looks for the end of the document.
    let body = &reply.body.as_bytes()[..reply.cut_at.unwrap_or(reply.body.len())];
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}
