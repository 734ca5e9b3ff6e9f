//! Bodies of requests: read with a limit in bytes and in time, and inflated with a limit in ratio.
//!
//! Bodies of all requests together have a limit too: see [`Room`]. What does not fit is refused before
//! it is read, never cut.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use flate2::bufread::MultiGzDecoder;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vigie_model::limits::{DELIVERY_BYTES_MAX, INFLATE_RATIO_MAX};

/// Seconds in which a body must be here.
pub(crate) const BODY_SECONDS_MAX: u64 = 120;
/// Bytes inflated at a time.
const INFLATE_BYTES: usize = 64 * 1024;
/// Bytes out of a body before its ratio is checked: sooner than for a file, since what is refused must not
/// take the memory of what is taken.
const INFLATE_RATIO_CHECK_BYTES: usize = 4 * 1024 * 1024;
/// The largest window of a zstd frame as a power of two: 8 MiB, as RFC 9659 allows on the web.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes of the bodies of deliveries in memory, all requests together: what a body becomes takes several
/// times as much. The largest delivery fits when it is alone.
const BODIES_BYTES_MAX: usize = DELIVERY_BYTES_MAX;
/// Bytes of one permit for bodies.
const ROOM_BYTES: usize = 1024;
/// Seconds after which a client comes again whose body had no room.
pub(crate) const ROOM_RETRY_SECONDS: u64 = 2;

/// Permits for the bodies of all deliveries.
pub(crate) fn bodies() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BODIES_BYTES_MAX.div_ceil(ROOM_BYTES)))
}

/// The room that the body of one request takes; it is free again when the request has its answer.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    free: Arc<Semaphore>,
    /// How many permits are taken, and these.
    taken: Arc<Mutex<(usize, Vec<OwnedSemaphorePermit>)>>,
}

impl Room {
    pub(crate) fn new(free: &Arc<Semaphore>) -> Room {
        Room { free: Arc::clone(free), taken: Arc::default() }
    }

    /// Takes room for this many bytes in all. Does not wait: two bodies that are half here would wait for
    /// each other.
    fn take(&self, bytes: usize) -> Result<(), BodyError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let more = bytes.div_ceil(ROOM_BYTES).saturating_sub(taken.0);
        if more == 0 {
            return Ok(());
        }
        let count = u32::try_from(more).map_err(|_| BodyError::NoRoom)?;
        let permit = Arc::clone(&self.free).try_acquire_many_owned(count).map_err(|_| BodyError::NoRoom)?;
        taken.0 += more;
        taken.1.push(permit);
        Ok(())
    }

    /// Gives all of it back.
    fn leave(&self) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }
}

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than is allowed.
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// Too many others are here.
    NoRoom,
    /// It did not come in time.
    TooSlow,
    /// It is encoded in a way that is not known here.
    Unknown(String),
    /// It is not what it says.
    Bad(String),
}

impl BodyError {
    /// A sentence that says what to do.
    pub(crate) fn sentence(&self) -> String {
        match self {
            BodyError::TooLarge { bytes_max } => {
                format!("the body is longer than {bytes_max} bytes, or inflates beyond reason; send it in parts")
            }
            BodyError::NoRoom => "too many deliveries are being stored; send it again later, nothing of it was kept".to_owned(),
            BodyError::TooSlow => format!("the body did not come within {BODY_SECONDS_MAX} s; send it in parts"),
            BodyError::Unknown(name) => {
                format!("the content encoding `{name}` is not known; use `gzip`, `zstd` or none")
            }
            BodyError::Bad(why) => why.clone(),
        }
    }
}

/// Reads a body and inflates it as its header says. `bytes_max` limits both what comes and what it
/// inflates to.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    room: Option<&Room>,
    body: Body,
    bytes_max: usize,
) -> Result<Vec<u8>, BodyError> {
    let encoding = match headers.get(CONTENT_ENCODING) {
        None => String::new(),
        Some(value) => String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase(),
    };
    let bytes = read_as_it_is(room, body, bytes_max).await?;
    if encoding.is_empty() || encoding == "identity" {
        return Ok(bytes);
    }
    inflate_aside(encoding, bytes, bytes_max, room).await
}

/// Reads a body in its time, whatever its header says.
pub(crate) async fn read_as_it_is(room: Option<&Room>, body: Body, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let collected = tokio::time::timeout(Duration::from_secs(BODY_SECONDS_MAX), collect(room, body, bytes_max));
    collected.await.unwrap_or(Err(BodyError::TooSlow))
}

/// Inflates bytes in a thread that may block.
pub(crate) async fn inflate_aside(
    encoding: String,
    bytes: Vec<u8>,
    bytes_max: usize,
    room: Option<&Room>,
) -> Result<Vec<u8>, BodyError> {
    let room = room.cloned();
    let inflated = tokio::task::spawn_blocking(move || inflate(&encoding, &bytes, bytes_max, room.as_ref())).await;
    inflated.unwrap_or_else(|_| Err(BodyError::Bad("the body cannot be inflated".to_owned())))
}

/// Reads a body. One without room is read to its end and thrown away: a client that is answered while it
/// still sends may never see the answer.
async fn collect(room: Option<&Room>, body: Body, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    let mut length = 0;
    let mut has_room = true;
    let mut stream = body.into_data_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| BodyError::Bad("the body broke off; send it again".to_owned()))?;
        length += part.len();
        if length > bytes_max {
            return Err(BodyError::TooLarge { bytes_max });
        }
        if let Some(room) = room.filter(|_| has_room)
            && room.take(length).is_err()
        {
            has_room = false;
            bytes = Vec::new();
            room.leave();
        }
        if has_room {
            bytes.extend_from_slice(&part);
        }
    }
    if has_room { Ok(bytes) } else { Err(BodyError::NoRoom) }
}

/// Bytes that are read, and how many of them were.
struct Counted<'b> {
    rest: &'b [u8],
    read: &'b Cell<u64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.rest.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest)
    }

    fn consume(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
        self.read.set(self.read.get() + count as u64);
    }
}

/// Inflates `bytes`. Does not give back to a runtime: call it from a thread that may block.
fn inflate(encoding: &str, bytes: &[u8], bytes_max: usize, room: Option<&Room>) -> Result<Vec<u8>, BodyError> {
    let bad = |_: io::Error| BodyError::Bad(format!("the body is no valid `{encoding}`"));
    let read = Cell::new(0);
    let counted = Counted { rest: bytes, read: &read };
    match encoding {
        "gzip" | "x-gzip" => drain(MultiGzDecoder::new(counted), &read, bytes_max, room)?.map_err(bad),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(counted).map_err(bad)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(bad)?;
            drain(decoder, &read, bytes_max, room)?.map_err(bad)
        }
        other => Err(BodyError::Unknown(other.to_owned())),
    }
}

/// Reads all of `reader`; the outer error is that it is too large, the inner that it cannot be read. The
/// ratio is that of what came out to what went in so far: a bomb ends where it is seen to be one, however
/// long it is.
fn drain(
    mut reader: impl Read,
    bytes_in: &Cell<u64>,
    bytes_max: usize,
    room: Option<&Room>,
) -> Result<io::Result<Vec<u8>>, BodyError> {
    let mut buffer = vec![0; INFLATE_BYTES];
    let mut out = Vec::new();
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(Ok(out)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        let length = out.len() + count;
        let is_bomb = length > INFLATE_RATIO_CHECK_BYTES && length as u64 > bytes_in.get().saturating_mul(INFLATE_RATIO_MAX);
        if length > bytes_max || is_bomb {
            return Err(BodyError::TooLarge { bytes_max });
        }
        room.map_or(Ok(()), |room| room.take(length))?;
        if out.capacity() < length {
            // Not doubled: what is refused soon must not take twice as much first.
            out.reserve_exact((out.len() / 2).max(INFLATE_BYTES * 16));
        }
        out.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn open(encoding: &str, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        inflate(encoding, bytes, bytes_max, None)
    }

    #[test]
    fn a_bomb_behind_much_that_is_none_ends_where_it_is_seen() {
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(100_000)
        .collect();
        // The whole would be below the ratio; what stands before the noise is not.
        let bomb = [gzip(&vec![0; 20 * 1024 * 1024]), gzip(&noise)].concat();
        assert!(bomb.len() as u64 * INFLATE_RATIO_MAX > 21 * 1024 * 1024);
        assert!(matches!(open("gzip", &bomb, usize::MAX), Err(BodyError::TooLarge { .. })));
    }

    #[test]
    fn bodies_together_have_a_limit() {
        let free = bodies();
        let (first, second) = (Room::new(&free), Room::new(&free));
        assert_eq!(first.take(BODIES_BYTES_MAX - ROOM_BYTES), Ok(()));
        assert_eq!(first.take(10), Ok(()), "it has more already");
        assert_eq!(second.take(ROOM_BYTES), Ok(()));
        assert_eq!(second.take(ROOM_BYTES + 1), Err(BodyError::NoRoom));
        let zeros = gzip(&vec![0; 4096]);
        assert_eq!(inflate("gzip", &zeros, 8192, Some(&second)), Err(BodyError::NoRoom));
        drop(first);
        assert!(inflate("gzip", &zeros, 8192, Some(&second)).is_ok());
    }

    #[test]
    fn bodies_inflate_and_bombs_do_not() {
        let plain = b"{\"a\":1}\n".repeat(10);
        let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
        let two = [gzip(&plain), gzip(b"x")].concat();
        assert_eq!(open("gzip", &gzip(&plain), 1024), Ok(plain.clone()));
        assert_eq!(open("gzip", &two, 1024), Ok([plain.as_slice(), b"x"].concat()));
        assert_eq!(open("zstd", &zstd, 1024), Ok(plain.clone()));
        assert_eq!(open("gzip", &gzip(&plain), 16), Err(BodyError::TooLarge { bytes_max: 16 }));
        assert!(matches!(open("gzip", &plain, 1024), Err(BodyError::Bad(_))));
        assert!(matches!(open("zstd", &plain, 1024), Err(BodyError::Bad(_))));
        assert!(matches!(open("br", &plain, 1024), Err(BodyError::Unknown(_))));
        let bomb = gzip(&vec![0; 20 * 1024 * 1024]);
        assert!(matches!(open("gzip", &bomb, usize::MAX), Err(BodyError::TooLarge { .. })));
    }
}
