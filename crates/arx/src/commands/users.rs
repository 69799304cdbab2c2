//! `arx users`: the people who may sign in, and what each may do.
//!
//! A password is never typed here: somebody who is added or reset gets a link that works once and
//! lets them choose one.

mod add;
mod disable;
mod enable;
mod list;
mod reset;
mod set_role;

use std::process::ExitCode;

use arx_journal::{PeopleError, Person};
use arx_server::identity::{Identity, Invitation, JOIN_PATH, Role, TokenError};
use clap::{Subcommand, ValueEnum};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::lookup;
use crate::command_error::{CommandError, Kind};
use crate::context::Context;
use crate::output::printable;

/// Where the console is unless somebody says otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:7717";

/// What may be typed after `arx users`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add somebody; prints the link with which they choose a password.
    Add(add::Args),
    /// Show everybody.
    List(list::Args),
    /// Give somebody another role; ends their sessions.
    SetRole(set_role::Args),
    /// Let somebody do nothing any more; ends their sessions, and their tokens do nothing.
    Disable(disable::Args),
    /// Let somebody who was disabled act again.
    Enable(enable::Args),
    /// Take somebody's password away; prints the link with which they choose another.
    Reset(reset::Args),
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.what {
        What::Add(args) => add::run(ctx, args).await,
        What::List(args) => list::run(ctx, args).await,
        What::SetRole(args) => set_role::run(ctx, args).await,
        What::Disable(args) => disable::run(ctx, args).await,
        What::Enable(args) => enable::run(ctx, args).await,
        What::Reset(args) => reset::run(ctx, args).await,
    }
}

/// A role as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleName {
    /// Look at everything.
    Viewer,
    /// Also decide approvals.
    Approver,
    /// Also change what runs, and manage people.
    Admin,
}

impl RoleName {
    pub(super) fn role(self) -> Role {
        match self {
            Self::Viewer => Role::Viewer,
            Self::Approver => Role::Approver,
            Self::Admin => Role::Admin,
        }
    }
}

/// Where the link leads.
#[derive(Debug, clap::Args)]
struct Site {
    /// The address of the console, as the person reaches it.
    #[arg(long, value_name = "URL", default_value = URL_DEFAULT)]
    url: String,
}

/// The people of the state directory.
pub(super) fn identity(ctx: &Context) -> Result<Identity, CommandError> {
    Ok(Identity::new(ctx.journal()?.clone()))
}

/// Prints a link; the only time that it can be seen.
fn tell(ctx: &Context, site: &Site, what: &str, invited: &Invitation) {
    let (base, secret) = (site.url.trim_end_matches('/'), invited.secret.expose_secret());
    let link = format!("{base}{JOIN_PATH}{secret}");
    let (name, role) = match &invited.person {
        Some(person) => (person.name.clone(), person.role),
        None => (String::new(), Role::Admin),
    };
    if ctx.is_json() {
        ctx.output().document(&json!({
            "person": name,
            "role": role,
            "link": link,
            "expires_at": invited.expires_at,
        }));
        return;
    }
    let name = ctx.output().paint().bold(&printable(&name));
    ctx.output().data(&format!(
        "{name} {what}\n  {}\n  works once, until {:.0}; whoever has it becomes {name}\n",
        printable(&link),
        invited.expires_at,
    ));
}

/// Says what somebody may do from now on.
async fn told(ctx: &Context, person: &Person, what: &str) -> Result<ExitCode, CommandError> {
    lookup::sign(ctx.journal()?).await?;
    if ctx.is_json() {
        ctx.output().document(&as_json(person));
    } else {
        let name = ctx.output().paint().bold(&printable(&person.name));
        ctx.output().data(&format!("{name} {what}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(person: &Person) -> Value {
    json!({
        "name": person.name,
        "role": person.role,
        "has_password": person.has_password,
        "created_at": person.created_at,
        "created_by": person.created_by,
        "disabled_at": person.disabled_at,
    })
}

impl From<PeopleError> for CommandError {
    fn from(error: PeopleError) -> Self {
        let message = error.to_string();
        let wrong = |message| Self::new(Kind::User, "ARX-E080", message);
        let refused = |message| Self::denied(message).code("ARX-E081");
        match error {
            PeopleError::Journal(error) => error.into(),
            PeopleError::Unknown { .. } => {
                Self::missing(message).hint("`arx users list` shows everybody")
            }
            PeopleError::NoToken { .. } => {
                Self::missing(message).hint("`arx tokens list` shows every token")
            }
            PeopleError::Name { .. } | PeopleError::Refused { .. } => wrong(message),
            PeopleError::Role { .. } => {
                wrong(message).hint("`arx users set-role` gives somebody another role")
            }
            PeopleError::Taken { .. } => refused(message)
                .hint("`arx users reset` gives them a new link, `arx users enable` lets them act"),
            PeopleError::Disabled { name } => {
                refused(message).hint(format!("arx users enable {}", printable(&name)))
            }
            PeopleError::LastAdmin { .. } => {
                refused(message).hint("make somebody else an admin first")
            }
            PeopleError::Link => refused(message),
        }
    }
}

impl From<TokenError> for CommandError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::People(error) => error.into(),
            TokenError::Journal(error) => error.into(),
            TokenError::Long | TokenError::Role { .. } => {
                Self::new(Kind::User, "ARX-E080", error.to_string())
            }
            TokenError::ByToken => Self::denied(error.to_string()).code("ARX-E081"),
        }
    }
}
