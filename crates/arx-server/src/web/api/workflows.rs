//! Workflows: what they may do, when they run, and their switches.

use arx_engine::registry;
use arx_workflow::bundle::{Bundle, parse};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Done, PageParams};
use crate::web::input::{self, Asked, Asker, Named};
use crate::web::views::permission;
use crate::web::views::workflow::{self, FireView, StopView, WorkflowDetail, WorkflowHead};
use crate::web::views::{self, Page};
use crate::web::{Problem, Web, acts};

/// Workflows by name: registered, or ever run.
#[utoipa::path(get, path = "/api/v1/workflows", operation_id = "workflows", tag = "workflows",
    params(PageParams), responses((status = 200, body = Page<WorkflowHead>)))]
pub(super) async fn list(
    State(web): State<Web>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<WorkflowHead>>, Problem> {
    let (library, now, limit) = (web.library.clone(), web.now(), views::limit(page.limit));
    let listed = web
        .read(move |reader| workflow::list(reader, &library, page.cursor.as_deref(), limit, now));
    Ok(Json(listed.await?))
}

/// One workflow: permissions, limits, schedule, versions.
#[utoipa::path(get, path = "/api/v1/workflows/{name}", operation_id = "workflow",
    tag = "workflows", params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, body = WorkflowDetail)))]
pub(super) async fn show(
    State(web): State<Web>,
    Named(name): Named<String>,
) -> Result<Json<WorkflowDetail>, Problem> {
    let (library, now, of) = (web.library.clone(), web.now(), name.clone());
    let found = web.read(move |reader| workflow::detail(reader, &library, &of, now)).await?;
    found.map(Json).ok_or_else(|| Problem::missing("workflow", &name))
}

/// Times at which a workflow was due, and what came of each, newest first.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/fires", operation_id = "fires",
    tag = "workflows", params(("name" = String, Path, description = "Its name."), PageParams),
    responses((status = 200, body = Page<FireView>)))]
pub(super) async fn fires(
    State(web): State<Web>,
    Named(name): Named<String>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<FireView>>, Problem> {
    acts::known(&web, &name).await?;
    let (world, before) = (web.app.world.clone(), page.cursor()?);
    let limit = views::limit(page.limit);
    let listed = web.read(move |reader| workflow::fires(reader, &world, &name, before, limit));
    Ok(Json(listed.await?))
}

/// A bundle to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterBody {
    /// The text of `arx.yaml`.
    manifest: String,
    /// The text of the workflow file.
    source: String,
    /// Register it even though it lets more happen than the version that is registered.
    #[serde(default)]
    accept_wider: bool,
    /// Only say what would change.
    #[serde(default)]
    review: bool,
}

/// What registering changed, or would change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RegisterAnswer {
    /// The workflow.
    workflow: String,
    /// The digest of the bundle.
    version: String,
    /// Whether it is registered now.
    registered: bool,
    /// How many changes let more happen.
    n_wider: usize,
    /// Permissions, limits, schedule and inputs that differ from the version before.
    #[schema(value_type = Vec<Object>)]
    changes: Vec<Value>,
}

/// Registers a bundle, so that its schedule is run. What became wider has to be accepted.
#[utoipa::path(post, path = "/api/v1/workflows", operation_id = "register", tag = "workflows",
    request_body = RegisterBody, responses((status = 200, body = RegisterAnswer)))]
pub(super) async fn register(
    State(web): State<Web>,
    Asker(caller): Asker,
    input::Json(body): input::Json<RegisterBody>,
) -> Result<Json<RegisterAnswer>, Problem> {
    let specs = permission::specs();
    let catalogue: Vec<_> = specs.iter().map(|spec| (spec.name, spec.operations)).collect();
    let manifest = parse("arx.yaml", &body.manifest, &catalogue).map_err(|diagnostics| {
        let words: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        Problem::unprocessable(words.join("\n")).code("ARX-E006")
    })?;
    let bundle = Bundle::new(manifest, body.manifest, body.source);
    let review =
        registry::review(web.journal(), bundle, &specs).await.map_err(acts::of_registry)?;
    let n_wider = review.n_wider();
    if !body.review {
        if n_wider > 0 && !body.accept_wider {
            let text = format!("{n_wider} of its changes let more happen than before");
            return Err(Problem::conflict(text)
                .hint("look at them with `review: true`, then send `accept_wider: true`"));
        }
        if !review.is_comparable && !body.accept_wider {
            let text = "this program does not understand the version that is registered, so that \
                        nobody can say what changes";
            return Err(Problem::conflict(text).hint("send `accept_wider: true` to replace it"));
        }
        let registered = registry::register(web.journal(), &review, &caller.name).await;
        registered.map_err(acts::of_registry)?;
        web.app.daemon.wake();
    }
    let changes = review.changes.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    Ok(Json(RegisterAnswer {
        workflow: review.bundle.manifest.metadata.name.clone(),
        version: review.bundle.version.to_string(),
        registered: !body.review,
        n_wider,
        changes: changes.map_err(|error| Problem::unprocessable(error.to_string()))?,
    }))
}

/// Takes a workflow off the schedule. Its record stays, and its runs end on their own version.
#[utoipa::path(delete, path = "/api/v1/workflows/{name}", operation_id = "unregister",
    tag = "workflows", params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, body = Done)))]
pub(super) async fn unregister(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(name): Named<String>,
) -> Result<Json<Done>, Problem> {
    acts::unregister(&web, &caller, &name).await?;
    Ok(Json(Done { changed: true }))
}

/// Pauses a schedule: the workflow runs when somebody asks, and not by itself.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/pause", operation_id = "pause",
    tag = "workflows", params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, body = Done)))]
pub(super) async fn pause(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(name): Named<String>,
) -> Result<Json<Done>, Problem> {
    Ok(Json(Done { changed: acts::pause(&web, &caller, &name).await? }))
}

/// Ends a pause.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/resume", operation_id = "resume_schedule",
    tag = "workflows", params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, body = Done)))]
pub(super) async fn resume(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(name): Named<String>,
) -> Result<Json<Done>, Problem> {
    Ok(Json(Done { changed: acts::unpause(&web, &caller, &name).await? }))
}

/// A fire that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fired {
    /// Its number, as the list of fires has it.
    fire: u64,
}

/// Has a registered workflow run now.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/runs", operation_id = "run_now",
    tag = "workflows", params(("name" = String, Path, description = "Its name.")),
    responses((status = 202, body = Fired)))]
pub(super) async fn run(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(name): Named<String>,
) -> Result<(StatusCode, Json<Fired>), Problem> {
    let fire = acts::run_now(&web, &caller, &name).await?;
    Ok((StatusCode::ACCEPTED, Json(Fired { fire })))
}

/// Why a workflow is stopped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StopBody {
    /// It stands in the record and in every denial.
    #[schema(max_length = 2000)]
    reason: String,
}

/// That a workflow is stopped.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StopAnswer {
    /// Whether it was not before; the first stop stands.
    changed: bool,
    /// The stop that holds.
    stop: StopView,
    /// Runs under way, whose further calls are denied.
    running: Vec<String>,
}

/// Stops a workflow: the gate denies every further call, running runs park, new ones are refused.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/stop", operation_id = "stop",
    tag = "workflows", params(("name" = String, Path, description = "Its name.")),
    request_body = StopBody, responses((status = 200, body = StopAnswer)))]
pub(super) async fn stop(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(name): Named<String>,
    input::Json(body): input::Json<StopBody>,
) -> Result<Json<StopAnswer>, Problem> {
    let reason = input::reason(&body.reason)?;
    let stopped = acts::stop(&web, &caller, &name, &reason).await?;
    Ok(Json(StopAnswer {
        changed: stopped.changed,
        stop: StopView::of(&stopped.stop),
        running: stopped.under_way.iter().map(ToString::to_string).collect(),
    }))
}

/// Lets a stopped workflow act again. It starts no run.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/start", operation_id = "start",
    tag = "workflows", params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, body = Done)))]
pub(super) async fn start(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(name): Named<String>,
) -> Result<Json<Done>, Problem> {
    Ok(Json(Done { changed: acts::lift(&web, &caller, &name).await? }))
}
