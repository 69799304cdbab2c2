"""Verifies patches: a ticket is resolved when its patch is proven, and only then.

Tickets that wait for verification are held against what Qualys saw since the patch and what the
CrowdStrike sensor says of the host. What is proven is resolved, what failed goes back to be
patched again, and what cannot be told yet gets one note that says what is missing.
"""

import asyncio


async def main():
    tickets = await servicenow.incidents.read(**dict(config.servicenow.items()))
    scans, sensors = await asyncio.gather(
        qualys.scans.read(hosts=tickets.hosts, vulnerabilities=tickets.vulnerabilities),
        crowdstrike.hosts.read(hosts=tickets.hosts),
    )
    verified = await arx.verify(tickets, scans, sensors, config)

    async def act(t):
        arx.note(t, host=t.host, patched=t.patched, qualys=t.scanner, crowdstrike=t.sensor)
        arx.note(t, reason=t.reason, url=t.url)
        if t.outcome == "verified":
            return await update(t, "resolve", tickets.resolve)
        if t.outcome == "failed":
            return await update(t, "repatch", tickets.repatch)
        if t.outcome == "inconclusive" and t.unread:
            return "inconclusive"  # a source did not answer, which is no news of the ticket
        if t.outcome == "inconclusive":
            return await update(t, "note", None)
        raise ValueError(t.reason)

    await arx.each(verified.tickets, act)


async def update(t, what, fields):
    """Writes to one ticket, once for this evidence, and only if nobody else has meanwhile."""
    reply = await servicenow.incidents.update(
        effect=f"{t.key}/{what}",
        target=t.environment,
        fields=fields,
        note=t.evidence,
        **dict(t.ticket.items()),
    )
    return arx.settled(t, reply)
