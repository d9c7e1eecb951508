//! Transport compression: one stream per connection, flushed after every frame.

use std::io::{self, Write as _};

use axum::extract::ws::Message;
use bytes::Bytes;

/// How frames leave on one connection.
pub(crate) enum Codec {
    /// Text frames.
    Plain,
    /// `zlib-stream`.
    Zlib(flate2::write::ZlibEncoder<Vec<u8>>),
    /// `zstd-stream`.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Codec {
    /// The codec of the query's `compress`; `None` when Discord does not know it.
    pub(crate) fn named(name: Option<&str>) -> io::Result<Option<Self>> {
        Ok(match name {
            None | Some("") => Some(Self::Plain),
            Some("zlib-stream") => {
                let level = flate2::Compression::fast();
                Some(Self::Zlib(flate2::write::ZlibEncoder::new(Vec::new(), level)))
            }
            Some("zstd-stream") => {
                Some(Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1)?))
            }
            Some(_) => None,
        })
    }

    /// The websocket message that carries `frame`.
    pub(crate) fn encode(&mut self, frame: String) -> io::Result<Message> {
        let bytes = match self {
            Self::Plain => return Ok(Message::Text(frame.into())),
            Self::Zlib(encoder) => {
                encoder.write_all(frame.as_bytes())?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(frame.as_bytes())?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
        };
        Ok(Message::Binary(Bytes::from(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(codec: &mut Codec, frame: &str) -> Vec<u8> {
        match codec.encode(frame.into()).unwrap() {
            Message::Binary(bytes) => bytes.to_vec(),
            other => panic!("{other:?} is not binary"),
        }
    }

    #[test]
    fn every_zlib_frame_ends_with_the_suffix_libraries_wait_for() {
        let mut codec = Codec::named(Some("zlib-stream")).unwrap().unwrap();
        let mut decoder = flate2::write::ZlibDecoder::new(Vec::new());
        for size in [1, 100, 100_000] {
            let frame = "x".repeat(size);
            let bytes = sent(&mut codec, &frame);
            assert!(bytes.ends_with(&[0, 0, 0xff, 0xff]));
            decoder.write_all(&bytes).unwrap();
            decoder.flush().unwrap();
            assert_eq!(std::mem::take(decoder.get_mut()), frame.as_bytes());
        }
    }

    #[test]
    fn every_zstd_frame_can_be_read_at_once() {
        let mut codec = Codec::named(Some("zstd-stream")).unwrap().unwrap();
        let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
        for size in [1, 100, 100_000] {
            let frame = "y".repeat(size);
            decoder.write_all(&sent(&mut codec, &frame)).unwrap();
            decoder.flush().unwrap();
            assert_eq!(std::mem::take(decoder.get_mut()), frame.as_bytes());
        }
    }
}
