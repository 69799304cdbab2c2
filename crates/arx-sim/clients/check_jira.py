"""Drives PyPI `jira`, the most used client, against the simulated Jira Cloud."""

import uuid

import environment

ENV = environment.load()

import jira  # noqa: E402  (trusts the certificate named in the environment)


def connect(token=ENV["JIRA_API_TOKEN"], version="3"):
    return jira.JIRA(
        server=ENV["JIRA_URL"],
        basic_auth=(ENV["JIRA_EMAIL"], token),
        options={"rest_api_version": version, "verify": ENV["SSL_CERT_FILE"]},
        max_retries=0,
    )


def document(text):
    return {
        "type": "doc",
        "version": 1,
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}],
    }


def main():
    site = connect()
    assert site.server_info()["deploymentType"] == "Cloud"
    assert site.myself()["emailAddress"] == ENV["JIRA_EMAIL"]
    project = ENV["JIRA_PROJECT_KEY"]
    assert site.project(project).name == "Security"
    types = {t.name: t.id for t in site.project(project).issueTypes}

    label = f"check-{uuid.uuid4().hex}"
    asked = {
        "project": {"key": project},
        "issuetype": {"id": types["Vulnerability"]},
        "summary": "CVE-2021-44228 on 60 hosts",
        "description": document("Upgrade log4j-core."),
        "priority": {"name": "Blocker"},
        "labels": [label],
        "components": [{"name": "Cloud"}],
    }
    made = site.create_issue(fields=asked)
    assert made.key.startswith(f"{project}-") and made.fields.priority.name == "Blocker"
    found = site.enhanced_search_issues(f'project = "{project}" AND labels = "{label}"',
                                        fields=["summary", "labels"])
    assert [issue.key for issue in found] == [made.key], found
    assert found[0].fields.labels == [label]

    for n in range(7):
        site.create_issue(fields={**asked, "summary": f"bulk {n}"})
    walked = site.enhanced_search_issues(f'labels = "{label}" ORDER BY created ASC', maxResults=0)
    assert len(walked) == 8 and walked[0].key == made.key, walked

    site.add_issue_property(made, "arx.effect", {"effect": label})
    assert site.issue_property(made, "arx.effect").value.effect == label
    link = {"url": "https://harbourline.pagerduty.example/incidents/Q1", "title": "Q1"}
    site.add_simple_link(made, link)
    site.add_comment(made.key, document("seen"))
    assert len(site.comments(made.key)) == 1
    site.create_issue_link("Duplicate", made.key, walked[1].key)
    site.transition_issue(made.key, "31")
    assert site.issue(made.key).fields.status.name == "Done"
    assert site.search_assignable_users_for_issues(project=project, query="mira")

    try:
        site.create_issue(fields={**asked, "description": "plain", "labels": ["a b"]})
    except jira.JIRAError as error:
        assert error.status_code == 400 and "Atlassian Document" in error.text, error
        assert "contains spaces" in error.text, error
    else:
        raise AssertionError("a plain description was accepted by v3")
    try:
        site.search_issues(f"project = {project}")
    except jira.JIRAError as error:
        assert error.status_code == 410 or "search/jql" in error.text, error
    try:
        connect("expired").myself()
    except jira.JIRAError as error:
        assert error.status_code == 401, error
    else:
        raise AssertionError("a wrong token was accepted")
    plain = connect(version="2").create_issue(fields={**asked, "description": "plain"})
    assert plain.fields.description == "plain"
    print(f"jira: {len(walked)} issues found by label")


main()
