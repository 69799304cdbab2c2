//! `arx runs show --vulnerability`: from the source findings over the merge to the page.

use std::collections::BTreeMap;
use std::process::ExitCode;

use arx_engine::provenance::{Provenance, SourceFinding, trace};
use arx_journal::{Effect, Episode, JournalError};
use arx_types::RunId;
use serde_json::{Value, json};

use super::show;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::{Paint, printable};

/// Findings listed of one source for people; `--json` has them all.
const FINDINGS_SHOWN_MAX: usize = 25;

/// What was done about a vulnerability.
struct Deeds {
    episodes: Vec<Episode>,
    effects: Vec<Effect>,
}

/// Does it.
pub(super) async fn run(ctx: &Context, id: &RunId, name: &str) -> Result<ExitCode, CommandError> {
    let run = super::find(ctx, id).await?;
    let journal = ctx.journal()?;
    let Some(found) = trace(journal, id, name).await? else {
        return Err(CommandError::missing(format!("no merge of `{id}` has `{name}`"))
            .hint(format!("`arx runs show {id}` lists its items")));
    };
    let mut names = vec![found.vulnerability.clone()];
    names.extend(found.aliases.iter().map(|alias| alias.name.clone()));
    let deeds = journal
        .read(move |reader| {
            let mut deeds = Deeds { episodes: Vec::new(), effects: Vec::new() };
            // An episode goes on under the name that it opened with.
            for name in &names {
                for episode in reader.episodes(&run.world, &run.workflow, name)? {
                    for what in ["page", "ticket"] {
                        let key = format!("{}/{name}/{}/{what}", run.workflow, episode.n);
                        if let Ok(key) = key.parse()
                            && let Some(effect) = reader.effect(&run.world, &key)?
                        {
                            deeds.effects.push(effect);
                        }
                    }
                    deeds.episodes.push(episode);
                }
            }
            Ok::<_, JournalError>(deeds)
        })
        .await?;
    if ctx.is_json() {
        ctx.output().document(&document(&found, &deeds)?);
    } else {
        ctx.output().data(&text(&found, &deeds, ctx.output().paint()));
    }
    Ok(ExitCode::SUCCESS)
}

fn document(found: &Provenance, deeds: &Deeds) -> Result<Value, CommandError> {
    let mut document =
        serde_json::to_value(found).map_err(|error| CommandError::internal(error.to_string()))?;
    let episodes = deeds.episodes.iter().map(|episode| {
        json!({
            "vulnerability": episode.vulnerability,
            "episode": episode.n,
            "opened_at": episode.opened_at,
            "opened_by": episode.opened_by,
            "closed_at": episode.closed_at,
            "closed_by": episode.closed_by,
        })
    });
    let effects = deeds.effects.iter().map(show::effect_document);
    if let Value::Object(fields) = &mut document {
        fields.insert("episodes".to_owned(), episodes.collect());
        fields.insert("effects".to_owned(), Value::Array(effects.collect::<Result<_, _>>()?));
    }
    Ok(document)
}

fn text(found: &Provenance, deeds: &Deeds, paint: Paint) -> String {
    let mut lines = vec![format!(
        "{}  {}",
        paint.bold(&printable(&found.vulnerability)),
        printable(&found.title)
    )];
    if let Some(why) = &found.below_threshold {
        lines.push(format!("not acted on: {}", printable(why)));
    }
    let mut by_source: BTreeMap<&str, Vec<&SourceFinding>> = BTreeMap::new();
    for finding in &found.findings {
        by_source.entry(&finding.source).or_default().push(finding);
    }
    for (source, findings) in by_source {
        lines.push(String::new());
        let title = format!("{} findings of {}", findings.len(), printable(source));
        lines.push(paint.bold(&title));
        for finding in findings.iter().take(FINDINGS_SHOWN_MAX) {
            lines.push(format!(
                "  {:<40}  asset {:<40}  {}",
                printable(&finding.id),
                printable(&finding.asset),
                paint.dim(&finding.digest.short())
            ));
        }
        let more = findings.len().saturating_sub(FINDINGS_SHOWN_MAX);
        if more > 0 {
            lines.push(paint.dim(&format!("  and {more} more; --json has them all")));
        }
    }
    lines.push(String::new());
    lines.push(paint.bold("merge"));
    lines.push(format!("  {}", found.merge));
    let because = found.merged_because.iter().map(|why| format!("  {}", printable(why)));
    lines.extend(because);
    for alias in &found.aliases {
        lines.push(format!("  {}: {}", printable(&alias.name), printable(&alias.why)));
    }
    lines.push(if found.lineage_holds {
        let text = "  the findings hash to what the merge committed to";
        format!("{} {}", paint.green(text), paint.dim(&found.lineage.short()))
    } else {
        paint.red("  the findings do NOT hash to what the merge committed to")
    });
    if !deeds.episodes.is_empty() {
        lines.push(String::new());
        lines.push(paint.bold("episodes"));
    }
    for episode in &deeds.episodes {
        let closed = match (&episode.closed_at, &episode.closed_by) {
            (Some(at), Some(by)) => format!("closed {} by {by}", show::time(*at)),
            _ => "open".to_owned(),
        };
        lines.push(format!(
            "  {}/{}  opened {} by {}  {closed}",
            printable(&episode.vulnerability),
            episode.n,
            show::time(episode.opened_at),
            episode.opened_by
        ));
    }
    if !deeds.effects.is_empty() {
        lines.push(String::new());
        lines.push(paint.bold("effects"));
    }
    lines.extend(deeds.effects.iter().map(|effect| show::effect_line(effect, paint)));
    lines.join("\n")
}
