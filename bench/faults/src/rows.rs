//! The rows of the table: every fault, and the cases that make it up for each workflow.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use arx_journal::{EffectFilter, Fault, FaultPoint, JournalOptions, StopPoint, StopWhen};
use arx_sim::{Control, Expected, Vendor};
use arx_testkit::world::TestWorld;
use arx_types::EffectState;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::Setting;
use crate::company::Flow;
use crate::inside::{Script, measure};
use crate::judge::Verdict;
use crate::outside;

/// Databases that are full somewhere between empty and whole.
const FULL_CASES: u32 = 24;
/// How far a clock is set back.
const JUMP: Duration = Duration::from_secs(3600);
/// How often the harness looks whether the first write is in a ledger.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The state that a colleague gives to a ticket whose patch failed, as ARX would.
const IN_PROGRESS: &str = "2";

/// A row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The most runs that a case of it may take, the first one counted.
    pub(crate) runs_max: u32,
    pub(crate) cases: fn(Arc<Setting>, Flow) -> BoxFuture<'static, Result<Cases>>,
    /// Why something is left for a human, and for which workflow.
    left: Option<(Flow, &'static str)>,
}

/// What a row does to one workflow.
pub(crate) enum Cases {
    /// Nothing, for a reason.
    Senseless(&'static str),
    Of(Vec<Case>),
}

/// One history, from an empty state directory to the work done.
pub(crate) struct Case {
    /// What tells it from the others of its row; the seed of one that is drawn.
    pub(crate) name: String,
    pub(crate) play: BoxFuture<'static, Result<Played>>,
}

/// What a case came to.
pub(crate) struct Played {
    pub(crate) verdict: Verdict,
    /// Processes that it took.
    pub(crate) runs: u32,
    pub(crate) left_expected: usize,
}

impl Row {
    pub(crate) fn left_why(&self, flow: Flow) -> Option<String> {
        self.left.filter(|(of, _)| *of == flow).map(|(_, why)| why.to_owned())
    }
}

impl Case {
    fn inside(name: impl Into<String>, setting: &Arc<Setting>, script: Script) -> Self {
        let setting = Arc::clone(setting);
        Self { name: name.into(), play: async move { script.play(&setting).await }.boxed() }
    }
}

/// Every row, in the order of the table.
pub(crate) fn rows() -> Vec<Row> {
    let row = |name, runs_max, cases| Row { name, runs_max, cases, left: None };
    vec![
        row("no fault", 1, |s, f| faults(s, f, &[""], &[""])),
        row("latency", 1, |s, f| faults(s, f, &["latency=40ms"], &["latency=40ms"])),
        row("429 storm", 2, |s, f| {
            let escalation = [
                "429=1x4",
                "429-bare%25",
                "pagerduty.incidents.create:429=1@1x2,jira.issues.create:429-bare@1x2",
            ];
            let patches = [
                "429=1x4",
                "429-bare%25",
                "servicenow.table.update:429=1@1x2,qualys:409-rate=1@1,qualys:409-concurrency@2",
            ];
            faults(s, f, &escalation, &patches)
        }),
        row("500 before commit", 2, |s, f| each_write(s, f, "500")),
        row("503 burst", 2, |s, f| {
            let escalation = ["503x6", "503%15", "pagerduty.incidents.create:503@1x2,jira:503@2x3"];
            let patches = ["503x6", "503%15", "servicenow.table.update:503@1x3,servicenow:503@2x3"];
            faults(s, f, &escalation, &patches)
        }),
        row("connection refused", 2, refused),
        row("reset before commit", 2, |s, f| each_write(s, f, "reset")),
        row("reply lost after commit", 1, |s, f| each_write(s, f, "drop-after")),
        row("500 after commit", 1, |s, f| each_write(s, f, "500-after")),
        row("duplicated delivery", 2, delivered_twice),
        row("truncated body", 2, truncated),
        row("token expired in mid-paging", 2, tokens),
        row("search index lagging (Jira)", 1, lagging),
        row("incident resolved by a human between crash and retry (PagerDuty)", 2, resolved),
        Row {
            name: "record edited by a human in between (ServiceNow)",
            runs_max: 3,
            cases: edited,
            left: Some((
                Flow::Patches,
                "a person gave the ticket the very state that ARX was about to give it. \
                 ServiceNow shows the state and not the note; whether that was ARX's update \
                 without its note or the person, it cannot tell.",
            )),
        },
        row("disk full", 2, disk_full),
        row("clock jumping back an hour", 2, clock_back),
        row("kill -9 at every journal write in turn", 2, every_write),
        row("kill -9 at random instants", 2, outside::killed),
        row("kill during resume", 3, outside::killed_twice),
        row("two processes started at once", 3, outside::two_at_once),
    ]
}

/// Cases that differ in what goes wrong at the vendors.
fn faults(
    setting: Arc<Setting>,
    flow: Flow,
    escalation: &[&str],
    patches: &[&str],
) -> BoxFuture<'static, Result<Cases>> {
    let faults = match flow {
        Flow::Escalation => escalation,
        Flow::Patches => patches,
    };
    let cases = faults.iter().map(|faults| {
        let script = Script { faults: (*faults).to_owned(), ..Script::new(flow, &setting) };
        Case::inside(format!("`{faults}`"), &setting, script)
    });
    let cases = Cases::Of(cases.collect());
    async move { Ok(cases) }.boxed()
}

/// A fault that strikes each sort of write: the first, the second, several, and now and then all
/// requests.
fn each_write(
    setting: Arc<Setting>,
    flow: Flow,
    fault: &'static str,
) -> BoxFuture<'static, Result<Cases>> {
    let mut all = Vec::new();
    for write in flow.writes() {
        for when in ["@1", "@2", "@1x3", "%50"] {
            all.push(format!("{write}:{fault}{when}"));
        }
    }
    let everywhere = flow.writes().iter().map(|write| format!("{write}:{fault}@1"));
    all.push(everywhere.collect::<Vec<_>>().join(","));
    if !fault.contains("after") {
        all.push(format!("{fault}%10"));
    }
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    faults(setting, flow, &all, &all)
}

/// Nobody listens where a vendor should; once every vendor in turn.
fn refused(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    const ESCALATION: &[&[&str]] =
        &[&["WIZ_API_URL", "WIZ_AUTH_URL"], &["QUALYS_URL"], &["PAGERDUTY_API_URL"], &["JIRA_URL"]];
    const PATCHES: &[&[&str]] = &[&["SNOW_INSTANCE"], &["QUALYS_URL"], &["CS_BASE_URL"]];
    let variables = match flow {
        Flow::Escalation => ESCALATION,
        Flow::Patches => PATCHES,
    };
    async move {
        let mut cases = Vec::new();
        for names in variables {
            // Bound and never listened on: the port is ours, and connections to it are refused.
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into())?;
            let url = format!("http://{}", socket.local_addr()?);
            let mut script = Script::new(flow, &setting);
            script.prepare = Box::new(move |world| {
                let all = names.iter().map(|name| ((*name).to_owned(), url.clone()));
                world.variables.extend(all);
            });
            script.between = Box::new(move |_| {
                drop(socket);
                Vec::new()
            });
            cases.push(Case::inside(names.join(", "), &setting, script));
        }
        Ok(Cases::Of(cases))
    }
    .boxed()
}

/// Pages whose rows come twice, a workflow that asks for everything twice, and, where the vendor
/// can tell, a write that the network delivers twice.
fn delivered_twice(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    async move {
        let mut cases = Vec::new();
        let mut under = |faults: String| {
            let script = Script { faults: faults.clone(), ..Script::new(flow, &setting) };
            cases.push(Case::inside(format!("`{faults}`"), &setting, script));
        };
        let mut sources = flow.sources().to_vec();
        if flow == Flow::Patches {
            sources.push(Vendor::ServiceNow);
        }
        for source in &sources {
            under(format!("{source}:doubled"));
        }
        if flow == Flow::Escalation {
            under("pagerduty.incidents.create:twice".to_owned());
        }
        let line = match flow {
            Flow::Escalation => "await arx.each(episodes.vulnerabilities, escalate)",
            Flow::Patches => "await arx.each(verified.tickets, act)",
        };
        let again: Asked = Box::new(move |source| {
            source.contains(line).then(|| source.replace(line, &format!("{line}\n    {line}")))
        });
        let at_once: Asked = Box::new(move |source| {
            let writes: &[(&str, &str)] = match flow {
                Flow::Escalation => {
                    &[("incident", "pagerduty.incidents.create"), ("ticket", "jira.issues.create")]
                }
                Flow::Patches => &[("reply", "servicenow.incidents.update")],
            };
            writes.iter().try_fold(source.to_owned(), |source, (name, write)| {
                asked_at_once(&source, name, write)
            })
        });
        for (name, asked) in [("asked again", again), ("asked twice at once", at_once)] {
            let mut script = Script::new(flow, &setting);
            let source = asked(flow.library().source).context("the workflow reads otherwise")?;
            script.prepare = Box::new(move |world| world.source = source);
            cases.push(Case::inside(name, &setting, script));
        }
        Ok(Cases::Of(cases))
    }
    .boxed()
}

/// A workflow's text with its writes asked for twice; none where it reads otherwise.
type Asked = Box<dyn Fn(&str) -> Option<String> + Send>;

/// The text with one write asked for by two calls at once.
fn asked_at_once(source: &str, name: &str, write: &str) -> Option<String> {
    const CLOSED: &str = "\n    )";
    let (before, from) = source.split_once(&format!("{name} = await {write}"))?;
    let (arguments, after) = from.split_once(CLOSED)?;
    let call = format!("{write}{arguments}{CLOSED}");
    Some(format!("{before}{name}, _ = await asyncio.gather({call}, {call}){after}"))
}

/// Replies that break off, and replies that are cut and look whole; of reads and of writes.
fn truncated(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    let mut all = Vec::new();
    for fault in ["truncate", "cut"] {
        all.extend(flow.sources().iter().map(|source| format!("{source}:{fault}@1")));
        all.extend(flow.sources().iter().map(|source| format!("{source}:{fault}@2x2")));
        all.extend(flow.writes().iter().map(|write| format!("{write}:{fault}@1x2")));
    }
    if flow == Flow::Patches {
        all.push("servicenow.table.list:truncate@1x2".to_owned());
        all.push("servicenow.table.list:cut@2".to_owned());
    }
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    faults(setting, flow, &all, &all)
}

/// Tokens that lapse between two pages.
fn tokens(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    let (scenario, faults) = match flow {
        // Three pages of findings.
        Flow::Escalation => (
            "generated:seed=3,findings=1200,detections=6,cves=2,assets=4",
            ["wiz:expire-token@2", "wiz:expire-token@2x2"],
        ),
        Flow::Patches => {
            (flow.small(), ["crowdstrike:expire-token@2", "crowdstrike:expire-token@1x3"])
        }
    };
    let cases = faults.map(|faults| {
        let script = Script {
            scenario: scenario.to_owned(),
            faults: faults.to_owned(),
            ..Script::new(flow, &setting)
        };
        Case::inside(format!("`{faults}`"), &setting, script)
    });
    let cases = Cases::Of(cases.into());
    async move { Ok(cases) }.boxed()
}

/// A create whose reply is lost while the search does not show what was created lately.
fn lagging(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    if flow == Flow::Patches {
        let why = "this workflow does not write to Jira.";
        return async move { Ok(Cases::Senseless(why)) }.boxed();
    }
    let all = [
        "jira:lag=10m",
        "jira:lag=10m,jira.issues.create:drop-after@1",
        "jira:lag=10m,jira.issues.create:500-after@1x2",
        "jira:lag=10m,jira.issues.create:reset@1",
        "jira:lag=10m,jira.issues.create:drop-after%50",
    ];
    faults(setting, flow, &all, &all)
}

/// Every stop before a commit, after which a human resolves every incident that is there.
fn resolved(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    async move {
        if flow == Flow::Patches {
            return Ok(Cases::Senseless("this workflow pages nobody."));
        }
        stops(&setting, flow, &[StopWhen::BeforeCommit], |script| {
            script.between = Box::new(|world| {
                let control = world.simulators.control();
                for incident in control.incidents() {
                    control.resolve_incident(&incident.id);
                }
                Vec::new()
            });
        })
        .await
    }
    .boxed()
}

/// A colleague writes to the tickets: while ARX does, between crash and retry, and in its place.
fn edited(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    async move {
        if flow == Flow::Escalation {
            return Ok(Cases::Senseless("this workflow does not write to ServiceNow."));
        }
        let Cases::Of(mut cases) = stops(&setting, flow, &[StopWhen::BeforeCommit], |script| {
            script.leaves_for_next = true;
            script.between = Box::new(|world| {
                let control = world.simulators.control();
                for ticket in control.tickets() {
                    control.edit_ticket(&ticket.number, &[("comments", "I am looking into it")]);
                }
                Vec::new()
            });
        })
        .await?
        else {
            anyhow::bail!("no cases")
        };
        for faults in
            ["servicenow.table.get:edited-meanwhile@1", "servicenow.table.get:edited-meanwhile%40"]
        {
            let script = Script {
                faults: faults.to_owned(),
                leaves_for_next: true,
                ..Script::new(flow, &setting)
            };
            cases.push(Case::inside(format!("`{faults}`"), &setting, script));
        }
        // One ticket, so that a stop at the same write is the same moment again.
        for (expected, seed, name, left) in [
            (Expected::Verified, 2, "closed by a human once it is intended", 0),
            (Expected::Failed, 19, "flagged by a human once it is intended", 2),
        ] {
            let setting = Arc::clone(&setting);
            let play = async move {
                let scenario = format!("generated:seed={seed},findings=0,detections=0,tickets=1");
                let script = in_its_place(&setting, &scenario, expected, left).await?;
                script.play(&setting).await
            };
            cases.push(Case { name: name.to_owned(), play: play.boxed() });
        }
        Ok(Cases::Of(cases))
    }
    .boxed()
}

/// A stop right after the intent to write to a ticket is on disk, after which a human does by hand
/// what was intended.
async fn in_its_place(
    setting: &Setting,
    scenario: &str,
    expected: Expected,
    left: usize,
) -> Result<Script> {
    let flow = Flow::Patches;
    let when = StopWhen::AfterCommit;
    for write in 1..=measure(flow, setting).await?.writes {
        let stop = JournalOptions { stop: Some(StopPoint { write, when }), ..Default::default() };
        let mut script = Script { scenario: scenario.to_owned(), ..Script::new(flow, setting) };
        let world = script.world(setting).await?;
        let _ = world.process(stop).await;
        let Some(number) = ticket(&world.simulators.control(), expected) else { continue };
        let filter = EffectFilter { state: Some(EffectState::Intended), ..Default::default() };
        let journal = world.journal(JournalOptions::default())?;
        let intended = journal.read(move |reader| reader.effects(&filter)).await?;
        if !intended.iter().any(|effect| effect.key.as_str().contains(&number)) {
            continue;
        }
        (script.first, script.stops, script.left_expected) = (stop, true, left);
        script.between = Box::new(move |world| by_hand(world, &number, expected));
        return Ok(script);
    }
    anyhow::bail!("no write of the journal holds the intent")
}

fn ticket(control: &Control, expected: Expected) -> Option<String> {
    let tickets = control.tickets();
    let mut found = tickets.into_iter().filter(|ticket| ticket.expected == Some(expected));
    found.find(|ticket| ticket.table == "incident").map(|ticket| ticket.number)
}

/// Does what ARX intended to do; gives the ticket where ARX then has to leave it alone.
fn by_hand(world: &TestWorld, number: &str, expected: Expected) -> Vec<String> {
    let control = world.simulators.control();
    let closing =
        [("state", "6"), ("close_code", "Solution provided"), ("close_notes", "Done by hand.")];
    match expected {
        Expected::Verified => {
            control.edit_ticket(number, &closing);
            vec![number.to_owned()]
        }
        Expected::Failed | Expected::Inconclusive | Expected::Unusable => {
            control.edit_ticket(number, &[("state", IN_PROGRESS)]);
            Vec::new()
        }
    }
}

/// Databases that can take no more, at every point of a run; then there is room again.
fn disk_full(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    async move {
        let measured = measure(flow, &setting).await?;
        let (from, to) = (measured.pages_before, measured.pages_after);
        let case = |name: String, first| {
            Case::inside(name, &setting, Script { first, ..Script::new(flow, &setting) })
        };
        let grown = (0..FULL_CASES).map(|n| {
            let pages_max = Some(from + (to - from) * n / FULL_CASES);
            let first = JournalOptions { pages_max, ..Default::default() };
            case(format!("full at {n} of {FULL_CASES}"), first)
        });
        let at_writes = (1..=measured.writes).map(|write| {
            let fault = Some(FaultPoint { write, fault: Fault::Full, lasting: true });
            case(format!("full from write {write}"), JournalOptions { fault, ..Default::default() })
        });
        Ok(Cases::Of(grown.chain(at_writes).collect()))
    }
    .boxed()
}

/// The journal's clock is set back an hour: between crash and retry wherever the crash is, and
/// while the outcome of a write is not known.
fn clock_back(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    async move {
        let Cases::Of(mut cases) = stops(&setting, flow, &[StopWhen::BeforeCommit], |script| {
            script.one_clock = false;
            script.between = Box::new(|world| {
                world.clock.step_back(JUMP);
                Vec::new()
            });
        })
        .await?
        else {
            anyhow::bail!("no cases")
        };
        for write in flow.writes() {
            for fault in ["drop-after@1x2", "reset@1x2"] {
                let faults = format!("{write}:{fault},{write}:latency=100ms");
                let script = Script {
                    faults: faults.clone(),
                    one_clock: false,
                    beside: Some(Box::new(|world| jump_at_first_write(world).boxed())),
                    ..Script::new(flow, &setting)
                };
                cases.push(Case::inside(format!("`{faults}` in mid-run"), &setting, script));
            }
        }
        Ok(Cases::Of(cases))
    }
    .boxed()
}

/// Sets the clock back once a vendor that is written to was asked for something.
async fn jump_at_first_write(world: &TestWorld) {
    let control = world.simulators.control();
    let asked = || control.requests(Vendor::PagerDuty) + control.requests(Vendor::ServiceNow) > 2;
    while !asked() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    world.clock.step_back(JUMP);
}

/// A stop at every write of the journal, on either side of its commit.
fn every_write(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    async move {
        stops(&setting, flow, &[StopWhen::BeforeCommit, StopWhen::AfterCommit], |_| ()).await
    }
    .boxed()
}

/// One case for every write that a run makes to the journal, and every side of its commit.
async fn stops(
    setting: &Arc<Setting>,
    flow: Flow,
    sides: &[StopWhen],
    change: impl Fn(&mut Script),
) -> Result<Cases> {
    let writes = measure(flow, setting).await.context("without any fault")?.writes;
    let mut cases = Vec::new();
    for when in sides.iter().copied() {
        for write in 1..=writes {
            let mut script = Script::new(flow, setting);
            let stop = StopPoint { write, when };
            script.first = JournalOptions { stop: Some(stop), ..Default::default() };
            script.stops = true;
            change(&mut script);
            cases.push(Case::inside(format!("{when:?} of write {write}"), setting, script));
        }
    }
    Ok(Cases::Of(cases))
}
