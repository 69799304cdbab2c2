"""Opens one Jira ticket for every new critical vulnerability that Wiz reports."""


async def main():
    findings = await wiz.findings.read(severities=config.severities)
    merged = await arx.merge([findings], config)
    episodes = await arx.episodes(merged)
    await arx.each(episodes.vulnerabilities, open_ticket)


async def open_ticket(v):
    """The effect key says what the ticket is, so that no later run opens it again."""
    ticket = await jira.issues.create(
        effect=f"{v.key}/ticket",
        summary=f"{v.id} {v.title}",
        description=arx.brief(v),
        labels=[v.id, "security"],
    )
    arx.note(v, "ticketed" if ticket.effect.new else "already_open", ticket=ticket.url)
