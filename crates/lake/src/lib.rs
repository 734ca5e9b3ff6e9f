//! Events kept and queried: Parquet, Delta, the needle index.
