//! A process that has been taken over, and how little it gets.

use arx_workflow::host::{Event, Host, HostError};
use serde_json::{Value, json};

use super::Workflow;

fn frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

fn message(value: Value) -> Vec<u8> {
    frame(value.to_string().as_bytes())
}

fn hello() -> Vec<u8> {
    let walls = json!({"rlimits": true, "landlock": true, "seccomp": true});
    message(json!({"frame": "hello", "protocol": 1, "walls": walls}))
}

fn ready() -> Vec<u8> {
    message(json!({"frame": "ready", "operations": [], "functions": []}))
}

fn call(id: u32, name: &str) -> Vec<u8> {
    message(json!({"frame": "call", "id": id, "name": name, "params": {}}))
}

/// Starts a process that says these bytes whatever it hears.
async fn liar(bytes: &[u8]) -> Result<Host, HostError> {
    let mut workflow = Workflow::new("async def main():\n    pass\n");
    workflow.options.args = vec!["lie".into(), hex::encode(bytes).into()];
    workflow.start().await
}

/// What comes of listening to a liar after a faultless handshake.
async fn outcome(lies: &[Vec<u8>]) -> String {
    let bytes = [vec![hello(), ready()], lies.to_vec()].concat().concat();
    let mut host = match liar(&bytes).await {
        Ok(host) => host,
        Err(error) => return error.to_string(),
    };
    for _ in 0..lies.len() {
        if let Err(error) = host.next().await {
            return error.to_string();
        }
    }
    "believed".into()
}

#[tokio::test]
async fn lies_are_not_believed() {
    let check = async |lies: &[Vec<u8>], expected: &str| {
        let outcome = outcome(lies).await;
        let expected = format!("the workflow's process broke the protocol: {expected}");
        assert!(outcome.starts_with(&expected), "{outcome}");
    };
    check(&[hello()], "a second handshake").await;
    check(&[ready()], "a second handshake").await;
    check(&[message(json!({"frame": "blocked"}))], "it waits for no call").await;
    check(&[call(1, "servicenow.incidents:update")], "a call of a name it was not given").await;
    check(&[call(1, "arx.shutdown")], "a call of a name it was not given").await;
    check(&[call(1, "wiz.findings:read"), call(1, "wiz.findings:read")], "two calls with one id")
        .await;
    check(&[frame(b"{}")], "a frame is malformed").await;
    check(&[frame(b"[1, 2")], "a frame is malformed").await;
    check(&[frame(b"\xff\xfe")], "a frame is malformed").await;
    check(&[vec![0xff; 8]], "a frame of 4294967295 bytes is longer than").await;
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let text =
        format!(r#"{{"frame":"call","id":1,"name":"wiz.findings:read","params":{{"a":{deep}}}}}"#);
    check(&[frame(text.as_bytes())], "parameters nested too deep").await;
    let deeper = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let text = format!(r#"{{"frame":"done","value":{deeper}}}"#);
    check(&[frame(text.as_bytes())], "a frame is malformed").await;
}

#[tokio::test]
async fn too_many_calls_end_the_process() {
    let mut workflow = Workflow::new("async def main():\n    pass\n");
    workflow.options.limits.n_calls_max = 2;
    let calls: Vec<_> = (0..3).map(|id| call(id, "wiz.findings:read")).collect();
    let bytes = [vec![hello(), ready()], calls].concat().concat();
    workflow.options.args = vec!["lie".into(), hex::encode(bytes).into()];
    let mut host = workflow.start().await.unwrap();
    assert!(matches!(host.next().await, Ok(Event::Call { .. })));
    assert!(matches!(host.next().await, Ok(Event::Call { .. })));
    let error = host.next().await.unwrap_err();
    assert!(error.to_string().contains("more than 2 calls"), "{error}");
}

#[tokio::test]
async fn a_handshake_must_be_one() {
    for bytes in [
        ready(),
        message(json!({"frame": "done", "value": 1})),
        message(
            json!({"frame": "hello", "protocol": 2, "walls": {"rlimits": true, "landlock": true, "seccomp": true}}),
        ),
        [hello(), hello()].concat(),
        [hello(), call(1, "wiz.findings:read")].concat(),
    ] {
        let error = liar(&bytes).await.unwrap_err();
        assert!(matches!(error, HostError::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_or_no_host_says_so() {
    let mut workflow = Workflow::new("async def main():\n    pass\n");
    workflow.options.program = "/nonexistent/arx".into();
    let error = workflow.start().await.unwrap_err();
    assert!(matches!(error, HostError::Spawn(_)), "{error}");
    workflow.options.program = "/bin/false".into();
    let error = workflow.start().await.unwrap_err();
    assert!(matches!(error, HostError::Crashed { .. }), "{error}");
}

#[tokio::test]
async fn a_big_reply_crosses_and_one_too_deep_is_refused_kindly() {
    let mut workflow = Workflow::new(
        "async def main():\n    big = await wiz.findings.read()\n    try:\n        await wiz.findings.read()\n    except ValueError as error:\n        return [len(big), str(error)]\n",
    );
    workflow.options.limits.cpu_seconds = 30;
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let mut replies = vec![deep, json!(vec![json!({"id": "CVE-2026-0001"}); 20_000])];
    let story = workflow
        .play(|_| 0, |_| arx_workflow::host::Reply::Value(replies.pop().unwrap()))
        .await
        .unwrap();
    assert_eq!(
        story.value(),
        json!([20_000, "the reply nests too deep to be handed to a workflow"])
    );
}
