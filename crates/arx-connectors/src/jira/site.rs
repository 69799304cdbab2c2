//! Which Jira this is: Cloud (API 3, documents) or Data Center (API 2, wiki markup).

use arx_gateway::{Call, CallError, Request, Response};
use serde_json::Value;
use url::Url;

use super::wire::{self, Complaint};
use super::{EMAIL, URL};

/// Where tokens with scopes are used; tickets are not browsed there.
const SCOPED_HOST: &str = "api.atlassian.com";

/// The two editions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deployment {
    Cloud,
    DataCenter,
}

/// What is known of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub deployment: Deployment,
    /// Base of the API's paths.
    pub api: &'static str,
    /// Base of the addresses that people open.
    pub browse: String,
}

impl Deployment {
    pub fn api(self) -> &'static str {
        match self {
            Self::Cloud => "/rest/api/3",
            Self::DataCenter => "/rest/api/2",
        }
    }

    /// The setting `deployment`; `None` means to find out.
    pub fn setting(settings: &Value) -> Result<Option<Self>, String> {
        match settings.get("deployment") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => match text.as_str() {
                "auto" => Ok(None),
                "cloud" => Ok(Some(Self::Cloud)),
                "data_center" => Ok(Some(Self::DataCenter)),
                _ => Err("is not one of `auto`, `cloud`, `data_center`".to_owned()),
            },
            Some(_) => Err("is not one of `auto`, `cloud`, `data_center`".to_owned()),
        }
    }

    /// What a `serverInfo` reply says.
    pub fn of_server_info(info: &Value) -> Option<Self> {
        let kind = wire::word(info, "deploymentType")?;
        Some(if kind.eq_ignore_ascii_case("cloud") { Self::Cloud } else { Self::DataCenter })
    }
}

/// Finds out which Jira this is.
pub(super) async fn detect(call: Call<'_>) -> Result<Site, CallError> {
    let setting = Deployment::setting(call.settings)
        .map_err(|problem| call.parameters(format!("the setting `deployment` {problem}")))?;
    let deployment = match setting {
        Some(deployment) => deployment,
        None if call.variables.is_set(EMAIL) => with_email(call).await?,
        None => with_token(call).await?,
    };
    let base = call.http.base();
    let mut browse = base.as_str().trim_end_matches('/').to_owned();
    if base.host_str() == Some(SCOPED_HOST) {
        // The address of the API is not the address of the site; the site knows its own.
        let info = look(call, &format!("{}/serverInfo", deployment.api())).await?;
        let own = info.json::<Value>().ok().and_then(|info| wire::word(&info, "baseUrl"));
        browse = own.map_or(browse, |own| own.trim_end_matches('/').to_owned());
    }
    Ok(Site { deployment, api: deployment.api(), browse })
}

/// An e-mail address beside the token is how Cloud is used, unless there is no API 3.
async fn with_email(call: Call<'_>) -> Result<Deployment, CallError> {
    if is_atlassian(call.http.base()) {
        return Ok(Deployment::Cloud);
    }
    if look(call, "/rest/api/3/myself").await?.status != 404 {
        return Ok(Deployment::Cloud);
    }
    let other = look(call, "/rest/api/2/myself").await?;
    Ok(if other.status == 404 { Deployment::Cloud } else { Deployment::DataCenter })
}

/// A token alone is how Data Center is used, but Cloud takes some tokens so too.
async fn with_token(call: Call<'_>) -> Result<Deployment, CallError> {
    for (api, otherwise) in [(2, Deployment::DataCenter), (3, Deployment::Cloud)] {
        let reply = look(call, &format!("/rest/api/{api}/serverInfo")).await?;
        if reply.status == 401 {
            return Err(call.refused(&reply, &Complaint::of(&reply).message()));
        }
        if reply.is_success() {
            let info: Option<Value> = reply.json().ok();
            let told = info.as_ref().and_then(Deployment::of_server_info);
            return Ok(told.unwrap_or(otherwise));
        }
    }
    if look(call, "/rest/api/2/myself").await?.status != 404 {
        return Ok(Deployment::DataCenter);
    }
    let other = look(call, "/rest/api/3/myself").await?;
    Ok(if other.status == 404 { Deployment::DataCenter } else { Deployment::Cloud })
}

/// Whether the credential is accepted and this is a Jira at all.
pub(super) async fn probe(call: Call<'_>, site: &Site) -> Result<(), CallError> {
    let reply = look(call, &format!("{}/myself", site.api)).await?;
    let message = Complaint::of(&reply).message();
    if reply.status == 404 {
        return Err(CallError::Refused {
            vendor: super::SPEC.title,
            status: Some(404),
            message: format!("no Jira answers at {URL}: {}", call.http.scrub(&message)),
        });
    }
    if !reply.is_success() {
        return Err(call.refused(&reply, &message));
    }
    match reply.json::<Value>() {
        Ok(Value::Object(_)) => Ok(()),
        _ => Err(super::malformed(call, "the user that the credential belongs to", &reply)),
    }
}

/// Whether what was read just now was read by someone who may see the project. With an expired
/// credential a read falls back to an anonymous user, who is told that there is nothing.
pub(super) async fn sees(call: Call<'_>, site: &Site, project: &str) -> Result<(), CallError> {
    let reply = look(call, &format!("{}/myself", site.api)).await?;
    if !reply.is_success() && reply.status != 404 {
        return Err(call.refused(&reply, &Complaint::of(&reply).message()));
    }
    let request = Request::get(&format!("{}/mypermissions", site.api))
        .query("projectKey", project)
        .query("permissions", "BROWSE_PROJECTS");
    let reply = call.http.send(call.permit, request).await.map_err(|error| call.failed(error))?;
    let body: Option<Value> = reply.json().ok().filter(|_| reply.is_success());
    let may = body.as_ref().and_then(|body| {
        body.pointer("/permissions/BROWSE_PROJECTS/havePermission").and_then(Value::as_bool)
    });
    if may == Some(false) {
        return Err(CallError::Refused {
            vendor: super::SPEC.title,
            status: None,
            message: format!("this user may not browse project `{project}`, so sees no ticket"),
        });
    }
    Ok(())
}

async fn look(call: Call<'_>, path: &str) -> Result<Response, CallError> {
    call.http.send(call.permit, Request::get(path)).await.map_err(|error| call.failed(error))
}

fn is_atlassian(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default();
    host == SCOPED_HOST || host.ends_with(".atlassian.net")
}
