//! Published facts about real vulnerabilities, and nothing invented about them.
//!
//! Scores come from the vectors. `epss` is given where exploitation is widespread and the published
//! probability has long stood at about that value; it moves daily, so it is rounded, and absent
//! elsewhere. QIDs are not facts: the simulator numbers its own (see `company`).

use super::Severity::{self, Critical, High, Medium};

/// One published vulnerability.
pub(super) struct Fact {
    pub id: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub vector: &'static str,
    pub severity: Severity,
    /// In CISA's Known Exploited Vulnerabilities catalogue.
    pub is_kev: bool,
    pub has_exploit: bool,
    pub epss: Option<f64>,
    pub published: &'static str,
}

const REMOTE: &str = "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const REMOTE_CHANGED: &str = "AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H";
const LOCAL: &str = "AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H";

#[expect(clippy::too_many_arguments, reason = "one row of the table below")]
const fn fact(
    id: &'static str,
    severity: Severity,
    vector: &'static str,
    is_kev: bool,
    has_exploit: bool,
    epss: Option<f64>,
    published: &'static str,
    title: &'static str,
    description: &'static str,
) -> Fact {
    Fact { id, title, description, vector, severity, is_kev, has_exploit, epss, published }
}

pub(super) fn find(id: &str) -> Option<&'static Fact> {
    FACTS.iter().find(|fact| fact.id.eq_ignore_ascii_case(id))
}

#[rustfmt::skip]
pub(super) const FACTS: &[Fact] = &[
    fact("CVE-2021-44228", Critical, REMOTE_CHANGED, true, true, Some(0.94), "2021-12-10T10:15:09Z",
        "Apache Log4j2 Remote Code Execution Vulnerability (Log4Shell)",
        "Apache Log4j2 2.0-beta9 through 2.15.0 (excluding security releases 2.12.2, 2.12.3 and 2.3.1) JNDI features used in configuration, log messages and parameters do not protect against attacker controlled LDAP and other JNDI related endpoints. An attacker who can control log messages or log message parameters can execute arbitrary code loaded from LDAP servers when message lookup substitution is enabled."),
    fact("CVE-2021-45046", Critical, "AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H", true, true, Some(0.94), "2021-12-14T19:15:07Z",
        "Apache Log4j2 Deserialization of Untrusted Data Vulnerability",
        "The fix for CVE-2021-44228 in Apache Log4j 2.15.0 was incomplete in certain non-default configurations: attackers with control over Thread Context Map input data can craft malicious input using a JNDI lookup pattern, resulting in an information leak and remote code execution in some environments and local code execution in all environments."),
    fact("CVE-2022-22965", Critical, REMOTE, true, true, Some(0.94), "2022-04-01T23:15:13Z",
        "Spring Framework JDK 9+ Remote Code Execution Vulnerability (Spring4Shell)",
        "A Spring MVC or Spring WebFlux application running on JDK 9+ may be vulnerable to remote code execution via data binding. The specific exploit requires the application to run on Tomcat as a WAR deployment."),
    fact("CVE-2024-3094", Critical, REMOTE_CHANGED, false, true, None, "2024-03-29T17:15:21Z",
        "XZ Utils Embedded Malicious Code (liblzma backdoor)",
        "Malicious code was discovered in the upstream tarballs of xz, starting with version 5.6.0. Through a series of complex obfuscations, the liblzma build process extracts a prebuilt object file from a disguised test file, which is then used to modify specific functions in the liblzma code, intercepting and modifying the data interaction with this library."),
    fact("CVE-2023-34362", Critical, REMOTE, true, true, Some(0.94), "2023-06-02T14:15:09Z",
        "Progress MOVEit Transfer SQL Injection Vulnerability",
        "In Progress MOVEit Transfer before 2021.0.6, 2021.1.4, 2022.0.4, 2022.1.5 and 2023.0.1, a SQL injection vulnerability in the MOVEit Transfer web application could allow an unauthenticated attacker to gain access to MOVEit Transfer's database."),
    fact("CVE-2023-4966", Critical, "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:L", true, true, Some(0.94), "2023-10-10T14:15:10Z",
        "Citrix NetScaler ADC and NetScaler Gateway Buffer Overflow Vulnerability (Citrix Bleed)",
        "Sensitive information disclosure in NetScaler ADC and NetScaler Gateway when configured as a Gateway (VPN virtual server, ICA Proxy, CVPN, RDP Proxy) or AAA virtual server."),
    fact("CVE-2021-34473", Critical, REMOTE, true, true, Some(0.94), "2021-07-14T18:15:11Z",
        "Microsoft Exchange Server Remote Code Execution Vulnerability (ProxyShell)",
        "Microsoft Exchange Server Remote Code Execution Vulnerability; the first of the three flaws chained as ProxyShell."),
    fact("CVE-2021-34523", Critical, REMOTE, true, true, Some(0.94), "2021-07-14T18:15:11Z",
        "Microsoft Exchange Server Elevation of Privilege Vulnerability (ProxyShell)",
        "Microsoft Exchange Server Elevation of Privilege Vulnerability; chained as ProxyShell."),
    fact("CVE-2021-31207", High, "AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H", true, true, Some(0.94), "2021-05-11T19:15:09Z",
        "Microsoft Exchange Server Security Feature Bypass Vulnerability (ProxyShell)",
        "Microsoft Exchange Server Security Feature Bypass Vulnerability; chained as ProxyShell."),
    fact("CVE-2020-1472", Critical, REMOTE_CHANGED, true, true, Some(0.94), "2020-08-17T19:15:15Z",
        "Microsoft Netlogon Privilege Escalation Vulnerability (Zerologon)",
        "An elevation of privilege vulnerability exists when an attacker establishes a vulnerable Netlogon secure channel connection to a domain controller, using the Netlogon Remote Protocol (MS-NRPC)."),
    fact("CVE-2023-23397", Critical, REMOTE, true, true, None, "2023-03-14T17:15:12Z",
        "Microsoft Office Outlook Privilege Escalation Vulnerability",
        "Microsoft Outlook Elevation of Privilege Vulnerability: a crafted message makes Outlook connect to a UNC location of the attacker's choosing and leaks the Net-NTLMv2 hash of the user, before the message is viewed."),
    fact("CVE-2024-3400", Critical, REMOTE_CHANGED, true, true, Some(0.94), "2024-04-12T08:15:06Z",
        "Palo Alto Networks PAN-OS Command Injection Vulnerability",
        "A command injection as a result of arbitrary file creation vulnerability in the GlobalProtect feature of Palo Alto Networks PAN-OS software for specific PAN-OS versions and distinct feature configurations may enable an unauthenticated attacker to execute arbitrary code with root privileges on the firewall."),
    fact("CVE-2024-1709", Critical, REMOTE_CHANGED, true, true, Some(0.94), "2024-02-21T16:15:50Z",
        "ConnectWise ScreenConnect Authentication Bypass Vulnerability",
        "ConnectWise ScreenConnect 23.9.7 and prior are affected by an Authentication Bypass Using an Alternate Path or Channel vulnerability, which may allow an attacker direct access to confidential information or critical systems."),
    fact("CVE-2023-22515", Critical, REMOTE, true, true, Some(0.94), "2023-10-04T14:15:10Z",
        "Atlassian Confluence Data Center and Server Broken Access Control Vulnerability",
        "Publicly accessible Confluence Data Center and Server instances are vulnerable to a broken access control flaw through which external attackers may create unauthorized Confluence administrator accounts and access Confluence instances."),
    fact("CVE-2023-2868", Critical, REMOTE, true, true, None, "2023-05-24T19:15:09Z",
        "Barracuda Networks ESG Appliance Improper Input Validation Vulnerability",
        "A remote command injection vulnerability exists in the Barracuda Email Security Gateway (appliance form factor only) product effecting versions 5.1.3.001-9.2.0.006. It arises out of a failure to comprehensively sanitize the processing of .tar files."),
    fact("CVE-2023-46604", Critical, REMOTE, true, true, Some(0.94), "2023-10-27T15:15:14Z",
        "Apache ActiveMQ Deserialization of Untrusted Data Vulnerability",
        "The Java OpenWire protocol marshaller is vulnerable to Remote Code Execution. This vulnerability may allow a remote attacker with network access to either a Java-based OpenWire broker or client to run arbitrary shell commands by manipulating serialized class types in the OpenWire protocol."),
    fact("CVE-2024-27198", Critical, REMOTE, true, true, Some(0.94), "2024-03-04T18:15:09Z",
        "JetBrains TeamCity Authentication Bypass Vulnerability",
        "In JetBrains TeamCity before 2023.11.4 authentication bypass allowing to perform admin actions was possible."),
    fact("CVE-2023-20198", Critical, REMOTE_CHANGED, true, true, Some(0.94), "2023-10-16T16:15:10Z",
        "Cisco IOS XE Web UI Privilege Escalation Vulnerability",
        "The web UI feature of Cisco IOS XE Software allows an unauthenticated, remote attacker to create an account with privilege level 15 access and to log in with it."),
    fact("CVE-2022-42889", Critical, REMOTE, false, true, Some(0.94), "2022-10-13T13:15:10Z",
        "Apache Commons Text Code Injection Vulnerability (Text4Shell)",
        "Apache Commons Text performs variable interpolation, allowing properties to be dynamically evaluated and expanded. Starting with version 1.5 and continuing through 1.9, the set of default Lookup instances included interpolators that could result in arbitrary code execution or contact with remote servers."),
    fact("CVE-2024-6387", High, "AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H", false, true, None, "2024-07-01T13:15:06Z",
        "OpenSSH Signal Handler Race Condition (regreSSHion)",
        "A security regression (CVE-2006-5051) was discovered in OpenSSH's server (sshd). There is a race condition which can lead sshd to handle some signals in an unsafe manner. An unauthenticated, remote attacker may be able to trigger it by failing to authenticate within a set time period."),
    fact("CVE-2021-4034", High, LOCAL, true, true, None, "2022-01-28T20:15:12Z",
        "Red Hat Polkit Out-of-Bounds Read and Write Vulnerability (PwnKit)",
        "A local privilege escalation vulnerability was found on polkit's pkexec utility. The current version of pkexec doesn't handle the calling parameters count correctly and ends trying to execute environment variables as commands."),
    fact("CVE-2021-3156", High, LOCAL, true, true, None, "2021-01-26T21:15:12Z",
        "Sudo Heap-Based Buffer Overflow Vulnerability (Baron Samedit)",
        "Sudo before 1.9.5p2 contains an off-by-one error that can result in a heap-based buffer overflow, which allows privilege escalation to root via \"sudoedit -s\" and a command-line argument that ends with a single backslash character."),
    fact("CVE-2023-4911", High, LOCAL, true, true, None, "2023-10-03T18:15:10Z",
        "GNU C Library Buffer Overflow Vulnerability (Looney Tunables)",
        "A buffer overflow was discovered in the GNU C Library's dynamic loader ld.so while processing the GLIBC_TUNABLES environment variable."),
    fact("CVE-2022-0847", High, LOCAL, true, true, None, "2022-03-10T17:44:57Z",
        "Linux Kernel Privilege Escalation Vulnerability (Dirty Pipe)",
        "A flaw was found in the way the flags member of the new pipe buffer structure was lacking proper initialization in the Linux kernel and could thus contain stale values. An unprivileged local user could use this flaw to write to pages in the page cache backed by read only files."),
    fact("CVE-2023-44487", High, "AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", true, true, Some(0.94), "2023-10-10T14:15:10Z",
        "HTTP/2 Rapid Reset Attack Vulnerability",
        "The HTTP/2 protocol allows a denial of service (server resource consumption) because request cancellation can reset many streams quickly."),
    fact("CVE-2023-4863", High, "AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", true, true, Some(0.94), "2023-09-12T15:15:24Z",
        "Google Chromium WebP Heap-Based Buffer Overflow Vulnerability",
        "Heap buffer overflow in libwebp in Google Chrome prior to 116.0.5845.187 and libwebp 1.3.2 allowed a remote attacker to perform an out of bounds memory write via a crafted HTML page."),
    fact("CVE-2023-48795", Medium, "AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:H/A:N", false, false, None, "2023-12-18T16:15:10Z",
        "SSH Transport Protocol Prefix Truncation (Terrapin)",
        "The SSH transport protocol with certain OpenSSH extensions allows remote attackers to bypass integrity checks such that some packets are omitted from the extension negotiation message."),
    // No CVE was assigned to the compromised releases.
    fact("GHSA-73qr-pfmq-6rp8", Critical, "", false, true, None, "2021-11-04T00:00:00Z",
        "Embedded malware in coa",
        "The npm package coa had versions published with malicious code. Any computer that has this package installed or running should be considered fully compromised; secrets and keys stored on it should be rotated from a different computer."),
];
