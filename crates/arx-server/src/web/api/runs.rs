//! Runs, with everything in them.

use arx_engine::provenance;
use arx_types::RunId;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{Done, PageParams};
use crate::web::input::{Asked, Asker, Named};
use crate::web::views::audit::LeafView;
use crate::web::views::run::{self, DecisionView, RunDetail, RunView, StepView};
use crate::web::views::{self, Page};
use crate::web::{Problem, Web, acts, live};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RunParams {
    /// Of this workflow.
    workflow: Option<String>,
    /// In this state.
    #[param(example = "parked")]
    status: Option<String>,
    /// In this world: `live`, or `simulate:<scenario>`.
    world: Option<String>,
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", operation_id = "runs", tag = "runs",
    params(RunParams, PageParams), responses((status = 200, body = Page<RunView>)))]
pub(super) async fn list(
    State(web): State<Web>,
    Asked(wanted): Asked<RunParams>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<RunView>>, Problem> {
    let status = wanted.status.as_deref().map(run::status).transpose()?;
    let asked = run::Asked {
        workflow: wanted.workflow,
        status,
        world: wanted.world.as_deref().map(str::parse).transpose()?,
        before: page.cursor()?,
        limit: views::limit(page.limit),
    };
    Ok(Json(web.read(move |reader| run::list(reader, &asked)).await?))
}

/// One run.
#[utoipa::path(get, path = "/api/v1/runs/{id}", operation_id = "run", tag = "runs",
    params(("id" = String, Path, description = "The run.")),
    responses((status = 200, body = RunDetail)))]
pub(super) async fn show(
    State(web): State<Web>,
    Named(id): Named<RunId>,
) -> Result<Json<RunDetail>, Problem> {
    let of = id.clone();
    let found = web.read(move |reader| run::detail(reader, &of)).await?;
    let (detail, _) = found.ok_or_else(|| Problem::missing("run", id.as_str()))?;
    Ok(Json(detail))
}

/// That there is such a run.
async fn exists(web: &Web, id: &RunId) -> Result<(), Problem> {
    let of = id.clone();
    let found = web.read(move |reader| reader.run(&of)).await?;
    found.map(drop).ok_or_else(|| Problem::missing("run", id.as_str()))
}

/// The steps of a run, in the order in which the workflow saw their results.
#[utoipa::path(get, path = "/api/v1/runs/{id}/steps", operation_id = "run_steps", tag = "runs",
    params(("id" = String, Path, description = "The run."), PageParams),
    responses((status = 200, body = Page<StepView>)))]
pub(super) async fn steps(
    State(web): State<Web>,
    Named(id): Named<RunId>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<StepView>>, Problem> {
    exists(&web, &id).await?;
    let (after, limit) = (page.cursor()?, views::limit(page.limit));
    Ok(Json(web.read(move |reader| run::steps(reader, &id, after, limit)).await?))
}

/// What the gate answered to a run's calls, oldest first.
#[utoipa::path(get, path = "/api/v1/runs/{id}/decisions", operation_id = "run_decisions",
    tag = "runs", params(("id" = String, Path, description = "The run."), PageParams),
    responses((status = 200, body = Page<DecisionView>)))]
pub(super) async fn decisions(
    State(web): State<Web>,
    Named(id): Named<RunId>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<DecisionView>>, Problem> {
    exists(&web, &id).await?;
    let (after, limit) = (page.cursor()?, views::limit(page.limit));
    Ok(Json(web.read(move |reader| run::decisions(reader, &id, after, limit)).await?))
}

/// One item of a run, as its workflow reported it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemView {
    /// Its place in the report, from 0.
    n: usize,
    /// The item.
    #[schema(value_type = Object)]
    item: Value,
}

/// The items of a run, the most severe first.
#[utoipa::path(get, path = "/api/v1/runs/{id}/items", operation_id = "run_items", tag = "runs",
    params(("id" = String, Path, description = "The run."), PageParams),
    responses((status = 200, body = Page<ItemView>)))]
pub(super) async fn items(
    State(web): State<Web>,
    Named(id): Named<RunId>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<ItemView>>, Problem> {
    exists(&web, &id).await?;
    let from: usize = page.cursor::<usize>()?.map_or(0, |last| last.saturating_add(1));
    let limit = views::limit(page.limit);
    let told = web.read(move |reader| run::told(reader, &id)).await?;
    let items = told.items.into_iter().enumerate().skip(from).take(limit + 1);
    let items = items.map(|(n, item)| ItemView { n, item }).collect();
    Ok(Json(Page::cut(items, limit, |item| item.n.to_string())))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ItemParams {
    /// The item: a vulnerability's or a ticket's name.
    #[param(example = "CVE-2021-44228")]
    item: String,
}

/// Where one item of a run comes from: every source finding, the merge, and whether the hashes
/// hold; or what each system said of a ticket.
#[utoipa::path(get, path = "/api/v1/runs/{id}/lineage", operation_id = "run_lineage", tag = "runs",
    params(("id" = String, Path, description = "The run."), ItemParams),
    responses((status = 200, body = Object)))]
pub(super) async fn lineage(
    State(web): State<Web>,
    Named(id): Named<RunId>,
    Asked(wanted): Asked<ItemParams>,
) -> Result<Json<Value>, Problem> {
    exists(&web, &id).await?;
    let as_json = |value: serde_json::Result<Value>| {
        value.map(Json).map_err(|error| Problem::unprocessable(error.to_string()))
    };
    if let Some(found) = provenance::trace(web.journal(), &id, &wanted.item).await? {
        return as_json(serde_json::to_value(&found));
    }
    match provenance::trace_ticket(web.journal(), &id, &wanted.item).await? {
        Some(found) => as_json(serde_json::to_value(&found)),
        None => Err(Problem::missing("item of this run called", &wanted.item)),
    }
}

/// The leaves of a run in the audit log, oldest first.
#[utoipa::path(get, path = "/api/v1/runs/{id}/timeline", operation_id = "run_timeline",
    tag = "runs", params(("id" = String, Path, description = "The run."), PageParams),
    responses((status = 200, body = Page<LeafView>)))]
pub(super) async fn timeline(
    State(web): State<Web>,
    Named(id): Named<RunId>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<LeafView>>, Problem> {
    exists(&web, &id).await?;
    let (after, limit) = (page.cursor()?, views::limit(page.limit));
    let found = web.read(move |reader| reader.leaves_of_run(&id, after, limit + 1)).await?;
    let page = Page::cut(found, limit, |leaf| leaf.seq.to_string());
    Ok(Json(page.map(|leaf| LeafView::of(&leaf))))
}

/// What happens in a run, from now on, as server-sent events: `status`, `progress`, `item`,
/// `log`, and `lagged` when some were lost.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", operation_id = "run_events", tag = "runs",
    params(("id" = String, Path, description = "The run.")),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub(super) async fn events(
    State(web): State<Web>,
    Named(id): Named<RunId>,
) -> Result<impl IntoResponse, Problem> {
    exists(&web, &id).await?;
    Ok(live::events(web.app.daemon.events(), move |event| event.run == id))
}

/// The evidence of a run: its leaves, the proof that each is in the log, the signed checkpoint and
/// the public key, as `arx-verify` checks it offline.
#[utoipa::path(get, path = "/api/v1/runs/{id}/evidence", operation_id = "run_evidence",
    tag = "runs", params(("id" = String, Path, description = "The run.")),
    responses((status = 200, body = Object)))]
pub(super) async fn evidence(
    State(web): State<Web>,
    Named(id): Named<RunId>,
) -> Result<Response, Problem> {
    super::audit::bundle(&web, &id, None).await
}

/// What cancelling a run withdrew.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cancelled {
    /// Requests for approval that wait no more.
    approvals_withdrawn: Vec<String>,
}

/// Gives a run up, with everything that it still asks for. It never resumes.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", operation_id = "cancel_run", tag = "runs",
    params(("id" = String, Path, description = "The run.")),
    responses((status = 200, body = Cancelled)))]
pub(super) async fn cancel(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(id): Named<RunId>,
) -> Result<Json<Cancelled>, Problem> {
    let withdrawn = acts::cancel(&web, &caller, &id).await?;
    let approvals_withdrawn = withdrawn.iter().map(ToString::to_string).collect();
    Ok(Json(Cancelled { approvals_withdrawn }))
}

/// Has the daemon look now whether a run that waits can go on; it looks by itself too.
#[utoipa::path(post, path = "/api/v1/runs/{id}/resume", operation_id = "resume_run", tag = "runs",
    params(("id" = String, Path, description = "The run.")),
    responses((status = 202, body = Done)))]
pub(super) async fn resume(
    State(web): State<Web>,
    Named(id): Named<RunId>,
) -> Result<(StatusCode, Json<Done>), Problem> {
    acts::resume(&web, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(Done { changed: true })))
}
