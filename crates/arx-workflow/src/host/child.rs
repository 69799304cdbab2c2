//! The workflow's process: walls first, then the script.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use super::frame::{self, FrameError, FromChild, PROTOCOL, ToChild};
use super::interpreter::{self, Wire};
use super::parent::Checked;
use super::{Limits, check, walls};

/// The interpreter's stack. The recursion limit is what ends deep recursion; this much holds it
/// even in a build without optimisation.
pub(super) const STACK_BYTES: usize = 64 << 20;
/// What is gathered before it is written to the pipe.
const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// The whole life of a workflow's process; never reads its arguments, environment or files.
///
/// Speaks the host protocol on standard input and output until either end closes it.
#[must_use]
pub fn child_main() -> ExitCode {
    match serve() {
        Ok(()) | Err(FrameError::Closed) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent keeps the end of standard error to say why a process died.
            eprint(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the parent reads standard error when the pipe fails")]
fn eprint(message: &str) {
    eprintln!("{message}");
}

fn serve() -> Result<(), FrameError> {
    let ToChild::Setup { protocol, limits } = frame::read(&mut io::stdin().lock())? else {
        return Err(refused("the first frame is not `setup`"));
    };
    if protocol != PROTOCOL {
        return Err(refused("the parent speaks another protocol"));
    }
    let walls = walls::raise_around_process(&limits)?;
    let interpreter = std::thread::Builder::new()
        .name("workflow".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
        let walls = walls::raise_around_threads(walls)?;
        let wire = Wire::new(
            io::stdin().lock(),
            BufWriter::with_capacity(WRITE_BUFFER_BYTES, io::stdout().lock()),
        );
        wire.send_now(&FromChild::Hello { protocol: PROTOCOL, walls })?;
        work(&wire, &limits)
    })?;
    match interpreter.join() {
        Ok(result) => result,
        Err(_) => Err(refused("the interpreter panicked")),
    }
}

fn work<R: io::Read, W: io::Write>(wire: &Wire<R, W>, limits: &Limits) -> Result<(), FrameError> {
    let ToChild::Start { check_only, script } = wire.receive()? else {
        return Err(refused("the second frame is not `start`"));
    };
    let Ok(now) = script.now.parse::<jiff::Timestamp>() else {
        return Err(refused("the run's time is not RFC 3339"));
    };
    let checked = match check::check(&script) {
        Ok(checked) => checked,
        Err(diagnostics) => return wire.send_now(&FromChild::Rejected { diagnostics }),
    };
    let Checked { operations, functions } = checked;
    wire.send_now(&FromChild::Ready { operations, functions })?;
    if check_only { Ok(()) } else { interpreter::run(wire, script, now, limits) }
}

fn refused(reason: &str) -> FrameError {
    FrameError::Io(io::Error::new(io::ErrorKind::InvalidData, reason))
}
