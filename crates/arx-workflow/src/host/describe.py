def _arx_brief(v, incident=None):
    """What a person who is woken needs, as blocks of heading, text and bullets."""
    facts = [f'Severity: {v.severity}' + (f', CVSS {v.cvss}' if v.cvss is not None else '')]
    if v.known_exploited:
        facts.append('Known to be exploited (CISA KEV)')
    if v.public_exploit:
        facts.append('A public exploit exists')
    if v.epss is not None:
        facts.append(f'EPSS: {v.epss}')
    if v.aliases:
        facts.append('Also known as: ' + ', '.join(v.aliases))
    facts.append('Reported by: ' + ', '.join([f'{s.source} ({s.findings} findings)' for s in v.sources]))
    if v.packages:
        facts.append('Affected: ' + ', '.join(v.packages))
    blocks = [{'text': v.description or v.title}, {'heading': v.id, 'bullets': facts}]

    remedy = [f'Mended in: {version}' for version in v.fixed_versions]
    blocks.append({
        'heading': 'Remediation',
        'text': v.remediation or 'No source gives a remediation.',
        'bullets': remedy,
    })

    assets = [_arx_asset_line(asset) for asset in v.assets]
    if v.asset_count > len(v.assets):
        assets.append(f'and {v.asset_count - len(v.assets)} more')
    blocks.append({'heading': f'Affected assets ({v.asset_count})', 'bullets': assets})

    if v.projects:
        blocks.append({'heading': 'Owners', 'bullets': list(v.projects)})
    blocks.append({'heading': 'Why these findings are one', 'bullets': list(v.merged_because)})
    links = list(v.urls)
    if incident is not None:
        links = [incident] + links
    if links:
        blocks.append({'heading': 'Links', 'bullets': links})
    blocks.append({'text': f'ARX episode {v.key}, evidence {v.lineage}'})
    return [{name: block[name] for name in block if block[name]} for block in blocks]


def _arx_asset_line(asset):
    where = [asset.kind, asset.subscription, ', '.join(asset.projects)]
    known = '; '.join([part for part in where if part])
    line = asset.name or asset.id
    if known:
        line += f' ({known})'
    if asset.internet_facing:
        line += ', reachable from the internet'
    return line


def _arx_text(blocks):
    """Blocks as plain text."""
    lines = []
    for block in blocks:
        if block.get('heading'):
            lines.append(block['heading'].upper())
        if block.get('text'):
            lines.append(block['text'])
        for bullet in block.get('bullets', []):
            lines.append('- ' + bullet)
        lines.append('')
    return '\n'.join(lines).strip()


def _arx_glob(pattern, text):
    """Whether `text` matches a pattern whose `*` stands for anything, in any case."""
    parts = pattern.lower().split('*')
    text = text.lower()
    if len(parts) == 1:
        return text == parts[0]
    if not text.startswith(parts[0]):
        return False
    text = text[len(parts[0]):]
    for part in parts[1:-1]:
        at = text.find(part)
        if at < 0:
            return False
        text = text[at + len(part):]
    return text.endswith(parts[-1])


def _arx_matches(route, asset):
    if route.get('project') and not any([_arx_glob(route.get('project'), name) for name in asset.projects]):
        return False
    if route.get('subscription') and not _arx_glob(route.get('subscription'), asset.subscription):
        return False
    if route.get('tag'):
        tags = [f'{key}={value}' for key, value in asset.tags.items()] + list(asset.tags.keys())
        if not any([_arx_glob(route.get('tag'), tag) for tag in tags]):
            return False
    return True


def _arx_route(v, pagerduty):
    """Where a vulnerability is paged: by the asset that matters most and has a route."""
    service = pagerduty.get('service')
    policy = pagerduty.get('escalation_policy')
    for asset in v.assets:
        for route in pagerduty.get('routes', []):
            if _arx_matches(route, asset):
                return {
                    'service': route.get('service', service),
                    'escalation_policy': route.get('escalation_policy', policy),
                }
    return {'service': service, 'escalation_policy': policy}


def _arx_paging(incident):
    """What became of a page, as an outcome."""
    if not incident.effect.new:
        return 'already_open'
    return 'grouped' if incident.effect.covered_by else 'paged'


def _arx_settled(t, update):
    """What became of a ticket, as fields of its report."""
    if update.get('left_alone'):
        why = update.left_alone
        return {'outcomes': ['inconclusive', 'left_alone'], 'did': f'left alone: {why}', 'reason': why}
    would = 'would be ' if update.get('dry_run') else ''
    if t.outcome == 'inconclusive':
        return {'outcomes': ['inconclusive'], 'did': would + 'noted' if update.effect.new else 'noted before'}
    outcome, did = ('verified', 'resolved') if t.outcome == 'verified' else ('flagged', 'flagged for re-patching')
    written = update.get('fields')
    if written is not None and not written.keys():
        did = 'noted'
    if not update.effect.new and (t.ticket.expect.field or 'state') not in (written or []):
        return {'outcomes': [outcome, 'before'], 'did': f'{did} before'}
    if not update.effect.new:
        # Somebody moved it back: what did not convince them once does not convince them now.
        why = f'it was {did} on this same evidence before and moved back since; a newer scan is awaited'
        return {'outcomes': ['inconclusive'], 'did': 'left alone', 'reason': why}
    return {'outcomes': [outcome], 'did': would + did}
