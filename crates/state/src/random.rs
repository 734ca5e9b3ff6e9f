//! Keys that nobody can guess, and that nothing keeps.

/// Thirty-two random bytes, new at each call: what a service signs with as long as it runs.
///
/// # Errors
/// A sentence, when the system has no random bytes.
pub fn random_key() -> Result<[u8; 32], String> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| format!("no random bytes for a key: {error}"))?;
    Ok(key)
}
