"""What a security engineer would write: read Wiz and Qualys, merge by CVE.

Standard library only: urllib, json, xml.etree.ElementTree.iterparse. Streams Qualys, and keeps
of each finding what the merge needs. Prints one JSON document.
"""

import base64
import json
import os
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

QUERY = """query($filterBy: VulnerabilityFindingFilters, $first: Int, $after: String) {
  vulnerabilityFindings(filterBy: $filterBy, first: $first, after: $after) {
    nodes { id name vulnerabilityExternalId severity status score hasExploit hasCisaKevExploit
            epssProbability description remediation detailedName version fixedVersion portalUrl
            firstDetectedAt projects { name riskProfile { businessImpact } }
            vulnerableAsset { ... on VulnerableAssetBase { id name type subscriptionName tags } } }
    pageInfo { hasNextPage endCursor } } }"""


def post(url, body, headers):
    request = urllib.request.Request(url, body, headers)
    return urllib.request.urlopen(request, timeout=120)


def wiz(merged):
    form = urllib.parse.urlencode({
        "grant_type": "client_credentials",
        "audience": "wiz-api",
        "client_id": os.environ["WIZ_CLIENT_ID"],
        "client_secret": os.environ["WIZ_CLIENT_SECRET"],
    })
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    token = json.load(post(os.environ["WIZ_AUTH_URL"], form.encode(), kind))["access_token"]
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    after, n = None, 0
    while True:
        variables = {
            "filterBy": {"severity": ["CRITICAL"], "status": ["OPEN"]},
            "first": 500,
            "after": after,
        }
        body = json.dumps({"query": QUERY, "variables": variables}).encode()
        page = json.load(post(os.environ["WIZ_API_URL"], body, headers))
        page = page["data"]["vulnerabilityFindings"]
        for node in page["nodes"]:
            n += 1
            asset = node["vulnerableAsset"]
            entry = merged.setdefault(node["name"].strip().upper(), new())
            entry["findings"].add(("wiz", node["id"]))
            entry["assets"].add(("wiz", asset["id"]))
            entry["score"] = max(entry["score"], node.get("score") or 0)
        if not page["pageInfo"]["hasNextPage"]:
            return n
        after = page["pageInfo"]["endCursor"]


def qualys(merged):
    user = os.environ["QUALYS_USERNAME"] + ":" + os.environ["QUALYS_PASSWORD"]
    headers = {
        "Authorization": "Basic " + base64.b64encode(user.encode()).decode(),
        "X-Requested-With": "plain.py",
    }
    url = os.environ["QUALYS_URL"] + "/api/5.0/fo/asset/host/vm/detection/?" + urllib.parse.urlencode({
        "action": "list", "severities": "5", "status": "New,Active,Re-Opened", "show_results": "0",
    })
    rows, qids, n = [], set(), 0
    while url:
        request = urllib.request.Request(url, headers=headers)
        url = None
        with urllib.request.urlopen(request, timeout=300) as reply:
            for _, element in ElementTree.iterparse(reply):
                if element.tag == "HOST":
                    host = element.findtext("ID")
                    for detection in element.iter("DETECTION"):
                        n += 1
                        qid = detection.findtext("QID")
                        qids.add(qid)
                        rows.append((host, qid, detection.findtext("PORT")))
                    element.clear()
                elif element.tag == "WARNING":
                    url = (element.findtext("URL") or "").strip() or None
    cves = {}
    qids = sorted(qids)
    for start in range(0, len(qids), 200):
        url = os.environ["QUALYS_URL"] + "/api/3.0/fo/knowledge_base/vuln/?" + urllib.parse.urlencode({
            "action": "list", "details": "All", "ids": ",".join(qids[start:start + 200]),
        })
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=300) as reply:
            for _, element in ElementTree.iterparse(reply):
                if element.tag == "VULN":
                    names = [cve.findtext("ID") for cve in element.iter("CVE")]
                    cves[element.findtext("QID")] = [name.strip().upper() for name in names if name]
                    element.clear()
    for host, qid, port in rows:
        for name in cves.get(qid) or ["QID-" + qid]:
            entry = merged.setdefault(name, new())
            entry["findings"].add(("qualys", host, qid, port))
            entry["assets"].add(("qualys", host))
    return n


def new():
    return {"findings": set(), "assets": set(), "score": 0}


def main():
    merged = {}
    read = wiz(merged) + qualys(merged)
    print(json.dumps({"findings_read": read, "merged": len(merged)}))


main()
