"""Drives PyPI `pagerduty`, the vendor's own client, against the simulated PagerDuty."""

import ssl
import uuid

import environment

ENV = environment.load()

import pagerduty  # noqa: E402  (trusts the certificate named in the environment)

TRUST = ssl.create_default_context(cafile=ENV["SSL_CERT_FILE"])


def connect(key=ENV["PAGERDUTY_API_KEY"]):
    client = pagerduty.RestApiV2Client(
        key,
        default_from=ENV["PAGERDUTY_FROM_EMAIL"],
        base_url=ENV["PAGERDUTY_API_URL"],
        verify=TRUST,
    )
    client.sleep_timer = 0.01
    return client


def incident(key, priority, title):
    return {
        "type": "incident",
        "title": title,
        "service": {"id": ENV["PAGERDUTY_SERVICE_ID"], "type": "service_reference"},
        "priority": {"id": priority, "type": "priority_reference"},
        "urgency": "high",
        "incident_key": key,
        "body": {"type": "incident_body", "details": "Upgrade."},
    }


def main():
    client = connect()
    priorities = {p["name"]: p["id"] for p in client.list_all("priorities")}
    service = client.rget(f"/services/{ENV['PAGERDUTY_SERVICE_ID']}")
    assert service["name"] == "Security Operations", service
    assert client.account_has_ability("urgencies")
    assert client.find("users", ENV["PAGERDUTY_FROM_EMAIL"], attribute="email")

    run = uuid.uuid4().hex
    key = f"check/{run}"
    made = client.rpost("/incidents", json=incident(key, priorities["P1"], "one"))
    assert made["status"] == "triggered" and made["priority"]["name"] == "P1", made
    try:
        client.rpost("/incidents", json=incident(key, priorities["P1"], "one"))
    except pagerduty.HttpError as error:
        body = error.response.json()["error"]
        assert error.response.status_code == 400 and body["code"] == 2002, body
        assert "matching dedup key already exists" in body["errors"][0], body
    else:
        raise AssertionError("the same key paged twice")

    for n in range(30):
        client.rpost("/incidents", json=incident(f"{key}/{n}", priorities["P2"], f"bulk {n}"))
    listed = list(client.iter_all("incidents", params={"date_range": "all"}, page_size=10))
    assert sum(i["incident_key"].startswith(key) for i in listed if i["incident_key"]) == 31

    note = client.rpost(f"/incidents/{made['id']}/notes", json={"content": "seen"})
    assert note["content"] == "seen", note
    done = client.rput(f"/incidents/{made['id']}", json={"type": "incident", "status": "resolved"})
    assert done["status"] == "resolved", done
    every = {"incident_key": key, "date_range": "all",
             "statuses[]": ["triggered", "acknowledged", "resolved"]}
    assert [i["id"] for i in client.list_all("incidents", params=every)] == [made["id"]]
    again = client.rpost("/incidents", json=incident(key, priorities["P1"], "one"))
    assert again["id"] != made["id"], "after resolve the same key pages again"

    try:
        connect("wrong").rget("/priorities")
    except pagerduty.HttpError as error:
        assert error.response.status_code == 401
    else:
        raise AssertionError("a wrong key was accepted")

    events = pagerduty.EventsApiV2Client("51a0c0de51a0c0de51a0c0de00000001", verify=TRUST)
    events.url = ENV["PAGERDUTY_API_URL"]
    dedup = events.trigger("disk full", "db-1", severity="critical")
    events.resolve(dedup)
    print(f"pagerduty: {len(listed)} incidents listed in pages of ten")


main()
