//! A real database of countries, read by ours and by the plainest reader of its format that there can be
//! (<https://maxmind.github.io/MaxMind-DB/>).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};
use vigie_normalise::{Declaration, Enrichments, TableFile};
use vigie_tests::{corpus, oracle};

use crate::harness::content;

/// Where the corpus has the database.
const DATABASE: &str = "enrichment/iptoasn-country.mmdb";
/// Addresses that are compared.
const ADDRESSES: u64 = 20_000;

/// A database, read byte by byte.
struct Plain {
    bytes: Vec<u8>,
    nodes: usize,
    record_bits: usize,
    is_v6: bool,
}

impl Plain {
    fn new(bytes: Vec<u8>) -> Plain {
        let mark = b"\xAB\xCD\xEFMaxMind.com";
        let at = bytes.windows(mark.len()).rposition(|window| window == mark).unwrap() + mark.len();
        let (metadata, _) = decode(&bytes[at..], 0);
        let number = |key: &str| usize::try_from(metadata[key].as_u64().unwrap()).unwrap();
        let (nodes, record_bits, is_v6) = (number("node_count"), number("record_size"), number("ip_version") == 6);
        Plain { bytes, nodes, record_bits, is_v6 }
    }

    fn record(&self, node: usize, bit: usize) -> usize {
        let size = self.record_bits / 4;
        let node = &self.bytes[node * size..(node + 1) * size];
        let whole = |bytes: &[u8]| bytes.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        match (self.record_bits, bit) {
            (28, 0) => usize::from(node[3] >> 4) << 24 | whole(&node[..3]),
            (28, _) => usize::from(node[3] & 15) << 24 | whole(&node[4..]),
            (_, 0) => whole(&node[..size / 2]),
            _ => whole(&node[size / 2..]),
        }
    }

    /// What the database has for an address.
    fn find(&self, address: IpAddr) -> Value {
        let (number, bits) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), if self.is_v6 { 128 } else { 32 }),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let mut node = 0;
        for bit in (0..bits).rev() {
            if node >= self.nodes {
                break;
            }
            node = self.record(node, usize::from(number >> bit & 1 == 1));
        }
        if node <= self.nodes {
            return Value::Null;
        }
        let data = &self.bytes[self.nodes * self.record_bits / 4 + 16..];
        decode(data, node - self.nodes - 16).0
    }
}

/// The value at a place of a data section, and where the next begins.
fn decode(data: &[u8], at: usize) -> (Value, usize) {
    let control = usize::from(data[at]);
    let (mut kind, mut next) = (control >> 5, at + 1);
    let whole = |from: usize, length: usize| data[from..from + length].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    if kind == 1 {
        let (size, high) = (control >> 3 & 3, (control & 7) as u64);
        let place = match size {
            0 => high << 8 | whole(next, 1),
            1 => (high << 16 | whole(next, 2)) + 2048,
            2 => (high << 24 | whole(next, 3)) + 526_336,
            _ => whole(next, 4),
        };
        return (decode(data, usize::try_from(place).unwrap()).0, next + size + 1);
    }
    if kind == 0 {
        kind = usize::from(data[next]) + 7;
        next += 1;
    }
    let mut size = control & 31;
    if size >= 29 {
        let more = size - 28;
        size = [29, 285, 65_821][more - 1] + usize::try_from(whole(next, more)).unwrap();
        next += more;
    }
    match kind {
        2 => (json!(String::from_utf8(data[next..next + size].to_vec()).unwrap()), next + size),
        5 | 6 | 9 => (json!(whole(next, size)), next + size),
        7 => {
            let mut members = serde_json::Map::new();
            for _ in 0..size {
                let (key, behind) = decode(data, next);
                let (value, behind) = decode(data, behind);
                members.insert(key.as_str().unwrap().to_owned(), value);
                next = behind;
            }
            (Value::Object(members), next)
        }
        11 => {
            let mut items = Vec::new();
            for _ in 0..size {
                let (value, behind) = decode(data, next);
                items.push(value);
                next = behind;
            }
            (Value::Array(items), next)
        }
        other => panic!("a value of type {other}"),
    }
}

/// Numbers that do not repeat for long (SplitMix64, public domain).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

#[test]
fn countries_are_those_of_the_plainest_reader() {
    if corpus().is_some_and(|corpus| !corpus.join(DATABASE).is_file()) {
        println!("oracle country_database: skipped: the corpus has no database of countries");
        return;
    }
    oracle("country_database", |corpus| {
        let bytes = std::fs::read(corpus.join(DATABASE)).unwrap();
        let text = std::fs::read_to_string(content().join("enrichments/country/enrichment.toml")).unwrap();
        let declaration = Declaration::parse("country", "enrichment.toml", &text).unwrap();
        let table = TableFile { name: "country.mmdb".to_owned(), place: "country.mmdb".to_owned(), bytes: bytes.clone() };
        let enrichments = Enrichments::new(vec![declaration.fill(vec![table]).unwrap().enrichment]);
        let plain = Plain::new(bytes);
        let mut state = 1187;
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for number in 0..ADDRESSES {
            let bits = next(&mut state);
            let address = match number % 4 {
                0 => IpAddr::V6(Ipv6Addr::from(0x2000u128 << 112 | u128::from(bits) << 52)),
                _ => IpAddr::V4(Ipv4Addr::from((bits >> 32) as u32)),
            };
            let event = json!({ "src_endpoint": { "ip": address.to_string() } }).to_string();
            let document: Value = serde_json::from_str(&enrichments.document(&event).unwrap()).unwrap();
            let ours = document["src_endpoint"]["location"]["country"].as_str().unwrap_or_default();
            let theirs = plain.find(address);
            assert_eq!(ours, theirs["country_code"].as_str().unwrap_or_default(), "{address}: {theirs}");
            *seen.entry(ours.to_owned()).or_default() += 1;
        }
        println!("{ADDRESSES} addresses, {} countries, {} addresses of none", seen.len(), seen.get("").copied().unwrap_or(0));
        assert!(seen.len() > 50, "{seen:?}");
    });
}
