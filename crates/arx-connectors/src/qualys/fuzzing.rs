//! Doors for the fuzzer: both lists of hosts, the KnowledgeBase, answers, and parameters.
#![expect(clippy::expect_used, reason = "a promise that is broken ends the fuzzer")]

use std::collections::HashSet;
use std::sync::Arc;

use arx_types::{Digest, FindingSink, HostNames};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use super::answer::Answer;
use super::hosts::{self, Asked, Keep, Recognised};
use super::knowledge::{self, Reply};
use super::pages::{DETECTIONS, HOSTS, List, PageRequest};
use super::scans;
use super::settings::Settings;
use super::wire::{
    self, DETECTIONS_ROOT, Detection, Ended, Filter, HOSTS_ROOT, PageEnd, STATUSES, Warning,
};
use super::xml::{Bounded, Pieces};
use crate::fuzzing::{check_refusal, reply};

/// Where a body is cut, drawn from the body itself, so that an input alone says it all.
struct Cuts(u64);

impl Cuts {
    fn of(body: &[u8]) -> Self {
        let seed = Digest::of_bytes(body).0;
        Self(seed.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
    }

    /// A number below `limit`.
    fn next(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit.max(1)
    }
}

/// A body in pieces, as a connection gives it.
fn pieces(body: &[u8], cuts: &mut Cuts) -> Pieces {
    let mut rest = Bytes::copy_from_slice(body);
    let mut parts = Vec::new();
    // Small pieces first: what is cut there is the head of a document.
    let largest = [1, 3, 64].get(cuts.next(3)).copied().unwrap_or(1);
    while !rest.is_empty() {
        let n = if parts.len() > 512 { rest.len() } else { 1 + cuts.next(largest) };
        parts.push(rest.split_to(n.min(rest.len())));
    }
    let (sender, receiver) = mpsc::channel(parts.len().max(1));
    for part in parts {
        assert!(sender.try_send(Ok(part)).is_ok(), "the channel holds every piece");
    }
    Pieces::new(receiver)
}

/// Reads a body as a list of detections: whole, in pieces, and cut short.
pub fn detections(body: &[u8]) {
    let filter = Filter { min_severity: 4, statuses: vec!["New", "Active", "Re-Opened"] };
    let read = |body: &[u8]| read_detections(body, &filter);
    let (end, found) = read(body);
    let mut cuts = Cuts::of(body);
    let in_pieces = read_detections(pieces(body, &mut cuts), &filter);
    assert_eq!(in_pieces.1, found, "read otherwise in pieces");
    check_same(in_pieces.0, &end);

    let cut = body.get(..cuts.next(body.len())).unwrap_or_default();
    let (cut_end, cut_found) = read(cut);
    check_cut(&cut_end, &end);
    assert!(found.starts_with(&cut_found), "a list that was cut holds what the whole does not");

    for detection in &found {
        assert!(detection.severity <= 5, "{detection:?}");
        assert!(detection.severity == 0 || detection.severity >= 4, "not asked for");
        assert!(detection.id.starts_with(&detection.host.id), "{detection:?}");
        assert!(!detection.host.name.is_empty() && !detection.host.id.is_empty(), "{detection:?}");
    }
    check_end(&end, &DETECTIONS);
}

fn read_detections(source: impl Bounded, filter: &Filter) -> (PageEnd, Vec<Detection>) {
    let mut found = Vec::new();
    let end = wire::read_page(source, filter, |batch| {
        found.extend(batch);
        true
    });
    (end, found)
}

/// Two ends of one document. Where exactly it broke is told in the parser's words, which depend on
/// how its bytes arrived.
fn check_same(in_pieces: PageEnd, whole: &PageEnd) {
    match (&in_pieces.ended, &whole.ended) {
        (Ended::Broken(_), Ended::Broken(why)) => {
            let ended = Ended::Broken(why.clone());
            assert_eq!(&PageEnd { ended, ..in_pieces }, whole, "ended otherwise in pieces");
        }
        _ => assert_eq!(&in_pieces, whole, "ended otherwise in pieces"),
    }
}

/// What is cut is whole only where nothing but what follows the root was cut off.
fn check_cut(cut: &PageEnd, whole: &PageEnd) {
    match &cut.ended {
        Ended::Whole(_) | Ended::Answer(_) | Ended::Foreign(_) => assert_eq!(cut, whole),
        Ended::Broken(_) | Ended::Refused(_) => {}
        Ended::Abandoned => unreachable!("somebody takes what is listed"),
    }
    assert!(cut.hosts <= whole.hosts, "a list that was cut holds more hosts");
}

fn check_end(end: &PageEnd, list: &List) {
    assert!(end.last_host.is_none() || end.hosts > 0, "{end:?}");
    match &end.ended {
        Ended::Whole(Some(warning)) => check_next(list, warning),
        Ended::Whole(None) => {}
        Ended::Foreign(root) => assert!(root.chars().count() <= 300, "a name without end"),
        Ended::Answer(answer) => check_answer(answer),
        Ended::Broken(why) => {
            check_refusal(why);
            assert!(why.chars().count() <= 300, "a reason without end");
        }
        Ended::Refused(why) => check_refusal(why),
        Ended::Abandoned => unreachable!("somebody takes what is listed"),
    }
}

fn check_answer(answer: &Answer) {
    check_refusal(&answer.message());
    let _ = (answer.kind(), answer.is_rate(), answer.is_about_entitlement());
    assert!(answer.items.len() <= 100, "items without end");
}

/// The address of a next page leads further in the same list and nowhere else.
fn check_next(list: &List, warning: &Warning) {
    let mut page = PageRequest::first(vec![("action", "list".to_owned())]);
    page.id_min = 7;
    match page.after(list, warning) {
        Err(why) => check_refusal(&why),
        Ok(next) => {
            assert!(next.id_min > page.id_min, "a next page that leads back: {next:?}");
            let version = next.version.as_deref().unwrap_or_default();
            assert!(!version.is_empty(), "{next:?}");
            assert!(version.bytes().all(|b| b.is_ascii_digit() || b == b'.'), "{next:?}");
            let actions = next.query.iter().rfind(|(name, _)| name == "action");
            assert_eq!(actions.map(|(_, value)| value.as_str()), Some("list"), "{next:?}");
        }
    }
}

/// Reads a body as either list of hosts, looking for hosts that the seeds name.
pub fn hosts(body: &[u8]) {
    let names = |id: &str, names: &[&str], ips: &[&str], agents: &[&str]| HostNames {
        id: id.to_owned(),
        name: id.to_owned(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        ips: ips.iter().map(|&ip| ip.to_owned()).collect(),
        agent_ids: agents.iter().map(|&agent| agent.to_owned()).collect(),
    };
    let wanted = [
        names("a", &["web-01.example.com"], &["10.0.0.1"], &[]),
        names("b", &["web-01"], &["10.0.0.2", "fd00::2"], &["agent-2"]),
        names("c", &[], &["10.0.0.1"], &["AGENT2"]),
    ];
    let asked = Asked::new(&wanted);
    let few = Keep::Qids(Arc::new(HashSet::from([38170, 91462])));
    for (root, list, keep) in
        [(DETECTIONS_ROOT, &DETECTIONS, few), (HOSTS_ROOT, &HOSTS, Keep::Everything)]
    {
        let read = |body: &[u8]| read_hosts(body, root, &asked, &keep);
        let (end, found) = read(body);
        let mut cuts = Cuts::of(body);
        let in_pieces = read_hosts(pieces(body, &mut cuts), root, &asked, &keep);
        assert_eq!(in_pieces.1, found, "read otherwise in pieces");
        check_same(in_pieces.0, &end);
        let cut = body.get(..cuts.next(body.len())).unwrap_or_default();
        let (cut_end, cut_found) = read(cut);
        check_cut(&cut_end, &end);
        assert!(found.starts_with(&cut_found), "a list that was cut holds what the whole does not");
        for record in &found {
            assert!(!record.matches.is_empty(), "a record of a host that nobody asked for");
            assert!(record.matches.iter().all(|one| one.host < wanted.len()), "{record:?}");
            assert!(record.contested.iter().all(|host| *host < wanted.len()), "{record:?}");
        }
        check_end(&end, list);
    }
}

fn read_hosts(
    source: impl Bounded,
    root: &str,
    asked: &Asked,
    keep: &Keep,
) -> (PageEnd, Vec<Recognised>) {
    let mut found = Vec::new();
    let end = hosts::read(source, root, asked, keep, &mut |batch| {
        found.extend(batch);
        true
    });
    (end, found)
}

/// Reads a body as the KnowledgeBase and as an answer, and hands on what detections of its QIDs
/// become.
pub fn knowledge(body: &[u8], sink: &dyn FindingSink) {
    if let Some(answer) = Answer::of_body(body) {
        check_answer(&answer);
    }
    drop(reply(200, body).excerpt());
    let facts = match knowledge::read_knowledge(body) {
        Ok(Reply::Facts { facts, .. }) => facts,
        Ok(Reply::Answer(answer)) => return check_answer(&answer),
        Ok(Reply::Foreign(_)) | Err(_) => return,
    };
    for (qid, fact) in &facts {
        assert!(fact.cvss_tenths.is_none_or(|score| score <= 100), "{fact:?}");
        assert!(fact.solution.chars().count() <= 2_000, "a text without end");
        assert!(!fact.title.contains('\n'), "a title of several lines: {fact:?}");
        let kept = serde_json::to_vec(fact).expect("a fact is kept as JSON");
        let again = serde_json::from_slice::<knowledge::Fact>(&kept);
        assert_eq!(again.ok().as_ref(), Some(fact), "kept otherwise than it was read");
        for severity in [0, 5] {
            let detection = Detection {
                id: format!("1/{qid}"),
                qid: *qid,
                severity,
                first_seen: String::new(),
                host: Arc::default(),
            };
            let name = format!("QID-{qid}");
            let Some(finding) = knowledge::finding(&detection, Some(fact), &name, 4) else {
                continue;
            };
            assert!(finding.qualys_severity <= 5, "no severity of Qualys': {finding:?}");
            assert!(finding.vulnerabilities.iter().all(|name| !name.is_empty()), "{finding:?}");
            let _ = sink.accept(&[finding]);
        }
    }
}

/// Checks the parameters of `findings:read`.
pub fn parameters_of_findings(params: &Value) -> Result<(), String> {
    let filter = Filter::from_params(params)?;
    assert!((1..=5).contains(&filter.min_severity), "{filter:?}");
    assert!(!filter.statuses.is_empty(), "a read of detections in no state");
    assert!(filter.statuses.iter().all(|status| STATUSES.contains(status)), "{filter:?}");
    assert!(filter.severities().bytes().all(|byte| byte.is_ascii_digit() || byte == b','));
    Ok(())
}

/// Checks the parameters of `scans:read`.
pub fn parameters_of_scans(params: &Value) -> Result<(), String> {
    let (hosts, _) = scans::parameters(params)?;
    let asked = Asked::new(&hosts);
    assert!(asked.known().iter().all(|host| *host < hosts.len()), "a host that nobody asked for");
    Ok(())
}

/// Checks `connectors.qualys.settings`.
pub fn settings(settings: &Value) {
    match Settings::read(settings) {
        Err(message) => check_refusal(&message),
        Ok(settings) => assert!((1..=3600).contains(&settings.timeout.as_secs()), "{settings:?}"),
    }
}
