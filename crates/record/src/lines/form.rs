//! What is said about lines of text: how one kind of line is read, as data.

/// All that is said about the lines of one log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineForms {
    /// Its kinds of lines, in the order in which they are tried.
    pub forms: Vec<LineForm>,
    /// Keys of a JSON object whose text may be such a line.
    pub inside: Vec<String>,
}

/// One kind of line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineForm {
    /// How it is read.
    pub reader: LineReader,
    /// A line begins with one of these texts; with any when there are none.
    pub begins: Vec<String>,
    /// A line holds one of these texts; any when there are none.
    pub holds: Vec<String>,
}

/// How a line is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineReader {
    /// Cells between separators.
    Cells(Box<CellLine>),
    /// The Common Event Format, behind a header of syslog or alone.
    Cef,
    /// The Log Event Extended Format, version 1 or 2, behind a header of syslog or alone.
    Leef,
    /// Pairs of a key and a value.
    KeyValue,
    /// Syslog: RFC 5424, RFC 3164, and lines of its files.
    Syslog,
    /// Elements of XML, wherever they stand between lines.
    Xml(Box<XmlForm>),
}

/// An element of XML that is a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlForm {
    /// Its name.
    pub element: String,
    /// Elements that may stand around it and say nothing.
    pub around: Vec<String>,
    /// Where values of it stand in the record. Others stand there by their own names.
    pub fields: Vec<XmlField>,
}

/// A value in an element, or several, and its place in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlField {
    /// Names of the elements below the outermost one; `*` is any one.
    pub names: Vec<String>,
    /// What is meant there.
    pub value: XmlValue,
    /// Its path in the record.
    pub path: String,
}

/// What is meant of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XmlValue {
    /// Its text.
    Text,
    /// One of its attributes.
    Attribute(String),
    /// Its text, as a member named by this attribute; without it by its number, as `param1`.
    NamedBy(String),
    /// Everything below it, by its own names.
    Below,
}

/// A line of cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellLine {
    /// What stands between two cells.
    pub separator: u8,
    /// How cells in double quotes are written.
    pub quote: Quote,
    /// Whether `[...]` is one cell.
    pub has_brackets: bool,
    /// Cells that say nothing; they are left out.
    pub absent: Vec<String>,
    /// The header that names the cells of the lines behind it; none when every line has the same cells.
    pub header: Option<LineHeader>,
    /// Without a header all cells in their order; with one those of which something is said.
    pub fields: Vec<LineField>,
    /// Fewest cells of a line without a header.
    pub cells_min: usize,
    /// Most cells of a line without a header. Those without a field stand together under `more`.
    pub cells_max: usize,
    /// A member made of two fields.
    pub joined: Option<JoinedField>,
}

/// How a cell in double quotes ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// Quotes mean nothing.
    None,
    /// At the first quote that a separator or the end of the line follows.
    Plain,
    /// At the first quote that is not doubled.
    Doubled,
    /// At the first quote that no backslash stands before.
    Backslash,
}

/// How a header is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineHeader {
    /// What it begins with, such as `#Fields:`; empty when it is the names alone.
    pub prefix: String,
    /// It has all names of one group.
    pub any_of: Vec<Vec<String>>,
}

/// One field of a line of cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineField {
    /// Its name in the header, or in the description.
    pub name: String,
    /// Its path in the record.
    pub path: String,
    /// What its cells hold.
    pub kind: FieldKind,
    /// What its cells must look like.
    pub check: Option<FieldCheck>,
    /// The fields that stand together in its cells.
    pub parts: Option<FieldParts>,
}

/// What the cells of a field hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text.
    Text,
    /// Whole numbers; a cell that is none stays a text.
    Integer,
    /// A time as `12/Nov/2026:01:52:07 +0000`, written by RFC 3339; a cell that is none stays as it is.
    CommonTime,
    /// Text in which a percent sign and two digits stand for a byte.
    Percent,
}

/// What a cell must look like for its line to be recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldCheck {
    /// A whole number.
    Integer,
    /// A number with or without a point.
    Decimal,
    /// Hexadecimal digits.
    Hex,
    /// An address of IPv4 or IPv6.
    Ip,
    /// A date or an instant of RFC 3339.
    Time,
    /// A time as `12/Nov/2026:01:52:07 +0000`.
    CommonTime,
    /// One of these texts.
    OneOf(Vec<String>),
    /// It begins with one of these texts.
    Prefix(Vec<String>),
}

/// Fields that stand together in one cell. Brackets around one of them are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldParts {
    /// What stands between them.
    pub separator: u8,
    /// They, in order.
    pub fields: Vec<LineField>,
    /// The one of them that may hold the separator itself, by its place.
    pub rest: usize,
}

/// A member of the record made of two cells, where both have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedField {
    /// Its path in the record.
    pub path: String,
    /// The name of the first field.
    pub first: String,
    /// The name of the second field.
    pub second: String,
    /// What is written between them.
    pub between: String,
}
