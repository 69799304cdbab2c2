//! Jira.

use std::time::Duration;

use arx_gateway::{
    Auth, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError, Settlement, Variables,
};
use async_trait::async_trait;
use serde_json::Value;

/// The catalogue entry.
pub static SPEC: ConnectorSpec = ConnectorSpec {
    name: "jira",
    title: "Jira",
    variables: &[],
    operations: &[],
    hosts: &[],
    rate: None,
    in_flight_max: 8,
    settle_for: Duration::from_secs(120),
};

/// The connector.
#[derive(Debug, Default)]
pub struct Jira;

#[async_trait]
impl Connector for Jira {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }
    fn endpoint(&self, _: &Variables, _: &Value) -> Result<Endpoint, EndpointError> {
        Ok(Endpoint {
            base: arx_gateway::http::parse_base("JIRA_URL", "https://localhost")?,
            auth: Auth::Authorization { prefix: "Bearer ", credential: "JIRA_API_TOKEN" },
        })
    }
    async fn probe(&self, _: Call<'_>) -> Result<(), CallError> {
        Ok(())
    }
    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError> {
        Err(call.parameters("is not an operation"))
    }
    async fn settle(
        &self,
        _: Call<'_>,
        _: jiff::Timestamp,
        _: bool,
    ) -> Result<Settlement, CallError> {
        Ok(Settlement::Unknown { why: "not looked".to_owned() })
    }
}
