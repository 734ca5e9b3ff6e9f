//! Saved searches: filters with a name, each tenant's apart.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use vigie_model::{SaveError, SavedSearch, SavedSearches, Tenant};

use crate::database::State;
use crate::tokens::{NAME_CHARACTERS_MAX, is_name};

/// Searches that a tenant may keep.
const SEARCHES_PER_TENANT_MAX: i64 = 500;
/// Bytes of a saved filter: as many as the filter bar reads.
const FILTER_BYTES_MAX: usize = 16 * 1024;

fn saved(row: &SqliteRow) -> Result<SavedSearch, sqlx::Error> {
    Ok(SavedSearch { name: row.try_get("name")?, filter: row.try_get("filter")?, created: row.try_get("created")? })
}

impl SavedSearches for State {
    fn searches(&self, tenant: &Tenant) -> Result<Vec<SavedSearch>, String> {
        let tenant = tenant.0.clone();
        self.run(move |pool| async move {
            let rows = sqlx::query("SELECT name, filter, created FROM saved_searches WHERE tenant = ? ORDER BY name")
                .bind(tenant)
                .fetch_all(&pool)
                .await?;
            rows.iter().map(saved).collect()
        })
    }

    fn search(&self, tenant: &Tenant, name: &str) -> Result<Option<SavedSearch>, String> {
        let (tenant, name) = (tenant.0.clone(), name.to_owned());
        self.run(move |pool| async move {
            let row = sqlx::query("SELECT name, filter, created FROM saved_searches WHERE tenant = ? AND name = ?")
                .bind(tenant)
                .bind(name)
                .fetch_optional(&pool)
                .await?;
            row.as_ref().map(saved).transpose()
        })
    }

    fn save(&self, tenant: &Tenant, search: &SavedSearch) -> Result<(), SaveError> {
        if !is_name(&search.name) {
            return Err(SaveError::Refused(format!("a search's name is 1 to {NAME_CHARACTERS_MAX} printable characters")));
        }
        if search.filter.len() > FILTER_BYTES_MAX {
            return Err(SaveError::Refused(format!("a saved filter has at most {FILTER_BYTES_MAX} bytes; shorten it")));
        }
        let (tenant, search) = (tenant.0.clone(), search.clone());
        // One statement, so that two at once cannot pass the limit together.
        let written = self.run(move |pool| async move {
            sqlx::query(
                "INSERT INTO saved_searches (tenant, name, filter, created) SELECT ?1, ?2, ?3, ?4 \
                 WHERE EXISTS (SELECT 1 FROM saved_searches WHERE tenant = ?1 AND name = ?2) \
                 OR (SELECT count(*) FROM saved_searches WHERE tenant = ?1) < ?5 \
                 ON CONFLICT (tenant, name) DO UPDATE SET filter = excluded.filter, created = excluded.created",
            )
            .bind(tenant)
            .bind(search.name)
            .bind(search.filter)
            .bind(search.created)
            .bind(SEARCHES_PER_TENANT_MAX)
            .execute(&pool)
            .await
            .map(|done| done.rows_affected())
        });
        match written.map_err(SaveError::Failed)? {
            0 => Err(SaveError::Refused(format!(
                "there are {SEARCHES_PER_TENANT_MAX} saved searches, which is the most; forget one first"
            ))),
            _ => Ok(()),
        }
    }

    fn forget(&self, tenant: &Tenant, name: &str) -> Result<bool, String> {
        let (tenant, name) = (tenant.0.clone(), name.to_owned());
        self.run(move |pool| async move {
            sqlx::query("DELETE FROM saved_searches WHERE tenant = ? AND name = ?")
                .bind(tenant)
                .bind(name)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        (folder, state)
    }

    fn search(name: &str, filter: &str) -> SavedSearch {
        SavedSearch { name: name.to_owned(), filter: filter.to_owned(), created: 1 }
    }

    #[test]
    fn a_search_is_its_tenants_until_it_is_forgotten() {
        let (folder, state) = state();
        let (own, other) = (Tenant::default(), Tenant("other".to_owned()));
        state.save(&own, &search("roots", "user:root")).unwrap();
        state.save(&own, &search("roots", "user:root not ip:10.0.0.0/8")).unwrap();
        state.save(&own, &search("keys", "operation:CreateAccessKey")).unwrap();
        drop(state);
        let state = State::open(folder.path()).unwrap();
        let names: Vec<String> = state.searches(&own).unwrap().into_iter().map(|search| search.name).collect();
        assert_eq!(names, ["keys", "roots"]);
        assert_eq!(state.search(&own, "roots").unwrap().unwrap().filter, "user:root not ip:10.0.0.0/8");
        assert_eq!((state.search(&other, "roots"), state.forget(&other, "roots")), (Ok(None), Ok(false)));
        assert_eq!((state.forget(&own, "roots"), state.search(&own, "roots")), (Ok(true), Ok(None)));
    }

    #[test]
    fn what_cannot_be_shown_or_is_too_much_is_refused() {
        let (_folder, state) = state();
        let own = Tenant::default();
        let refused = |name: &str, filter: &str| matches!(state.save(&own, &search(name, filter)), Err(SaveError::Refused(_)));
        for name in ["", " ", "a\nb", "a\u{202E}b", &"x".repeat(129)] {
            assert!(refused(name, ""), "{name:?}");
        }
        assert!(refused("long", &"x".repeat(FILTER_BYTES_MAX + 1)));
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
                    INSERT INTO saved_searches SELECT 'main', 'n' || i, '', 1 FROM n";
        state.run(move |pool| async move { sqlx::query(fill).execute(&pool).await.map(drop) }).unwrap();
        assert!(refused("one more", ""));
        assert_eq!(state.save(&own, &search("n7", "x")), Ok(()), "what is there may change");
        assert_eq!(state.save(&Tenant("other".to_owned()), &search("one", "x")), Ok(()));
    }
}
