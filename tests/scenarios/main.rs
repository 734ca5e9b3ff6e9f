//! Logs in, stories out: the built binary as a person uses it.
