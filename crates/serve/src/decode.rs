//! Bodies of requests: read with a limit in bytes and in time, and inflated with a limit in ratio.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use vigie_model::limits::{INFLATE_RATIO_CHECK_BYTES, INFLATE_RATIO_MAX};

/// Seconds in which a body must be here.
pub(crate) const BODY_SECONDS_MAX: u64 = 120;
/// Bytes inflated at a time.
const INFLATE_BYTES: usize = 64 * 1024;
/// The largest window of a zstd frame as a power of two: 8 MiB, as RFC 9659 allows on the web.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than is allowed.
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
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
pub(crate) async fn read_body(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let encoding = match headers.get(CONTENT_ENCODING) {
        None => String::new(),
        Some(value) => String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase(),
    };
    let bytes = tokio::time::timeout(Duration::from_secs(BODY_SECONDS_MAX), collect(body, bytes_max))
        .await
        .unwrap_or(Err(BodyError::TooSlow))?;
    if encoding.is_empty() || encoding == "identity" {
        return Ok(bytes);
    }
    let inflated = tokio::task::spawn_blocking(move || inflate(&encoding, &bytes, bytes_max)).await;
    inflated.unwrap_or_else(|_| Err(BodyError::Bad("the body cannot be inflated".to_owned())))
}

async fn collect(body: Body, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| BodyError::Bad("the body broke off; send it again".to_owned()))?;
        if bytes.len() + part.len() > bytes_max {
            return Err(BodyError::TooLarge { bytes_max });
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// Inflates `bytes`. Does not give back to a runtime: call it from a thread that may block.
pub(crate) fn inflate(encoding: &str, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let bad = |_: std::io::Error| BodyError::Bad(format!("the body is no valid `{encoding}`"));
    match encoding {
        "gzip" | "x-gzip" => drain(MultiGzDecoder::new(bytes), bytes.len(), bytes_max)?.map_err(bad),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(bad)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(bad)?;
            drain(decoder, bytes.len(), bytes_max)?.map_err(bad)
        }
        other => Err(BodyError::Unknown(other.to_owned())),
    }
}

/// Reads all of `reader`; the outer error is that it is too large, the inner that it cannot be read.
fn drain(mut reader: impl Read, bytes_in: usize, bytes_max: usize) -> Result<std::io::Result<Vec<u8>>, BodyError> {
    let ratio_bytes_max = (bytes_in as u64).saturating_mul(INFLATE_RATIO_MAX);
    let mut buffer = vec![0; INFLATE_BYTES];
    let mut out = Vec::new();
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(Ok(out)),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        out.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let length = out.len() as u64;
        if out.len() > bytes_max || (length > INFLATE_RATIO_CHECK_BYTES && length > ratio_bytes_max) {
            return Err(BodyError::TooLarge { bytes_max });
        }
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

    #[test]
    fn bodies_inflate_and_bombs_do_not() {
        let plain = b"{\"a\":1}\n".repeat(10);
        let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
        let two = [gzip(&plain), gzip(b"x")].concat();
        assert_eq!(inflate("gzip", &gzip(&plain), 1024), Ok(plain.clone()));
        assert_eq!(inflate("gzip", &two, 1024), Ok([plain.as_slice(), b"x"].concat()));
        assert_eq!(inflate("zstd", &zstd, 1024), Ok(plain.clone()));
        assert_eq!(inflate("gzip", &gzip(&plain), 16), Err(BodyError::TooLarge { bytes_max: 16 }));
        assert!(matches!(inflate("gzip", &plain, 1024), Err(BodyError::Bad(_))));
        assert!(matches!(inflate("zstd", &plain, 1024), Err(BodyError::Bad(_))));
        assert!(matches!(inflate("br", &plain, 1024), Err(BodyError::Unknown(_))));
        let bomb = gzip(&vec![0; 20 * 1024 * 1024]);
        assert!(matches!(inflate("gzip", &bomb, usize::MAX), Err(BodyError::TooLarge { .. })));
    }
}
