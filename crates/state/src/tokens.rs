//! Tokens: made once, kept as a digest, checked without SQL after the first time.

use std::sync::PoisonError;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use vigie_model::{Millis, Scope, Tenant, TokenInfo, Tokens};

use crate::database::State;

/// Tokens remembered between requests.
const CHECKED_TOKENS_MAX: usize = 10_000;
/// Characters of a name.
pub(crate) const NAME_CHARACTERS_MAX: usize = 128;
/// How exact the time of last use is, in milliseconds.
const LAST_USED_STEP_MS: i64 = 60_000;
/// How long a revocation by another process may go unnoticed, in milliseconds.
const TRUST_MS: i64 = 5_000;

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn token(row: &SqliteRow) -> Result<TokenInfo, sqlx::Error> {
    let scopes: String = row.try_get("scopes")?;
    Ok(TokenInfo {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        tenant: Tenant(row.try_get("tenant")?),
        scopes: scopes.split(' ').filter_map(Scope::parse).collect(),
        created: row.try_get("created")?,
        expires: row.try_get("expires")?,
        last_used: row.try_get("last_used")?,
    })
}

/// Whether a name can be shown anywhere: printable, no marks that turn the direction of text.
pub(crate) fn is_name(name: &str) -> bool {
    let is_shown =
        |c: char| !c.is_control() && !matches!(c, '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    !name.trim().is_empty() && name.chars().count() <= NAME_CHARACTERS_MAX && name.chars().all(is_shown)
}

/// Whether a token has ended: by the clock, or because it was shown after its end before. The clock may
/// be set back, and what has ended does not begin again.
fn has_ended(token: &TokenInfo, now: Millis) -> bool {
    token.expires.is_some_and(|expires| now >= expires || token.last_used.is_some_and(|used| used >= expires))
}

impl State {
    /// What time it is for tokens: as the clock says, but never before what has passed since it was asked
    /// last. A clock that is set back while the service runs makes no token last longer.
    fn time(&self, now: Millis) -> Millis {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = latest.map(|(at, when)| at.saturating_add(i64::try_from(when.elapsed().as_millis()).unwrap_or(i64::MAX)));
        match passed {
            Some(passed) if passed > now => passed,
            _ => {
                *latest = Some((now, Instant::now()));
                now
            }
        }
    }
}

impl Tokens for State {
    fn check(&self, secret: &str, now: Millis) -> Result<Option<TokenInfo>, String> {
        let now = self.time(now);
        let digest = digest(secret);
        let known = self.checked.read().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        let is_fresh = |token: &TokenInfo| {
            !has_ended(token, now) && token.last_used.is_some_and(|used| (0..TRUST_MS).contains(&(now - used)))
        };
        let token = match known.filter(is_fresh) {
            Some(token) => token,
            None => {
                let stamp = now;
                let found = self.run(move |pool| async move {
                    let found = sqlx::query("SELECT * FROM tokens WHERE digest = ?")
                        .bind(digest.as_slice())
                        .fetch_optional(&pool)
                        .await?;
                    let found = found.as_ref().map(token).transpose()?;
                    let is_old = |token: &TokenInfo| {
                        let is_ending = token.expires.is_some_and(|expires| stamp >= expires);
                        // That a token was shown after its end is never forgotten.
                        let was_ended = has_ended(token, Millis::MIN);
                        let is_due = token.last_used.is_none_or(|used| (stamp - used).abs() >= LAST_USED_STEP_MS);
                        !was_ended && (is_ending || is_due)
                    };
                    if let Some(token) = found.as_ref().filter(|token| is_old(token)) {
                        let update = sqlx::query("UPDATE tokens SET last_used = ? WHERE id = ?").bind(stamp).bind(&token.id);
                        // When it was used is for people: a disk that refuses to write it refuses nobody.
                        let _ = update.execute(&pool).await;
                    }
                    Ok(found)
                });
                let mut checked = self.checked.write().unwrap_or_else(PoisonError::into_inner);
                let Some(mut token) = found?.filter(|token| !has_ended(token, now)) else {
                    checked.remove(&digest);
                    return Ok(None);
                };
                token.last_used = Some(now);
                if checked.len() >= CHECKED_TOKENS_MAX {
                    checked.clear();
                }
                checked.insert(digest, token.clone());
                token
            }
        };
        Ok(Some(token))
    }

    fn create(
        &self,
        name: &str,
        tenant: &Tenant,
        scopes: &[Scope],
        now: Millis,
        expires: Option<Millis>,
    ) -> Result<(TokenInfo, String), String> {
        if !is_name(name) {
            return Err(format!("a token's name is 1 to {NAME_CHARACTERS_MAX} printable characters"));
        }
        if scopes.is_empty() {
            return Err("a token needs a scope: ingest, search or admin".to_owned());
        }
        let mut random = [0u8; 40];
        getrandom::fill(&mut random).map_err(|error| format!("no random bytes for a token: {error}"))?;
        let (id, secret) = random.split_at_checked(8).ok_or("no random bytes for a token")?;
        let id = data_encoding::HEXLOWER.encode(id);
        let secret = format!("vg_{}", data_encoding::BASE64URL_NOPAD.encode(secret));
        let scopes = scopes.to_vec();
        let info =
            TokenInfo { id, name: name.to_owned(), tenant: tenant.clone(), scopes, created: now, expires, last_used: None };
        let (row, digest) = (info.clone(), digest(&secret));
        self.run(move |pool| async move {
            let scopes = row.scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(" ");
            sqlx::query("INSERT INTO tokens (id, digest, name, tenant, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)")
                .bind(row.id)
                .bind(digest.as_slice())
                .bind(row.name)
                .bind(row.tenant.0)
                .bind(scopes)
                .bind(row.created)
                .bind(row.expires)
                .execute(&pool)
                .await
                .map(drop)
        })?;
        Ok((info, secret))
    }

    fn list(&self) -> Result<Vec<TokenInfo>, String> {
        self.run(|pool| async move {
            let rows = sqlx::query("SELECT * FROM tokens ORDER BY created, id").fetch_all(&pool).await?;
            rows.iter().map(token).collect()
        })
    }

    fn revoke(&self, id: &str) -> Result<bool, String> {
        let id = id.to_owned();
        let gone = self.run(move |pool| async move {
            sqlx::query("DELETE FROM tokens WHERE id = ?").bind(id).execute(&pool).await.map(|done| done.rows_affected() > 0)
        })?;
        self.checked.write().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_790_000_000_000;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        (folder, state)
    }

    #[test]
    fn a_token_is_known_by_its_secret_until_it_ends() {
        let (folder, state) = state();
        let (info, secret) = state.create("ci", &Tenant::default(), &[Scope::Ingest], NOW, Some(NOW + 1000)).unwrap();
        let found = state.check(&secret, NOW).unwrap().unwrap();
        assert!(found.id == info.id && found.allows(Scope::Ingest) && !found.allows(Scope::Search));
        assert_eq!(state.check("vg_other", NOW), Ok(None));
        assert_eq!(state.check(&secret, NOW + 1000), Ok(None));
        let (info, secret) = state.create("ci", &Tenant::default(), &[Scope::Ingest], NOW, None).unwrap();
        drop(state);
        let state = State::open(folder.path()).unwrap();
        assert!(state.check(&secret, NOW + 1).unwrap().is_some());
        assert!(state.revoke(&info.id).unwrap() && !state.revoke(&info.id).unwrap());
        assert_eq!(state.check(&secret, NOW + 2), Ok(None));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_token_last_longer() {
        let (folder, state) = state();
        let made = |name: &str| state.create(name, &Tenant::default(), &[Scope::Ingest], NOW, Some(NOW + 1000)).unwrap().1;
        let (shown, hidden) = (made("shown"), made("hidden"));
        assert!(state.check(&shown, NOW + 999).unwrap().is_some());
        assert_eq!(state.check(&shown, NOW + 1000), Ok(None));
        assert_eq!(state.check(&shown, NOW), Ok(None));
        // Not shown after its end, but this process knows what time it was.
        assert_eq!(state.check(&hidden, NOW), Ok(None));
        drop(state);
        let state = State::open(folder.path()).unwrap();
        assert_eq!(state.check(&shown, NOW), Ok(None));
        assert_eq!(state.check(&shown, NOW - 1_000_000), Ok(None));
        assert_eq!(state.check(&shown, NOW), Ok(None), "nor does asking make it forget");
    }

    #[test]
    fn secrets_stand_in_no_file() {
        let (folder, state) = state();
        let (_, secret) = state.create("ci", &Tenant::default(), &[Scope::Admin], NOW, None).unwrap();
        state.check(&secret, NOW).unwrap();
        drop(state);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(12).any(|window| window == &secret.as_bytes()[3..15]));
        }
    }

    #[test]
    fn names_that_hide_something_are_refused() {
        let (_folder, state) = state();
        for name in ["", " ", "a\nb", "a\u{202E}b", &"x".repeat(129)] {
            assert!(state.create(name, &Tenant::default(), &[Scope::Admin], NOW, None).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_newer_format_is_refused_with_a_sentence() {
        let (folder, state) = state();
        state.run(|pool| async move { sqlx::query("UPDATE format SET number = 99").execute(&pool).await.map(drop) }).unwrap();
        drop(state);
        assert!(State::open(folder.path()).unwrap_err().contains("use a newer vigie"));
    }

    #[test]
    fn it_answers_within_a_runtime_too() {
        let (_folder, state) = state();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { assert!(state.list().unwrap().is_empty()) });
    }
}
