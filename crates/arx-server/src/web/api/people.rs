//! People and API tokens.

use arx_types::{Role, TokenId};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Done;
use crate::web::input::{self, Asker, Named};
use crate::web::times::At;
use crate::web::views::Page;
use crate::web::views::people::{PersonView, TokenView};
use crate::web::{Problem, Web, acts};

/// What somebody may do; each includes those before it.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RoleWord {
    /// Look.
    Viewer,
    /// Also decide.
    Approver,
    /// Also manage.
    Admin,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Viewer => Self::Viewer,
            RoleWord::Approver => Self::Approver,
            RoleWord::Admin => Self::Admin,
        }
    }
}

/// Everybody, by name.
#[utoipa::path(get, path = "/api/v1/people", operation_id = "people", tag = "people",
    responses((status = 200, body = Page<PersonView>)))]
pub(super) async fn list(State(web): State<Web>) -> Result<Json<Page<PersonView>>, Problem> {
    let people = web.app.identity.people().await?;
    Ok(Json(Page { items: people.iter().map(PersonView::of).collect(), next: None }))
}

/// Somebody to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonBody {
    /// Their name, as the record shows it.
    name: String,
    /// What they may do.
    role: RoleWord,
}

/// A one-time link; shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LinkAnswer {
    /// The address that lets them choose a password.
    url: String,
    /// When it ends.
    expires_at: At,
}

/// Adds somebody; gives the link with which they choose their password.
#[utoipa::path(post, path = "/api/v1/people", operation_id = "add_person", tag = "people",
    request_body = PersonBody, responses((status = 201, body = LinkAnswer)))]
pub(super) async fn add(
    State(web): State<Web>,
    Asker(caller): Asker,
    input::Json(body): input::Json<PersonBody>,
) -> Result<(StatusCode, Json<LinkAnswer>), Problem> {
    let (url, made) = acts::add_person(&web, &caller, &body.name, body.role.into()).await?;
    Ok((StatusCode::CREATED, Json(LinkAnswer { url, expires_at: made.expires_at.into() })))
}

/// What changes about somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    /// Another role; their sessions end.
    role: Option<RoleWord>,
    /// Whether they may do nothing.
    disabled: Option<bool>,
}

/// Gives somebody another role, or lets them do nothing, or act again.
#[utoipa::path(patch, path = "/api/v1/people/{name}", operation_id = "change_person",
    tag = "people", params(("name" = String, Path, description = "Their name.")),
    request_body = ChangeBody, responses((status = 200, body = Done)))]
pub(super) async fn change(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(name): Named<String>,
    input::Json(body): input::Json<ChangeBody>,
) -> Result<Json<Done>, Problem> {
    let (identity, by) = (&web.app.identity, caller.name.as_str());
    if body.role.is_none() && body.disabled.is_none() {
        return Err(Problem::unprocessable("say what changes: `role` or `disabled`"));
    }
    if let Some(role) = body.role {
        identity.set_role(by, &name, role.into()).await.map_err(acts::of_people)?;
    }
    match body.disabled {
        Some(true) => drop(identity.disable(by, &name).await.map_err(acts::of_people)?),
        Some(false) => drop(identity.enable(by, &name).await.map_err(acts::of_people)?),
        None => {}
    }
    Ok(Json(Done { changed: true }))
}

/// Takes somebody's password away; gives the link with which they choose another.
#[utoipa::path(post, path = "/api/v1/people/{name}/reset", operation_id = "reset_person",
    tag = "people", params(("name" = String, Path, description = "Their name.")),
    responses((status = 200, body = LinkAnswer)))]
pub(super) async fn reset(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(name): Named<String>,
) -> Result<Json<LinkAnswer>, Problem> {
    let (url, made) = acts::reset_person(&web, &caller, &name).await?;
    Ok(Json(LinkAnswer { url, expires_at: made.expires_at.into() }))
}

/// One's own API tokens, newest first.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "tokens", tag = "people",
    responses((status = 200, body = Page<TokenView>)))]
pub(super) async fn tokens(
    State(web): State<Web>,
    Asker(caller): Asker,
) -> Result<Json<Page<TokenView>>, Problem> {
    let now = web.now();
    let own = web.app.identity.tokens(Some(&caller.name)).await?;
    let items = own.iter().map(|token| TokenView::of(token, now)).collect();
    Ok(Json(Page { items, next: None }))
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    /// What it is for.
    label: String,
    /// What it may do at the most; no more than oneself.
    role: RoleWord,
    /// For how many days it is good.
    #[schema(minimum = 1, maximum = 366)]
    days: u64,
}

/// A token that was made; its secret is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    /// Its identifier.
    id: String,
    /// What the program sends.
    secret: String,
    /// When it ends.
    expires_at: At,
}

/// Makes an API token for oneself. A token cannot make tokens: this needs a session.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "new_token", tag = "people",
    request_body = TokenBody, responses((status = 201, body = TokenAnswer)))]
pub(super) async fn new_token(
    State(web): State<Web>,
    Asker(caller): Asker,
    input::Json(body): input::Json<TokenBody>,
) -> Result<(StatusCode, Json<TokenAnswer>), Problem> {
    let made = acts::new_token(&web, &caller, &body.label, body.role.into(), body.days).await?;
    let answer = TokenAnswer {
        id: made.id.to_string(),
        secret: made.secret.expose_secret().to_owned(),
        expires_at: made.expires_at.into(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Ends a token: one's own, or anybody's for an admin.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", operation_id = "revoke_token",
    tag = "people", params(("id" = String, Path, description = "The token.")),
    responses((status = 200, body = Done)))]
pub(super) async fn revoke(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(id): Named<TokenId>,
) -> Result<Json<Done>, Problem> {
    acts::revoke(&web, &caller, &id).await?;
    Ok(Json(Done { changed: true }))
}
