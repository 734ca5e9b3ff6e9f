//! Databases of networks in the MaxMind DB format 2.0 (<https://maxmind.github.io/MaxMind-DB/>), held in memory.

use std::fmt;
use std::net::IpAddr;

use maxminddb::{PathElement, Reader};
use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::table::Cell;
use super::{CELL_BYTES_MAX, Give, GiveKind};

/// A database, and where it has what is given.
pub(super) struct Mmdb {
    reader: Reader<Vec<u8>>,
    /// For each thing that is given, the keys that lead to it, in the order in which they are tried.
    columns: Vec<(Vec<Vec<String>>, GiveKind)>,
}

impl fmt::Debug for Mmdb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Mmdb").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Mmdb {
    /// Reads a database.
    ///
    /// # Errors
    /// Why the bytes are none, as the end of a sentence.
    pub(super) fn new(bytes: Vec<u8>, gives: &[Give]) -> Result<Mmdb, String> {
        let reader = Reader::from_source(bytes)
            .map_err(|error| format!("is no MaxMind DB that can be read ({error}): download it again"))?;
        let keys = |column: &str| column.split('.').map(str::to_owned).collect();
        let paths = |give: &Give| (give.column.split('|').map(keys).collect(), give.kind);
        Ok(Mmdb { reader, columns: gives.iter().map(paths).collect() })
    }

    /// Nodes of its tree of networks, and when it was built, in seconds since 1970.
    pub(super) fn size(&self) -> (u64, u64) {
        let metadata = self.reader.metadata();
        (u64::from(metadata.node_count), metadata.build_epoch)
    }

    /// What it has for an address; none when it has nothing that is given.
    pub(super) fn find(&self, address: IpAddr) -> Option<Vec<Option<Cell>>> {
        let found = self.reader.lookup(address).ok().filter(|found| found.has_data())?;
        let value = |keys: &Vec<String>| {
            let path: Vec<PathElement<'_>> = keys.iter().map(|key| PathElement::Key(key)).collect();
            // A part that is of another type than the path says is as one that is not there.
            found.decode_path::<Scalar>(&path).ok().flatten()?.0
        };
        let cell = |(paths, kind): &(Vec<Vec<String>>, GiveKind)| paths.iter().find_map(value).and_then(|cell| cell.of(*kind));
        let cells: Vec<Option<Cell>> = self.columns.iter().map(cell).collect();
        cells.iter().any(Option::is_some).then_some(cells)
    }
}

impl Cell {
    /// The same value as another type, where it has one.
    pub(super) fn of(self, kind: GiveKind) -> Option<Cell> {
        match (kind, self) {
            (GiveKind::Text, Cell::Text(text)) => Some(Cell::Text(text)),
            (GiveKind::Text, Cell::Integer(number)) => Some(Cell::Text(number.to_string().into())),
            (GiveKind::Text, Cell::Flag(flag)) => Some(Cell::Text(flag.to_string().into())),
            (GiveKind::Integer, Cell::Integer(number)) => Some(Cell::Integer(number)),
            // Numbers of autonomous systems are often written with their letters (RFC 5396).
            (GiveKind::Integer, Cell::Text(text)) => text.trim().trim_start_matches("AS").parse().ok().map(Cell::Integer),
            (GiveKind::Boolean, Cell::Flag(flag)) => Some(Cell::Flag(flag)),
            (GiveKind::Boolean, Cell::Text(text)) => text.trim().to_ascii_lowercase().parse().ok().map(Cell::Flag),
            (GiveKind::Boolean, Cell::Integer(number)) => Some(Cell::Flag(number != 0)),
            (GiveKind::Integer, Cell::Flag(_)) => None,
        }
    }
}

/// A value of a database that is one text, number or flag; others are none.
struct Scalar(Option<Cell>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Scalar, D::Error> {
        from.deserialize_any(Scalars)
    }
}

struct Scalars;

impl<'de> Visitor<'de> for Scalars {
    type Value = Scalar;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        let is_text = !text.is_empty() && text.len() <= CELL_BYTES_MAX;
        Ok(Scalar(is_text.then(|| Cell::Text(text.into()))))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar(Some(Cell::Flag(flag))))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(Some(Cell::Integer(number))))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(i64::try_from(number).ok().map(Cell::Integer)))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(Some(Cell::Text(number.to_string().into()))))
    }

    fn visit_f32<E: Error>(self, number: f32) -> Result<Scalar, E> {
        Ok(Scalar(Some(Cell::Text(number.to_string().into()))))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar(None))
    }
}

#[cfg(test)]
pub(crate) mod made {
    //! A small database, written as the format says.

    /// A text of fewer than 29 bytes: type 2, its length in the control byte.
    fn text(out: &mut Vec<u8>, text: &str) {
        out.push(0x40 | u8::try_from(text.len()).unwrap());
        out.extend_from_slice(text.as_bytes());
    }

    /// An unsigned number of 16 bits: type 5, two bytes.
    fn small(out: &mut Vec<u8>, number: u16) {
        out.push(0xA2);
        out.extend_from_slice(&number.to_be_bytes());
    }

    /// An unsigned number of 32 bits: type 6, four bytes.
    fn number(out: &mut Vec<u8>, number: u32) {
        out.push(0xC4);
        out.extend_from_slice(&number.to_be_bytes());
    }

    /// A database of IPv4 in which addresses of the lower half are of country `AX` with the number 64500, and
    /// the others are not known.
    pub(crate) fn database() -> Vec<u8> {
        // One node of two records of 24 bits: left the first entry of the data, right nothing.
        let nodes = 1u32;
        let mut out = Vec::new();
        for record in [nodes + 16, nodes] {
            out.extend_from_slice(&record.to_be_bytes()[1..]);
        }
        out.extend_from_slice(&[0; 16]);
        out.push(0xE2);
        text(&mut out, "country");
        out.push(0xE1);
        text(&mut out, "iso_code");
        text(&mut out, "AX");
        text(&mut out, "asn");
        number(&mut out, 64500);
        out.extend_from_slice(b"\xAB\xCD\xEFMaxMind.com");
        out.push(0xE9);
        text(&mut out, "node_count");
        number(&mut out, nodes);
        let version = [("binary_format_major_version", 2), ("binary_format_minor_version", 0)];
        for (key, value) in version.into_iter().chain([("record_size", 24), ("ip_version", 4)]) {
            text(&mut out, key);
            small(&mut out, value);
        }
        // An unsigned number of 64 bits has an extended type: 7 + 2.
        text(&mut out, "build_epoch");
        out.extend_from_slice(&[0x08, 0x02]);
        out.extend_from_slice(&1_794_448_327u64.to_be_bytes());
        text(&mut out, "database_type");
        text(&mut out, "Made");
        text(&mut out, "languages");
        out.extend_from_slice(&[0x00, 0x04]);
        text(&mut out, "description");
        out.push(0xE0);
        out
    }
}
