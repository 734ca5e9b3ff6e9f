//! `vigie search --save` and `--saved`: filters that people gave a name.

use vigie_model::{SaveError, SavedSearch, SavedSearches as _, Tenant};
use vigie_state::State;

use crate::arguments::AskOptions;
use crate::error::Error;
use crate::output::note;
use crate::service::data::{DataFolder, now};

/// The filter that was saved under a name.
pub(crate) fn filter(options: &AskOptions, name: &str) -> Result<String, Error> {
    let folder = DataFolder::new(&options.data).state();
    let tenant = Tenant(options.tenant.clone());
    let names = match folder.is_dir() {
        true => {
            let state = State::open(&folder).map_err(Error::Failed)?;
            if let Some(found) = state.search(&tenant, name).map_err(Error::Failed)? {
                return Ok(found.filter);
            }
            state.searches(&tenant).map_err(Error::Failed)?.into_iter().map(|search| search.name).collect::<Vec<_>>().join(", ")
        }
        // A wrong folder is not made by asking for it.
        false => String::new(),
    };
    let there_are = if names.is_empty() { "there is none".to_owned() } else { format!("there are: {names}") };
    Err(Error::Usage(format!("`{name}` is no saved search; {there_are}; `--save NAME FILTER` saves one")))
}

/// Saves a filter under a name; one that has it already is replaced.
pub(crate) fn save(options: &AskOptions, name: &str, filter: String) -> Result<(), Error> {
    let state = State::open(&DataFolder::new(&options.data).state()).map_err(Error::Failed)?;
    let search = SavedSearch { name: name.to_owned(), filter, created: now() };
    state.save(&Tenant(options.tenant.clone()), &search).map_err(|error| match error {
        SaveError::Refused(why) => Error::Usage(why),
        SaveError::Failed(why) => Error::Failed(why),
    })?;
    note(format_args!("saved; `vigie search --saved NAME` asks it again"));
    Ok(())
}
