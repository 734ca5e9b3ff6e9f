//! Writes one record into a reused buffer: copies the literal pieces and fills the holes.

use crate::chance::{Chance, capital, hex_digit};
use crate::compile::{Form, Hole, Part};
use crate::error::Error;
use crate::moment::{self, Clock, HOUR};

/// Spreads the bits of one random number over several values of a record.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// What a record says of its moment and its session.
pub(crate) struct Scene<'a> {
    pub(crate) time: i64,
    pub(crate) session_start: &'a str,
    pub(crate) session_key: &'a [u8],
    pub(crate) address: &'a [u8],
    pub(crate) agent: &'a [u8],
    pub(crate) region: &'a str,
}

/// A buffer for one record and what its holes need.
#[derive(Debug)]
pub(crate) struct Pen {
    chance: Chance,
    out: Vec<u8>,
    rows: Vec<usize>,
    clock: Clock,
    event_id: [u8; 36],
    request_id: [u8; 36],
    shared_id: Option<[u8; 36]>,
    dice: u128,
}

impl Pen {
    /// A pen that writes with these numbers.
    pub(crate) fn new(chance: Chance) -> Self {
        Self {
            chance,
            out: Vec::with_capacity(4096),
            rows: Vec::new(),
            clock: Clock::new(),
            event_id: [b'0'; 36],
            request_id: [b'0'; 36],
            shared_id: None,
            dice: 0,
        }
    }

    /// The record written last.
    pub(crate) fn record(&self) -> &[u8] {
        &self.out
    }

    /// The id of the record written last.
    pub(crate) fn event_id(&self) -> String {
        self.event_id.iter().copied().map(char::from).collect()
    }

    /// Writes a record.
    pub(crate) fn write(&mut self, form: &Form, scene: &Scene<'_>) -> Result<(), Error> {
        self.out.clear();
        self.event_id = self.chance.uuid();
        self.request_id = self.chance.uuid();
        self.shared_id = None;
        self.dice = self.chance.wide();
        self.rows.clear();
        for length in &form.slots {
            let row = self.chance.index(*length);
            self.rows.push(row);
        }
        for part in &form.parts {
            match part {
                Part::Text(text) => self.out.extend_from_slice(text),
                Part::Hole(hole) => self.fill(*hole, scene)?,
                Part::Cell { slot, column } => {
                    let row = self.rows.get(*slot).copied().unwrap_or(0);
                    if let Some(value) = column.get(row) {
                        self.out.extend_from_slice(value);
                    }
                }
            }
        }
        Ok(())
    }

    fn fill(&mut self, hole: Hole, scene: &Scene<'_>) -> Result<(), Error> {
        match hole {
            Hole::Time => self.out.extend_from_slice(self.clock.iso(scene.time)?.as_bytes()),
            Hole::TimeMillis => self.number(u128::try_from(scene.time).unwrap_or(0)),
            Hole::Expiry => self.out.extend_from_slice(moment::words(scene.time + HOUR)?.as_bytes()),
            Hole::TimeWords => self.out.extend_from_slice(moment::words(scene.time)?.as_bytes()),
            Hole::Day => self.out.extend_from_slice(moment::day_folders(scene.time)?.as_bytes()),
            Hole::SessionStart => self.out.extend_from_slice(scene.session_start.as_bytes()),
            Hole::SessionKey => self.out.extend_from_slice(scene.session_key),
            Hole::Address => self.out.extend_from_slice(scene.address),
            Hole::Agent => self.out.extend_from_slice(scene.agent),
            Hole::Region => self.out.extend_from_slice(scene.region.as_bytes()),
            Hole::EventId => self.out.extend_from_slice(&self.event_id),
            Hole::RequestId => self.out.extend_from_slice(&self.request_id),
            Hole::SharedId => {
                let id = self.shared_id.unwrap_or_else(|| self.chance.uuid());
                self.shared_id = Some(id);
                self.out.extend_from_slice(&id);
            }
            Hole::Code => self.code(),
            Hole::Hex => self.hex(),
            Hole::Number => {
                let number = (self.dice >> 7) % 100_000;
                self.number(number);
            }
            Hole::Bytes => {
                // Sizes spread over the powers of two from 256 bytes to 8 MiB.
                let power = (self.dice >> 100) % 16;
                let number = 256 + ((self.dice >> 30) % (256 << power));
                self.number(number);
            }
        }
        Ok(())
    }

    fn code(&mut self) {
        let mut bits = self.dice.wrapping_mul(SPREAD);
        for _ in 0..16 {
            self.out.push(capital(bits >> 40));
            bits = bits.rotate_right(5);
        }
    }

    fn hex(&mut self) {
        let mut bits = self.dice;
        for _ in 0..17 {
            self.out.push(hex_digit(bits));
            bits >>= 4;
        }
    }

    fn number(&mut self, number: u128) {
        self.out.extend_from_slice(number.to_string().as_bytes());
    }
}
