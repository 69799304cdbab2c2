"""Escalates critical vulnerabilities: one PagerDuty P1 and one Jira blocker for each.

Findings of all scanners are folded into one vulnerability per CVE. A vulnerability that
qualifies opens an episode; an episode is paged and ticketed once, however often this runs.
"""

import asyncio


async def main():
    reads = [wiz.findings.read(severities=config.severities)]
    if config.qualys_enabled:
        reads.append(qualys.findings.read(min_severity=config.qualys_min_severity))
    merged = await arx.merge(await asyncio.gather(*reads), config)
    episodes = await arx.episodes(merged)

    unpaged = [v for v in episodes.vulnerabilities if "page" not in v.done]
    if config.storm_threshold is not None and len(unpaged) > config.storm_threshold:
        for start in range(0, len(unpaged), 1000):
            await page_together(unpaged[start : start + 1000])
    await arx.each(episodes.vulnerabilities, escalate)


async def escalate(v):
    """Pages and tickets one vulnerability; what was done before is returned, not repeated."""
    incident = await pagerduty.incidents.create(
        effect=f"{v.key}/page",
        title=f"{v.id} {v.title} ({v.asset_count} assets)",
        details=arx.text(arx.brief(v)),
        priority=config.pagerduty.priority,
        urgency="high",
        **arx.route(v, config.pagerduty),
    )
    arx.note(v, arx.paging(incident), incident=incident.url)

    ticket = await jira.issues.create(
        effect=f"{v.key}/ticket",
        summary=f"{v.id} {v.title}",
        description=arx.brief(v, incident=incident.url),
        labels=[v.id, "security"],
        link={"id": incident.id, "url": incident.url, "title": f"PagerDuty incident for {v.id}"},
        **dict(config.jira.items()),
    )
    if ticket.effect.new:
        arx.note(v, "ticketed")
    arx.note(v, ticket=ticket.url)


async def page_together(vulnerabilities):
    """Storm guard: one P1 names them all; each still gets its own ticket."""
    first = vulnerabilities[0]
    await pagerduty.incidents.create(
        covers=[f"{v.key}/page" for v in vulnerabilities],
        title=f"{len(vulnerabilities)} critical vulnerabilities at once, {first.id} first",
        details="\n".join([f"{v.id}  {v.asset_count} assets  {v.title}" for v in vulnerabilities]),
        priority=config.pagerduty.priority,
        urgency="high",
        **arx.route(first, config.pagerduty),
    )
