//! What reads files whose records stand in columns: Parquet, in a build that has the lake.

use vigie_model::ColumnarReader;

/// The reader; none in the slim build, which names such files.
#[cfg(feature = "full")]
pub(crate) fn reader() -> Option<&'static dyn ColumnarReader> {
    Some(&vigie_lake::ParquetRecords)
}

/// The reader; none in the slim build, which names such files.
#[cfg(not(feature = "full"))]
pub(crate) fn reader() -> Option<&'static dyn ColumnarReader> {
    None
}
