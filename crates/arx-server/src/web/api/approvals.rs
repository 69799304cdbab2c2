//! Requests for approval, and votes.

use arx_journal::Vote;
use arx_types::ApprovalId;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::PageParams;
use crate::web::input::{self, Asked, Asker, Named};
use crate::web::views::approval::{self, ApprovalDetail, ApprovalHead};
use crate::web::views::{self, Page};
use crate::web::{Problem, Web, acts};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StateParams {
    /// In this state.
    #[param(example = "pending")]
    state: Option<String>,
}

/// Requests for approval, newest first.
#[utoipa::path(get, path = "/api/v1/approvals", operation_id = "approvals", tag = "approvals",
    params(StateParams, PageParams), responses((status = 200, body = Page<ApprovalHead>)))]
pub(super) async fn list(
    State(web): State<Web>,
    Asked(wanted): Asked<StateParams>,
    Asked(page): Asked<PageParams>,
) -> Result<Json<Page<ApprovalHead>>, Problem> {
    let state = wanted.state.as_deref().map(approval::state_named).transpose()?;
    let (before, limit, now) = (page.cursor()?, views::limit(page.limit), web.now());
    let listed = web.read(move |reader| approval::list(reader, state, before.as_ref(), limit, now));
    Ok(Json(listed.await?))
}

/// One request with everything that is needed for deciding.
#[utoipa::path(get, path = "/api/v1/approvals/{id}", operation_id = "approval", tag = "approvals",
    params(("id" = String, Path, description = "The request.")),
    responses((status = 200, body = ApprovalDetail)))]
pub(super) async fn show(
    State(web): State<Web>,
    Named(id): Named<ApprovalId>,
) -> Result<Json<ApprovalDetail>, Problem> {
    let (of, now) = (id.clone(), web.now());
    let found = web.read(move |reader| approval::detail(reader, &of, now)).await?;
    found.map(Json).ok_or_else(|| Problem::missing("approval", id.as_str()))
}

/// What somebody says to a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VoteBody {
    /// `approve` or `deny`.
    vote: Word,
    /// The places of the actions that it is about; absent for all that wait.
    actions: Option<Vec<u32>>,
    /// Why not; needed for a no.
    #[schema(max_length = 2000)]
    reason: Option<String>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// Yes.
    Approve,
    /// No; one is enough.
    Deny,
}

/// What a vote did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VoteAnswer {
    /// Where the request stands now.
    state: String,
    /// The actions that the vote decided, by place.
    decided: Vec<u32>,
    /// How many must say yes.
    quorum: u32,
}

/// Approves or denies all, or some, of what a request asks for. One's own request cannot be
/// decided, nor what has expired.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/votes", operation_id = "vote",
    tag = "approvals", params(("id" = String, Path, description = "The request.")),
    request_body = VoteBody, responses((status = 200, body = VoteAnswer)))]
pub(super) async fn vote(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(id): Named<ApprovalId>,
    input::Json(body): input::Json<VoteBody>,
) -> Result<Json<VoteAnswer>, Problem> {
    let vote = match body.vote {
        Word::Approve => Vote::Approve,
        Word::Deny => Vote::Deny { reason: input::reason(body.reason.as_deref().unwrap_or(""))? },
    };
    if body.actions.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::unprocessable("a vote is about at least one action")
            .hint("leave `actions` out to vote on all that wait"));
    }
    let cast = acts::vote(&web, &caller, &id, &vote, body.actions).await?;
    Ok(Json(VoteAnswer {
        state: cast.state.as_str().to_owned(),
        decided: cast.decided,
        quorum: cast.quorum,
    }))
}
