//! Harbourline's patch wave: every outcome and every ambiguity that a verifier meets, once.

use super::cases::{Case, Ci, DOMAIN};
use super::{Expected, HOUR, Seen};
use crate::estate::{DAY, Estate};
use crate::servicenow::RETIRED_STATE;

use Expected::{Failed, Inconclusive, Unusable};

const UBUNTU: &str = "Ubuntu 22.04";
const UBUNTU_OLD: &str = "Ubuntu 20.04";
const WINDOWS: &str = "Windows Server 2019 Standard";
const WINDOWS_11: &str = "Windows 11 Enterprise";

/// The scanner's checks that the wave is about.
const LOG4SHELL: u32 = 9_100_001;
const SPRING4SHELL: u32 = 9_100_002;
const ZEROLOGON: u32 = 9_100_006;
const OUTLOOK: u32 = 9_100_007;
const REGRESSHION: u32 = 9_100_015;
const PWNKIT: u32 = 9_100_016;
const SAMEDIT: u32 = 9_100_017;
const TERRAPIN: u32 = 9_100_018;
const RAPID_RESET: u32 = 9_100_019;

/// The size of the one description that is too long for any ticket.
const LONG_BYTES: usize = 5 * 1024 * 1024;

/// The patch time that no field and no history tells.
fn without_time(case: &mut Case) {
    (case.work_end, case.patched_at, case.entered) = (None, None, None);
}

#[rustfmt::skip]
pub(super) fn cases(estate: &Estate, at: i64) -> Vec<Case> {
    let mut n = 0;
    let mut plain = |name: &str, os| { n += 1; Case::plain(n, at, name, os) };
    let whole = |short: &str| format!("{short}.{DOMAIN}");
    vec![
        // Verified.
        plain("pay-app-21", UBUNTU).titled("Patch Log4Shell on {host}").cve("CVE-2021-44228").detected(estate, LOG4SHELL, "Fixed"),
        plain("book-web-12", UBUNTU).titled("Critical patch on {host}")
            .described("Monthly wave. Please install the update for CVE-2021-4034 (PwnKit) on {host} and restart.").detected(estate, PWNKIT, "Fixed"),
        plain("dc-berth-03", WINDOWS).titled("Security update on {host}").with(|case| case.qid = ZEROLOGON.to_string()).detected(estate, ZEROLOGON, "Fixed"),
        plain("pay-app-22", UBUNTU).titled("CVE-2021-44228, CVE-2021-45046 and CVE-2022-22965 on {host}")
            .detected(estate, LOG4SHELL, "Fixed").detected(estate, SPRING4SHELL, "Fixed"),
        // The CI has a short name, the sensor reports the whole one.
        plain("fleet-gw-03", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}").named("fleet-gw-03", "")
            .detected(estate, REGRESSHION, "Fixed").sensor(|s| s.hostname = whole("fleet-gw-03")),
        // The CI has the whole name in capitals, the sensor reports the short one in lower case.
        plain("data-hub-04", UBUNTU).titled("cve-2024-6387 on {host}").named("DATA-HUB-04.HARBOURLINE.EXAMPLE", "")
            .detected(estate, REGRESSHION, "Fixed"),
        plain("ws-quay-17", WINDOWS_11).titled("Outlook update on {host}").cve("CVE-2023-23397").detected(estate, OUTLOOK, "Fixed")
            .sensor(|s| s.hostname = "WS-QUAY-17".to_owned()),
        // Address and names moved on since the CI was filled; the scanner's agent is the same.
        plain("ws-roam-08", WINDOWS_11).titled("Outlook update on {host}").cve("CVE-2023-23397")
            .scan(|s| { s.ip = "10.49.3.77".to_owned(); s.dns = "vpn-3-77.harbourline.example".to_owned(); s.netbios = "VPN-3-77".to_owned(); })
            .detected(estate, OUTLOOK, "Fixed"),
        // Re-imaged: the record of the old sensor is still listed, silent for weeks.
        plain("book-web-13", UBUNTU).titled("Terrapin (CVE-2023-48795) on {host}").detected(estate, TERRAPIN, "Fixed")
            .second_sensor(at, |s| (s.seen, s.state, s.version) = (Seen::At(at - 41 * DAY), Some("offline"), "7.11.16404.0")),
        plain("lin-ops-31", UBUNTU_OLD).titled("sudo update on {host}").cve("CVE-2021-3156")
            .with(|case| (case.patched_at, case.work_end) = (case.work_end, None)).detected(estate, SAMEDIT, "Fixed"),
        // Only its history tells when it was done.
        plain("lin-ops-32", UBUNTU_OLD).titled("sudo update on {host}").cve("CVE-2021-3156")
            .with(|case| case.work_end = None).detected(estate, SAMEDIT, "Fixed"),
        plain("lin-ops-33", UBUNTU_OLD).titled("sudo update on {host} ^ORactive=true (CVE-2021-3156)").detected(estate, SAMEDIT, "Fixed"),
        plain("lin-ops-34", UBUNTU_OLD).titled("polkit update on {host}").with(|case| case.padded_bytes = LONG_BYTES)
            .described("CVE-2021-4034 on {host}; the log of the change follows.").detected(estate, PWNKIT, "Fixed"),

        // Failed.
        plain("pay-app-23", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}").detected(estate, REGRESSHION, "Active").expecting(Failed),
        plain("lin-ops-35", UBUNTU_OLD).titled("polkit update on {host}").cve("CVE-2021-4034").detected(estate, PWNKIT, "Re-Opened").expecting(Failed),
        plain("lin-ops-36", UBUNTU_OLD).titled("CVE-2021-3156 and CVE-2021-4034 on {host}")
            .detected(estate, SAMEDIT, "Fixed").detected(estate, PWNKIT, "Active").expecting(Failed),
        plain("book-web-14", UBUNTU).titled("HTTP/2 rapid reset on {host}").cve("CVE-2023-44487").detected(estate, RAPID_RESET, "New").expecting(Failed),
        plain("pay-app-24", UBUNTU).titled("Patch Log4Shell on {host}").cve("CVE-2021-44228").detected(estate, LOG4SHELL, "Fixed")
            .sensor(|s| s.reduced = Some("yes")).expecting(Failed),
        plain("dc-berth-04", WINDOWS).titled("Security update on {host}").cve("CVE-2020-1472").detected(estate, ZEROLOGON, "Fixed")
            .sensor(|s| s.status = "contained").expecting(Failed),
        plain("fleet-gw-04", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}").detected(estate, REGRESSHION, "Fixed")
            .sensor(|s| (s.seen, s.state) = (Seen::At(at - 24 * DAY), Some("offline"))).expecting(Failed),

        // Inconclusive: the scanner.
        plain("pay-app-25", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}")
            .scan(|s| (s.scanned, s.authenticated) = (Some(at - 4 * DAY), Some(at - 4 * DAY)))
            .detected(estate, REGRESSHION, "Active").expecting(Inconclusive),
        plain("dc-berth-05", WINDOWS).titled("Security update on {host}").cve("CVE-2020-1472")
            .scan(|s| { s.tracking = "IP"; s.agent = String::new(); s.authenticated = Some(at - 9 * DAY); })
            .detected(estate, ZEROLOGON, "Fixed").expecting(Inconclusive),
        plain("iot-crane-02", UBUNTU_OLD).titled("sudo update on {host}").cve("CVE-2021-3156")
            .with(|case| case.scanned.clear()).expecting(Inconclusive),
        // One address in two networks, both without a name.
        plain("lab-gate-01", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}")
            .scan(|s| { s.tracking = "IP"; s.dns = String::new(); s.agent = String::new(); })
            .detected(estate, REGRESSHION, "Fixed").second_scan(|s| s.network = 7_301).expecting(Inconclusive),
        // The address was given to another machine.
        plain("lab-gate-02", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}")
            .scan(|s| { s.dns = whole("printer-lobby-2"); s.agent = String::new(); s.tracking = "IP"; })
            .detected(estate, REGRESSHION, "Fixed").expecting(Inconclusive),
        plain("book-web-15", UBUNTU).titled("Spring4Shell on {host}").cve("CVE-2022-22965").detected(estate, TERRAPIN, "Active").expecting(Inconclusive),

        // Inconclusive: the sensor.
        plain("fleet-gw-05", UBUNTU).titled("Terrapin (CVE-2023-48795) on {host}").detected(estate, TERRAPIN, "Fixed")
            .second_sensor(at, |s| s.seen = Seen::Ago(290)).expecting(Inconclusive),
        plain("iot-crane-03", UBUNTU_OLD).titled("polkit update on {host}").cve("CVE-2021-4034").detected(estate, PWNKIT, "Fixed")
            .with(|case| case.sensors.clear()).expecting(Inconclusive),
        plain("pay-app-26", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}").detected(estate, REGRESSHION, "Fixed")
            .sensor(|s| s.state = Some("unknown")).expecting(Inconclusive),
        plain("ws-quay-18", WINDOWS_11).titled("Outlook update on {host}").cve("CVE-2023-23397").detected(estate, OUTLOOK, "Fixed")
            .sensor(|s| (s.seen, s.state) = (Seen::Ago(3 * HOUR), Some("offline"))).expecting(Inconclusive),
        plain("data-hub-05", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}").detected(estate, REGRESSHION, "Fixed")
            .sensor(|s| s.reduced = None).expecting(Inconclusive),

        // Inconclusive: the ticket.
        plain("lost-host-01", UBUNTU).titled("CVE-2024-6387: update OpenSSH").with(|case| case.ci = Ci::None)
            .detected(estate, REGRESSHION, "Fixed").expecting(Inconclusive),
        plain("lost-host-02", UBUNTU).titled("CVE-2024-6387: update OpenSSH").with(|case| case.ci = Ci::Deleted)
            .detected(estate, REGRESSHION, "Fixed").expecting(Inconclusive),
        plain("lin-ops-37", UBUNTU_OLD).titled("Monthly patches on {host}").detected(estate, SAMEDIT, "Fixed").expecting(Inconclusive),
        plain("lin-ops-38", UBUNTU_OLD).titled("sudo update on {host}").cve("CVE-2021-3156").with(without_time)
            .detected(estate, SAMEDIT, "Fixed").expecting(Inconclusive),
        plain("web-legacy", UBUNTU_OLD).titled("sudo update on a host with an odd name").cve("CVE-2021-3156").named("web^NQactive=true", "")
            .with(|case| if let Ci::Item { ip, .. } = &mut case.ci { ip.clear(); })
            .detected(estate, SAMEDIT, "Fixed").expecting(Inconclusive),

        // The ticket cannot be worked on: its state may not be written, or no longer exists.
        plain("pay-app-27", UBUNTU).titled("Patch Log4Shell on {host}").cve("CVE-2021-44228").detected(estate, LOG4SHELL, "Fixed")
            .with(|case| case.ignored = &["state", "incident_state"]).expecting(Unusable),
        plain("pay-app-28", UBUNTU).titled("Patch Log4Shell on {host}").cve("CVE-2021-44228").detected(estate, LOG4SHELL, "Fixed")
            .with(|case| case.state = Some(RETIRED_STATE)).expecting(Unusable),

        // The same in other tables.
        plain("chg-app-01", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}").detected(estate, REGRESSHION, "Fixed")
            .with(|case| case.table = "change_task"),
        plain("chg-app-02", UBUNTU).titled("CVE-2024-6387: update OpenSSH on {host}").detected(estate, REGRESSHION, "Active")
            .with(|case| case.table = "change_task").expecting(Failed),
        plain("pch-app-01", UBUNTU_OLD).titled("PwnKit").cve("CVE-2021-4034").detected(estate, PWNKIT, "Fixed")
            .with(|case| (case.table, case.ci) = ("u_patch_task", Ci::Text(case.host.name.to_uppercase()))),
        plain("pch-app-02", UBUNTU_OLD).titled("PwnKit").cve("CVE-2021-4034").detected(estate, PWNKIT, "Re-Opened")
            .with(|case| (case.table, case.ci) = ("u_patch_task", Ci::Text(whole(&case.host.name)))).expecting(Failed),
        plain("pch-app-03", UBUNTU_OLD).titled("PwnKit").cve("CVE-2021-4034").detected(estate, PWNKIT, "Fixed")
            .with(|case| (case.table, case.ci) = ("u_patch_task", Ci::Text("nobody-knows-it".to_owned()))).expecting(Inconclusive),
        plain("vit-app-01", UBUNTU).titled("Log4Shell on {host}").cve("CVE-2021-44228").detected(estate, LOG4SHELL, "Fixed")
            .with(|case| case.table = "sn_vul_vulnerable_item"),
    ]
}
