"""Drives PyPI `qualys-cli`, the vendor's own command line, against the simulated Qualys."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import environment

ENV = environment.load()
# Its other APIs must not be looked for elsewhere.
os.environ["QUALYS_GATEWAY_URL"] = ENV["QUALYS_URL"]
os.environ["QUALYS_NO_TELEMETRY_HEADERS"] = "1"


def run(*arguments, status=0):
    """Runs one command and gives its JSON output."""
    with tempfile.TemporaryDirectory() as home:
        out = pathlib.Path(home) / "out.json"
        done = subprocess.run(
            [sys.executable, "-m", "qualys_cli", *arguments, "--format", "json",
             "--output-file", str(out)],
            env={**os.environ, "HOME": home},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        return json.loads(out.read_text()) if out.exists() else None


def listed(value):
    """One element comes as itself, several as a list."""
    return value if isinstance(value, list) else [value]


def main():
    hosts = run("vm", "host", "detection", "--severities", "5", "--all")
    qids = {d["QID"] for host in hosts for d in listed(host["DETECTION_LIST"]["DETECTION"])}
    assert len(hosts) > 100, len(hosts)
    assert {"9100001", "9100014"} <= qids, qids

    page = run("vm", "host", "detection", "--severities", "5", "--limit", "3")
    response = page["HOST_LIST_VM_DETECTION_OUTPUT"]["RESPONSE"]
    assert len(response["HOST_LIST"]["HOST"]) == 3
    assert response["WARNING"]["CODE"] == "1980"

    # Pages of ten hosts: the client follows the truncation warnings itself.
    stats = run("vm", "host", "detection-stats", "--metric", "age", "--severities", "5",
                "--page-size", "10")
    assert stats, stats

    entries = run("vm", "kb", "list", "--ids", "9100001,9100005,9100014")
    vulns = entries["KNOWLEDGE_BASE_VULN_LIST_OUTPUT"]["RESPONSE"]["VULN_LIST"]["VULN"]
    cves = {v["QID"]: [c["ID"] for c in listed(v["CVE_LIST"]["CVE"])] for v in vulns}
    assert cves["9100001"] == ["CVE-2021-44228", "CVE-2021-45046"], cves
    assert len(cves["9100005"]) == 3, cves
    assert cves["9100014"] == [None], cves

    scans = run("vm", "scan", "list")
    states = [s["STATUS"]["STATE"] for s in scans["SCAN_LIST_OUTPUT"]["RESPONSE"]["SCAN_LIST"]["SCAN"]]
    assert "Finished" in states and "Running" in states, states

    os.environ["QUALYS_PASSWORD"] = "wrong"
    run("vm", "host", "list", status=3)
    print(f"qualys-cli: {len(hosts)} hosts, {len(qids)} critical QIDs")


main()
