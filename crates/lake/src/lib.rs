//! Events kept and queried: Parquet files under a Delta log, a needle index beside them, SQL and the
//! filter bar over both.
//!
//! Secret of this crate: the layout on disk and the query engine. It never knows rules or vendors, and
//! no type of Arrow, Parquet or DataFusion stands in its public API.

mod bar;
mod columnar;
mod compact;
mod copy;
mod durable;
mod export;
mod filter;
mod fuse;
mod ids;
mod lake;
mod needle;
mod newest;
mod ocsf;
mod prune;
mod query;
mod rebuild;
mod retain;
mod scan;
mod schema;
mod table;
mod tally;
mod token;
mod truncate;
mod word;
mod write;

pub use columnar::ParquetRecords;
pub use compact::Compacted;
pub use copy::{TABLE_FORMAT, TableFiles, table_files};
pub use export::EXPORT_TIME_MAX;
pub use lake::{Lake, LakeSize, table_folder};
pub use query::choose;
pub use rebuild::Rebuilt;
pub use retain::Retention;
