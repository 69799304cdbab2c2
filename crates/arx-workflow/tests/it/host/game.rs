//! Calls, futures and their order.

use arx_workflow::host::{Event, Exception, HostError, Reply};
use serde_json::{Value, json};

use super::{Workflow, raise};

const GATHER: &str = r#"
import asyncio

async def one(n):
    got = await wiz.findings.read(n=n)
    again = await pagerduty.incidents.create(n=got.n, title=f"page {got.n}")
    return again.n

async def main():
    return await asyncio.gather(*[one(n) for n in range(4)])
"#;

#[tokio::test]
async fn gather_issues_every_call_before_it_blocks() {
    let story = Workflow::new(GATHER).echo().await.unwrap();
    let head: Vec<_> = story.events.iter().take(5).map(String::as_str).collect();
    assert_eq!(
        head,
        ["call wiz.findings:read"; 4].into_iter().chain(["blocked"]).collect::<Vec<_>>()
    );
    assert_eq!(story.value(), json!([0, 1, 2, 3]));
}

#[tokio::test]
async fn every_order_of_answers_gives_the_same_value() {
    /// The `n`-th way to choose among what is pending.
    fn chooser(mut n: usize) -> impl FnMut(&std::collections::VecDeque<super::Call>) -> usize {
        move |pending| {
            let choice = n % pending.len();
            n = n / pending.len() + choice;
            choice
        }
    }
    for n in [0, 1, 2, 3, 5, 11, 23, 119, 1_000, 40_319] {
        let echo = |call: &super::Call| Reply::Value(Value::Object(call.params.clone()));
        let story = Workflow::new(GATHER).play(chooser(n), echo).await.unwrap();
        assert_eq!(story.value(), json!([0, 1, 2, 3]), "order {n}");
    }
}

#[tokio::test]
async fn exceptions_are_catchable_inside_gathered_tasks_in_every_order() {
    let workflow = Workflow::new(
        r#"
import asyncio

async def one(n):
    try:
        await wiz.findings.read(n=n)
        return 'fine'
    except PermissionError as error:
        return f'denied {error}'
    except TimeoutError as error:
        return f'expired {error}'
    except OSError as error:
        return f'unreachable {error}'
    except ValueError as error:
        return f'refused {error}'
    except RuntimeError as error:
        return f'unknown {error}'
    finally:
        arx.log(f'left {n}')

async def main():
    return await asyncio.gather(*[one(n) for n in range(6)])
"#,
    );
    let answer = |call: &super::Call| match call.params["n"].as_u64().unwrap() {
        0 => raise(Exception::PermissionError, "0"),
        1 => raise(Exception::TimeoutError, "1"),
        2 => raise(Exception::OSError, "2"),
        3 => raise(Exception::ValueError, "3"),
        4 => raise(Exception::RuntimeError, "4"),
        _ => Reply::Value(Value::Null),
    };
    let expected =
        json!(["denied 0", "expired 1", "unreachable 2", "refused 3", "unknown 4", "fine"]);
    for order in 0..6 {
        let story = workflow.play(|pending| order % pending.len(), answer).await.unwrap();
        assert_eq!(story.logs.len(), 6);
        assert_eq!(story.value(), expected, "order {order}");
    }
}

#[tokio::test]
async fn an_uncaught_exception_names_the_workflow_and_hides_the_prelude() {
    let workflow = Workflow::new(
        "async def page():\n    return await pagerduty.incidents.create(title='x')\n\n\nasync def main():\n    await page()\n",
    );
    let denied = |_: &super::Call| raise(Exception::PermissionError, "denied by rule `quiet`");
    let raised = workflow.play(|_| 0, denied).await.unwrap().raised.unwrap();
    assert_eq!((raised.kind.as_str(), raised.line), ("PermissionError", Some(2)));
    insta::assert_snapshot!(raised.traceback, @r#"
    Traceback (most recent call last):
      File "workflow.py", line 6, in main
        await page()
        ~~~~~~~~~~~~
      File "workflow.py", line 2, in page
        return await pagerduty.incidents.create(title='x')
               ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    PermissionError: denied by rule `quiet`
    "#);
}

#[tokio::test]
async fn values_cross_as_records_and_go_back_as_they_came() {
    let workflow = Workflow::new(
        r#"
async def main():
    v = await wiz.findings.read(sample={'id': 'CVE-1', 'assets': [{'name': 'a', 'tags': {'team x': 'red'}}], 'n': 18446744073709551615, 'f': 1.5})
    v = v.sample
    assert v.id == 'CVE-1' and v.assets[0].name == 'a' and v.n == 18446744073709551615
    assert v.assets[0].tags.get('team x') == 'red' and v.get('nothing', 7) == 7
    assert 'id' in v and 'nope' not in v and list(v) == ['id', 'assets', 'n', 'f']
    assert [key for key, value in v.items()] == v.keys() and len(v.values()) == 4
    back = await jira.issues.create(effect='k', v=v, when=arx.now, pair=(1, None))
    assert back.v == v and back.v != back
    assert (await jira.issues.links.create()).keys() == []
    assert (await jira.issues.import_(a=1)).a == 1
    return back
"#,
    );
    let back = workflow.echo().await.unwrap().value();
    assert_eq!(
        back,
        json!({
            "effect": "k",
            "v": {
                "id": "CVE-1",
                "assets": [{"name": "a", "tags": {"team x": "red"}}],
                "n": u64::MAX,
                "f": 1.5
            },
            "when": "2026-03-04T05:06:07.250000Z",
            "pair": [1, null]
        })
    );
}

#[tokio::test]
async fn host_functions_take_positions_and_names() {
    let workflow = Workflow::new(
        r#"
async def main():
    merged = await arx.merge({'$dataset': 'one'}, {'$dataset': 'two'}, min_cvss=9.0)
    return await arx.episodes(merged)
"#,
    );
    let story = workflow.echo().await.unwrap();
    assert_eq!(story.events[0], "call arx.merge");
    assert_eq!(
        story.value(),
        json!({"args": [{"args": [{"$dataset": "one"}, {"$dataset": "two"}], "min_cvss": 9.0}]})
    );
}

#[tokio::test]
async fn of_a_handle_only_the_handle_goes_back() {
    let workflow = Workflow::new(
        r#"
async def main():
    merged = await arx.merge()
    assert len(merged.vulnerabilities) == 9000 and merged.vulnerabilities[0].id == 'CVE-1'
    await arx.episodes(merged, also=[merged])
"#,
    );
    let vulnerability = json!({"id": "CVE-1", "title": "t".repeat(200)});
    let merged = json!({"$merge": "m1", "vulnerabilities": vec![vulnerability; 9_000]});
    let mut sent = Value::Null;
    let answer = |call: &super::Call| {
        sent = Value::Object(call.params.clone());
        Reply::Value(merged.clone())
    };
    workflow.play(|_| 0, answer).await.unwrap().value();
    assert_eq!(sent, json!({"args": [{"$merge": "m1"}], "also": [{"$merge": "m1"}]}));
}

#[tokio::test]
async fn what_cannot_be_sent_is_a_type_error_where_it_is_called() {
    #[track_caller]
    fn check(value: Value, expected: &str) {
        assert_eq!(value.as_str().unwrap(), expected);
    }
    let run = async |argument: &str| {
        let source = format!(
            "import asyncio\nasync def one():\n    try:\n        await wiz.findings.read({argument})\n    except TypeError as error:\n        return str(error)\n\nasync def main():\n    return (await asyncio.gather(one(), one()))[1]\n"
        );
        Workflow::new(source).echo().await.unwrap().value()
    };
    let prefix = "in the parameters of wiz.findings:read: ";
    check(run("*[5]").await, "wiz.findings.read() takes keyword arguments only");
    check(
        run("a={1, 2}").await,
        &format!("{prefix}a set cannot be sent; it has no order; send `sorted(..)`"),
    );
    check(run("a=b'x'").await, &format!("{prefix}bytes cannot be sent; send text"));
    check(
        run("a=2**64").await,
        &format!("{prefix}an integer of more than 64 bits cannot be sent; send a string"),
    );
    check(
        run("a=float('nan')").await,
        &format!("{prefix}the float NaN cannot be sent; it has no JSON form"),
    );
    check(
        run("a={1: 2}").await,
        &format!("{prefix}a dict with a key of type `int` cannot be sent; use strings"),
    );
    check(
        run("a='x' * 1100000").await,
        &format!("{prefix}1100008 bytes of JSON are more than 1048576"),
    );
    check(run("a=main").await, &format!("{prefix}a function or other code cannot be sent"));
}

#[tokio::test]
async fn the_rules_of_the_game_hold_for_the_parent_too() {
    let workflow = Workflow::new("async def main():\n    return await wiz.findings.read(a=1)\n");
    let mut host = workflow.start().await.unwrap();
    let Event::Call { id, .. } = host.next().await.unwrap() else { panic!("no call") };
    let early = host.resolve(id, Reply::Value(Value::Null)).await;
    assert!(matches!(early, Err(HostError::Misuse { .. })), "{early:?}");
    assert_eq!(host.next().await.unwrap(), Event::Blocked);
    assert!(matches!(host.next().await, Err(HostError::Misuse { .. })));
    host.resolve(id, Reply::Value(json!(1))).await.unwrap();
    assert_eq!(host.next().await.unwrap(), Event::Done(json!(1)));
    assert!(matches!(host.next().await, Err(HostError::Misuse { .. })));
    host.stop().await;
}

#[tokio::test]
async fn log_print_and_progress_need_no_reply() {
    let workflow = Workflow::new(
        r#"
async def main():
    print('one', 2, end='')
    print('!')
    arx.log('careful', level='warning')
    arx.progress(3, 10, 'pages')
    arx.progress(4)
    return arx.now.isoformat()
"#,
    );
    let story = workflow.echo().await.unwrap();
    assert_eq!(
        story.logs,
        ["info: one 2!", "warning: careful", "progress: 3/Some(10) pages", "progress: 4/None "]
    );
    assert_eq!(story.value(), json!("2026-03-04T05:06:07.250000+00:00"));
}

#[tokio::test]
async fn a_gather_that_fails_can_be_caught_and_the_workflow_goes_on() {
    let workflow = Workflow::new(
        r#"
import asyncio

async def one(n):
    got = await wiz.findings.read(n=n)
    await jira.issues.read(n=got.n)
    return got.n

async def main():
    try:
        await asyncio.gather(*[one(n) for n in range(4)])
    except ValueError as error:
        caught = str(error)
    after = await pagerduty.incidents.read(n=9)
    return [caught, after.n, await asyncio.gather(one(5), one(6))]
"#,
    );
    let answer = |call: &super::Call| match (call.name.as_str(), call.params["n"].as_u64()) {
        ("wiz.findings:read", Some(2)) => raise(Exception::ValueError, "no"),
        _ => Reply::Value(Value::Object(call.params.clone())),
    };
    for order in 0..5 {
        let story = workflow.play(|pending| order % pending.len(), answer).await.unwrap();
        assert_eq!(story.value(), json!(["no", 9, [5, 6]]), "order {order}");
    }
}

#[tokio::test]
async fn the_same_answers_in_the_same_order_give_the_same_run() {
    let workflow = Workflow::new(GATHER);
    let echo = |call: &super::Call| Reply::Value(Value::Object(call.params.clone()));
    let mut runs = vec![];
    for _ in 0..3 {
        let story = workflow.play(|pending| 7 % pending.len(), echo).await.unwrap();
        runs.push(story.events);
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
}
