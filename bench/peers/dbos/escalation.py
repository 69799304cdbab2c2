"""Escalates critical vulnerabilities on DBOS: one PagerDuty P1 and one Jira blocker for each.

Findings of Wiz are folded into one vulnerability per CVE, and every CVE gets a workflow of its
own, whose id is its idempotency key. Steps are tried at least once, so those that write ask the
vendor first, or give it a key by which it refuses a second write.

    python escalation.py --day 2026-11-15

The environment holds the vendors' addresses and credentials. DBOS_SYSTEM_DATABASE_URL names a
SQLite or PostgreSQL database; EXECUTOR_ID names this process where several share one.
"""

import argparse
import json
import os
import sys
import threading
import time
from typing import Any, TypedDict

import requests
from dbos import DBOS, DBOSConfig, SetWorkflowID

QUEUE = "escalations"
CONCURRENCY = 10
PAGE_SIZE = 500
HTTP_TIMEOUT = 30.0
RATE_LIMITED_MAX = 20
RATE_LIMIT_WAIT_MAX = 60.0
TOKEN_MARGIN = 60.0

FINDINGS = """query($filterBy: VulnerabilityFindingFilters, $first: Int, $after: String) {
  vulnerabilityFindings(filterBy: $filterBy, first: $first, after: $after) {
    nodes { id name score description remediation
            vulnerableAsset { ... on VulnerableAssetBase { id name } } }
    pageInfo { hasNextPage endCursor } } }"""


class Finding(TypedDict):
    cve: str
    score: float | None
    description: str
    remediation: str
    asset: str


class Page(TypedDict):
    findings: list[Finding]
    next: str | None


class Vulnerability(TypedDict):
    cve: str
    score: float | None
    description: str
    remediation: str
    assets: list[str]


class Incident(TypedDict):
    id: str
    url: str


class Escalation(TypedDict):
    cve: str
    incident: str
    ticket: str


class Summary(TypedDict):
    findings: int
    vulnerabilities: int
    escalated: int
    failed: list[str]


# HTTP: a session per thread, and the vendors' rate limits.

_local = threading.local()


def session() -> requests.Session:
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    return _local.session


def send(method: str, url: str, **arguments: Any) -> requests.Response:
    """Sends a request; one that is refused for its rate had no effect and is sent again."""
    for _ in range(RATE_LIMITED_MAX):
        response = session().request(method, url, timeout=HTTP_TIMEOUT, **arguments)
        if response.status_code != 429:
            return response
        wait = response.headers.get("Retry-After") or response.headers.get("ratelimit-reset")
        time.sleep(min(float(wait or 1.0), RATE_LIMIT_WAIT_MAX))
    return response


def is_worth_retrying(error: BaseException) -> bool:
    """A request that the vendor refuses is refused again; anything else may pass."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in (401, 408, 429) or error.response.status_code >= 500
    return True


RETRIES: dict[str, Any] = {
    "retries_allowed": True,
    "interval_seconds": 1.0,
    "backoff_rate": 2.0,
    "max_attempts": 8,
    "should_retry": is_worth_retrying,
}


# Wiz


class WizToken:
    """The access token of this process; never a step's result, which would be stored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token = ""
        self._expires = 0.0

    def get(self) -> str:
        with self._lock:
            if time.monotonic() >= self._expires:
                form = {
                    "grant_type": "client_credentials",
                    "audience": "wiz-api",
                    "client_id": os.environ["WIZ_CLIENT_ID"],
                    "client_secret": os.environ["WIZ_CLIENT_SECRET"],
                }
                response = send("POST", os.environ["WIZ_AUTH_URL"], data=form)
                response.raise_for_status()
                answer = response.json()
                self._token = answer["access_token"]
                self._expires = time.monotonic() + answer["expires_in"] - TOKEN_MARGIN
            return self._token

    def forget(self) -> None:
        with self._lock:
            self._expires = 0.0


wiz_token = WizToken()


@DBOS.step(**RETRIES)
def read_page(after: str | None) -> Page:
    variables = {
        "filterBy": {"severity": ["CRITICAL"], "status": ["OPEN"]},
        "first": PAGE_SIZE,
        "after": after,
    }
    response = send(
        "POST",
        os.environ["WIZ_API_URL"],
        json={"query": FINDINGS, "variables": variables},
        headers={"Authorization": f"Bearer {wiz_token.get()}"},
    )
    if response.status_code == 401:
        wiz_token.forget()
    response.raise_for_status()
    answer = response.json()
    if answer.get("errors"):
        codes = {error.get("extensions", {}).get("code") for error in answer["errors"]}
        if "UNAUTHENTICATED" in codes:
            wiz_token.forget()
        raise RuntimeError(f"Wiz refused the query: {answer['errors'][0].get('message')}")
    page = answer["data"]["vulnerabilityFindings"]
    cursor = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
    if page["pageInfo"]["hasNextPage"] and cursor in (None, after):
        raise RuntimeError("Wiz has a next page and does not say where")
    findings: list[Finding] = [
        {
            "cve": node["name"].strip().upper(),
            "score": node["score"],
            "description": node["description"] or "",
            "remediation": node["remediation"] or "",
            "asset": node["vulnerableAsset"]["name"],
        }
        for node in page["nodes"]
    ]
    return {"findings": findings, "next": cursor}


# PagerDuty


def pagerduty(method: str, path: str, **arguments: Any) -> requests.Response:
    headers = {
        "Authorization": f"Token token={os.environ['PAGERDUTY_API_KEY']}",
        "Accept": "application/vnd.pagerduty+json;version=2",
        "From": os.environ["PAGERDUTY_FROM_EMAIL"],
    }
    return send(method, os.environ["PAGERDUTY_API_URL"] + path, headers=headers, **arguments)


@DBOS.step(**RETRIES)
def priority_id(name: str) -> str:
    response = pagerduty("GET", "/priorities")
    response.raise_for_status()
    return next(p["id"] for p in response.json()["priorities"] if p["name"] == name)


@DBOS.step(**RETRIES)
def page_on_call(vulnerability: Vulnerability, priority: str) -> Incident:
    """Opens the incident. PagerDuty refuses a second one of this key while the first is open."""
    service = os.environ["PAGERDUTY_SERVICE_ID"]
    incident = {
        "type": "incident",
        "title": title(vulnerability),
        "service": {"id": service, "type": "service_reference"},
        "priority": {"id": priority, "type": "priority_reference"},
        "urgency": "high",
        "incident_key": vulnerability["cve"],
        "body": {"type": "incident_body", "details": details(vulnerability)},
    }
    response = pagerduty("POST", "/incidents", json={"incident": incident})
    if response.status_code == 400 and "matching dedup key already exists" in response.text:
        query = {
            "incident_key": vulnerability["cve"],
            "service_ids[]": service,
            "statuses[]": ["triggered", "acknowledged"],
            "date_range": "all",
        }
        response = pagerduty("GET", "/incidents", params=query)
        response.raise_for_status()
        opened = response.json()["incidents"][0]
    else:
        response.raise_for_status()
        opened = response.json()["incident"]
    return {"id": opened["id"], "url": opened["html_url"]}


# Jira


def jira(method: str, path: str, **arguments: Any) -> requests.Response:
    credentials = (os.environ["JIRA_EMAIL"], os.environ["JIRA_API_TOKEN"])
    return send(method, os.environ["JIRA_URL"] + path, auth=credentials, **arguments)


@DBOS.step(**RETRIES)
def open_ticket(vulnerability: Vulnerability, incident: Incident) -> str:
    """Files the ticket. Jira knows no idempotency key, so the label is searched for first."""
    project, cve = os.environ["JIRA_PROJECT_KEY"], vulnerability["cve"]
    query = {"jql": f'project = "{project}" AND labels = "{cve}"', "fields": ["key"]}
    response = jira("POST", "/rest/api/3/search/jql", json=query)
    response.raise_for_status()
    found = response.json()["issues"]
    if found:
        return found[0]["key"]
    fields = {
        "project": {"key": project},
        "issuetype": {"name": "Bug"},
        "priority": {"name": "Blocker"},
        "summary": title(vulnerability),
        "labels": [cve, "security"],
        "description": {
            "type": "doc",
            "version": 1,
            "content": [paragraph(details(vulnerability)), paragraph(incident["url"])],
        },
    }
    response = jira("POST", "/rest/api/3/issue", json={"fields": fields})
    response.raise_for_status()
    return response.json()["key"]


# What is said


def title(vulnerability: Vulnerability) -> str:
    return f"{vulnerability['cve']} ({len(vulnerability['assets'])} assets)"


def details(vulnerability: Vulnerability) -> str:
    lines = [
        vulnerability["description"],
        f"CVSS {vulnerability['score']}",
        f"Remediation: {vulnerability['remediation']}",
        *vulnerability["assets"][:20],
    ]
    return "\n".join(lines)


def paragraph(text: str) -> dict[str, Any]:
    return {"type": "paragraph", "content": [{"type": "text", "text": text}]}


# Workflows


def merge(findings: list[Finding]) -> list[Vulnerability]:
    merged: dict[str, Vulnerability] = {}
    for finding in findings:
        vulnerability = merged.setdefault(
            finding["cve"],
            {
                "cve": finding["cve"],
                "score": finding["score"],
                "description": finding["description"],
                "remediation": finding["remediation"],
                "assets": [],
            },
        )
        if finding["asset"] not in vulnerability["assets"]:
            vulnerability["assets"].append(finding["asset"])
    return list(merged.values())


@DBOS.workflow()
def escalate(vulnerability: Vulnerability, priority: str) -> Escalation:
    incident = page_on_call(vulnerability, priority)
    ticket = open_ticket(vulnerability, incident)
    return {"cve": vulnerability["cve"], "incident": incident["id"], "ticket": ticket}


@DBOS.workflow()
def escalate_all(day: str) -> Summary:
    findings: list[Finding] = []
    after: str | None = None
    while True:
        page = read_page(after)
        findings += page["findings"]
        after = page["next"]
        if after is None:
            break
    priority = priority_id("P1")

    handles = []
    vulnerabilities = merge(findings)
    for vulnerability in vulnerabilities:
        with SetWorkflowID(f"escalate/{vulnerability['cve']}/{day}"):
            handle = DBOS.enqueue_workflow(QUEUE, escalate, vulnerability, priority)
        handles.append((vulnerability["cve"], handle))
    failed = []
    for cve, handle in handles:
        try:
            handle.get_result()
        except Exception as error:  # noqa: BLE001 (one that fails must not lose the others)
            DBOS.logger.error(f"{cve} is not escalated: {error}")
            failed.append(cve)
    return {
        "findings": len(findings),
        "vulnerabilities": len(vulnerabilities),
        "escalated": len(vulnerabilities) - len(failed),
        "failed": failed,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Escalate critical vulnerabilities")
    parser.add_argument("--day", default=time.strftime("%Y-%m-%d", time.gmtime()))
    day = parser.parse_args().day
    config: DBOSConfig = {
        "name": "escalation",
        "system_database_url": os.environ.get("DBOS_SYSTEM_DATABASE_URL"),
        "executor_id": os.environ.get("EXECUTOR_ID", "local"),
        "console_log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=CONCURRENCY, polling_interval_sec=0.1)
    with SetWorkflowID(f"escalate-all/{day}"):
        summary = DBOS.start_workflow(escalate_all, day).get_result()
    print(json.dumps(summary))
    DBOS.destroy()
    return 1 if summary["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
