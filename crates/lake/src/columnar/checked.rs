//! Pages on their way to the decoder. It takes memory for as many texts as the page itself says behind its header, so
//! this number is compared with the header's first.

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

use super::File;
use super::thrift::Thrift;

/// The pages of a column.
pub(super) struct CheckedPages {
    pages: SerializedPageReader<File>,
    has_repetition: bool,
    has_definition: bool,
}

impl CheckedPages {
    pub(super) fn new(pages: SerializedPageReader<File>, column: &ColumnDescriptor) -> CheckedPages {
        CheckedPages { pages, has_repetition: column.max_rep_level() > 0, has_definition: column.max_def_level() > 0 }
    }

    /// Whether the page says no more lengths of texts than it has values; none when it ends before it says so.
    fn is_fair(&self, page: &Page) -> Option<bool> {
        let (bytes, values) = match page {
            Page::DataPage {
                buf,
                num_values,
                encoding: Encoding::DELTA_LENGTH_BYTE_ARRAY,
                def_level_encoding,
                rep_level_encoding,
                ..
            } => {
                let levels = [(self.has_repetition, rep_level_encoding), (self.has_definition, def_level_encoding)];
                let mut rest: &[u8] = buf;
                for (_, encoding) in levels.iter().filter(|(is_there, _)| *is_there) {
                    // Levels of the oldest kind do not say how long they are, and stand beside no texts of this kind.
                    let is_known = **encoding == Encoding::RLE;
                    let (length, behind) = rest.split_first_chunk().filter(|_| is_known)?;
                    rest = behind.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
                }
                (rest, *num_values)
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding: Encoding::DELTA_LENGTH_BYTE_ARRAY,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let levels = usize::try_from(def_levels_byte_len.checked_add(*rep_levels_byte_len)?).ok()?;
                (buf.get(levels..)?, *num_values)
            }
            _ => return Some(true),
        };
        // Nothing but nulls.
        if bytes.is_empty() {
            return Some(true);
        }
        // The length of a block, the parts of it, and how many lengths there are.
        let mut rest = Thrift::new(bytes);
        let (_, _, lengths) = (rest.varint()?, rest.varint()?, rest.varint()?);
        Some(lengths <= u64::from(values))
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        match page {
            Some(page) if self.is_fair(&page) != Some(true) => {
                Err(ParquetError::General("a page says more values than it has".to_owned()))
            }
            page => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
