//! Compressed bodies: gzip and deflate (in its zlib wrapper, as HTTP means it).

use std::io::{self, Read, Write as _};

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use serving::Error;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
}

impl Coding {
    const ALL: [(Self, &'static str); 3] = [(Self::Gzip, "gzip"), (Self::Gzip, "x-gzip"), (Self::Deflate, "deflate")];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, have)| have.eq_ignore_ascii_case(name)).map(|(coding, _)| *coding)
    }

    /// Its name in a header.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(coding, _)| *coding == self).map_or("", |(_, name)| name)
    }

    /// How the body of a request is compressed; `None` if it is not.
    pub(crate) fn of_body(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(None) };
        let name = value.to_str().unwrap_or_default().trim();
        if name.is_empty() || name.eq_ignore_ascii_case("identity") {
            return Ok(None);
        }
        Self::named(name).map(Some).ok_or_else(|| Error::Request {
            field: "content-encoding".to_owned(),
            message: format!("the content encoding {value:?} is not supported"),
            hint: Some("send the body uncompressed, or as gzip or deflate".to_owned()),
        })
    }

    /// The first compression that the caller takes, if any.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(ACCEPT_ENCODING)?.to_str().ok()?;
        text.split(',').find_map(|offer| {
            let (name, weight) = offer.split_once(';').unwrap_or((offer, ""));
            let refused =
                matches!(weight.trim().strip_prefix("q="), Some(q) if q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            Self::named(name.trim()).filter(|_| !refused)
        })
    }

    /// The bytes behind a compressed body, of which there must not be more than `limit`.
    pub(crate) fn unpack(self, body: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let source: &mut dyn Read = match self {
            Self::Gzip => &mut MultiGzDecoder::new(body),
            Self::Deflate => &mut ZlibDecoder::new(body),
        };
        let read = source.take(limit as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|_| Error::request("body", format!("the body is not valid {}", self.name())))?;
        if bytes.len() > limit {
            return Err(Error::TooLarge { what: format!("more than {limit} bytes behind its {}", self.name()), limit });
        }
        Ok(bytes)
    }

    /// The bytes compressed, quickly rather than well.
    pub(crate) fn pack(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let room = Vec::with_capacity(bytes.len() / 2);
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(room, Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(room, Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn what_is_packed_is_unpacked_up_to_the_limit() {
        for coding in [Coding::Gzip, Coding::Deflate] {
            let packed = coding.pack(&[7; 10_000]).unwrap();
            assert_eq!(coding.unpack(&packed, 10_000).unwrap(), [7; 10_000]);
            assert!(matches!(coding.unpack(&packed, 9_999), Err(Error::TooLarge { limit: 9_999, .. })));
            assert!(coding.unpack(&packed[..packed.len() - 6], 10_000).is_err(), "cut short");
            assert!(coding.unpack(b"{}", 10_000).is_err(), "not compressed at all");
        }
    }

    #[test]
    fn headers_say_how() {
        let body = |value| Coding::of_body(&with(CONTENT_ENCODING, value)).ok();
        assert_eq!(body("gzip"), Some(Some(Coding::Gzip)));
        assert_eq!(body("Deflate"), Some(Some(Coding::Deflate)));
        assert_eq!(body("identity"), Some(None));
        assert_eq!(body("br"), None);
        let accepted = |value| Coding::accepted(&with(ACCEPT_ENCODING, value));
        assert_eq!(accepted("br, deflate;q=0.5, gzip"), Some(Coding::Deflate));
        assert_eq!(accepted("gzip;q=0, deflate"), Some(Coding::Deflate));
        assert_eq!(accepted("br"), None);
    }
}
