//! Signals: the first one asks for an orderly end, the second one ends the process.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::command_error::CommandError;
use crate::output::Output;

/// Exit code of a process that a signal asked to stop.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether somebody asked to stop.
#[derive(Clone)]
pub(crate) struct Interrupt {
    asked: watch::Receiver<bool>,
}

impl Interrupt {
    /// Listens to Ctrl-C, SIGTERM and SIGHUP from now on. `says` is what the person is told.
    pub(crate) fn listen(output: Output, says: &'static str) -> Result<Self, CommandError> {
        let failed = |error| CommandError::internal(format!("cannot listen to signals: {error}"));
        let mut signals = Signals {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            hang_up: signal(SignalKind::hangup()).map_err(failed)?,
        };
        let (ask, asked) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            output.note(says);
            // Without a receiver there is nothing left to stop.
            let _ = ask.send(true);
            signals.next().await;
            std::process::exit(i32::from(INTERRUPTED));
        });
        Ok(Self { asked })
    }

    /// What a driver watches.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.asked.clone()
    }

    /// Waits until somebody asks to stop.
    pub(crate) async fn asked(&self) {
        let mut asked = self.asked.clone();
        // The sender lives as long as the process.
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Does something that may be dropped at any instant, unless somebody asks to stop first.
    pub(crate) async fn unless<T>(
        &self,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        tokio::select! {
            result = work => result,
            () = self.asked() => Err(CommandError::interrupted()),
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
