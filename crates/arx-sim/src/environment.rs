//! The environment variables that point a client at the simulators.
//!
//! The credentials are fixed, plainly not real, and accepted by the simulators alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{JiraDeployment, SimError, Simulators};

pub(crate) const WIZ_CLIENT_ID: &str = "simulated-wiz-client";
pub(crate) const WIZ_CLIENT_SECRET: &str = "simulated-wiz-secret-3f1c9a";
pub(crate) const QUALYS_USERNAME: &str = "quays2sim";
pub(crate) const QUALYS_PASSWORD: &str = "simulated-qualys-password-b82e10";
pub(crate) const PAGERDUTY_API_KEY: &str = "simulated-pagerduty-key-77d0c4";
pub(crate) const JIRA_EMAIL: &str = "secops@harbourline.example";
pub(crate) const JIRA_API_TOKEN: &str = "simulated-jira-token-c05f3e";
pub(crate) const JIRA_PROJECT_KEY: &str = "SEC";
pub(crate) const CS_CLIENT_ID: &str = "51a0c0de51a0c0de51a0c0de0c500001";
pub(crate) const CS_CLIENT_SECRET: &str = "simulated-crowdstrike-secret-9d4e21";
pub(crate) const SNOW_USERNAME: &str = "arx.integration";
pub(crate) const SNOW_PASSWORD: &str = "simulated-servicenow-password-4a7b60";

impl Simulators {
    /// What a client needs to talk to the simulators, by the names ARX reads.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let url = self.url();
        let mut pairs = vec![
            ("WIZ_CLIENT_ID", WIZ_CLIENT_ID.to_owned()),
            ("WIZ_CLIENT_SECRET", WIZ_CLIENT_SECRET.to_owned()),
            ("WIZ_API_URL", format!("{url}/graphql")),
            ("WIZ_AUTH_URL", format!("{url}/oauth/token")),
            ("QUALYS_URL", url.clone()),
            ("QUALYS_USERNAME", QUALYS_USERNAME.to_owned()),
            ("QUALYS_PASSWORD", QUALYS_PASSWORD.to_owned()),
            ("PAGERDUTY_API_KEY", PAGERDUTY_API_KEY.to_owned()),
            ("PAGERDUTY_SERVICE_ID", crate::pagerduty::SERVICE_ID.to_owned()),
            ("PAGERDUTY_FROM_EMAIL", crate::pagerduty::FROM_EMAIL.to_owned()),
            ("PAGERDUTY_API_URL", url.clone()),
            ("JIRA_URL", url.clone()),
            ("JIRA_API_TOKEN", JIRA_API_TOKEN.to_owned()),
            ("JIRA_PROJECT_KEY", JIRA_PROJECT_KEY.to_owned()),
            ("CS_CLIENT_ID", CS_CLIENT_ID.to_owned()),
            ("CS_CLIENT_SECRET", CS_CLIENT_SECRET.to_owned()),
            ("CS_BASE_URL", url.clone()),
            ("SNOW_INSTANCE", url),
            ("SNOW_USERNAME", SNOW_USERNAME.to_owned()),
            ("SNOW_PASSWORD", SNOW_PASSWORD.to_owned()),
        ];
        // Data Center takes the token alone, as Bearer.
        if self.jira == JiraDeployment::Cloud {
            pairs.push(("JIRA_EMAIL", JIRA_EMAIL.to_owned()));
        }
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

pub(crate) fn write(simulators: &Simulators, path: &Path) -> Result<(), SimError> {
    let put = |path: &Path, text: &str| {
        std::fs::write(path, text)
            .map_err(|source| SimError::EnvFile { path: path.to_owned(), source })
    };
    let mut pairs = simulators.environment();
    // Both schemes work on the port, so the certificate is there for whoever wants https.
    let ca = ca_path(path);
    put(&ca, simulators.ca_pem())?;
    if simulators.tls_urls {
        let absolute = std::path::absolute(&ca).unwrap_or(ca);
        pairs.insert("SSL_CERT_FILE".to_owned(), absolute.display().to_string());
    }
    let mut text = String::new();
    for (name, value) in pairs {
        text.push_str(&format!("{name}='{}'\n", value.replace('\'', "'\\''")));
    }
    // Complete or not there: a script may be waiting for it.
    let partial = with_suffix(path, ".partial");
    put(&partial, &text)?;
    std::fs::rename(&partial, path)
        .map_err(|source| SimError::EnvFile { path: path.to_owned(), source })
}

/// `sims.env` has its certificate in `sims.env.ca.pem`.
fn ca_path(path: &Path) -> PathBuf {
    with_suffix(path, ".ca.pem")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
