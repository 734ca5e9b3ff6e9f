//! The facts of an event in few bytes: texts that many events share are written once for each worker
//! and named by a number.

use std::borrow::Cow;
use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use vigie_model::{EventFacts, Millis};

/// Bytes of the shared texts of one worker, what finding them takes included; later texts are
/// written where they stand.
const TEXTS_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Longest text that is shared.
const TEXT_BYTES_MAX: usize = 1024;
/// Single texts among the facts of an event.
const FACT_TEXTS: usize = 19;
/// What one shared text takes beside its bytes, about.
const TEXT_OVERHEAD_BYTES: usize = 40;

/// Texts that many events share.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    list: Vec<Box<str>>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    bytes: usize,
}

impl Texts {
    /// The number of a text that is shared already.
    fn find(&self, text: &str) -> Option<u32> {
        let is_text = |number: &u32| self.list.get(*number as usize).is_some_and(|known| **known == *text);
        self.numbers.find(self.hasher.hash_one(text), is_text).copied()
    }

    /// The number of a text, shared from now on when there is room.
    fn share(&mut self, text: &str) -> Option<u32> {
        if let Some(number) = self.find(text) {
            return Some(number);
        }
        if text.len() > TEXT_BYTES_MAX || self.bytes > TEXTS_BYTES_MAX {
            return None;
        }
        let number = u32::try_from(self.list.len()).ok()?;
        self.bytes += text.len() + TEXT_OVERHEAD_BYTES;
        self.list.push(text.into());
        let (list, hasher) = (&self.list, &self.hasher);
        let hash_of = |number: &u32| hasher.hash_one(list.get(*number as usize).map(AsRef::as_ref).unwrap_or_default());
        self.numbers.insert_unique(self.hasher.hash_one(text), number, hash_of);
        Some(number)
    }
}

/// How a text is written: the two lowest bits of the number before it.
const INLINE: u64 = 0;
const SHARED: u64 = 1;
/// The same as an inline text of this item.
const AGAIN: u64 = 2;
/// Sixteen bytes, shown as a UUID.
const UUID: u64 = 3;
/// Inline texts of an item that later ones may name.
const INLINE_MAX: usize = 24;
/// Shorter texts are written again rather than named.
const AGAIN_BYTES_MIN: usize = 3;

/// Writes bytes for [`Reader`].
pub(crate) struct Writer<'w> {
    texts: &'w mut Texts,
    out: &'w mut Vec<u8>,
    /// Where inline texts of this item stand in `out`.
    inline: ([(usize, usize); INLINE_MAX], usize),
}

impl<'w> Writer<'w> {
    /// A writer at the end of `out`, for the worker that `texts` belong to, of an event and when it
    /// was delivered. That stands first and in an order of its own: of two copies of one event the
    /// one delivered first sorts first, whichever workers read them.
    pub(crate) fn new(texts: &'w mut Texts, worker: u64, delivered: Option<Millis>, out: &'w mut Vec<u8>) -> Writer<'w> {
        out.extend_from_slice(&sortable(delivered).to_be_bytes());
        let mut writer = Writer { texts, out, inline: ([(0, 0); INLINE_MAX], 0) };
        writer.number(worker);
        writer
    }

    /// A number in seven bits a byte, lowest first (LEB128).
    pub(crate) fn number(&mut self, mut number: u64) {
        while number > 0x7F {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    /// A number, or that there is none.
    pub(crate) fn maybe(&mut self, number: Option<u64>) {
        self.number(u64::from(number.is_some()));
        number.into_iter().for_each(|number| self.number(number));
    }

    /// A text: shared by others, written already, a UUID, or as it is.
    pub(crate) fn text(&mut self, text: &str) {
        let shared = self.texts.find(text);
        self.found(text, shared);
    }

    fn shared(&mut self, text: &str) {
        let shared = self.texts.share(text);
        self.found(text, shared);
    }

    fn found(&mut self, text: &str, shared: Option<u32>) {
        if let Some(number) = shared {
            return self.number(u64::from(number) << 2 | SHARED);
        }
        let (places, count) = &self.inline;
        let is_text = |&(start, end): &(usize, usize)| self.out.get(start..end) == Some(text.as_bytes());
        if let Some(known) = places.iter().take(*count).position(is_text) {
            return self.number((known as u64) << 2 | AGAIN);
        }
        if let Some(bytes) = uuid_bytes(text) {
            self.number(UUID);
            return self.out.extend_from_slice(&bytes);
        }
        self.number((text.len() as u64) << 2 | INLINE);
        let start = self.out.len();
        self.out.extend_from_slice(text.as_bytes());
        let (places, count) = &mut self.inline;
        if text.len() >= AGAIN_BYTES_MIN
            && let Some(place) = places.get_mut(*count)
        {
            (*place, *count) = ((start, self.out.len()), *count + 1);
        }
    }

    /// The facts of an event, without its id and when it was delivered.
    pub(crate) fn facts(&mut self, facts: &EventFacts) {
        self.number(facts.occurred.cast_unsigned());
        for text in [&facts.uid, &facts.address, &facts.session, &facts.target, &facts.peer] {
            self.text(text);
        }
        let shared = [
            &facts.log,
            &facts.verb,
            &facts.operation,
            &facts.service,
            &facts.actor,
            &facts.actor_uid,
            &facts.actor_type,
            &facts.credential,
            &facts.invoked_by,
            &facts.user_agent,
            &facts.account,
            &facts.region,
            &facts.error,
            &facts.error_message,
        ];
        for text in shared {
            self.shared(text);
        }
        self.number(facts.resources.len() as u64);
        facts.resources.iter().for_each(|resource| self.text(resource));
        self.number(u64::from(facts.class_uid));
        self.number(u64::from(facts.activity_id));
    }
}

/// Reads what a [`Writer`] wrote; none when it is something else.
pub(crate) struct Reader<'r> {
    texts: &'r Texts,
    delivered: Option<Millis>,
    rest: &'r [u8],
    /// Inline texts read so far that later ones may name.
    inline: ([&'r str; INLINE_MAX], usize),
}

impl<'r> Reader<'r> {
    /// A reader of `bytes`, with the texts of every worker.
    pub(crate) fn new(texts: &'r [Texts], bytes: &'r [u8]) -> Option<Reader<'r>> {
        let (head, mut rest) = bytes.split_first_chunk()?;
        let delivered = Some(u64::from_be_bytes(*head)).filter(|head| *head != u64::MAX);
        let worker = number(&mut rest)?;
        Some(Reader {
            texts: texts.get(usize::try_from(worker).ok()?)?,
            delivered: delivered.map(|head| (head ^ SIGN).cast_signed()),
            rest,
            inline: ([""; INLINE_MAX], 0),
        })
    }

    /// Whether everything is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        number(&mut self.rest)
    }

    pub(crate) fn maybe(&mut self) -> Option<Option<u64>> {
        match self.number()? {
            0 => Some(None),
            _ => self.number().map(Some),
        }
    }

    pub(crate) fn text(&mut self) -> Option<Cow<'r, str>> {
        let number = self.number()?;
        let place = usize::try_from(number >> 2).ok()?;
        match number & 3 {
            SHARED => self.texts.list.get(place).map(|text| Cow::Borrowed(text.as_ref())),
            AGAIN => self.inline.0.get(place).map(|text| Cow::Borrowed(*text)),
            UUID => {
                let (bytes, rest) = self.rest.split_first_chunk::<16>()?;
                self.rest = rest;
                Some(Cow::Owned(uuid_text(bytes)))
            }
            _ => {
                let (text, rest) = self.rest.split_at_checked(place)?;
                self.rest = rest;
                let text = std::str::from_utf8(text).ok()?;
                let (known, count) = &mut self.inline;
                if text.len() >= AGAIN_BYTES_MIN
                    && let Some(next) = known.get_mut(*count)
                {
                    (*next, *count) = (text, *count + 1);
                }
                Some(Cow::Borrowed(text))
            }
        }
    }

    pub(crate) fn owned(&mut self) -> Option<String> {
        self.text().map(Cow::into_owned)
    }

    /// The facts of an event whose id is known.
    pub(crate) fn facts(&mut self, id: u128) -> Option<EventFacts> {
        Some(EventFacts {
            id,
            occurred: self.number()?.cast_signed(),
            delivered: self.delivered,
            uid: self.owned()?,
            address: self.owned()?,
            session: self.owned()?,
            target: self.owned()?,
            peer: self.owned()?,
            log: self.owned()?,
            verb: self.owned()?,
            operation: self.owned()?,
            service: self.owned()?,
            actor: self.owned()?,
            actor_uid: self.owned()?,
            actor_type: self.owned()?,
            credential: self.owned()?,
            invoked_by: self.owned()?,
            user_agent: self.owned()?,
            account: self.owned()?,
            region: self.owned()?,
            error: self.owned()?,
            error_message: self.owned()?,
            resources: {
                let count = self.number()?;
                (0..count).map(|_| self.owned()).collect::<Option<_>>()?
            },
            class_uid: u32::try_from(self.number()?).ok()?,
            activity_id: u32::try_from(self.number()?).ok()?,
        })
    }

    /// Time and provider's id of an event, whose other facts are passed over.
    pub(crate) fn pass_facts(&mut self) -> Option<(i64, Cow<'r, str>)> {
        let occurred = self.number()?.cast_signed();
        let uid = self.text()?;
        for _ in 1..FACT_TEXTS {
            self.text()?;
        }
        for _ in 0..self.number()? {
            self.text()?;
        }
        self.number()?;
        self.number()?;
        Some((occurred, uid))
    }
}

/// The bit that makes signed numbers sort as unsigned ones.
const SIGN: u64 = 1 << 63;

/// A time as a number in the same order; no time is the last.
fn sortable(at: Option<Millis>) -> u64 {
    at.map_or(u64::MAX, |at| at.cast_unsigned() ^ SIGN)
}

/// Where dashes stand in a UUID.
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// The bytes of a UUID written as usual, in lower case; none for other text.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    if text.len() != 36 || DASHES.iter().any(|at| text.as_bytes().get(*at) != Some(&b'-')) {
        return None;
    }
    let mut bytes = [0; 16];
    let mut digits = text.bytes().enumerate().filter(|(at, _)| !DASHES.contains(at)).map(|(_, digit)| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    });
    for byte in &mut bytes {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(bytes)
}

fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for byte in bytes {
        if DASHES.contains(&text.len()) {
            text.push('-');
        }
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(if half < 10 { b'0' + half } else { b'a' + half - 10 }));
        }
    }
    text
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(number: u32) -> EventFacts {
        EventFacts {
            id: u128::from(number),
            uid: match number {
                0 => "01234567-89AB-cdef-0123-456789abcdef".to_owned(),
                number => format!("{number:08x}-89ab-cdef-0123-456789abcdef"),
            },
            occurred: 1_794_449_340_000 + i64::from(number),
            delivered: number.is_multiple_of(2).then_some(-7),
            log: "aws/cloudtrail".to_owned(),
            verb: "audit.trail.stop".to_owned(),
            user_agent: "x".repeat(number as usize * 100),
            address: "203.0.113.77".to_owned(),
            resources: vec!["a".to_owned(); number as usize % 3],
            class_uid: 6003,
            activity_id: u32::MAX,
            ..EventFacts::default()
        }
    }

    #[test]
    fn the_copy_delivered_first_sorts_first_whoever_read_it() {
        let packed = |worker: u64, delivered: Option<Millis>| {
            let mut bytes = Vec::new();
            Writer::new(&mut Texts::default(), worker, delivered, &mut bytes).facts(&facts(3));
            bytes
        };
        let order = [(3, Some(-1)), (2, Some(0)), (1, Some(1_794_449_340_000)), (0, None)];
        assert!(order.map(|(worker, delivered)| packed(worker, delivered)).is_sorted());
    }

    #[test]
    fn what_is_packed_is_read_again_and_shared_texts_take_a_few_bytes() {
        let mut texts = Texts::default();
        let mut items = Vec::new();
        for number in (0..20).chain(0..20) {
            let mut bytes = Vec::new();
            let facts = facts(number);
            let mut writer = Writer::new(&mut texts, 1, facts.delivered, &mut bytes);
            writer.facts(&facts);
            writer.maybe(None);
            writer.text("audit.trail.stop");
            writer.text("203.0.113.77");
            items.push((number, bytes));
        }
        let all = [Texts::default(), texts];
        for (number, bytes) in &items {
            let mut reader = Reader::new(&all, bytes).unwrap();
            let expected = facts(*number);
            let mut passing = Reader::new(&all, bytes).unwrap();
            assert_eq!(passing.pass_facts(), Some((expected.occurred, expected.uid.as_str().into())));
            assert_eq!(passing.maybe(), Some(None));
            assert_eq!(reader.facts(u128::from(*number)), Some(expected));
            assert_eq!(reader.maybe(), Some(None));
            assert_eq!(reader.text().as_deref(), Some("audit.trail.stop"));
            assert_eq!(reader.text().as_deref(), Some("203.0.113.77"));
            assert_eq!(reader.number(), None);
            for end in 0..bytes.len() {
                let cut = Reader::new(&all, &bytes[..end]).and_then(|mut reader| {
                    reader.facts(0)?;
                    reader.maybe()?;
                    reader.text()?;
                    reader.text()
                });
                assert_eq!(cut, None, "cut at {end}");
            }
        }
        assert!(items[25].1.len() < 85, "{} bytes", items[25].1.len());
        assert!(items[39].1.len() > 1900, "long texts stand where they are");
    }
}
