//! Scan list: a handful of scans in the days before the estate's today.

use super::parameters::Parameters;
use super::{Call, Problem, xml};
use crate::environment::QUALYS_USERNAME;
use crate::estate::{DAY, TODAY, time};
use crate::http::Reply;

const ROOT: &str = "SCAN_LIST_OUTPUT";

const KNOWN: &[&str] = &[
    "action",
    "scan_ref",
    "state",
    "type",
    "target",
    "user_login",
    "launched_after_datetime",
    "launched_before_datetime",
    "show_ags",
    "show_op",
    "show_status",
    "show_last",
    "echo_request",
];

const STATES: [&str; 7] =
    ["Running", "Paused", "Canceled", "Finished", "Error", "Queued", "Loading"];
const TYPES: [&str; 3] = ["On-Demand", "Scheduled", "API"];
/// Without a date, scans of the last 30 days are listed.
const DAYS_DEFAULT: i64 = 30;

struct Scan {
    days_ago: i64,
    kind: &'static str,
    title: &'static str,
    state: &'static str,
    is_processed: bool,
    target: &'static str,
}

#[rustfmt::skip]
const SCANS: &[Scan] = &[
    Scan { days_ago: 0, kind: "Scheduled", title: "Servers, daily", state: "Running", is_processed: false, target: "10.20.0.0/16" },
    Scan { days_ago: 1, kind: "Scheduled", title: "Servers, daily", state: "Finished", is_processed: true, target: "10.20.0.0/16" },
    Scan { days_ago: 2, kind: "API", title: "Rescan after patch", state: "Finished", is_processed: true, target: "10.24.1.15" },
    Scan { days_ago: 3, kind: "On-Demand", title: "Edge network", state: "Finished", is_processed: false, target: "10.24.1.0/24" },
    Scan { days_ago: 9, kind: "On-Demand", title: "Workstations", state: "Canceled", is_processed: false, target: "10.24.0.0/24" },
    Scan { days_ago: 45, kind: "Scheduled", title: "Full estate, quarterly", state: "Finished", is_processed: true, target: "10.0.0.0/8" },
];

pub(super) fn list(call: &Call<'_>, parameters: &Parameters) -> Result<Reply, Problem> {
    parameters.only(KNOWN)?;
    let states = parameters.words("state", &STATES)?;
    let types = parameters.words("type", &TYPES)?;
    let after = parameters.date("launched_after_datetime")?;
    let before = parameters.date("launched_before_datetime")?;
    let after = after.or(before.is_none().then_some(TODAY - DAYS_DEFAULT * DAY));
    let found: Vec<(&Scan, i64, String)> = SCANS
        .iter()
        .enumerate()
        .map(|(index, scan)| {
            let launched = TODAY - scan.days_ago * DAY - 7_200;
            (scan, launched, format!("scan/{launched}.{}", 27_337 + index))
        })
        .filter(|(scan, launched, reference)| {
            parameters.last("scan_ref").is_none_or(|wanted| wanted == reference)
                && states.as_ref().is_none_or(|states| states.contains(&scan.state))
                && types.as_ref().is_none_or(|types| types.contains(&scan.kind))
                && parameters.last("target").is_none_or(|wanted| wanted == scan.target)
                && parameters.last("user_login").is_none_or(|wanted| wanted == QUALYS_USERNAME)
                && after.is_none_or(|after| *launched >= after)
                && before.is_none_or(|before| *launched < before)
        })
        .collect();

    let mut out = xml::open(call, ROOT);
    if !found.is_empty() {
        out.push_str("    <SCAN_LIST>\n");
        for (scan, launched, reference) in found {
            out.push_str(&format!(
                "      <SCAN>\n        <REF>{reference}</REF>\n        <TYPE>{}</TYPE>\n        <TITLE>{}</TITLE>\n        <USER_LOGIN>{QUALYS_USERNAME}</USER_LOGIN>\n        <LAUNCH_DATETIME>{}</LAUNCH_DATETIME>\n        <DURATION>00:48:12</DURATION>\n        <PROCESSING_PRIORITY>0 - No Priority</PROCESSING_PRIORITY>\n        <PROCESSED>{}</PROCESSED>\n        <STATUS>\n          <STATE>{}</STATE>\n        </STATUS>\n        <TARGET>{}</TARGET>\n      </SCAN>\n",
                scan.kind,
                xml::cdata(scan.title),
                time(launched),
                u8::from(scan.is_processed),
                scan.state,
                xml::cdata(scan.target),
            ));
        }
        out.push_str("    </SCAN_LIST>\n");
    }
    out.push_str(&xml::close(ROOT));
    Ok(Reply::xml(200, out))
}
