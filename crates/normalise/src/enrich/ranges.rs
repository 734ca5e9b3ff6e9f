//! Networks: a sorted list of where each begins, in which the most specific one is found by halving.

use std::net::IpAddr;

use super::table::Cells;

/// A network in CIDR notation (RFC 4632, RFC 4291): its first and its last address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Network {
    is_v6: bool,
    first: u128,
    last: u128,
}

impl Network {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address.
    ///
    /// # Errors
    /// What is wrong with the text, as the end of a sentence.
    pub(super) fn parse(text: &str) -> Result<Network, String> {
        let (head, length) = text.split_once('/').map_or((text, None), |(head, length)| (head, Some(length)));
        let is_none = || format!("`{text}` is no network: write it as 192.0.2.0/24 or 2001:db8::/32");
        let address: IpAddr = head.parse().map_err(|_| is_none())?;
        let (first, is_v6) = number(address);
        let bits: u32 = if is_v6 { 128 } else { 32 };
        let length: u32 = length.map_or(Ok(bits), |length| length.parse().map_err(|_| is_none()))?;
        let free = bits.checked_sub(length).ok_or_else(is_none)?;
        let mask = 1u128.checked_shl(free).map_or(u128::MAX, |bit| bit - 1);
        if first & mask != 0 {
            return Err(format!("`{text}` has an address inside the network instead of its first one"));
        }
        Ok(Network { is_v6, first, last: first | mask })
    }
}

fn number(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), false),
        IpAddr::V6(address) => (u128::from(address), true),
    }
}

/// Where a part of the addresses begins, and its row.
type Part = (u128, Option<u32>);

/// Rows by network.
#[derive(Debug)]
pub(super) struct Ranges {
    rows: Vec<Box<Cells>>,
    v4: Vec<Part>,
    v6: Vec<Part>,
}

impl Ranges {
    pub(super) fn new(rows: Vec<Box<Cells>>, networks: Vec<(Network, u32)>) -> Ranges {
        let (v6, v4) = networks.into_iter().partition(|(network, _)| network.is_v6);
        Ranges { rows, v4: parts(v4), v6: parts(v6) }
    }

    /// The row of the most specific network that an address is in.
    pub(super) fn find(&self, address: IpAddr) -> Option<&Cells> {
        let (number, is_v6) = number(address);
        let parts = if is_v6 { &self.v6 } else { &self.v4 };
        let before = parts.partition_point(|(first, _)| *first <= number).checked_sub(1)?;
        let (_, row) = parts.get(before)?;
        self.rows.get((*row)? as usize).map(AsRef::as_ref)
    }
}

/// Cuts networks, of which one may lie in another, into parts that do not overlap.
fn parts(mut networks: Vec<(Network, u32)>) -> Vec<Part> {
    networks.sort_by(|(left, _), (right, _)| left.first.cmp(&right.first).then(right.last.cmp(&left.last)));
    let mut parts: Vec<Part> = Vec::with_capacity(networks.len());
    let mut around: Vec<(u128, u32)> = Vec::new();
    for (network, row) in networks {
        close(&mut around, Some(network.first), &mut parts);
        begin(&mut parts, network.first, Some(row));
        around.push((network.last, row));
    }
    close(&mut around, None, &mut parts);
    parts
}

/// Ends the networks that lie before an address, or all: behind each goes on the one around it.
fn close(around: &mut Vec<(u128, u32)>, before: Option<u128>, parts: &mut Vec<Part>) {
    while let Some((last, _)) = around.last().copied().filter(|(last, _)| before.is_none_or(|first| *last < first)) {
        around.pop();
        if let Some(next) = last.checked_add(1) {
            begin(parts, next, around.last().map(|(_, row)| *row));
        }
    }
}

fn begin(parts: &mut Vec<Part>, first: u128, row: Option<u32>) {
    match parts.last_mut().filter(|(begun, _)| *begun == first) {
        Some(part) => part.1 = row,
        None => parts.push((first, row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator of numbers that needs no library (xorshift, G. Marsaglia 2003).
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    /// What halving finds is what looking at every network finds.
    #[test]
    fn the_most_specific_network_is_found() {
        let mut state = 0x1187;
        for round in 0..40u32 {
            let mut networks: Vec<(Network, u32)> = Vec::new();
            for row in 0..40u32 {
                let length = (next(&mut state) % 9) as u32 + 24;
                let base = (next(&mut state) as u32 & 0x3FF) | 0x0A00_0000;
                let base = base & (u32::MAX << (32 - length));
                let network = Network::parse(&format!("{}/{length}", std::net::Ipv4Addr::from(base))).unwrap();
                if networks.iter().all(|(known, _)| *known != network) {
                    networks.push((network, row));
                }
            }
            let rows = (0..40).map(|row| vec![Some(super::super::table::Cell::Integer(row))].into_boxed_slice()).collect();
            let ranges = Ranges::new(rows, networks.clone());
            for number in 0x0A00_0000u32 - 2..0x0A00_0402 {
                let around = networks.iter().filter(|(net, _)| (net.first..=net.last).contains(&u128::from(number)));
                let expected = around.min_by_key(|(net, _)| net.last - net.first).map(|(_, row)| i64::from(*row));
                let found = ranges.find(IpAddr::V4(number.into())).map(|cells| cells[0].clone());
                assert_eq!(
                    found,
                    Some(expected.map(super::super::table::Cell::Integer)).filter(|_| expected.is_some()),
                    "{round}"
                );
            }
        }
    }

    #[test]
    fn networks_are_read() {
        let check = |text: &str, said: Option<&str>| match (Network::parse(text), said) {
            (Ok(_), None) => {}
            (Err(why), Some(said)) => assert!(why.contains(said), "{why}"),
            (other, _) => panic!("{text}: {other:?}"),
        };
        for text in ["192.0.2.0/24", "192.0.2.7", "0.0.0.0/0", "::/0", "2001:db8::/32", "255.255.255.255/32", "::1"] {
            check(text, None);
        }
        check("192.0.2.7/24", Some("first one"));
        for text in ["", "192.0.2.0/33", "2001:db8::/129", "192.0.2/24", "192.0.2.0/x", "host"] {
            check(text, Some("is no network"));
        }
        let all = Network::parse("::/0").unwrap();
        assert_eq!((all.first, all.last), (0, u128::MAX));
        let rows = vec![vec![None].into_boxed_slice()];
        assert!(Ranges::new(rows, vec![(all, 0)]).find("ffff::1".parse().unwrap()).is_some());
    }
}
