//! The service and what reads and keeps its data: `vigie up`, `sql`, `search`, `pivot`, `token`, `lake`,
//! `config`, `spool`, `backup`, `restore`.

pub(crate) mod ask;
pub(crate) mod backup;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod documents;
pub(crate) mod export;
pub(crate) mod follow;
pub(crate) mod kept;
pub(crate) mod lake;
pub(crate) mod manifest;
pub(crate) mod pivot;
pub(crate) mod place;
pub(crate) mod prove;
pub(crate) mod reload;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod rows;
pub(crate) mod saved;
pub(crate) mod spool;
pub(crate) mod stdin;
pub(crate) mod token;
pub(crate) mod up;
pub(crate) mod upkeep;
pub(crate) mod watch;
