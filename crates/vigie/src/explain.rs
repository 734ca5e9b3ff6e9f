//! `vigie hunt --explain`: one event, the record it came from, and what the rules say of it.

use std::process::ExitCode;

use vigie_connect::Folder;

use crate::error::Error;
use crate::hunt::Setup;

/// Runs the command.
pub(crate) fn run(_folder: &Folder, _setup: &Setup, event: &str) -> Result<ExitCode, Error> {
    Err(Error::Failed(format!("`{event}` cannot be explained yet")))
}
