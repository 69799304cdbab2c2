//! Workflows that try to get out, or to take everything with them.

use std::process::Stdio;

use arx_workflow::host::{Host, HostError, Limits, Raised};
use serde_json::{Value, json};

use super::{Workflow, child_program};

/// What a workflow gets for its trouble: a value, an exception, or an end of its process.
async fn fate(source: &str) -> String {
    fate_within(source, Limits::default()).await
}

async fn fate_within(source: &str, limits: Limits) -> String {
    let mut workflow = Workflow::new(source);
    workflow.options.limits = limits;
    match workflow.echo().await {
        Ok(story) => match (story.done, story.raised) {
            (Some(value), _) => format!("done {value}"),
            (None, Some(Raised { kind, message, .. })) => format!("{kind}: {message}"),
            (None, None) => "nothing".into(),
        },
        Err(HostError::Load(diagnostics)) => format!("load {}", diagnostics[0].message),
        Err(error) => error.to_string(),
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_process_has_nothing_and_can_get_nothing() {
    // Descriptors of this process that must not be inherited.
    let _file = std::fs::File::open("/proc/self/status").unwrap();
    let _socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    #[expect(clippy::disallowed_types, reason = "this is the workflow's process")]
    let output = std::process::Command::new(child_program())
        .arg("probe")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // What started the tests may have left descriptors open that every process inherits; those
    // of this process must not be among them.
    let (opened, text): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.starts_with("descriptors: "));
    assert!(opened[0].contains("pipe") && !opened[0].contains("/proc"), "{opened:?}");
    assert!(!opened[0].contains("socket"), "{opened:?}");
    insta::assert_snapshot!(text.join("\n"), @"
    environment: nothing
    directory: /
    Walls { rlimits: true, landlock: true, seccomp: true }
    read a file: false
    read a directory: false
    read an open file: false
    write a file: false
    connect: false
    listen: false
    send a datagram: false
    open a local socket: false
    start a program: false
    start a thread: false
    change directory: false
    ");
}

#[tokio::test]
async fn the_walls_stand_around_a_workflow() {
    let workflow = Workflow::new("async def main():\n    pass\n");
    let host: Host = workflow.start().await.unwrap();
    let walls = host.walls();
    assert!(walls.rlimits);
    if cfg!(target_os = "linux") {
        assert!(walls.seccomp);
    }
    host.stop().await;
}

#[tokio::test]
async fn memory_is_limited_and_the_parent_lives() {
    let check = async |body: &str| {
        let limits = Limits { address_space_bytes: 112 << 20, ..Limits::default() };
        let source =
            format!("async def main():\n    x = 'x'\n    y = [0]\n    {body}\n    return 1\n");
        let fate = fate_within(&source, limits).await;
        assert_eq!(fate, "the workflow used more than 112 MiB of memory", "{body}");
    };
    check("while True:\n        x = x + x").await;
    check("while True:\n        y = y + y").await;
    check("y = [0] * 1000000000").await;
    check("x = 'x' * 10000000000").await;
    check("y = {n: str(n) for n in range(1000000000)}").await;
    check("x = f'{1:>9000000000}'").await;
}

#[tokio::test]
async fn time_is_limited() {
    let check = async |body: &str| {
        let limits = Limits { cpu_seconds: 1, ..Limits::default() };
        let source = format!("import re\nasync def main():\n    {body}\n    return 1\n");
        let fate = fate_within(&source, limits).await;
        assert!(
            fate.contains("the workflow used more than 1 s of processor time"),
            "{body}: {fate}"
        );
    };
    check("while True:\n        pass").await;
    check("x = [i for i in range(10 ** 12) if i < 0]").await;
    check("x = 7\n    while True:\n        try:\n            x = x + 1\n        except Exception:\n            pass").await;
}

#[tokio::test]
async fn recursion_ends_in_an_exception() {
    let deep = "RecursionError: maximum recursion depth exceeded";
    let check = async |source: &str| {
        let fate = fate(source).await;
        assert!(fate.starts_with(deep), "{source}: {fate}");
    };
    check("def f(n):\n    return f(n + 1)\n\nasync def main():\n    return f(0)\n").await;
    check(
        "async def f(n):\n    return await f(n + 1)\n\nasync def main():\n    return await f(0)\n",
    )
    .await;
    check("def f(n):\n    return sorted([1, 2], key=lambda x: f(n + 1))\n\nasync def main():\n    return f(0)\n").await;
    check("class A:\n    def __eq__(self, other):\n        return A() == A()\n\nasync def main():\n    return A() == A()\n").await;
    check("class A:\n    def __repr__(self):\n        return repr(A())\n\nasync def main():\n    return repr(A())\n").await;
}

#[tokio::test]
async fn deep_values_do_not_break_the_process() {
    let source = "async def main():\n    x = []\n    for n in range(100000):\n        x = [x]\n    await wiz.findings.read(x=x)\n";
    let got = fate(source).await;
    assert!(got.contains("nests deeper than") || got.contains("recursion"), "{got}");
    let got = fate("async def main():\n    x = []\n    x.append(x)\n    return x\n").await;
    assert!(got.contains("contains itself"), "{got}");
}

#[tokio::test]
async fn a_workflow_cannot_make_endless_calls() {
    let limits = Limits { n_calls_max: 50, ..Limits::default() };
    let looping = "async def main():\n    while True:\n        try:\n            arx.log('x')\n        except Exception:\n            pass\n";
    let got = fate_within(looping, limits.clone()).await;
    assert_eq!(got, "RuntimeError: the workflow made more than 50 calls");
    let looping = "async def main():\n    while True:\n        await wiz.findings.read()\n";
    assert_eq!(
        fate_within(looping, limits).await,
        "RuntimeError: the workflow made more than 50 calls"
    );
}

#[tokio::test]
async fn printing_is_bounded() {
    let source = "async def main():\n    for n in range(3000):\n        print('x' * 1000)\n";
    let story = Workflow::new(source).echo().await.unwrap();
    assert_eq!(story.raised, None);
    assert_eq!(
        story.logs.last().unwrap(),
        "info: the workflow printed too much; the rest is dropped"
    );
    let bytes: usize = story.logs.iter().map(String::len).sum();
    assert!((1_000_000..1_100_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn nothing_of_this_process_can_be_reached() {
    // Each is tried at run time, past whatever the checks before the start would have said.
    let check = async |expression: &str| {
        let source = format!(
            "async def main():\n    try:\n        return str({expression})\n    except Exception as error:\n        return 'no: ' + str(error)\n"
        );
        let fate = fate(&source).await;
        assert!(
            fate.starts_with("done \"no: ") || fate.starts_with("load "),
            "{expression}: {fate}"
        );
    };
    for expression in [
        "().__class__.__bases__",
        "().__class__.__bases__[0].__subclasses__()",
        "main.__globals__",
        "main.__code__",
        "main.__builtins__",
        "arx.log.__globals__",
        "wiz.findings.read.__globals__",
        "getattr((), '__class__').__bases__[0]",
        "type.__subclasses__(object)",
        "object.__subclasses__()",
        "[].__reduce__()",
        "'{0.__class__.__bases__}'.format(())",
        "open('/etc/passwd').read()",
        "open('/tmp/x', 'w')",
        "eval('1+1')",
        "exec('x=1')",
        "compile('1', 'x', 'eval')",
        "__import__('os').environ",
        "globals()",
        "vars()",
        "_arx_call('wiz.findings:read')",
    ] {
        check(expression).await;
    }
}

#[tokio::test]
async fn the_system_is_out_of_reach_at_run_time_too() {
    // The checks before the start refuse the module; `datetime` is what they must let through.
    let check = async |expression: &str, expected: &str| {
        let source = format!(
            "from datetime import datetime as d, date as e\nasync def main():\n    try:\n        return str({expression})\n    except NotImplementedError as error:\n        return str(error)\n"
        );
        assert_eq!(fate(&source).await, format!("done {:?}", expected), "{expression}");
    };
    check("d.now()", "`datetime.now` is not there for workflows; use `arx.now`, the run's time")
        .await;
    check("e.today()", "`date.today` is not there for workflows; use `arx.now`, the run's time")
        .await;
}

#[tokio::test]
async fn the_environment_of_the_parent_is_out_of_reach() {
    // `CARGO_MANIFEST_DIR` is in the environment of every test.
    let canary = env!("CARGO_MANIFEST_DIR");
    let source = "async def main():\n    import os\n    try:\n        return str(os.environ) + str(os.getenv('CARGO_MANIFEST_DIR'))\n    except Exception as error:\n        return 'no: ' + str(error)\n";
    let fate = fate(source).await;
    assert!(!fate.contains(canary), "{fate}");
    assert!(fate.starts_with("load "), "{fate}");
}

#[tokio::test]
async fn a_regular_expression_cannot_hang() {
    let source =
        "import re\nasync def main():\n    return re.match(r'(a|a)*(?=b)c', 'a' * 40) is None\n";
    let limits = Limits { cpu_seconds: 5, ..Limits::default() };
    let fate = fate_within(source, limits).await;
    let ended = fate == "done true" || fate.contains("processor time") || fate.contains("Error");
    assert!(ended, "{fate}");
}

#[tokio::test]
async fn huge_integers_end_one_way_or_the_other() {
    let limits = Limits { cpu_seconds: 1, address_space_bytes: 112 << 20, ..Limits::default() };
    for expression in ["2 ** (10 ** 12)", "10 ** 9 ** 9", "1 << (10 ** 13)", "int('9' * 100000)"] {
        let source = format!("async def main():\n    x = {expression}\n    return 'fine'\n");
        let fate = fate_within(&source, limits.clone()).await;
        assert_ne!(fate, "done \"fine\"", "{expression}");
        assert!(!fate.contains("protocol"), "{expression}: {fate}");
    }
    let alive: Value =
        Workflow::new("async def main():\n    return 1\n").echo().await.unwrap().value();
    assert_eq!(alive, json!(1));
}
