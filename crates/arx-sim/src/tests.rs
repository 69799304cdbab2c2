//! The simulators over real loopback connections, and what they share.

mod estate;
mod faults;
mod lifecycle;
mod wave;

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method};
use serde_json::Value;

use crate::{Control, JiraDeployment, Options, Scenario, Simulators};

#[expect(clippy::disallowed_types, reason = "the test plays the client")]
type Client = reqwest::Client;

/// Header names and values.
pub(crate) type Headers<'h> = &'h [(&'h str, &'h str)];

/// Running simulators and a plain HTTP client.
pub(crate) struct Bed {
    pub sims: Simulators,
    pub control: Control,
    pub url: String,
    client: Client,
    environment: BTreeMap<String, String>,
}

/// A whole reply.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.text().await? })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// A value by JSON pointer; null where there is none.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// The texts between `<tag>` and `</tag>`, CDATA unwrapped.
pub(crate) fn texts(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once(&close))
        .map(|(text, _)| text.replace("<![CDATA[", "").replace("]]>", "").trim().to_owned())
        .collect()
}

impl Bed {
    pub async fn start(options: Options) -> Self {
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sims = crate::start(options).await.unwrap();
        let client = Client::builder();
        let ca = reqwest::Certificate::from_pem(sims.ca_pem().as_bytes()).unwrap();
        let client = client.tls_certs_only([ca]).pool_max_idle_per_host(0).build().unwrap();
        Self {
            url: sims.url(),
            control: sims.control(),
            environment: sims.environment(),
            client,
            sims,
        }
    }

    pub async fn default() -> Self {
        Self::start(Options::default()).await
    }

    pub async fn awkward() -> Self {
        Self::start(Options { scenario: Scenario::Awkward, ..Options::default() }).await
    }

    pub async fn faulty(faults: &str) -> Self {
        Self::start(Options { faults: faults.parse().unwrap(), ..Options::default() }).await
    }

    pub async fn data_center() -> Self {
        Self::start(Options { jira: JiraDeployment::DataCenter, ..Options::default() }).await
    }

    pub fn var(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// What outlives the simulators.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client that follows no redirect.
    pub fn client_that_stays(&self) -> Client {
        let policy = reqwest::redirect::Policy::none();
        Client::builder().redirect(policy).build().unwrap()
    }

    /// Sends one request; `Err` when no whole reply came.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: Headers<'_>,
        body: Option<String>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        Answer::of(request.send().await?).await
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        headers: Headers<'_>,
        body: Option<Value>,
    ) -> Answer {
        let mut headers = headers.to_vec();
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let method = method.parse().unwrap();
        self.send(method, path, &headers, body.map(|body| body.to_string())).await.unwrap()
    }

    pub async fn wiz_token(&self) -> String {
        let form = format!(
            "grant_type=client_credentials&audience=wiz-api&client_id={}&client_secret={}",
            self.var("WIZ_CLIENT_ID"),
            self.var("WIZ_CLIENT_SECRET")
        );
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send(Method::POST, "/oauth/token", &kind, Some(form)).await.unwrap();
        answer.expect(200).at("/access_token").as_str().unwrap().to_owned()
    }

    pub async fn wiz(&self, token: &str, query: &str, variables: Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let body = serde_json::json!({ "query": query, "variables": variables });
        self.call("POST", "/graphql", &[("authorization", &bearer)], Some(body)).await
    }

    pub fn basic(&self, user: &str, password: &str) -> String {
        use base64::Engine as _;
        let pair = format!("{}:{}", self.var(user), self.var(password));
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }

    pub fn qualys_headers(&self) -> Vec<(&'static str, String)> {
        let basic = self.basic("QUALYS_USERNAME", "QUALYS_PASSWORD");
        vec![("authorization", basic), ("x-requested-with", "test".to_owned())]
    }

    pub async fn qualys(&self, path: &str) -> Answer {
        let headers = self.qualys_headers();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        self.send(Method::GET, path, &headers, None).await.unwrap()
    }

    pub async fn pagerduty(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let key = format!("Token token={}", self.var("PAGERDUTY_API_KEY"));
        let headers = [
            ("authorization", key.as_str()),
            ("accept", "application/vnd.pagerduty+json;version=2"),
            ("from", self.var("PAGERDUTY_FROM_EMAIL")),
        ];
        self.call(method, path, &headers, body).await
    }

    pub fn jira_auth(&self) -> String {
        if self.environment.contains_key("JIRA_EMAIL") {
            self.basic("JIRA_EMAIL", "JIRA_API_TOKEN")
        } else {
            format!("Bearer {}", self.var("JIRA_API_TOKEN"))
        }
    }

    /// The Table API, as the account of the environment.
    pub async fn snow(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let basic = self.basic("SNOW_USERNAME", "SNOW_PASSWORD");
        let headers = [("authorization", basic.as_str()), ("accept", "application/json")];
        self.call(method, &format!("/api/now/table/{path}"), &headers, body).await
    }

    pub async fn crowdstrike_token(&self) -> Answer {
        let form = format!(
            "client_id={}&client_secret={}",
            self.var("CS_CLIENT_ID"),
            self.var("CS_CLIENT_SECRET")
        );
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, "/oauth2/token", &kind, Some(form)).await.unwrap()
    }

    /// One call to Falcon with a token of its own.
    pub async fn crowdstrike(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let token = self.crowdstrike_token().await.expect(201).at("/access_token");
        self.crowdstrike_with(token.as_str().unwrap(), method, path, body).await
    }

    pub async fn crowdstrike_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        self.call(method, path, &[("authorization", &bearer)], body).await
    }

    pub async fn jira(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let auth = self.jira_auth();
        self.call(method, path, &[("authorization", &auth)], body).await
    }
}
