"""Drives PyPI `wizapi` against the simulated Wiz."""

import environment

ENV = environment.load()

from wizapi import Wiz, WizError  # noqa: E402  (reads the environment at import)

QUERY = """
query Findings($filterBy: VulnerabilityFindingFilters, $first: Int, $after: String) {
  vulnerabilityFindings(filterBy: $filterBy, first: $first, after: $after) {
    totalCount
    nodes { id name severity vulnerableAsset { ... on VulnerableAssetBase { id name type } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def connect(**changes):
    settings = {
        "client_id": ENV["WIZ_CLIENT_ID"],
        "client_secret": ENV["WIZ_CLIENT_SECRET"],
        "api_url": ENV["WIZ_API_URL"],
        "auth_url": ENV["WIZ_AUTH_URL"],
    }
    return Wiz(**{**settings, **changes})


def main():
    wiz = connect()
    variables = {"first": 100, "filterBy": {"severity": ["CRITICAL"], "status": ["OPEN"]}}
    pages = [page["data"]["vulnerabilityFindings"] for page in wiz.query_all(QUERY, variables)]
    nodes = [node for page in pages for node in page["nodes"]]
    total = pages[0]["totalCount"]
    assert len(pages) == -(-total // 100), (len(pages), total)
    assert len({node["id"] for node in nodes}) == total, (len(nodes), total)
    assert all(node["severity"] == "CRITICAL" for node in nodes)
    assert "CVE-2021-44228" in {node["name"] for node in nodes}
    assert all(node["vulnerableAsset"]["name"] for node in nodes)

    try:
        connect().query(QUERY.replace("totalCount", "noSuchField"), variables)
    except WizError as error:
        assert "noSuchField" in str(error), error
    else:
        raise AssertionError("an unknown field was accepted")

    try:
        connect(client_secret="wrong").query(QUERY, variables)
    except (WizError, KeyError) as error:
        assert "access_token" in str(error) or "401" in str(error), error
    else:
        raise AssertionError("a wrong secret was accepted")
    print(f"wizapi: {total} findings in {len(pages)} pages")


main()
