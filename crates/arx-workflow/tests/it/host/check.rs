//! What is said about a script before it starts.

use arx_workflow::host::{CalledOperation, HostError, check};
use serde_json::json;

use super::Workflow;

/// Everything wrong with a script, as it is shown.
async fn complaints(source: &str) -> String {
    let mut workflow = Workflow::new(source);
    workflow.config = json!({"storm_threshold": 25, "services": {"a": "b"}});
    match check(&workflow.options, workflow.script()).await {
        Ok(_) => "fine".into(),
        Err(HostError::Load(diagnostics)) => {
            diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_script_says_what_it_calls() {
    let workflow = Workflow::new(
        r#"
import asyncio
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone


@dataclass
class Page:
    title: str
    lines: "list[str] | None" = None


def title(v, /, *rest, sep: str = " ", **more) -> str:
    global seen
    seen = [x for x in rest if (y := x)]
    first, *others = [*rest, 1]
    return sep.join(sorted({str(x) for x in rest}, key=lambda word: len(word)))


async def page(v):
    try:
        await pagerduty.incidents.create(title=title(v))
        link = jira.issues.links.create
        await link(a=1)
    except (OSError, ValueError) as error:
        arx.note(v, 'late', why=str(error))


async def main():
    merged = await arx.merge(await wiz.findings.read(), min_cvss=config.get('x', 1))
    recent = [v for v in merged if datetime.fromisoformat(v.at) > arx.now - timedelta(hours=1)]
    for service, key in config.services.items():
        arx.log(f'{service!r:>10} {key}', level='debug')
    await asyncio.gather(page(1), page(2))
    await wiz.findings.read(page=Page('x'), utc=timezone.utc.utcoffset(None) is None)
    return await arx.each(recent, page)
"#,
    );
    let mut workflow = workflow;
    workflow.config = json!({"services": {}});
    let checked = check(&workflow.options, workflow.script()).await.unwrap();
    let at = |operation: &str, line, column| CalledOperation {
        operation: operation.to_owned(),
        line,
        column,
    };
    assert_eq!(
        checked.operations,
        [
            at("pagerduty.incidents:create", 23, 15),
            at("jira.issues:links:create", 24, 16),
            at("wiz.findings:read", 31, 36),
        ]
    );
    assert_eq!(checked.functions, ["merge"]);
}

#[tokio::test]
async fn mistakes_are_shown_with_their_place_and_a_way_out() {
    let source = r#"import os
import asyncio, requests
from datetime import datetime
from . import lib
from json import *

class Base:
    pass

class Page(Base):
    @property
    def title(self):
        return 'x'

def lines():
    yield 1

async def main(argument):
    wiz = 1
    await pagerduty.incidents.craete(title='x')
    await pagerduty.incidents.create('x')
    await jira.tickets.frobnicate()
    pagerduty.incidents.create(title='x')
    asyncio.gather(main(1))
    await servicenow.incidents.update(id=1)
    await arx.merg(1)
    arx.logg('x')
    threshold = config.storm_treshold
    await asyncio.sleep(1)
    await asyncio.gather(main(1), return_exceptions=True)
    now = datetime.now()
    text = open('/etc/passwd').read()
    eval('1')
    async with wiz as w:
        pass
    match threshold:
        case 1:
            pass
    del text
    print(tilte)
"#;
    insta::assert_snapshot!(complaints(source).await, @r##"
    workflow.py:1:8: error[ARX-W003]: workflows have no module `os`
    hint: a workflow has no files, processes or environment; declare an input in arx.yaml and read `config`
    workflow.py:2:17: error[ARX-W003]: workflows have no module `requests`
    hint: call an operation of a connector, e.g. `await jira.issues.read(..)`
    workflow.py:4:1: error[ARX-W003]: there is nothing to import from here
    hint: a workflow is one file
    workflow.py:5:18: error[ARX-W002]: workflows have no `import *`
    hint: name what you import
    workflow.py:10:7: error[ARX-W002]: workflows have no class inheritance
    hint: write a plain class, a `@dataclass`, or functions
    workflow.py:11:5: error[ARX-W002]: workflows have no decorated methods
    hint: write a plain method
    workflow.py:16:5: error[ARX-W002]: workflows have no generators
    hint: build a list and return it
    workflow.py:18:11: error[ARX-W004]: `main` takes parameters that nobody passes
    hint: read `config` instead
    workflow.py:19:5: error[ARX-W009]: `wiz` is given by ARX and cannot be bound again
    hint: choose another name
    workflow.py:20:21: error[ARX-W006]: `pagerduty` has no operation `incidents.craete`
    hint: did you mean `pagerduty.incidents.create`?
    workflow.py:21:38: error[ARX-W010]: `pagerduty.incidents.create` takes keyword arguments only
    hint: write `pagerduty.incidents.create(name=value)`
    workflow.py:22:16: error[ARX-W006]: `jira` has no operation `tickets.frobnicate`
    hint: it has `issues.create`, `issues.import_`, `issues.links.create`, `issues.read`
    workflow.py:23:5: error[ARX-W007]: `pagerduty.incidents.create(..)` is never awaited, so it never happens
    hint: write `await pagerduty.incidents.create(..)`
    workflow.py:24:5: error[ARX-W007]: `asyncio.gather(..)` is never awaited, so it never happens
    hint: write `await asyncio.gather(..)`
    workflow.py:25:11: error[ARX-W005]: nothing is called `servicenow`
    hint: if it is a connector, bind it under `connectors` in arx.yaml
    workflow.py:26:15: error[ARX-W006]: `arx` has no `merg`
    hint: did you mean `arx.merge`?
    workflow.py:27:9: error[ARX-W006]: `arx` has no `logg`
    hint: did you mean `arx.log`?
    workflow.py:28:24: error[ARX-W006]: no input is called `storm_treshold`
    hint: did you mean `config.storm_threshold`?
    workflow.py:29:11: error[ARX-W002]: workflows have no `asyncio.sleep`
    hint: a workflow has no clock; calls have their own deadlines
    workflow.py:30:35: error[ARX-W002]: workflows have no `return_exceptions`
    hint: use `arx.each`, or catch exceptions inside the gathered functions
    workflow.py:31:11: error[ARX-W002]: workflows have no `datetime.now`; a run must be repeatable
    hint: use `arx.now`, the run's time
    workflow.py:32:12: error[ARX-W002]: workflows have no `open`
    hint: a workflow has no files; declare an input in arx.yaml and read `config`
    workflow.py:33:5: error[ARX-W002]: workflows have no `eval`
    hint: write the code itself
    workflow.py:34:5: error[ARX-W002]: workflows have no `async with`
    hint: await the calls one after the other
    workflow.py:36:5: error[ARX-W002]: workflows have no `match`
    hint: use `if` and `elif`
    workflow.py:39:5: error[ARX-W002]: workflows have no `del`
    hint: use `.pop(..)`, or bind another value
    workflow.py:40:11: error[ARX-W005]: nothing is called `tilte`
    hint: did you mean `title`?
    "##);
}

#[tokio::test]
async fn what_only_editors_read_is_left_alone() {
    let source = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from arx import arx, config\n\nasync def main():\n    return str(arx.now.year) + str(TYPE_CHECKING)\n";
    assert_eq!(complaints(source).await, "fine");
    assert_eq!(Workflow::new(source).echo().await.unwrap().value(), json!("2026False"));
}

#[tokio::test]
async fn syntax_errors_have_a_place() {
    insta::assert_snapshot!(complaints("async def main():\n    x = (1,\n    return x\n").await, @r##"workflow.py:2:12: error[ARX-W001]: expected `)`, found newline"##);
    insta::assert_snapshot!(complaints("async def main():\n  return 'é' +\n").await, @r##"workflow.py:2:15: error[ARX-W001]: expected an expression"##);
    insta::assert_snapshot!(complaints("async def main():\n\treturn 1\n        return 2\n").await, @r##"workflow.py:3:1: error[ARX-W001]: unexpected indentation"##);
}

#[tokio::test]
async fn main_is_what_arx_awaits() {
    insta::assert_snapshot!(complaints("x = 1\n").await, @r##"
    workflow.py: error[ARX-W004]: there is no `async def main()`
    hint: write `async def main():`; ARX awaits it
    "##);
    insta::assert_snapshot!(complaints("def main():\n    pass\n").await, @r##"
    workflow.py:1:5: error[ARX-W004]: `main` is not `async`
    hint: write `async def main():`; ARX awaits it
    "##);
    insta::assert_snapshot!(complaints("async def main(config):\n    pass\n").await, @r##"
    workflow.py:1:11: error[ARX-W004]: `main` takes parameters that nobody passes
    hint: read `config` instead
    workflow.py:1:16: error[ARX-W009]: `config` is given by ARX and cannot be bound again
    hint: choose another name
    "##);
    assert_eq!(complaints("async def main(*rest, n=1):\n    pass\n").await, "fine");
}

#[tokio::test]
async fn what_only_the_interpreter_knows_is_said_too() {
    insta::assert_snapshot!(complaints("async def main():\n    return 1j\n").await, @r##"workflow.py:2:12: error[ARX-W002]: workflows have no complex constants"##);
    insta::assert_snapshot!(complaints("class A:\n    x = 1\n    if x:\n        y = 2\n\nasync def main():\n    pass\n").await, @r##"workflow.py:3:5: error[ARX-W002]: workflows have no class bodies containing anything other than methods and simple class variables"##);
}

#[tokio::test]
async fn a_hostile_text_only_breaks_its_own_process() {
    for source in [
        "(".repeat(100_000),
        format!("x = {}1", "-".repeat(200_000)),
        format!("x = 1{}\nasync def main():\n    pass\n", "+1".repeat(200_000)),
        format!("x = a{}\nasync def main():\n    pass\n", ".a".repeat(200_000)),
        format!("x = {}1{}\n", "[".repeat(5_000), "]".repeat(5_000)),
        "\u{0}\u{feff}\r\r\n\t\\".repeat(1_000),
        "if 1:\n".repeat(1_000),
    ] {
        let head: String = source.chars().take(10).collect();
        let said = complaints(&source).await;
        assert!(!said.contains("protocol"), "{head}: {said}");
        assert_ne!(said, "fine", "{head}");
    }
    let long = complaints(&"#".repeat((1 << 20) + 1)).await;
    assert!(long.contains("the file is longer than 1048576 bytes"), "{long}");
}
