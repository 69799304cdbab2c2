//! What people do here, for the forms and the API alike: each is one record in the journal with
//! its leaf, after which the daemon is woken.

use std::time::Duration;

use arx_engine::approvals::{self, Cast, CastError, Proof, Voter};
use arx_engine::registry::{self, RegistryError};
use arx_engine::settle::{self, Said, SettleError, Settled};
use arx_engine::stops::{self, Stopped};
use arx_journal::people::PeopleError;
use arx_journal::{Vote, World};
use arx_types::{ApprovalId, EffectKey, Role, RunId, RunStatus, TokenId};
use axum::http::StatusCode;

use super::views::workflow;
use super::{Problem, Web};
use crate::identity::{
    Caller, Invitation, JOIN_PATH, JoinError, NewToken, SignInError, TokenError, Via,
};

/// Casts a vote.
pub(crate) async fn vote(
    web: &Web,
    caller: &Caller,
    id: &ApprovalId,
    vote: &Vote,
    only: Option<Vec<u32>>,
) -> Result<Cast, Problem> {
    let proof = match &caller.via {
        Via::Session { .. } => Proof::Session(caller.role),
        Via::Token { id } => Proof::Token(id.clone(), caller.role),
    };
    let voter = Voter::proven(&caller.name, proof);
    let cast = approvals::cast(web.journal(), id, &voter, vote, only).await.map_err(|error| {
        let text = error.to_string();
        match error {
            CastError::Missing { id } => Problem::missing("approval", id.as_str()),
            CastError::NotAsked(_) => Problem::forbidden(text)
                .code("ARX-E040")
                .hint("`policy.approvals.approvers` in arx.yaml says who decides"),
            CastError::Refused(_) => Problem::conflict(text)
                .code("ARX-E041")
                .hint("load the request again to see who said what"),
            CastError::Journal(error) => error.into(),
        }
    })?;
    web.app.daemon.wake();
    Ok(cast)
}

/// Gives a run up.
pub(crate) async fn cancel(
    web: &Web,
    caller: &Caller,
    run: &RunId,
) -> Result<Vec<ApprovalId>, Problem> {
    Ok(web.app.daemon.cancel(run, &caller.name).await?)
}

/// Has the daemon look now whether a run that waits can go on; it looks by itself too.
pub(crate) async fn resume(web: &Web, run: &RunId) -> Result<(), Problem> {
    let of = run.clone();
    let found = web.read(move |reader| reader.run(&of)).await?;
    let found = found.ok_or_else(|| Problem::missing("run", run.as_str()))?;
    if !found.status.is_unfinished() || found.status == RunStatus::Running {
        return Err(Problem::conflict(format!("run `{run}` is {} already", found.status)));
    }
    web.app.daemon.wake();
    Ok(())
}

/// Settles an effect.
pub(crate) async fn settle(
    web: &Web,
    caller: &Caller,
    (world, key): (&World, &EffectKey),
    said: &Said,
    reason: &str,
) -> Result<Settled, Problem> {
    let place = (world, key);
    let journal = web.journal();
    let done =
        settle::settle(journal, &web.app.process, place, &caller.name, said, Some(reason)).await;
    let settled = done.map_err(|error| {
        let text = error.to_string();
        match error {
            SettleError::Identifier => Problem::unprocessable(text),
            SettleError::Missing { effect } => Problem::missing("effect", &effect),
            SettleError::Covered { cover, .. } => {
                Problem::conflict(text).code("ARX-E052").hint(format!("settle `{cover}`"))
            }
            SettleError::Already { .. } | SettleError::Meanwhile { .. } => {
                Problem::conflict(text).code("ARX-E051")
            }
            SettleError::Engine(error) => error.into(),
        }
    })?;
    web.app.daemon.wake();
    Ok(settled)
}

/// That a workflow is known here.
pub(crate) async fn known(web: &Web, name: &str) -> Result<(), Problem> {
    let wanted = name.to_owned();
    match web.read(move |reader| workflow::is_known(reader, &wanted)).await? {
        true => Ok(()),
        false => Err(Problem::missing("workflow", name)),
    }
}

/// Stops a workflow.
pub(crate) async fn stop(
    web: &Web,
    caller: &Caller,
    name: &str,
    reason: &str,
) -> Result<Stopped, Problem> {
    known(web, name).await?;
    let stopped = stops::stop(web.journal(), name, &caller.name, reason).await?;
    web.app.daemon.wake();
    Ok(stopped)
}

/// Lets a stopped workflow act again.
pub(crate) async fn lift(web: &Web, caller: &Caller, name: &str) -> Result<bool, Problem> {
    known(web, name).await?;
    let lifted = stops::lift(web.journal(), name, &caller.name).await?;
    web.app.daemon.wake();
    Ok(lifted)
}

/// Pauses a schedule.
pub(crate) async fn pause(web: &Web, caller: &Caller, name: &str) -> Result<bool, Problem> {
    let changed = registry::pause(web.journal(), name, &caller.name).await;
    woken(web, changed)
}

/// Ends a pause.
pub(crate) async fn unpause(web: &Web, caller: &Caller, name: &str) -> Result<bool, Problem> {
    let changed = registry::resume(web.journal(), name, &caller.name).await;
    woken(web, changed)
}

/// Takes a workflow off the schedule.
pub(crate) async fn unregister(web: &Web, caller: &Caller, name: &str) -> Result<(), Problem> {
    let done = registry::unregister(web.journal(), name, &caller.name).await;
    woken(web, done)
}

/// Has a workflow run now; gives the number of the fire.
pub(crate) async fn run_now(web: &Web, caller: &Caller, name: &str) -> Result<u64, Problem> {
    let fire = registry::fire_now(web.journal(), &web.app.world, name, &caller.name).await;
    woken(web, fire)
}

fn woken<T>(web: &Web, done: Result<T, RegistryError>) -> Result<T, Problem> {
    let done = done.map_err(of_registry)?;
    web.app.daemon.wake();
    Ok(done)
}

pub(crate) fn of_registry(error: RegistryError) -> Problem {
    let text = error.to_string();
    match error {
        RegistryError::Journal(error) => error.into(),
        RegistryError::Policy { .. } => Problem::unprocessable(text).code("ARX-E006"),
        RegistryError::NotRegistered { .. } => {
            Problem::new(StatusCode::NOT_FOUND, "ARX-E010", text)
                .hint("`arx register --config arx.yaml` registers it")
        }
        RegistryError::Stopped { .. } => {
            Problem::conflict(text).code("ARX-E031").hint("lift the stop first")
        }
        RegistryError::Outdated { .. } => {
            Problem::conflict(text).hint("look at what it changes, and register again")
        }
    }
}

pub(crate) fn of_people(error: PeopleError) -> Problem {
    let text = error.to_string();
    match error {
        PeopleError::Unknown { .. } | PeopleError::NoToken { .. } => {
            Problem::new(StatusCode::NOT_FOUND, "ARX-E010", text)
        }
        PeopleError::Journal(error) => error.into(),
        PeopleError::Name { .. } | PeopleError::Refused { .. } => Problem::unprocessable(text),
        PeopleError::Taken { .. }
        | PeopleError::Disabled { .. }
        | PeopleError::LastAdmin { .. }
        | PeopleError::Role { .. }
        | PeopleError::Link => Problem::conflict(text),
    }
}

/// Adds somebody; gives the link.
pub(crate) async fn add_person(
    web: &Web,
    caller: &Caller,
    name: &str,
    role: Role,
) -> Result<(String, Invitation), Problem> {
    let made = web.app.identity.add(&caller.name, name, role).await.map_err(of_people)?;
    Ok((link(web, &made), made))
}

/// Takes somebody's password away; gives the link to another.
pub(crate) async fn reset_person(
    web: &Web,
    caller: &Caller,
    name: &str,
) -> Result<(String, Invitation), Problem> {
    let made = web.app.identity.reset(&caller.name, name).await.map_err(of_people)?;
    Ok((link(web, &made), made))
}

/// The address that an invitation is given as.
fn link(web: &Web, made: &Invitation) -> String {
    use secrecy::ExposeSecret as _;
    format!("{}{JOIN_PATH}{}", web.settings.base(), made.secret.expose_secret())
}

/// Makes a token for whoever asks.
pub(crate) async fn new_token(
    web: &Web,
    caller: &Caller,
    label: &str,
    role: Role,
    days: u64,
) -> Result<NewToken, Problem> {
    let life = Duration::from_secs(days.saturating_mul(86_400));
    if life.is_zero() {
        return Err(Problem::unprocessable("a token lives at least a day"));
    }
    web.app.identity.new_token(caller, label, role, life).await.map_err(of_token)
}

/// Ends a token.
pub(crate) async fn revoke(web: &Web, caller: &Caller, id: &TokenId) -> Result<(), Problem> {
    web.app.identity.revoke_token(caller, id).await.map_err(of_token).map(drop)
}

fn of_token(error: TokenError) -> Problem {
    let text = error.to_string();
    match error {
        TokenError::ByToken | TokenError::Role { .. } => Problem::forbidden(text),
        TokenError::Long => Problem::unprocessable(text),
        TokenError::People(error) => of_people(error),
        TokenError::Journal(error) => error.into(),
    }
}

pub(crate) fn of_sign_in(error: SignInError) -> Problem {
    let text = error.to_string();
    match error {
        SignInError::Wrong => Problem::new(StatusCode::UNAUTHORIZED, "ARX-E003", text),
        SignInError::Wait { .. } => Problem::new(StatusCode::TOO_MANY_REQUESTS, "ARX-E003", text),
        SignInError::Busy(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ARX-E003", text),
        SignInError::Journal(error) => error.into(),
    }
}

pub(crate) fn of_join(error: JoinError) -> Problem {
    let text = error.to_string();
    match error {
        JoinError::Password(_) => Problem::unprocessable(text),
        JoinError::People(error) => of_people(error),
        JoinError::Busy(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ARX-E003", text),
        JoinError::Journal(error) => error.into(),
    }
}
