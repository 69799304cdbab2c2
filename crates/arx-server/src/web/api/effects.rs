//! Effects, and what a human says of them.

use arx_engine::settle::Said;
use arx_journal::EffectPage;
use arx_types::{EffectKey, EffectState, RunId};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::PageParams;
use crate::web::input::{self, Asked, Asker};
use crate::web::views::effect::{self, EffectView};
use crate::web::views::{self, Page};
use crate::web::{Problem, Web, acts};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EffectParams {
    /// In this state: `intended`, `done`, `failed` or `unknown`.
    state: Option<String>,
    /// Intended last by this run.
    run: Option<String>,
    /// In this world.
    world: Option<String>,
}

/// Effects, newest intent first.
#[utoipa::path(get, path = "/api/v1/effects", operation_id = "effects", tag = "effects",
    params(EffectParams, PageParams), responses((status = 200, body = Page<EffectView>)))]
pub(super) async fn list(
    State(web): State<Web>,
    Asked(wanted): Asked<EffectParams>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<EffectView>>, Problem> {
    let state = wanted.state.as_deref().map(effect::state).transpose()?;
    let run: Option<RunId> = wanted
        .run
        .as_deref()
        .map(|text| text.parse().map_err(|_| Problem::unprocessable("that names no run")))
        .transpose()?;
    let asked = EffectPage {
        world: wanted.world.as_deref().map(str::parse).transpose()?,
        run,
        state,
        after: page.cursor.as_deref().map(effect::cursor).transpose()?,
        limit: views::limit(page.limit),
    };
    Ok(Json(web.read(move |reader| effect::list(reader, asked)).await?))
}

/// The effects that a human must settle: nobody could find out whether they happened.
#[utoipa::path(get, path = "/api/v1/effects/attention", operation_id = "effects_attention",
    tag = "effects", responses((status = 200, body = Page<EffectView>)))]
pub(super) async fn attention(State(web): State<Web>) -> Result<Json<Page<EffectView>>, Problem> {
    let items = web.read(effect::attention).await?;
    Ok(Json(Page { items, next: None }))
}

/// What somebody says of an effect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettleBody {
    /// Where it happens: `live`, or `simulate:<scenario>`.
    world: String,
    /// Its key.
    effect: String,
    /// Whether it happened.
    happened: bool,
    /// The vendor's identifier of it; needed where it happened.
    id: Option<String>,
    /// Its address, which the workflow may pass on.
    url: Option<String>,
    /// How they know.
    #[schema(max_length = 2000)]
    reason: String,
}

/// What was recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SettleAnswer {
    /// `done` or `failed`.
    state: String,
    /// The run that intended it.
    run: String,
    /// What the workflow will see.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
}

/// Says what became of an effect. What happened is never sent again; what did not may be tried
/// again.
#[utoipa::path(post, path = "/api/v1/effects/settle", operation_id = "settle", tag = "effects",
    request_body = SettleBody, responses((status = 200, body = SettleAnswer)))]
pub(super) async fn settle(
    State(web): State<Web>,
    Asker(caller): Asker,
    input::Json(body): input::Json<SettleBody>,
) -> Result<Json<SettleAnswer>, Problem> {
    let missing = |_| Problem::missing("effect", &body.effect);
    let (world, key): (_, EffectKey) = (body.world.parse()?, body.effect.parse().map_err(missing)?);
    let said = match (body.happened, body.id) {
        (true, Some(id)) => Said::Happened { id, url: body.url },
        (true, None) => return Err(Problem::unprocessable("`id` says which record it is")),
        (false, _) => Said::DidNotHappen,
    };
    let reason = input::reason(&body.reason)?;
    let settled = acts::settle(&web, &caller, (&world, &key), &said, &reason).await?;
    let state = if settled.result.is_some() { EffectState::Done } else { EffectState::Failed };
    Ok(Json(SettleAnswer {
        state: state.as_str().to_owned(),
        run: settled.run.id.to_string(),
        result: settled.result,
    }))
}
