//! The service and what reads its data: `vigie up`, `sql`, `search`, `pivot`, `token`, `lake`, `config`.

pub(crate) mod ask;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod documents;
pub(crate) mod follow;
pub(crate) mod lake;
pub(crate) mod pivot;
pub(crate) mod rows;
pub(crate) mod saved;
pub(crate) mod token;
pub(crate) mod up;
pub(crate) mod upkeep;
