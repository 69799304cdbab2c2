//! What the operator says about where the console is reached.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

/// How the console and the API are reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address it listens on.
    pub listen: SocketAddr,
    /// What people type into their browser, where a name or a proxy stands before it.
    pub public_url: Option<Url>,
    /// Whether it answers over TLS itself.
    pub tls: bool,
}

impl Settings {
    /// Whether browsers reach it over TLS, so that cookies need not travel in the clear.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls || self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// What links to the console begin with.
    #[must_use]
    pub fn base(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("{}://{}", if self.tls { "https" } else { "http" }, self.listen),
        }
    }

    /// Whether a request that names this host is meant for us. A page elsewhere can make its own
    /// name lead to this address (DNS rebinding); then the browser sends that name.
    pub(crate) fn is_ours(&self, host: &str) -> bool {
        let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
        if !url.username().is_empty() || url.password().is_some() || url.path() != "/" {
            return false;
        }
        let of_public = self.public_url.as_ref().and_then(Url::host);
        match url.host() {
            Some(host) if of_public.as_ref() == Some(&host) => true,
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => self.is_our_address(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.is_our_address(IpAddr::V6(address)),
            None => false,
        }
    }

    /// An address is no name that somebody else could lead here.
    fn is_our_address(&self, address: IpAddr) -> bool {
        let listen = self.listen.ip();
        address.is_loopback() || listen == address || listen.is_unspecified()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listen: &str, public: Option<&str>, host: &str, expected: bool) {
        let settings = Settings {
            listen: listen.parse().unwrap(),
            public_url: public.map(|url| url.parse().unwrap()),
            tls: false,
        };
        assert_eq!(settings.is_ours(host), expected, "{host}");
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let local = "127.0.0.1:7717";
        check(local, None, "127.0.0.1:7717", true);
        check(local, None, "localhost:7717", true);
        check(local, None, "[::1]:7717", true);
        check(local, None, "evil.example", false);
        check(local, None, "evil.example:7717", false);
        check(local, None, "10.0.0.9:7717", false);
        check(local, None, "localhost.evil.example", false);
        check(local, None, "me@localhost", false);
        check(local, None, "", false);
        check("0.0.0.0:80", None, "10.0.0.9", true);
        check("0.0.0.0:80", None, "arx.example", false);
        check("10.0.0.9:80", Some("https://arx.example"), "arx.example", true);
        check("10.0.0.9:80", Some("https://arx.example"), "ARX.example", true);
        check("10.0.0.9:80", Some("https://arx.example"), "10.0.0.9", true);
    }
}
