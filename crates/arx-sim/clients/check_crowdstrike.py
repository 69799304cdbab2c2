"""Drives PyPI `crowdstrike-falconpy`, the vendor's own client, against the simulated Falcon."""

import environment

ENV = environment.load()

from falconpy import Hosts, OAuth2  # noqa: E402  (trusts the certificate named in the environment)


def connect(**changes):
    settings = {
        "client_id": ENV["CS_CLIENT_ID"],
        "client_secret": ENV["CS_CLIENT_SECRET"],
        "base_url": ENV["CS_BASE_URL"],
    }
    return OAuth2(**{**settings, **changes})


def listed(answer):
    """The resources of an answer that went well."""
    assert answer["status_code"] == 200, answer
    assert not answer["body"]["errors"], answer
    return answer["body"]["resources"]


def main():
    auth = connect()
    token = auth.token()
    assert token["status_code"] == 201, token
    # The library follows this header to the region's own host, off the machine.
    assert not [name for name in token["headers"] if name.lower() == "x-cs-region"], token
    assert auth.base_url == ENV["CS_BASE_URL"], auth.base_url

    hosts = Hosts(auth_object=auth)
    first = hosts.query_devices_by_filter(limit=50, sort="last_seen.desc")
    total = first["body"]["meta"]["pagination"]["total"]
    ids = listed(first)
    while len(ids) < total:
        ids += listed(hosts.query_devices_by_filter(limit=50, offset=len(ids), sort="last_seen.desc"))
    assert len(set(ids)) == total > 200, (len(set(ids)), total)

    scrolled, offset = set(), ""
    while True:
        answer = hosts.query_devices_by_filter_scroll(limit=75, offset=offset)
        page = listed(answer)
        if not page:
            break
        scrolled.update(page)
        offset = answer["body"]["meta"]["pagination"]["offset"]
    assert scrolled == set(ids), (len(scrolled), total)

    # Whole names in a list, beginnings without one; the case counts.
    named = listed(hosts.query_devices_by_filter(filter="hostname:['pay-app-21','WS-QUAY-17']"))
    assert len(named) == 2, named
    assert len(listed(hosts.query_devices_by_filter(filter="hostname:'pay-app-2'"))) == 8
    assert not listed(hosts.query_devices_by_filter(filter="hostname:['PAY-APP-21']"))
    windows = listed(hosts.query_devices_by_filter(
        filter="platform_name:'Windows'+last_seen:>='now-7d'", limit=500))
    assert 10 < len(windows) < total, len(windows)
    recent = listed(hosts.query_devices_by_filter(filter="hostname:'*-app-*'+status:!'contained'"))
    assert set(named) & set(recent), recent

    records = listed(hosts.get_device_details(ids=ids))
    assert {record["device_id"] for record in records} == set(ids)
    assert all("hostname" in record and "last_seen" in record for record in records)
    reduced = [r["hostname"] for r in records if r.get("reduced_functionality_mode") == "yes"]
    assert len(reduced) == 1, reduced
    contained = [r["hostname"] for r in records if r["status"] == "contained"]
    assert len(contained) == 1, contained
    combined = listed(hosts.query_devices_by_filter_combined(
        filter="hostname:['pay-app-21']", fields="hostname,status"))
    assert set(combined[0]) == {"device_id", "hostname", "status"}, combined

    states = {}
    for start in range(0, len(ids), 100):
        batch = ids[start : start + 100]
        states.update({s["id"]: s["state"] for s in listed(hosts.get_online_state(ids=batch))})
    assert set(states.values()) == {"online", "offline", "unknown"}, set(states.values())

    refused = hosts.query_devices_by_filter(filter="colour:'red'")
    assert refused["status_code"] == 400, refused
    denied = hosts.perform_action(action_name="contain", ids=named)
    assert denied["status_code"] == 403, denied
    wrong = connect(client_secret="wrong").token()
    assert wrong["status_code"] == 403, wrong
    unknown = connect(client_id="0" * 32).token()
    assert unknown["status_code"] == 400, unknown
    assert auth.revoke(auth.token_value)["status_code"] == 200
    print(f"crowdstrike-falconpy: {total} devices, {len(states)} online states")


main()
