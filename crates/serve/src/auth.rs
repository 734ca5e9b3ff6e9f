//! Tokens of requests: where each protocol puts them, and who is let in.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use data_encoding::BASE64;
use std::sync::{Mutex, PoisonError};
use vigie_model::{Millis, Scope, TokenInfo};

use crate::service::Inner;

/// Failed logins that are answered one by one in a second; more are told to wait.
pub(crate) const FAILED_LOGINS_PER_SECOND_MAX: u32 = 10;

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To bring records.
    Ingest,
    /// To ask questions.
    Search,
    /// To be a client at all.
    Any,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It brought no token.
    Missing,
    /// Its token is unknown, revoked or expired.
    Wrong,
    /// Too many wrong tokens in this second.
    TooMany,
    /// Its token may not do this.
    Scope(Need),
    /// Tokens cannot be looked up now.
    Unknown,
}

impl Denied {
    /// A sentence that says what to do.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Denied::Missing => "this needs a token: send the header `Authorization: Bearer TOKEN`",
            Denied::Wrong => "the token is not valid: make one with `vigie token create`",
            Denied::TooMany => "too many wrong tokens: wait a second",
            Denied::Unknown => "tokens cannot be checked now; send it again, nothing of this delivery was kept",
            Denied::Scope(Need::Ingest) => "the token may not bring records: make one with the scope `ingest`",
            Denied::Scope(_) => "the token may not ask questions: make one with the scope `search`",
        }
    }
}

/// Counts failed logins of the current second.
#[derive(Debug, Default)]
pub(crate) struct FailedLogins(Mutex<(i64, u32)>);

impl FailedLogins {
    /// Counts one; false when the second has had too many already.
    fn count(&self, now: Millis) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.div_euclid(1000);
        if state.0 != second {
            *state = (second, 0);
        }
        state.1 = state.1.saturating_add(1);
        state.1 <= FAILED_LOGINS_PER_SECOND_MAX
    }
}

/// Who sends a request with these headers. A right token passes however many wrong ones came before:
/// else anybody could lock everybody out.
pub(crate) fn authorise(shared: &Inner, headers: &HeaderMap, need: Need) -> Result<TokenInfo, Denied> {
    let secret = secret_of(headers).ok_or(Denied::Missing)?;
    let now = (shared.ports.clock)();
    let Some(token) = shared.ports.tokens.check(&secret, now).map_err(|_| Denied::Unknown)? else {
        return Err(if shared.failed_logins.count(now) { Denied::Wrong } else { Denied::TooMany });
    };
    let is_allowed = match need {
        Need::Ingest => token.allows(Scope::Ingest),
        Need::Search => token.allows(Scope::Search),
        Need::Any => token.allows(Scope::Ingest) || token.allows(Scope::Search),
    };
    if is_allowed { Ok(token) } else { Err(Denied::Scope(need)) }
}

/// The token in the header: plain behind `Bearer` and `Splunk`; what stands behind the colon in the
/// Base64 text behind `Basic` and `ApiKey`.
fn secret_of(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let value = value.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "splunk" => Some(value.to_owned()),
        "basic" | "apikey" => {
            let pair = String::from_utf8(BASE64.decode(value.as_bytes()).ok()?).ok()?;
            pair.split_once(':').map(|(_, secret)| secret.to_owned())
        }
        _ => None,
    }
    .filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_where_each_protocol_puts_them() {
        let cases = [
            ("Bearer secret", Some("secret")),
            ("bearer  secret ", Some("secret")),
            ("Splunk secret", Some("secret")),
            ("Basic dXNlcjpzZWNyZXQ=", Some("secret")),
            ("ApiKey aWQ6c2VjcmV0", Some("secret")),
            ("Basic ???", None),
            ("Basic dXNlcg==", None),
            ("Digest secret", None),
            ("secret", None),
            ("Bearer ", None),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, text.parse().unwrap());
            assert_eq!(secret_of(&headers).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn failed_logins_are_counted_by_the_second() {
        let logins = FailedLogins::default();
        assert!((0..10).all(|_| logins.count(1_500)));
        assert!(!logins.count(1_999));
        assert!(logins.count(2_000));
    }
}
