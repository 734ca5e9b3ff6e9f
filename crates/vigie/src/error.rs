//! Errors of the command line: a sentence, and an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Something found: findings, lint hints, differences.
pub(crate) const FOUND: u8 = 3;
/// Part of the input could not be read; wins over [`FOUND`].
pub(crate) const PARTIAL: u8 = 4;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command was given wrongly.
    Usage(String),
    /// It could not be done.
    Failed(String),
    /// Whoever reads the output closed it, as `head` does: a quiet end.
    Closed,
}

impl Error {
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Error::Usage(_) => ExitCode::from(2),
            Error::Failed(_) => ExitCode::FAILURE,
            Error::Closed => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(what) | Error::Failed(what) => out.write_str(what),
            Error::Closed => out.write_str("the output was closed"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::BrokenPipe { Error::Closed } else { Error::Failed(error.to_string()) }
    }
}
