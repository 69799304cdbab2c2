//! The frames that cross the pipe between ARX and the workflow's process.
//!
//! A frame is its length as four big-endian bytes, then that many bytes of JSON. The format is
//! specified in `docs/spec/host-protocol.md`; both ends live in this crate and are the same
//! binary, so there is no compatibility to keep, only limits.

use std::collections::HashSet;
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CalledOperation, Exception, Limits, ObjectSpec, Walls};
use crate::Diagnostic;

/// The version of the protocol; both ends refuse another.
pub(super) const PROTOCOL: u32 = 1;
/// The longest frame either end accepts.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;
/// The deepest nesting of a value that crosses the pipe.
pub(super) const VALUE_DEPTH_MAX: usize = 64;
/// The longest JSON text of the parameters of one call, of one item, and of the result.
pub(super) const ARGUMENT_BYTES_MAX: usize = 1 << 20;
/// The bytes of a frame's length.
pub(super) const HEADER_BYTES: usize = 4;

/// What ARX says to the workflow's process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub(super) enum ToChild {
    /// The limits to raise walls with; always first, and before anything untrusted.
    Setup {
        /// The protocol that the parent speaks.
        protocol: u32,
        /// The limits.
        limits: Limits,
    },
    /// The workflow.
    Start {
        /// Whether to stop after the checks.
        check_only: bool,
        /// The script.
        script: OwnedScript,
    },
    /// The outcome of one call; only ever sent after `blocked`.
    Resolve {
        /// The call.
        id: u32,
        /// The outcome.
        outcome: Outcome,
    },
}

/// How a call ended, as the pipe carries it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// With a value.
    Value(Value),
    /// With an exception.
    Raise {
        /// Its class.
        exception: Exception,
        /// Its message.
        message: String,
    },
}

/// A script that owns its parts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct OwnedScript {
    pub(super) file: String,
    pub(super) source: String,
    pub(super) config: Value,
    pub(super) now: String,
    pub(super) objects: Vec<ObjectSpec>,
    pub(super) functions: Vec<String>,
}

/// What the workflow's process says. Never trusted: it may be under a workflow's control.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub(super) enum FromChild {
    /// The walls stand.
    Hello {
        /// The protocol that the child speaks.
        protocol: u32,
        /// Which walls stand.
        walls: Walls,
    },
    /// The script passed the checks (and now runs, unless only the checks were asked for).
    Ready {
        /// The operations that the workflow calls.
        operations: Vec<CalledOperation>,
        /// The host functions that it calls.
        functions: Vec<String>,
    },
    /// The script cannot run.
    Rejected {
        /// Why.
        diagnostics: Vec<Diagnostic>,
    },
    /// A call was issued; the workflow goes on.
    Call {
        /// Names the call until it is resolved.
        id: u32,
        /// `connector.resource:verb` or `arx.function`.
        name: String,
        /// The parameters.
        params: Map<String, Value>,
    },
    /// Every task waits.
    Blocked,
    /// A report of one item.
    Item {
        /// The report.
        report: Map<String, Value>,
    },
    /// What is known of an item that has not ended.
    Note {
        /// The report so far.
        report: Map<String, Value>,
    },
    /// A line for the reader of the run.
    Log {
        /// `debug`, `info`, `warning` or `error`.
        level: String,
        /// The line.
        text: String,
    },
    /// How far a stretch of work has come.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// What the units are.
        label: String,
    },
    /// `main()` returned.
    Done {
        /// Its value.
        value: Value,
    },
    /// An exception left `main()`.
    Raised(super::Raised),
}

/// Why no frame could be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The other end is gone.
    #[error("the pipe is closed")]
    Closed,
    /// The pipe failed.
    #[error("the pipe failed: {0}")]
    Io(#[from] io::Error),
    /// A frame is longer than allowed.
    #[error("a frame of {bytes} bytes is longer than {FRAME_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A frame is not what it should be.
    #[error("a frame is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// The bytes of one frame, header included.
pub(super) fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - HEADER_BYTES;
    let too_long = FrameError::TooLong { bytes: length };
    if length > FRAME_BYTES_MAX {
        return Err(too_long);
    }
    let header = u32::try_from(length).map_err(|_| too_long)?.to_be_bytes();
    bytes.splice(..HEADER_BYTES, header);
    Ok(bytes)
}

/// The frame at the start of `buffer` with the bytes it took; `None` while it is incomplete.
pub(super) fn decode<T: DeserializeOwned>(buffer: &[u8]) -> Result<Option<(T, usize)>, FrameError> {
    let Some((header, rest)) = buffer.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = body_length(*header)?;
    match rest.get(..length) {
        Some(body) => Ok(Some((serde_json::from_slice(body)?, HEADER_BYTES + length))),
        None => Ok(None),
    }
}

/// Reads one frame, blocking.
pub(super) fn read<T: DeserializeOwned>(reader: &mut impl Read) -> Result<T, FrameError> {
    let mut header = [0; HEADER_BYTES];
    match reader.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(FrameError::Closed);
        }
        Err(error) => return Err(error.into()),
    }
    let mut body = vec![0; body_length(header)?];
    reader.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// Writes one frame, blocking.
pub(super) fn write(writer: &mut impl Write, message: &impl Serialize) -> Result<(), FrameError> {
    writer.write_all(&encode(message)?)?;
    Ok(())
}

fn body_length(header: [u8; HEADER_BYTES]) -> Result<usize, FrameError> {
    let bytes = u32::from_be_bytes(header) as usize;
    if bytes > FRAME_BYTES_MAX { Err(FrameError::TooLong { bytes }) } else { Ok(bytes) }
}

/// Whether a value nests no deeper than [`VALUE_DEPTH_MAX`].
pub(super) fn is_shallow(value: &Value) -> bool {
    fn within(value: &Value, left: usize) -> bool {
        let Some(left) = left.checked_sub(1) else { return false };
        match value {
            Value::Array(items) => items.iter().all(|item| within(item, left)),
            Value::Object(fields) => fields.values().all(|field| within(field, left)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
    within(value, VALUE_DEPTH_MAX)
}

/// The names that a script may call: every operation of its connectors and every host function.
pub(super) fn callable_names(objects: &[ObjectSpec], functions: &[String]) -> HashSet<String> {
    let operations = objects.iter().flat_map(|object| {
        object.operations.iter().map(|operation| format!("{}.{operation}", object.connector))
    });
    operations.chain(functions.iter().map(|name| format!("arx.{name}"))).collect()
}
