//! The address of an instance, in every form that people write it.

use arx_gateway::EndpointError;
use arx_gateway::http::parse_base;
use url::Url;

use super::INSTANCE;

/// Where instances live that are written by their name alone.
const DOMAIN: &str = "service-now.com";

/// `your-org`, `your-org.service-now.com`, `https://your-org.service-now.com/`, or a domain of
/// one's own, as the base of every path.
pub(super) fn base(text: &str) -> Result<Url, EndpointError> {
    let wrong = |problem: &str| EndpointError { variable: INSTANCE, problem: problem.to_owned() };
    let text = text.trim();
    if text.is_empty() {
        return Err(wrong("is blank; write it as `your-org` or `your-org.service-now.com`"));
    }
    let address = if text.contains("://") {
        text.to_owned()
    } else {
        let host = text.trim_end_matches('/');
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        // `localhost` is a host by itself; every other bare word is an instance.
        let domain = is_name && !host.eq_ignore_ascii_case("localhost");
        if domain { format!("https://{host}.{DOMAIN}") } else { format!("https://{host}") }
    };
    let mut url = parse_base(INSTANCE, &address)?;
    if url.path() != "/" {
        return Err(wrong("must not hold a path; write it as `https://your-org.service-now.com`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must not hold `?` or `#`; write it as `https://host`"));
    }
    // The root with its dot is the same host, but not to a certificate.
    if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned)
        && url.set_host(Some(&host)).is_err()
    {
        return Err(wrong("names no host; write it as `https://host`"));
    }
    Ok(url)
}
