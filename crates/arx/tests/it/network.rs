//! The networks that companies have: a proxy, an authority of their own, addresses of version 6.
#![expect(
    clippy::disallowed_types,
    reason = "a proxy is what the vendors are reached by, and nothing that is governed"
)]

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::home::{Home, SMALL, Simulators, WORKFLOW};

/// Longest head of a request that is kept.
const HEAD_BYTES_MAX: usize = 8192;

/// Passes bytes on to one address, and keeps what each connection began with.
struct Relay {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    /// `None` where the machine has no such address to listen on.
    fn start(listen: &str, to: SocketAddr, is_proxy: bool) -> Option<Self> {
        let listener = TcpListener::bind(listen).ok()?;
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                // Whoever hangs up ends the connection and nothing else.
                thread::spawn(move || relay(client, to, is_proxy, &kept));
            }
        });
        Some(Self { address, heads })
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn relay(
    mut client: TcpStream,
    to: SocketAddr,
    is_proxy: bool,
    kept: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    kept.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let mut vendor = TcpStream::connect(to)?;
    match is_proxy {
        true => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?,
        false => vendor.write_all(&head)?,
    }
    let (mut from_client, mut to_vendor) = (client.try_clone()?, vendor.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_vendor);
        to_vendor.shutdown(Shutdown::Write)
    });
    io::copy(&mut vendor, &mut client)?;
    client.shutdown(Shutdown::Write)
}

/// Where the simulators listen.
fn address_of(simulators: &Simulators) -> SocketAddr {
    let url = &simulators.variables["JIRA_URL"];
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// A home whose variables name the simulators otherwise.
fn renamed(simulators: &Simulators, to: &str) -> Home {
    let from = format!("http://{}", address_of(simulators));
    let mut home = Home::at(simulators);
    for value in home.variables.values_mut() {
        *value = value.replace(&from, to);
    }
    home
}

/// A home that reaches the simulators by https, under their own authority.
fn by_https(simulators: &Simulators) -> Home {
    let port = address_of(simulators).port();
    let mut home = renamed(simulators, &format!("https://localhost:{port}"));
    let authority = simulators.authority().display().to_string();
    home.variables.insert("SSL_CERT_FILE".to_owned(), authority);
    home
}

#[test]
fn vendors_are_trusted_by_the_authorities_of_the_system() {
    let simulators = Simulators::new(SMALL, "");
    let mut home = by_https(&simulators);
    let authority = home.variables.remove("SSL_CERT_FILE").unwrap();
    home.arx(&["run", WORKFLOW]).code(1).says("invalid peer certificate").says("SSL_CERT_FILE");
    assert!(simulators.writes().is_empty());
    home.variables.insert("SSL_CERT_FILE".to_owned(), authority);
    home.arx(&["run", WORKFLOW]).code(0);
    simulators.happened_once(6);
}

#[test]
fn a_proxy_is_asked_unless_the_address_is_excepted() {
    let simulators = Simulators::new(SMALL, "");
    let vendors = address_of(&simulators);
    let proxy = Relay::start("127.0.0.1:0", vendors, true).unwrap();
    let mut home = by_https(&simulators);
    home.variables.insert("HTTPS_PROXY".to_owned(), format!("http://{}", proxy.address));
    home.arx(&["run", WORKFLOW]).code(0);
    simulators.happened_once(6);
    let asked = proxy.heads();
    let tunnel = format!("CONNECT localhost:{} HTTP/1.1\r\n", vendors.port());
    assert!(!asked.is_empty() && asked.iter().all(|head| head.starts_with(&tunnel)), "{asked:?}");
    // What is sent through the tunnel is for the vendor alone.
    assert!(asked.iter().all(|head| !head.to_lowercase().contains("authorization")), "{asked:?}");

    home.variables.insert("NO_PROXY".to_owned(), "localhost".to_owned());
    home.arx(&["run", WORKFLOW]).code(0);
    assert_eq!(proxy.heads().len(), asked.len(), "nobody asked it again");
}

#[test]
fn vendors_are_reached_by_ipv6_and_told_who_asks() {
    let simulators = Simulators::new(SMALL, "");
    let Some(relay) = Relay::start("[::1]:0", address_of(&simulators), false) else {
        eprintln!("this machine has no IPv6");
        return;
    };
    let home = renamed(&simulators, &format!("http://{}", relay.address));
    home.arx(&["run", WORKFLOW]).code(0);
    simulators.happened_once(6);
    let agent = concat!("user-agent: arx/", env!("CARGO_PKG_VERSION"));
    let heads = relay.heads();
    assert!(!heads.is_empty() && heads.iter().all(|head| head.contains(agent)), "{heads:?}");
}
