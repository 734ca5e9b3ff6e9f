//! Cuts rows out of a stream of comma-separated text and makes records of them.
//!
//! RFC 4180: quotes, doubled quotes, and line breaks inside quotes. The state machine is csv-core's.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::cut::Cut;
use crate::json::skip_space;
use crate::table::{Export, Table};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Most columns of a row.
const COLUMNS_MAX: usize = 1024;
/// Longest header.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// What may stand between two cells; the header says which.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Records made of rows.
#[derive(Debug, Default)]
pub struct Made {
    /// The records as JSON, one behind the other.
    pub bytes: Vec<u8>,
    /// Their places in `bytes`; of what is no record, the place only is meant.
    pub cuts: Vec<Cut>,
    /// Where the row of each cut stands in the buffer that it was read from.
    pub places: Vec<usize>,
}

/// What stands at the head of a buffer.
#[derive(Debug)]
enum Head {
    /// A row, and its bytes.
    Row(usize),
    /// A row whose end is not in the buffer.
    Wait,
    /// A row longer than the limit.
    Oversize,
    /// A row that cannot be read, with the reason as the end of "the row ...".
    Broken(&'static str),
}

/// Reads one row at a time into its own memory.
#[derive(Debug)]
struct Rows {
    /// The state machine; reset before each row, since a used one may stand inside a quote.
    reader: Reader,
    row_bytes_max: usize,
    text: Vec<u8>,
    ends: Vec<usize>,
    columns: usize,
}

impl Rows {
    fn new(delimiter: u8, row_bytes_max: usize) -> Rows {
        Rows {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            row_bytes_max,
            // The cells of a row are shorter than the row; at the end of a file a line break is added.
            text: vec![0; row_bytes_max + 4],
            ends: vec![0; COLUMNS_MAX],
            columns: 0,
        }
    }

    /// Reads the row that `rest` begins with. With `end`, nothing follows.
    fn row(&mut self, rest: &[u8], end: bool) -> Head {
        let is_long = rest.len() > self.row_bytes_max;
        let window = rest.get(..self.row_bytes_max).unwrap_or(rest);
        let reader = &mut self.reader;
        reader.reset();
        let (mut result, read, written, columns) = reader.read_record(window, &mut self.text, &mut self.ends);
        self.columns = columns;
        if result == ReadRecordResult::InputEmpty && end && !is_long {
            // A line break ends the last row, unless it stands inside a quote that never closes.
            let text = self.text.get_mut(written..).unwrap_or_default();
            let ends = self.ends.get_mut(columns..).unwrap_or_default();
            let (last, _, _, more) = reader.read_record(b"\n", text, ends);
            self.columns += more;
            result = last;
        }
        match result {
            ReadRecordResult::Record => Head::Row(read),
            ReadRecordResult::OutputEndsFull => Head::Broken("has more than 1024 columns"),
            _ if is_long => Head::Oversize,
            _ if end => Head::Broken("has a quote that is never closed"),
            _ => Head::Wait,
        }
    }

    /// The cells of the row read last.
    fn cells(&self) -> Vec<&[u8]> {
        let mut start = 0;
        let cell = |&end: &usize| self.text.get(std::mem::replace(&mut start, end)..end).unwrap_or_default();
        self.ends.iter().take(self.columns).map(cell).collect()
    }
}

/// Cuts a table into records. Feed it buffers as [`crate::Cutter`] is fed: what it did not consume
/// must stand at the head of the next one.
#[derive(Debug)]
pub struct TableCutter<'e> {
    table: Table<'e>,
    rows: Rows,
    /// The header is still to be passed.
    is_first: bool,
    /// Inside a line that is passed over.
    is_skipping: bool,
}

impl<'e> TableCutter<'e> {
    /// A cutter for a file whose first buffer begins with the header of one of `exports`. A row
    /// longer than `row_bytes_max`, or whose record is, is passed over.
    pub fn begin(head: &[u8], exports: &'e [Export], row_bytes_max: usize) -> Option<TableCutter<'e>> {
        let head = head.get(header_start(head)..).filter(|head| !head.is_empty() && !exports.is_empty())?;
        DELIMITERS.iter().find_map(|&delimiter| {
            let mut rows = Rows::new(delimiter, HEADER_BYTES_MAX);
            let Head::Row(_) = rows.row(head, true) else {
                return None;
            };
            let names: Option<Vec<&str>> = rows.cells().into_iter().map(|cell| std::str::from_utf8(cell).ok()).collect();
            let names = names?;
            let table = exports.iter().find_map(|export| export.table(&names))?;
            Some(TableCutter { table, rows: Rows::new(delimiter, row_bytes_max), is_first: true, is_skipping: false })
        })
    }

    /// Makes records of the whole rows in `buffer` and gives how many bytes were consumed. With
    /// `end`, nothing follows. Behind a row that cannot be read it goes on at the next line.
    pub fn cut(&mut self, buffer: &[u8], end: bool, made: &mut Made) -> usize {
        let mut at = if self.is_first { header_start(buffer) } else { 0 };
        loop {
            if self.is_skipping {
                at = self.skip_line(buffer, at);
            }
            while buffer.get(at).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
                at += 1;
            }
            let rest = buffer.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return at;
            }
            let place = made.bytes.len();
            let cut = match self.rows.row(rest, end) {
                Head::Wait => return at,
                Head::Row(read) => {
                    let is_header = std::mem::take(&mut self.is_first);
                    if !is_header {
                        let cut = self.make(made);
                        made.cuts.push(cut);
                        made.places.push(at);
                    }
                    at += read;
                    continue;
                }
                Head::Oversize => Cut::Oversize(place..place),
                Head::Broken(reason) => Cut::Reject(place..place, reason),
            };
            made.cuts.push(cut);
            made.places.push(at);
            self.is_skipping = true;
        }
    }

    /// Makes a record of the row read last.
    fn make(&self, made: &mut Made) -> Cut {
        let start = made.bytes.len();
        self.table.write(&self.rows.cells(), &mut made.bytes);
        if made.bytes.len() - start <= self.rows.row_bytes_max {
            return Cut::Record(start..made.bytes.len());
        }
        made.bytes.truncate(start);
        Cut::Oversize(start..start)
    }

    fn skip_line(&mut self, buffer: &[u8], at: usize) -> usize {
        match memchr::memchr(b'\n', buffer.get(at..).unwrap_or_default()) {
            Some(found) => {
                self.is_skipping = false;
                at + found + 1
            }
            None => buffer.len(),
        }
    }
}

/// The cells of one row, or why it cannot be read.
pub type Cells<'r> = Result<&'r [&'r str], &'static str>;

/// Calls `visit` with each row of a whole table, its header first: the line on which it begins, and its cells
/// without white space around them, or why it cannot be read. The delimiter is the one that the header has most
/// of; blank lines and lines that begin with `#` are no rows. `visit` says whether to go on.
pub fn each_row(text: &[u8], row_bytes_max: usize, visit: &mut dyn FnMut(usize, Cells<'_>) -> bool) {
    let begin = header_start(text);
    let mut line = 1 + breaks(text.get(..begin).unwrap_or_default());
    let mut rest = text.get(begin..).unwrap_or_default();
    let mut rows = None;
    while !rest.is_empty() {
        let first = rest.get(..memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1)).unwrap_or(rest);
        let is_row = !first.trim_ascii().is_empty() && first.first() != Some(&b'#');
        let mut used = first.len();
        if is_row {
            let rows = rows.get_or_insert_with(|| Rows::new(delimiter_of(first), row_bytes_max));
            let goes_on = match rows.row(rest, true) {
                Head::Row(read) => {
                    used = read.max(1);
                    let cells: Option<Vec<&str>> =
                        rows.cells().into_iter().map(|cell| std::str::from_utf8(cell).ok().map(str::trim)).collect();
                    visit(line, cells.as_deref().ok_or("is no UTF-8"))
                }
                Head::Broken(why) => visit(line, Err(why)),
                Head::Oversize | Head::Wait => visit(line, Err("is longer than the limit for one row")),
            };
            if !goes_on {
                return;
            }
        }
        let (passed, after) = rest.split_at_checked(used).unwrap_or((rest, &[]));
        line += breaks(passed);
        rest = after;
    }
}

fn breaks(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

/// The delimiter that a header has most of; a comma where it has none.
fn delimiter_of(header: &[u8]) -> u8 {
    let count = |delimiter: u8| header.iter().filter(|byte| **byte == delimiter).count();
    let [comma, others @ ..] = DELIMITERS;
    others.into_iter().fold(comma, |most, delimiter| if count(delimiter) > count(most) { delimiter } else { most })
}

/// Where the header begins: behind white space and a byte order mark.
fn header_start(buffer: &[u8]) -> usize {
    let at = skip_space(buffer, 0);
    let has_mark = buffer.get(at..).is_some_and(|rest| rest.starts_with(BYTE_ORDER_MARK));
    if has_mark { skip_space(buffer, at + BYTE_ORDER_MARK.len()) } else { at }
}

#[cfg(test)]
mod tests {
    use super::{Made, TableCutter};
    use crate::cut::Cut;
    use crate::table::tests::export;

    /// Cuts `text` in buffers of `step` bytes behind its header; a reject is written `!`, an oversize
    /// row `~`, each with the place of its row.
    fn cut_all(text: &str, step: usize, row_bytes_max: usize) -> Vec<String> {
        let exports = [export()];
        let mut cutter = TableCutter::begin(text.as_bytes(), &exports, row_bytes_max).unwrap();
        let (mut buffer, mut out, mut fed, mut offset) = (Vec::new(), Vec::new(), 0, 0);
        loop {
            let next = (fed + step).min(text.len());
            buffer.extend_from_slice(&text.as_bytes()[fed..next]);
            fed = next;
            let mut made = Made::default();
            let used = cutter.cut(&buffer, fed == text.len(), &mut made);
            for (cut, place) in made.cuts.iter().zip(&made.places) {
                out.push(match cut {
                    Cut::Record(range) => String::from_utf8(made.bytes[range.clone()].to_vec()).unwrap(),
                    Cut::Oversize(_) => format!("~{}", offset + place),
                    Cut::Reject(_, reason) => format!("!{} {reason}", offset + place),
                });
            }
            buffer.drain(..used);
            offset += used;
            if fed == text.len() {
                return out;
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let whole = text.len().max(1);
        for step in [whole, 64, 17, 3, 1].into_iter().filter(|&step| step >= 3 || !text.starts_with('\u{feff}')) {
            assert_eq!(cut_all(text, step, 64), expected, "in buffers of {step} bytes");
        }
    }

    #[test]
    fn rows_become_records() {
        let two = &[r#"{"name":"Stop, now"}"#, r#"{"name":"a\n\"b\"","user":{"userName":"dana"}}"#];
        check("Event name,User name\n\"Stop, now\",\n\"a\n\"\"b\"\"\",dana\n", two);
        check("\u{feff}\"Event name\";\"User name\"\r\nStop, now;\r\n\r\n\"a\n\"\"b\"\"\";dana", two);
        check("User name\tEvent name\n\tStop, now\ndana\t\"a\n\"\"b\"\"\"\n", two);
        check("Event name\n", &[]);
        check("Event name", &[]);
    }

    #[test]
    fn a_row_that_cannot_be_read_costs_its_line() {
        check(
            "Event name\none\n\"two\nthree\nfour",
            &[r#"{"name":"one"}"#, "!15 has a quote that is never closed", r#"{"name":"three"}"#, r#"{"name":"four"}"#],
        );
        let long = "x".repeat(99);
        check(
            &format!("Event name\none\n{long}\ntwo\n\"{long}\nthree\n"),
            &[r#"{"name":"one"}"#, "~15", r#"{"name":"two"}"#, "~119", r#"{"name":"three"}"#],
        );
    }

    #[test]
    fn a_whole_table_is_read_row_by_row() {
        let mut told = Vec::new();
        let text = "\u{feff}# made today\nname; owner\n\n\"a\nb\"; ada \n# c;d\n\"open; x\nlast;z";
        super::each_row(text.as_bytes(), 64, &mut |line, row| {
            told.push(match row {
                Ok(cells) => format!("{line} {}", cells.join("|")),
                Err(why) => format!("{line} {why}"),
            });
            true
        });
        assert_eq!(told, ["2 name|owner", "4 a\nb|ada", "7 has a quote that is never closed", "8 last|z"]);
        let mut rows = 0;
        super::each_row(b"a\nb\nc\n", 64, &mut |_, _| {
            rows += 1;
            rows < 2
        });
        assert_eq!(rows, 2);
    }

    #[test]
    fn other_tables_are_not_taken() {
        for text in ["", "a,b,c\n1,2,3\n", "Event names\nx\n", "\"Event name", "\u{0}\u{1}"] {
            assert!(TableCutter::begin(text.as_bytes(), &[export()], 64).is_none(), "{text}");
        }
        assert!(TableCutter::begin(b"Event name\n", &[], 64).is_none());
    }
}
