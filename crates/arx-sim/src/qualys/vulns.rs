//! KnowledgeBase: what a QID is, and which CVEs it covers.

use super::parameters::Parameters;
use super::{Call, Problem, xml};
use crate::estate::Qid;
use crate::http::Reply;

const ROOT: &str = "KNOWLEDGE_BASE_VULN_LIST_OUTPUT";

#[rustfmt::skip]
const KNOWN: &[&str] = &[
    "action", "details", "ids", "id_min", "id_max", "cve", "is_patchable", "published_after",
    "published_before", "echo_request", "show_pci_reasons", "show_disabled_flag",
    "show_supported_modules_info", "show_qid_change_log",
];

pub(super) fn list(call: &Call<'_>, parameters: &Parameters) -> Result<Reply, Problem> {
    parameters.only(KNOWN)?;
    let details = parameters.words("details", &["Basic", "All", "None"])?;
    let details = details.and_then(|words| words.first().copied()).unwrap_or("Basic");
    let ids = parameters.ranges("ids")?;
    let (low, high) = (parameters.number("id_min")?, parameters.number("id_max")?);
    let cve = parameters.last("cve");
    let is_patchable = match parameters.last("is_patchable") {
        None => None,
        Some(_) => Some(parameters.flag("is_patchable", false)?),
    };
    let after = parameters.date("published_after")?;
    let before = parameters.date("published_before")?;
    let is_wanted = |qid: &&Qid| {
        let id = u64::from(qid.qid);
        let published = qid.published.parse().map_or(0, |at: jiff::Timestamp| at.as_second());
        ids.as_ref().is_none_or(|ids| ids.contains(id))
            && low.is_none_or(|low| id >= low)
            && high.is_none_or(|high| id <= high)
            && cve.is_none_or(|cve| qid.cves.iter().any(|c| c.eq_ignore_ascii_case(cve)))
            && is_patchable.is_none_or(|wanted| wanted == qid.is_patchable)
            && after.is_none_or(|after| published >= after)
            && before.is_none_or(|before| published < before)
    };

    let mut out = xml::open(call, ROOT);
    out.push_str(&format!("<!-- keep-alive for {ROOT} -->\n"));
    let mut found = call.shared.estate.qids.iter().filter(is_wanted).peekable();
    // Nothing found: no VULN_LIST at all.
    if found.peek().is_some() {
        out.push_str("    <VULN_LIST>\n");
        for qid in found {
            push(&mut out, qid, details);
        }
        out.push_str("    </VULN_LIST>\n");
    }
    out.push_str(&xml::close(ROOT));
    Ok(Reply::xml(200, out))
}

fn push(out: &mut String, qid: &Qid, details: &str) {
    out.push_str(&format!("      <VULN>\n        <QID>{}</QID>\n", qid.qid));
    if details == "None" {
        out.push_str("      </VULN>\n");
        return;
    }
    out.push_str(&format!(
        "        <VULN_TYPE>{}</VULN_TYPE>\n        <SEVERITY_LEVEL>{}</SEVERITY_LEVEL>\n        <TITLE>{}</TITLE>\n        <CATEGORY>{}</CATEGORY>\n        <LAST_SERVICE_MODIFICATION_DATETIME>{}</LAST_SERVICE_MODIFICATION_DATETIME>\n        <PUBLISHED_DATETIME>{}</PUBLISHED_DATETIME>\n        <PATCHABLE>{}</PATCHABLE>\n",
        match qid.kind {
            "Info" => "Information Gathered",
            "Potential" => "Potential Vulnerability",
            _ => "Vulnerability",
        },
        qid.severity,
        xml::cdata(&qid.title),
        xml::text(qid.category),
        qid.published,
        qid.published,
        u8::from(qid.is_patchable),
    ));
    if !qid.cves.is_empty() {
        out.push_str("        <CVE_LIST>\n");
        for cve in &qid.cves {
            push_cve(out, cve);
        }
        out.push_str("        </CVE_LIST>\n");
    } else if qid.severity == 5 {
        // Some entries carry a list with one empty id.
        out.push_str("        <CVE_LIST>\n");
        push_cve(out, "");
        out.push_str("        </CVE_LIST>\n");
    }
    out.push_str(&format!(
        "        <DIAGNOSIS>{}</DIAGNOSIS>\n        <SOLUTION>{}</SOLUTION>\n",
        xml::cdata(&qid.diagnosis),
        xml::cdata(&format!("{}<P>", qid.solution)),
    ));
    if details == "All" {
        out.push_str("        <DISCOVERY>\n          <REMOTE>");
        out.push_str(if qid.port.is_some() { "1" } else { "0" });
        out.push_str("</REMOTE>\n        </DISCOVERY>\n");
    }
    out.push_str("      </VULN>\n");
}

fn push_cve(out: &mut String, cve: &str) {
    out.push_str(&format!(
        "          <CVE>\n            <ID>{}</ID>\n            <URL>{}</URL>\n          </CVE>\n",
        xml::cdata(cve),
        xml::cdata(&format!("http://cve.mitre.org/cgi-bin/cvename.cgi?name={cve}")),
    ));
}
