//! The audit log: searched, proven, checked, given away.

use std::time::Instant;

use arx_audit::{Cause, LeafKind, tree};
use arx_journal::{Damage, JournalError, LeafFilter, Reader, Search, StoredLeaf};
use arx_types::RunId;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::PageParams;
use crate::web::input::{self, Asked, Named};
use crate::web::views::audit::{CheckpointView, ConsistencyView, LeafView, ProofView, VerifyView};
use crate::web::views::{self, Page};
use crate::web::{Problem, Web};

/// Leaves that one search looks through; the next page goes on from there.
const LOOK_MAX: usize = 5_000;
/// Checkpoints that one check takes.
const CHECKPOINTS_MAX: usize = 20;

/// Every kind of leaf that can be asked for.
pub(crate) const KINDS: [LeafKind; 12] = [
    LeafKind::Run,
    LeafKind::Decision,
    LeafKind::Approval,
    LeafKind::Intent,
    LeafKind::Outcome,
    LeafKind::Merge,
    LeafKind::Episode,
    LeafKind::Register,
    LeafKind::Stop,
    LeafKind::Settle,
    LeafKind::Schedule,
    LeafKind::Identity,
];

/// The kind that a word names.
pub(crate) fn kind(word: &str) -> Result<LeafKind, Problem> {
    let found = KINDS.into_iter().find(|kind| kind.as_str() == word);
    found.ok_or_else(|| Problem::unprocessable("that is no kind of a leaf"))
}

/// What no index finds: it is looked for in a bounded range.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub(crate) workflow: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) text: Option<String>,
}

impl Look {
    /// Looks through the log from where the filter says.
    pub(crate) fn search(
        &self,
        reader: &Reader<'_>,
        filter: &LeafFilter,
    ) -> Result<Search, JournalError> {
        let written = Written {
            workflow: self.workflow.as_ref().map(|name| field("name", name)),
            actor: self.actor.as_ref().map(|actor| field("actor", actor)),
            text: self.text.as_ref().map(|text| text.to_lowercase()),
        };
        reader.search_leaves(filter, LOOK_MAX, |stored| self.fits(stored, &written))
    }

    fn fits(&self, stored: &StoredLeaf, written: &Written) -> bool {
        let bytes = String::from_utf8_lossy(&stored.bytes);
        let has = |wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| bytes.contains(wanted.as_str()))
        };
        let has_text = || {
            let wanted = written.text.as_ref();
            wanted.is_none_or(|text| bytes.to_lowercase().contains(text.as_str()))
        };
        // A leaf is decoded only where its bytes say that it may be wanted.
        if !has(&written.workflow) || !has(&written.actor) || !has_text() {
            return false;
        }
        if self.workflow.is_none() && self.actor.is_none() {
            return true;
        }
        let Ok(leaf) = stored.decode() else { return false };
        let of_workflow = |wanted: &String| {
            leaf.workflow.as_ref().is_some_and(|workflow| workflow.name == *wanted)
        };
        self.workflow.as_ref().is_none_or(of_workflow)
            && self.actor.as_ref().is_none_or(|wanted| leaf.actor == *wanted)
    }
}

/// What is looked for, as it stands in a leaf's bytes.
struct Written {
    workflow: Option<String>,
    actor: Option<String>,
    text: Option<String>,
}

/// A field as canonical JSON has it: no space, and strings escaped as `serde_json` does.
fn field(name: &str, value: &str) -> String {
    format!("\"{name}\":{}", serde_json::Value::from(value))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LeafParams {
    /// Of this kind.
    #[param(example = "decision")]
    kind: Option<String>,
    /// Of this run.
    run: Option<String>,
    /// Of this workflow.
    workflow: Option<String>,
    /// Caused by this person or part.
    actor: Option<String>,
    /// With this text in it, whatever its case.
    text: Option<String>,
}

/// Leaves, newest first. A search looks through a bounded range: a page may be short, or empty,
/// and still have a `next`.
#[utoipa::path(get, path = "/api/v1/audit/leaves", operation_id = "leaves", tag = "audit",
    params(LeafParams, PageParams), responses((status = 200, body = Page<LeafView>)))]
pub(super) async fn leaves(
    State(web): State<Web>,
    Asked(wanted): Asked<LeafParams>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<LeafView>>, Problem> {
    let run: Option<RunId> = wanted
        .run
        .as_deref()
        .map(|text| text.parse().map_err(|_| Problem::unprocessable("that names no run")))
        .transpose()?;
    let filter = LeafFilter {
        run,
        kind: wanted.kind.as_deref().map(kind).transpose()?,
        before: page.cursor()?,
        limit: views::limit(page.limit),
    };
    let look = Look { workflow: wanted.workflow, actor: wanted.actor, text: wanted.text };
    let found = web.read(move |reader| look.search(reader, &filter)).await?;
    Ok(Json(Page {
        items: found.found.iter().map(LeafView::of).collect(),
        next: found.reached.filter(|_| found.more).map(|reached| reached.to_string()),
    }))
}

/// One leaf, with the proof that it is in the log.
#[utoipa::path(get, path = "/api/v1/audit/leaves/{seq}", operation_id = "leaf", tag = "audit",
    params(("seq" = u64, Path, description = "Its place in the log, from 0.")),
    responses((status = 200, body = ProofView)))]
pub(super) async fn leaf(
    State(web): State<Web>,
    Named(seq): Named<u64>,
) -> Result<Json<ProofView>, Problem> {
    let proof = web.read(move |reader| reader.leaf_proof(seq)).await?;
    let proof = proof.ok_or_else(|| Problem::missing("leaf", &seq.to_string()))?;
    Ok(Json(ProofView::of(&proof)))
}

/// The newest signed checkpoint.
#[utoipa::path(get, path = "/api/v1/audit/checkpoint", operation_id = "checkpoint", tag = "audit",
    responses((status = 200, body = CheckpointView)))]
pub(super) async fn checkpoint(State(web): State<Web>) -> Result<Json<CheckpointView>, Problem> {
    let found = web.read(|reader| reader.last_checkpoint()).await?;
    let found = found.ok_or_else(|| Problem::missing("checkpoint", "newest"))?;
    Ok(Json(CheckpointView::of(&found)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SizeParams {
    /// The leaves of the earlier log.
    from: u64,
    /// The leaves of the later log; as it is now where absent.
    to: Option<u64>,
}

/// That the log still begins with an earlier one.
#[utoipa::path(get, path = "/api/v1/audit/consistency", operation_id = "consistency",
    tag = "audit", params(SizeParams), responses((status = 200, body = ConsistencyView)))]
pub(super) async fn consistency(
    State(web): State<Web>,
    Asked(wanted): Asked<SizeParams>,
) -> Result<Json<ConsistencyView>, Problem> {
    let view = web.read(move |reader| {
        let from = wanted.from;
        let to = match wanted.to {
            Some(to) => to,
            None => reader.tree_size()?,
        };
        let path = reader.consistency(from, to)?;
        let (from_root, to_root) = (reader.root_at(from)?, reader.root_at(to)?);
        Ok(ConsistencyView {
            holds: tree::verify_consistency(&path, to, to_root, from, from_root).is_ok(),
            from,
            from_root: hex::encode(from_root.0),
            to,
            to_root: hex::encode(to_root.0),
            path: path.iter().map(|hash| hex::encode(hash.0)).collect(),
        })
    });
    Ok(Json(view.await?))
}

/// What a check is made against.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyBody {
    /// Checkpoints that were kept elsewhere: they find a log that was cut or written anew.
    #[serde(default)]
    #[schema(max_items = 20)]
    checkpoints: Vec<String>,
}

/// Derives every leaf, the tree and the signatures again, and compares the tables with the log.
/// It reads everything, and records nothing.
#[utoipa::path(post, path = "/api/v1/audit/verify", operation_id = "verify", tag = "audit",
    request_body = VerifyBody, responses((status = 200, body = VerifyView)))]
pub(super) async fn verify(
    State(web): State<Web>,
    input::Json(body): input::Json<VerifyBody>,
) -> Result<Json<VerifyView>, Problem> {
    if body.checkpoints.len() > CHECKPOINTS_MAX {
        let text = format!("one check takes at most {CHECKPOINTS_MAX} checkpoints");
        return Err(Problem::unprocessable(text));
    }
    Ok(Json(verify_now(&web, body.checkpoints).await?))
}

/// Checks the whole record, once at a time: it reads all of it, and others want to read, too.
pub(crate) async fn verify_now(web: &Web, earlier: Vec<String>) -> Result<VerifyView, Problem> {
    static ONE: Semaphore = Semaphore::const_new(1);
    let busy = || {
        let why = "the record is being checked already";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ARX-E001", why).hint("ask again later")
    };
    let turn = ONE.try_acquire().map_err(|_| busy())?;
    let web = web.clone();
    // Whoever asked may go away; the reading goes on, and so does its turn.
    let checking = tokio::spawn(async move {
        let checked = check_all(&web, earlier).await;
        drop(turn);
        checked
    });
    checking.await.map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "ARX-E005", error.to_string())
    })?
}

async fn check_all(web: &Web, earlier: Vec<String>) -> Result<VerifyView, Problem> {
    let begun = Instant::now();
    let journal = web.journal();
    // A database that is too damaged to be asked is one more thing to tell.
    let damage = match journal.scrub().await {
        Err(error @ JournalError::Corrupt { .. }) => vec![Damage {
            cause: Cause::Corruption,
            table: None,
            row: None,
            leaf: None,
            message: error.to_string(),
        }],
        scrubbed => scrubbed?,
    };
    let report = journal.verify(earlier).await?;
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(VerifyView::of(&report, &damage, journal.vkey(), took_ms))
}

/// The evidence bundle of a run.
pub(crate) async fn bundle(
    web: &Web,
    run: &RunId,
    earlier: Option<String>,
) -> Result<Response, Problem> {
    let bundle = web.journal().export(run, earlier).await?;
    let bytes = bundle.write().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "ARX-E005", error.to_string())
    })?;
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{run}-evidence.json\"")),
    ];
    Ok((headers, bytes).into_response())
}
