//! The default scenario: Harbourline, a made-up shipping company of 300 assets.
//!
//! People, hosts and QIDs are invented; the vulnerabilities are those of [`super::facts`].
//! Merged by CVE, what qualifies as critical (Wiz CRITICAL or Qualys severity 5, open) makes
//! 21 vulnerabilities; a test keeps that number. Start at [`build`].

use super::facts;
use super::{
    Asset, AssetKind, DAY, Detection, Estate, Finding, Project, Qid, Rows, Severity, TODAY,
    Weakness, uuid,
};
use crate::faults::mix;

use AssetKind::{ContainerImage, RepositoryBranch, Unmanaged, VirtualMachine};

/// Name stem, how many, kind, operating system, whether Qualys scans it.
const ROLES: &[(&str, u64, AssetKind, &str, bool)] = &[
    ("java", 60, VirtualMachine, "Ubuntu 22.04", true),
    ("java-image", 40, ContainerImage, "Debian 12", false),
    ("linux", 60, VirtualMachine, "Ubuntu 20.04", true),
    ("base-image", 30, ContainerImage, "Debian testing", false),
    ("repository", 10, RepositoryBranch, "", false),
    ("windows", 30, VirtualMachine, "Windows Server 2019 Standard", true),
    ("exchange", 4, Unmanaged, "Windows Server 2016 Standard", true),
    ("domain-controller", 4, VirtualMachine, "Windows Server 2019 Standard", true),
    ("workstation", 35, Unmanaged, "Windows 11 Enterprise", true),
    ("confluence", 2, VirtualMachine, "Red Hat Enterprise Linux 8", true),
    ("file-transfer", 2, VirtualMachine, "Windows Server 2019 Standard", true),
    ("ci", 3, VirtualMachine, "Ubuntu 22.04", true),
    ("firewall", 4, Unmanaged, "PAN-OS 10.2", true),
    ("adc", 2, Unmanaged, "NetScaler 13.1", true),
    ("router", 3, Unmanaged, "Cisco IOS XE 17.6", true),
    ("mail-gateway", 1, Unmanaged, "Barracuda ESG 9.2", true),
    ("remote-support", 1, VirtualMachine, "Windows Server 2022 Standard", true),
    ("broker", 5, VirtualMachine, "Ubuntu 22.04", true),
    ("legacy-linux", 3, VirtualMachine, "CentOS Linux 7", true),
    ("legacy-windows", 1, Unmanaged, "Windows Server 2008 R2 Standard", true),
];

/// One package that Wiz reports: on which role, on what share of it.
struct Package {
    name: &'static str,
    external_id: &'static str,
    fact: &'static str,
    role: &'static str,
    percent: u64,
    package: &'static str,
    version: &'static str,
    fixed: &'static str,
    path: &'static str,
    remediation: &'static str,
    is_resolved: bool,
}

#[expect(clippy::too_many_arguments, reason = "one row of the table below")]
const fn package(
    name: &'static str,
    external_id: &'static str,
    role: &'static str,
    percent: u64,
    package: &'static str,
    version: &'static str,
    fixed: &'static str,
    path: &'static str,
    remediation: &'static str,
) -> Package {
    let (fact, is_resolved) = (external_id, false);
    Package {
        name,
        external_id,
        fact,
        role,
        percent,
        package,
        version,
        fixed,
        path,
        remediation,
        is_resolved,
    }
}

const fn resolved(mut package: Package) -> Package {
    package.is_resolved = true;
    package
}

const LOG4J: &str = "org.apache.logging.log4j:log4j-core";
const TO_217: &str =
    "Upgrade log4j-core to 2.17.1 or later (Java 8), 2.12.4 (Java 7) or 2.3.2 (Java 6).";
const SPRING: &str = "Upgrade Spring Framework to 5.3.18 or 5.2.20 or later.";
const APT: &str = "Install the distribution's updated package and restart what uses it.";

#[rustfmt::skip]
const PACKAGES: &[Package] = &[
    package("CVE-2021-44228", "CVE-2021-44228", "java", 100, LOG4J, "2.14.1", "2.15.0", "/opt/app/lib/log4j-core-2.14.1.jar", TO_217),
    package("CVE-2021-44228", "CVE-2021-44228", "java", 85, LOG4J, "2.13.3", "2.15.0", "/opt/search/server/lib/ext/log4j-core-2.13.3.jar", TO_217),
    package("cve-2021-44228", "cve-2021-44228", "java", 80, LOG4J, "2.11.1", "2.15.0", "/usr/share/log-shipper/vendor/log4j-core-2.11.1.jar", TO_217),
    package("CVE-2021-44228", "CVE-2021-44228", "java-image", 80, LOG4J, "2.14.1", "2.15.0", "/app/BOOT-INF/lib/log4j-core-2.14.1.jar", TO_217),
    package("GHSA-jfh8-c2jp-5v3q", "CVE-2021-44228", "java-image", 60, LOG4J, "2.14.0", "2.15.0", "/srv/batch/lib/log4j-core-2.14.0.jar", TO_217),
    resolved(package("CVE-2021-44228", "CVE-2021-44228", "ci", 100, LOG4J, "2.14.1", "2.15.0", "/opt/agent/lib/log4j-core-2.14.1.jar", TO_217)),
    package("CVE-2021-45046", "CVE-2021-45046", "java", 100, LOG4J, "2.14.1", "2.16.0", "/opt/app/lib/log4j-core-2.14.1.jar", TO_217),
    package("CVE-2021-45046", "CVE-2021-45046", "java", 85, LOG4J, "2.13.3", "2.16.0", "/opt/search/server/lib/ext/log4j-core-2.13.3.jar", TO_217),
    package("CVE-2021-45046", "CVE-2021-45046", "java-image", 80, LOG4J, "2.14.1", "2.16.0", "/app/BOOT-INF/lib/log4j-core-2.14.1.jar", TO_217),
    package("CVE-2022-22965", "CVE-2022-22965", "java", 100, "org.springframework:spring-beans", "5.3.17", "5.3.18", "/opt/tomcat/webapps/booking/WEB-INF/lib/spring-beans-5.3.17.jar", SPRING),
    package("CVE-2022-22965", "CVE-2022-22965", "java", 90, "org.springframework:spring-beans", "5.2.19", "5.2.20", "/opt/tomcat/webapps/rates/WEB-INF/lib/spring-beans-5.2.19.jar", SPRING),
    package("Cve-2022-22965", "CVE-2022-22965", "java-image", 90, "org.springframework:spring-beans", "5.3.17", "5.3.18", "/usr/local/tomcat/webapps/ROOT/WEB-INF/lib/spring-beans-5.3.17.jar", SPRING),
    package("CVE-2024-3094", "CVE-2024-3094", "base-image", 60, "liblzma5", "5.6.1-1", "5.6.1+really5.4.5-1", "/var/lib/dpkg/status", "Rebuild the image on a base with xz-utils 5.6.1+really5.4.5-1 or later, and treat hosts that ran sshd with liblzma 5.6.0 or 5.6.1 as compromised."),
    package("CVE-2023-34362", "CVE-2023-34362", "file-transfer", 100, "MOVEit Transfer", "2022.1.3", "2022.1.5", "C:\\MOVEitTransfer", "Upgrade MOVEit Transfer to a fixed release, disable HTTP and HTTPS traffic until then, and look for unauthorised accounts and files."),
    package("CVE-2020-1472", "CVE-2020-1472", "domain-controller", 100, "Windows Server 2019", "10.0.17763.1282", "10.0.17763.1397", "C:\\Windows\\System32\\netlogon.dll", "Install the August 2020 or a later security update and enforce secure RPC on every domain controller."),
    package("CVE-2023-23397", "CVE-2023-23397", "windows", 30, "Microsoft Office 2019", "16.0.10395", "16.0.10396", "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE", "Install the March 2023 Office security update and block outbound TCP 445."),
    package("CVE-2024-1709", "CVE-2024-1709", "remote-support", 100, "ScreenConnect", "23.9.7", "23.9.8", "C:\\Program Files (x86)\\ScreenConnect", "Upgrade ScreenConnect to 23.9.8 or later and review the users file for accounts you do not know."),
    package("CVE-2023-22515", "CVE-2023-22515", "confluence", 100, "Atlassian Confluence", "8.5.1", "8.5.2", "/opt/atlassian/confluence", "Upgrade Confluence to 8.3.3, 8.4.3, 8.5.2 or later and look for unexpected members of confluence-administrators."),
    package("CVE-2023-46604", "CVE-2023-46604", "broker", 100, "org.apache.activemq:activemq-client", "5.17.5", "5.17.6", "/opt/activemq/lib/activemq-client-5.17.5.jar", "Upgrade brokers and clients to 5.15.16, 5.16.7, 5.17.6 or 5.18.3."),
    package("CVE-2024-27198", "CVE-2024-27198", "ci", 100, "TeamCity", "2023.11.3", "2023.11.4", "/opt/TeamCity", "Upgrade TeamCity to 2023.11.4 or install the security patch plugin."),
    package("GHSA-73qr-pfmq-6rp8", "GHSA-73qr-pfmq-6rp8", "repository", 60, "coa", "2.0.3", "2.0.2", "/package-lock.json", "Pin coa to 2.0.2, rotate every secret that the build could read, from another machine."),
    package("End of life: CentOS Linux 7", "", "legacy-linux", 100, "CentOS Linux", "7.9.2009", "", "/etc/centos-release", "Move the workload to a supported distribution; CentOS Linux 7 has had no updates since 2024-06-30."),
    resolved(package("CVE-2022-42889", "CVE-2022-42889", "java", 50, "org.apache.commons:commons-text", "1.9", "1.10.0", "/opt/app/lib/commons-text-1.9.jar", "Upgrade commons-text to 1.10.0 or later.")),
    package("CVE-2024-6387", "CVE-2024-6387", "java", 90, "openssh-server", "1:8.9p1-3ubuntu0.7", "1:8.9p1-3ubuntu0.10", "/usr/sbin/sshd", APT),
    package("CVE-2021-4034", "CVE-2021-4034", "linux", 40, "policykit-1", "0.105-26ubuntu1.1", "0.105-26ubuntu1.2", "/usr/bin/pkexec", APT),
    package("CVE-2021-3156", "CVE-2021-3156", "linux", 30, "sudo", "1.8.31-1ubuntu1.1", "1.8.31-1ubuntu1.2", "/usr/bin/sudo", APT),
    package("CVE-2023-4911", "CVE-2023-4911", "java", 60, "libc6", "2.35-0ubuntu3.3", "2.35-0ubuntu3.4", "/lib/x86_64-linux-gnu/libc.so.6", APT),
    package("CVE-2022-0847", "CVE-2022-0847", "linux", 35, "linux-image-5.13.0-30-generic", "5.13.0-30.33~20.04.1", "5.13.0-35.40~20.04.1", "/boot/vmlinuz-5.13.0-30-generic", APT),
    package("CVE-2023-44487", "CVE-2023-44487", "java-image", 70, "org.eclipse.jetty.http2:http2-common", "11.0.15", "11.0.17", "/app/BOOT-INF/lib/http2-common-11.0.15.jar", "Upgrade Jetty to 9.4.53, 10.0.17, 11.0.17 or 12.0.2."),
    package("CVE-2023-4863", "CVE-2023-4863", "java-image", 50, "libwebp7", "1.2.4-0.2", "1.2.4-0.2+deb12u1", "/var/lib/dpkg/status", APT),
    package("CVE-2023-48795", "CVE-2023-48795", "linux", 80, "openssh-server", "1:8.2p1-4ubuntu0.9", "1:8.2p1-4ubuntu0.10", "/usr/sbin/sshd", APT),
];

/// One QID: on which role, on what share of it, and with which status.
struct Check {
    qid: u32,
    title: &'static str,
    severity: u8,
    kind: &'static str,
    category: &'static str,
    cves: &'static [&'static str],
    role: &'static str,
    percent: u64,
    ports: &'static [u16],
    solution: &'static str,
    results: &'static str,
}

#[expect(clippy::too_many_arguments, reason = "one row of the table below")]
const fn check(
    qid: u32,
    severity: u8,
    category: &'static str,
    cves: &'static [&'static str],
    role: &'static str,
    percent: u64,
    ports: &'static [u16],
    title: &'static str,
    solution: &'static str,
    results: &'static str,
) -> Check {
    let kind = "Confirmed";
    Check { qid, title, severity, kind, category, cves, role, percent, ports, solution, results }
}

const fn kind(mut check: Check, kind: &'static str) -> Check {
    check.kind = kind;
    check
}

/// Qualys's own titles where they are known; the numbers are the simulator's.
#[rustfmt::skip]
const CHECKS: &[Check] = &[
    check(9_100_001, 5, "Local", &["CVE-2021-44228", "CVE-2021-45046"], "java", 100, &[], "Apache Log4j Remote Code Execution (RCE) Vulnerability (Log4Shell)", TO_217, "log4j-core-2.14.1.jar\t/opt/app/lib"),
    check(9_100_002, 5, "CGI", &["CVE-2022-22965"], "java", 60, &[8080, 8443], "Spring Core Remote Code Execution (RCE) Vulnerability (Spring4Shell)", SPRING, "Vulnerable endpoint detected on the port."),
    check(9_100_003, 5, "CGI", &["cve-2023-34362"], "file-transfer", 100, &[443], "Progress MOVEit Transfer SQL Injection Vulnerability", "Upgrade MOVEit Transfer to a fixed release.", "MOVEit Transfer 2022.1.3 detected on port 443."),
    check(9_100_004, 5, "General remote services", &["CVE-2023-4966"], "adc", 100, &[443], "Citrix NetScaler ADC and NetScaler Gateway Sensitive Information Disclosure (Citrix Bleed)", "Upgrade to a fixed build and kill all active and persistent sessions.", "NetScaler NS13.1 Build 49.13 detected."),
    check(9_100_005, 5, "Windows", &["CVE-2021-34473", "CVE-2021-34523", "CVE-2021-31207"], "exchange", 100, &[443], "Microsoft Exchange Server Multiple Vulnerabilities (ProxyShell)", "Install the cumulative and security updates of May and July 2021 or later.", "Exchange Server 2016 build 15.1.2242.4"),
    check(9_100_006, 5, "Windows", &["CVE-2020-1472"], "domain-controller", 100, &[], "Microsoft Netlogon Elevation of Privilege Vulnerability (Zerologon)", "Install the August 2020 or a later security update.", "netlogon.dll Version is 10.0.17763.1282"),
    check(9_100_007, 5, "Office Application", &["CVE-2023-23397"], "workstation", 70, &[], "Microsoft Outlook Elevation of Privilege Vulnerability", "Install the March 2023 Office security update.", "outlook.exe Version is 16.0.10395.20020"),
    check(9_100_008, 5, "Firewall", &["CVE-2024-3400"], "firewall", 75, &[443], "Palo Alto Networks PAN-OS GlobalProtect Command Injection Vulnerability", "Upgrade to PAN-OS 10.2.9-h1, 11.0.4-h1, 11.1.2-h3 or a later hotfix; look for compromise first.", "PAN-OS 10.2.8 with GlobalProtect gateway detected."),
    check(9_100_009, 5, "CGI", &["CVE-2024-1709"], "remote-support", 100, &[8040], "ConnectWise ScreenConnect Authentication Bypass Vulnerability", "Upgrade to 23.9.8 or later.", "ScreenConnect 23.9.7 detected on port 8040."),
    check(9_100_010, 5, "CGI", &["CVE-2023-22515"], "confluence", 100, &[8090], "Atlassian Confluence Broken Access Control Vulnerability", "Upgrade to 8.3.3, 8.4.3, 8.5.2 or later.", "Confluence 8.5.1 detected on port 8090."),
    check(9_100_011, 5, "Mail services", &["CVE-2023-2868"], "mail-gateway", 100, &[25], "Barracuda Email Security Gateway Remote Command Injection Vulnerability", "Replace impacted appliances, whatever their patch level, as the vendor advises.", "Barracuda ESG firmware 9.2.0.006 detected."),
    check(9_100_012, 5, "CGI", &["CVE-2024-27198"], "ci", 100, &[8111], "JetBrains TeamCity Authentication Bypass Vulnerability", "Upgrade to 2023.11.4 or later.", "TeamCity 2023.11.3 detected on port 8111."),
    check(9_100_013, 5, "Cisco", &["CVE-2023-20198"], "router", 100, &[443], "Cisco IOS XE Software Web UI Privilege Escalation Vulnerability", "Upgrade to a fixed release; until then disable the HTTP server feature on internet-facing systems.", "ip http server enabled; IOS XE 17.6.5"),
    check(9_100_014, 5, "Security Policy", &[], "legacy-windows", 100, &[], "EOL/Obsolete Operating System: Microsoft Windows Server 2008 R2 Detected", "Move to a supported version of Windows Server; extended support ended on 2020-01-14.", "Windows Server 2008 R2 Standard 64 bit Edition Service Pack 1"),
    check(9_100_015, 4, "Local", &["CVE-2024-6387"], "java", 90, &[22], "OpenSSH Signal Handler Race Condition Vulnerability (regreSSHion)", APT, "openssh-server 1:8.9p1-3ubuntu0.7"),
    check(9_100_016, 4, "Local", &["CVE-2021-4034"], "linux", 40, &[], "Polkit pkexec Local Privilege Escalation Vulnerability (PwnKit)", APT, "policykit-1 0.105-26ubuntu1.1"),
    check(9_100_017, 4, "Local", &["CVE-2021-3156"], "linux", 30, &[], "Sudo Heap-Based Buffer Overflow Vulnerability (Baron Samedit)", APT, "sudo 1.8.31-1ubuntu1.1"),
    check(9_100_018, 3, "General remote services", &["CVE-2023-48795"], "linux", 80, &[22], "SSH Prefix Truncation Vulnerability (Terrapin)", APT, "chacha20-poly1305@openssh.com offered"),
    kind(check(9_100_019, 3, "Web server", &["CVE-2023-44487"], "java", 20, &[8443], "HTTP/2 Protocol Rapid Reset Denial of Service Vulnerability", "Upgrade the web server.", "HTTP/2 negotiated on port 8443."), "Potential"),
    kind(check(9_100_020, 1, "Information gathering", &[], "windows", 100, &[], "Operating System Detected", "", "Windows Server 2019 Standard"), "Info"),
    kind(check(9_100_021, 1, "Information gathering", &[], "linux", 100, &[], "Operating System Detected", "", "Ubuntu 20.04 LTS"), "Info"),
];

/// The QID whose detections are all fixed: a critical one that must not count.
const FIXED_CHECK: Check = check(
    9_100_022,
    5,
    "Local",
    &["CVE-2022-42889"],
    "java",
    50,
    &[],
    "Apache Commons Text Remote Code Execution Vulnerability (Text4Shell)",
    "Upgrade commons-text to 1.10.0 or later.",
    "commons-text-1.10.0.jar",
);

pub(super) fn projects() -> Vec<Project> {
    const PROJECTS: &[[&str; 9]] = &[
        [
            "Payments",
            "payments",
            "Finance",
            "HBI",
            "payments-oncall@harbourline.example",
            "production",
            "AWS",
            "harbourline-payments-prod",
            "418822006713",
        ],
        [
            "Booking",
            "booking",
            "Commerce",
            "HBI",
            "booking-team@harbourline.example",
            "production",
            "AWS",
            "harbourline-booking-prod",
            "530871923348",
        ],
        [
            "Fleet Tracking",
            "fleet-tracking",
            "Operations",
            "MBI",
            "fleet-sre@harbourline.example",
            "production",
            "GCP",
            "harbourline-fleet",
            "harbourline-fleet-7731",
        ],
        [
            "Data Platform",
            "data-platform",
            "Data",
            "MBI",
            "data-platform@harbourline.example",
            "staging",
            "AWS",
            "harbourline-data",
            "907215500412",
        ],
        [
            "Corporate IT",
            "corporate-it",
            "IT",
            "MBI",
            "it-operations@harbourline.example",
            "production",
            "Azure",
            "harbourline-corporate",
            "6a1f2c9e-0b7d-4c55-9a43-27d0c1f7e810",
        ],
        [
            "Developer Tools",
            "developer-tools",
            "Engineering",
            "LBI",
            "build-team@harbourline.example",
            "development",
            "AWS",
            "harbourline-devtools",
            "212094467733",
        ],
    ];
    PROJECTS
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let [
                name,
                slug,
                business_unit,
                business_impact,
                owner,
                environment,
                platform,
                subscription,
                external,
            ] = *row;
            let i = i as u64;
            Project {
                id: id(1, i),
                name,
                slug,
                business_unit,
                business_impact,
                owner,
                environment,
                platform,
                subscription,
                subscription_external_id: external,
                subscription_id: id(2, i),
            }
        })
        .collect()
}

fn id(table: u64, row: u64) -> String {
    uuid((u128::from(mix(0xA5, table, row)) << 64) | u128::from(mix(0x5A, table, row)))
}

pub(super) fn build(seed: u64) -> Estate {
    let projects = projects();
    let mut assets = Vec::new();
    let mut roles = Vec::new();
    for (role, n, kind, os, is_scanned) in ROLES {
        for i in 0..*n {
            let number = assets.len() as u64;
            assets.push(asset(role, i, number, *kind, os, *is_scanned));
            roles.push(*role);
        }
    }

    let weaknesses: Vec<Weakness> = PACKAGES.iter().map(weakness).collect();
    let mut findings = Vec::new();
    for (w, package) in PACKAGES.iter().enumerate() {
        for (a, role) in roles.iter().enumerate() {
            let chance = mix(seed, 10 + w as u64, a as u64);
            if *role == package.role && is_picked(chance, package.percent, a) {
                let first_seen = TODAY - (20 + (chance >> 16) as i64 % 300) * DAY - 3_671;
                let id = mix(seed ^ 0xF1, w as u64, a as u64);
                findings.push(Finding {
                    id: (u128::from(chance) << 64) | u128::from(id),
                    weakness: w,
                    asset: a,
                    first_seen,
                    last_seen: TODAY - (chance % 7_200) as i64,
                    resolved: package.is_resolved.then_some(first_seen + 12 * DAY),
                });
            }
        }
    }
    // Wiz orders by nothing a reader could rely on.
    findings.sort_unstable_by_key(|finding| finding.id);

    let checks: Vec<&Check> = CHECKS.iter().chain([&FIXED_CHECK]).collect();
    let qids = checks.iter().copied().map(qid).collect();
    let hosts: Vec<usize> = assets
        .iter()
        .enumerate()
        .filter(|(_, asset)| asset.host_id.is_some())
        .map(|(a, _)| a)
        .collect();
    let detections = hosts.iter().map(|a| detections(seed, &checks, &roles, *a)).collect();
    Estate::assemble(projects, assets, weaknesses, qids, Rows::Listed { findings, detections })
}

/// The first few assets of a role always have it, so that no share rounds to nothing.
fn is_picked(chance: u64, percent: u64, asset: usize) -> bool {
    chance % 100 < percent || (percent >= 30 && asset.is_multiple_of(6))
}

fn asset(
    role: &'static str,
    i: u64,
    number: u64,
    kind: AssetKind,
    os: &'static str,
    is_scanned: bool,
) -> Asset {
    let project = match role {
        "java" | "java-image" | "base-image" => i % 4,
        "linux" => i % 3 + 1,
        "repository" | "ci" => 5,
        "broker" => 2,
        _ => 4,
    };
    let stem = match (role, project) {
        ("java", 0) => "payments-api",
        ("java", 1) => "booking-web",
        ("java", 2) => "fleet-ingest",
        ("java", _) => "data-worker",
        ("java-image", _) => "harbourline/service",
        ("base-image", _) => "harbourline/base",
        ("repository", _) => "harbourline/web-ui",
        ("linux", _) => "node",
        ("windows", _) => "app",
        ("domain-controller", _) => "dc",
        ("workstation", _) => "ws",
        (other, _) => other,
    };
    Asset {
        id: id(3, number),
        name: format!("{stem}-{:02}", i + 1),
        kind,
        os,
        ip: format!("10.{}.{}.{}", 20 + project, number / 200, 10 + number % 200),
        region: match project {
            2 => "europe-west4",
            4 => "westeurope",
            _ => "eu-west-1",
        },
        project: project as usize,
        is_internet_facing: matches!(
            role,
            "firewall" | "adc" | "router" | "mail-gateway" | "remote-support" | "file-transfer"
        ) || (role == "java" && project == 1),
        host_id: is_scanned.then_some(5_640_000 + number * 13),
    }
}

fn weakness(package: &Package) -> Weakness {
    let fact = facts::find(package.fact);
    let severity = fact.map_or(Severity::Critical, |fact| fact.severity);
    let is_library = package.path.ends_with(".jar") || package.path.ends_with(".json");
    let link = if package.external_id.is_empty() {
        String::new()
    } else if package.name.starts_with("GHSA-") {
        format!("https://github.com/advisories/{}", package.name)
    } else {
        format!("https://nvd.nist.gov/vuln/detail/{}", package.external_id.to_uppercase())
    };
    Weakness {
        name: package.name.to_owned(),
        external_id: package.external_id.to_owned(),
        title: fact.map_or(package.name, |fact| fact.title).to_owned(),
        description: fact.map_or(package.remediation, |fact| fact.description).to_owned(),
        severity,
        // Distributions rate local flaws and libraries their own way.
        vendor_severity: if is_library { severity } else { Severity::High.min(severity) },
        vector: fact.map_or("", |fact| fact.vector).to_owned(),
        has_exploit: fact.is_some_and(|fact| fact.has_exploit),
        is_kev: fact.is_some_and(|fact| fact.is_kev),
        epss: fact.and_then(|fact| fact.epss),
        published: fact.map_or("", |fact| fact.published).to_owned(),
        package: package.package.to_owned(),
        version: package.version.to_owned(),
        fixed_version: (!package.fixed.is_empty()).then(|| package.fixed.to_owned()),
        path: package.path.to_owned(),
        method: if is_library { "LIBRARY" } else { "PACKAGE" },
        source: if package.name.starts_with("GHSA-") { "GitHub Security Advisory" } else { "NVD" },
        link,
        remediation: package.remediation.to_owned(),
    }
}

fn qid(check: &Check) -> Qid {
    let fact = check.cves.first().and_then(|cve| facts::find(cve));
    Qid {
        qid: check.qid,
        title: check.title.to_owned(),
        severity: check.severity,
        kind: check.kind,
        category: check.category,
        cves: check.cves.iter().map(|cve| (*cve).to_owned()).collect(),
        diagnosis: fact.map_or(check.title, |fact| fact.description).to_owned(),
        solution: check.solution.to_owned(),
        published: fact.map_or("2020-01-14T00:00:00Z", |fact| fact.published).to_owned(),
        is_patchable: fact.is_some(),
        results: check.results.to_owned(),
        port: check.ports.first().copied(),
    }
}

fn detections(seed: u64, checks: &[&Check], roles: &[&str], asset: usize) -> Vec<Detection> {
    let mut found = Vec::new();
    for (q, check) in checks.iter().enumerate() {
        let chance = mix(seed, 100 + q as u64, asset as u64);
        if roles.get(asset) != Some(&check.role) || !is_picked(chance, check.percent, asset) {
            continue;
        }
        let first_found = TODAY - (15 + (chance >> 16) as i64 % 280) * DAY - 7_311;
        let last_test = TODAY - (chance % 172_800) as i64;
        let is_fixed =
            check.qid == FIXED_CHECK.qid || (check.severity == 4 && chance.is_multiple_of(10));
        let status = match (is_fixed, chance % 20) {
            (true, _) => "Fixed",
            (_, 0) => "Re-Opened",
            (_, 1..=3) => "New",
            _ => "Active",
        };
        let ports: Vec<Option<u16>> = if check.ports.is_empty() {
            vec![None]
        } else {
            check.ports.iter().copied().map(Some).collect()
        };
        for port in ports {
            found.push(Detection {
                id: 3_000_000 + asset as u64 * 1_000 + found.len() as u64,
                qid: q,
                port,
                status,
                first_found,
                last_found: if is_fixed { last_test - 10 * DAY } else { last_test },
                last_test,
                last_fixed: is_fixed.then_some(last_test - 9 * DAY),
                times_found: (chance % 40) as u32 + 1,
            });
        }
    }
    found
}
