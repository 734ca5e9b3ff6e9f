//! The collection ledger: what was taken in from each source.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use vigie_model::{Collected, Ledger, Tenant};

use crate::database::State;

fn collected(row: &SqliteRow) -> Result<Collected, sqlx::Error> {
    let count = |name: &str| Ok::<_, sqlx::Error>(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or(0));
    Ok(Collected {
        source: row.try_get("source")?,
        object: row.try_get("object")?,
        file: row.try_get("file")?,
        version: row.try_get("version")?,
        hash: row.try_get("hash")?,
        records: count("records")?,
        rejected: count("rejected")?,
        newest: row.try_get("newest")?,
        content: row.try_get("content")?,
        failure: row.try_get("failure")?,
        taken: row.try_get("taken")?,
    })
}

impl Ledger for State {
    fn versions(&self, tenant: &Tenant, source: &str) -> Result<BTreeMap<String, String>, String> {
        let (tenant, source) = (tenant.0.clone(), source.to_owned());
        self.run(move |pool| async move {
            let rows = sqlx::query("SELECT DISTINCT object, version FROM collected WHERE tenant = ? AND source = ?")
                .bind(tenant)
                .bind(source)
                .fetch_all(&pool)
                .await?;
            rows.iter().map(|row| Ok((row.try_get("object")?, row.try_get("version")?))).collect()
        })
    }

    fn note(&self, tenant: &Tenant, files: &[Collected]) -> Result<(), String> {
        let (tenant, files) = (tenant.0.clone(), files.to_vec());
        self.run(move |pool| async move {
            let mut transaction = pool.begin().await?;
            for file in &files {
                sqlx::query("DELETE FROM collected WHERE tenant = ? AND source = ? AND object = ? AND version <> ?")
                    .bind(&tenant)
                    .bind(&file.source)
                    .bind(&file.object)
                    .bind(&file.version)
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query(
                    "INSERT INTO collected (tenant, source, object, file, version, hash, records, rejected, newest, content, \
                     failure, taken) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )
                .bind(&tenant)
                .bind(&file.source)
                .bind(&file.object)
                .bind(&file.file)
                .bind(&file.version)
                .bind(&file.hash)
                .bind(i64::try_from(file.records).unwrap_or(i64::MAX))
                .bind(i64::try_from(file.rejected).unwrap_or(i64::MAX))
                .bind(file.newest)
                .bind(&file.content)
                .bind(&file.failure)
                .bind(file.taken)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await
        })
    }

    fn sources(&self, tenant: &Tenant) -> Result<Vec<String>, String> {
        let tenant = tenant.0.clone();
        self.run(move |pool| async move {
            sqlx::query_scalar("SELECT DISTINCT source FROM collected WHERE tenant = ? ORDER BY source")
                .bind(tenant)
                .fetch_all(&pool)
                .await
        })
    }

    fn files(&self, tenant: &Tenant, source: &str) -> Result<Vec<Collected>, String> {
        let (tenant, source) = (tenant.0.clone(), source.to_owned());
        self.run(move |pool| async move {
            let rows = sqlx::query("SELECT * FROM collected WHERE tenant = ? AND source = ? ORDER BY object, file")
                .bind(tenant)
                .bind(source)
                .fetch_all(&pool)
                .await?;
            rows.iter().map(collected).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_remembered_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let own = Tenant::default();
        let file = |object: &str, file: &str, version: &str| Collected {
            source: "trails".to_owned(),
            object: object.to_owned(),
            file: file.to_owned(),
            version: version.to_owned(),
            records: 7,
            content: Some(vec![0, 1]),
            ..Collected::default()
        };
        {
            let state = State::open(folder.path()).unwrap();
            state.note(&own, &[file("a.tar", "1", "v1"), file("a.tar", "2", "v1")]).unwrap();
            state.note(&own, &[file("b.json", "b.json", "v1")]).unwrap();
        }
        let state = State::open(folder.path()).unwrap();
        assert_eq!(state.versions(&own, "trails").unwrap()["a.tar"], "v1");
        assert_eq!(state.files(&own, "trails").unwrap()[1], file("a.tar", "2", "v1"));
        state.note(&own, &[file("a.tar", "2", "v2")]).unwrap();
        assert_eq!(state.files(&own, "trails").unwrap(), [file("a.tar", "2", "v2"), file("b.json", "b.json", "v1")]);
        assert_eq!(state.sources(&own).unwrap(), ["trails"]);
        assert!(state.sources(&Tenant("other".to_owned())).unwrap().is_empty());
    }
}
