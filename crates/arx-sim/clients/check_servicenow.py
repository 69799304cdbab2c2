"""Drives PyPI `pysnow` against the simulated ServiceNow."""

import urllib.parse
import uuid

import environment

ENV = environment.load()

import pysnow  # noqa: E402  (trusts the certificate named in the environment)
import requests  # noqa: E402

PENDING = "15"


def connect(password=ENV["SNOW_PASSWORD"]):
    return pysnow.Client(
        host=urllib.parse.urlsplit(ENV["SNOW_INSTANCE"]).netloc,
        user=ENV["SNOW_USERNAME"],
        password=password,
    )


def main():
    client = connect()
    incidents = client.resource(api_path="/table/incident")

    # Found by label, as an integration must.
    choices = client.resource(api_path="/table/sys_choice").get(
        query={"name": "incident", "element": "state", "label": "Pending Verification", "inactive": "false"}
    )
    assert [choice["value"] for choice in choices.all()] == [PENDING]

    query = pysnow.QueryBuilder().field("state").equals(PENDING).AND().field("number").order_ascending()
    answer = incidents.get(query=query, stream=True, fields=["sys_id", "number", "cmdb_ci", "state"])
    waiting = list(answer.all())
    total = int(answer.headers["X-Total-Count"])
    assert len(waiting) == total > 20, (len(waiting), total)
    assert all(ticket["state"] == PENDING for ticket in waiting)
    assert [t["number"] for t in waiting] == sorted(t["number"] for t in waiting)
    assert any(ticket["cmdb_ci"] == "" for ticket in waiting), "an empty reference is the empty text"

    pages = []
    for offset in range(0, total, 10):
        page = incidents.get(query=query, limit=10, offset=offset)
        assert 'rel="last"' in page.headers["Link"], page.headers
        pages += [ticket["sys_id"] for ticket in page.all()]
    assert pages == [ticket["sys_id"] for ticket in waiting]

    item = next(ticket["cmdb_ci"]["value"] for ticket in waiting if ticket["cmdb_ci"])
    name = client.resource(api_path="/table/cmdb_ci").get(query={"sys_id": item}).one()["name"]
    assert name == "pay-app-21", name

    title = f"check {uuid.uuid4().hex}"
    made = incidents.create(payload={"short_description": title, "urgency": "2"})
    made = made.one()
    assert made["number"].startswith("INC") and made["state"] == "1", made
    note = f"looked at it ({title})"
    changed = incidents.update(query={"number": made["number"]},
                               payload={"state": "2", "work_notes": note}).one()
    assert changed["state"] == changed["incident_state"] == "2", changed
    assert changed["work_notes"] == "", "a journal is written and not read back"
    assert int(changed["sys_mod_count"]) == int(made["sys_mod_count"]) + 1, changed
    journal = client.resource(api_path="/table/sys_journal_field")
    entries = journal.get(query={"element_id": made["sys_id"], "element": "work_notes"}).all()
    assert [entry["value"] for entry in entries] == [note]

    for missing in ({"state": "6"}, {"state": "6", "close_code": "Solution provided"}, {"state": "3"}):
        try:
            incidents.update(query={"number": made["number"]}, payload=missing).one()
        except requests.HTTPError as error:
            assert error.response.status_code == 403, error
            assert "are mandatory" in error.response.json()["error"]["detail"], error.response.text
        else:
            raise AssertionError("a mandatory field was not asked for")
    done = incidents.update(
        query={"number": made["number"]},
        payload={"state": "6", "close_code": "Solution provided", "close_notes": "Patched."},
    ).one()
    assert done["state"] == "6" and done["resolved_at"], done
    incidents.parameters.display_value = True
    shown = incidents.get(query={"number": made["number"]}).one()
    assert shown["state"] == "Resolved" and note in shown["work_notes"], shown
    audit = client.resource(api_path="/table/sys_audit").get(
        query={"documentkey": made["sys_id"], "fieldname": "state"}).all()
    assert [(row["oldvalue"], row["newvalue"]) for row in audit] == [("1", "2"), ("2", "6")], audit

    try:
        connect("wrong").resource(api_path="/table/incident").get(query={}).all()
    except requests.HTTPError as error:
        assert error.response.status_code == 401, error
    else:
        raise AssertionError("a wrong password was accepted")
    print(f"pysnow: {total} tickets wait, {made['number']} made and resolved")


main()
