//! The smallest program that can be a workflow's process; the tests start it.
//!
//! With the argument `lie` it says the bytes given in hexadecimal, as a process would that the
//! workflow has taken over; with `probe` it tries the walls from inside and says what it got.

#![expect(clippy::disallowed_types, reason = "it tries what the walls must deny")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitCode};

use arx_workflow::host::{Limits, child_main, raise_all_walls};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("probe") => probe(),
        Some("lie") => lie(),
        _ => child_main(),
    }
}

/// Waits for the first frame, says its piece, and waits for the end of the pipe.
fn lie() -> ExitCode {
    let bytes = std::env::args().nth(2).and_then(|text| hex::decode(text).ok()).unwrap_or_default();
    let said = std::io::stdin()
        .read_exact(&mut [0; 4])
        .and_then(|()| std::io::stdout().write_all(&bytes))
        .and_then(|()| std::io::stdout().flush())
        .and_then(|()| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "the test reads it")]
fn probe() -> ExitCode {
    let mut got = Vec::new();
    let environment = if std::env::vars_os().next().is_none() { "nothing" } else { "something" };
    got.push(format!("environment: {environment}"));
    got.push(format!("descriptors: {}", descriptors()));
    let mut open = File::open("/proc/self/status");
    got.push(format!("directory: {}", std::env::current_dir().unwrap_or_default().display()));

    let walls = match raise_all_walls(&Limits::default()) {
        Ok(walls) => walls,
        Err(error) => {
            println!("no walls: {error}");
            return ExitCode::FAILURE;
        }
    };
    got.push(format!("{walls:?}"));
    let mut attempt = |name: &str, escaped: bool| got.push(format!("{name}: {escaped}"));
    attempt("read a file", File::open("/etc/hostname").is_ok());
    attempt("read a directory", std::fs::read_dir("/proc/self").is_ok());
    attempt("read an open file", open.as_mut().is_ok_and(|file| file.read(&mut [0; 8]).is_ok()));
    attempt("write a file", File::create("/tmp/arx-probe").is_ok());
    attempt(
        "connect",
        TcpStream::connect("127.0.0.1:9")
            .map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionRefused, |_| true),
    );
    attempt("listen", TcpListener::bind("127.0.0.1:0").is_ok());
    attempt("send a datagram", UdpSocket::bind("127.0.0.1:0").is_ok());
    attempt("open a local socket", UnixDatagram::unbound().is_ok());
    attempt("start a program", Command::new("/bin/true").status().is_ok());
    attempt("start a thread", std::thread::Builder::new().spawn(|| {}).is_ok());
    attempt("change directory", std::env::set_current_dir("/tmp").is_ok());
    for line in got {
        println!("{line}");
    }
    ExitCode::SUCCESS
}

/// The open descriptors and what they are; the last one is the listing itself.
fn descriptors() -> String {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return "unknown".into() };
    let mut kinds: Vec<String> = entries
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().split(':').next().unwrap_or_default().to_owned())
        .filter(|target| !target.contains("/fd"))
        .collect();
    kinds.sort();
    kinds.join(" ")
}
