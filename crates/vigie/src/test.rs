//! `vigie test`: every self-test of a content folder.

use std::process::ExitCode;

use crate::arguments::TestOptions;
use crate::error::Error;

/// Runs the command.
pub(crate) fn run(_options: &TestOptions) -> Result<ExitCode, Error> {
    Err(Error::Failed("not yet".to_owned()))
}
