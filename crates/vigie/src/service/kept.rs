//! Which log types a lake holds events of: what `vigie coverage` calls data.

use std::collections::BTreeSet;
use std::path::Path;

use vigie_model::{Ask, Cell, QueryEngine as _, Question, Tenant};

use crate::content::Content;
use crate::error::Error;
use crate::service::data::DataFolder;
use crate::service::rows::failed;

/// The log types of the events in a data folder, with or without a running service.
pub(crate) fn logs(folder: &Path, content: &Content) -> Result<BTreeSet<String>, Error> {
    let tenant = Tenant::default();
    let lake = DataFolder::new(folder).read_lake(content, &tenant)?;
    let question = Question::new(tenant, Ask::Sql("select distinct \"log\" from events".to_owned()));
    let mut rows = lake.ask(&question).map_err(failed)?;
    let mut logs = BTreeSet::new();
    while let Some(batch) = rows.next().map_err(failed)? {
        for row in batch {
            if let Some(Cell::Text(log)) = row.into_iter().next() {
                logs.insert(log);
            }
        }
    }
    Ok(logs)
}
