//! Standard output of every command: a reader who has seen enough closes it, and that is no error.

use std::fmt::Arguments;
use std::io::{self, Write};

use crate::error::Error;

/// Writes one line to standard output.
pub(crate) fn line(text: Arguments<'_>) -> Result<(), Error> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Writes one line to standard error; when nobody listens there either, nothing is left to say.
pub(crate) fn note(text: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
