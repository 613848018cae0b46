//! The codings behind one face: bytes in, packed bytes out, with the choice to have all out that went in.

use super::Coding;
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::write::GzEncoder;
use std::fmt;
use std::io::{self, Write as _};

/// Modest levels: an app's answer waits for this.
const GZIP_LEVEL: u32 = 2;
const ZSTD_LEVEL: i32 = 3;
const BROTLI_LEVEL: i32 = 3;
/// How far back a coder looks, as a power of two: 256 KiB. It bounds what one answer holds in memory.
const WINDOW_LOG: u32 = 18;
const BROTLI_BUFFER_BYTES: usize = 4096;

/// A coder at work.
pub(super) enum Coder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    /// Boxed, for it is twenty times as large as the others.
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

impl fmt::Debug for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Coder::Gzip(_) => "Gzip",
            Coder::Zstd(_) => "Zstd",
            Coder::Brotli(_) => "Brotli",
        })
    }
}

impl Coder {
    /// `bytes` is how much will come, if that is known: less of it needs less memory.
    pub(super) fn new(coding: Coding, bytes: Option<u64>) -> io::Result<Coder> {
        let bits = bytes.map_or(WINDOW_LOG, |bytes| {
            bytes
                .max(1)
                .next_power_of_two()
                .ilog2()
                .clamp(10, WINDOW_LOG)
        });
        Ok(match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Coder::Gzip(GzEncoder::new(Vec::new(), level))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(bits)?;
                encoder.set_pledged_src_size(bytes)?;
                Coder::Zstd(encoder)
            }
            Coding::Brotli => {
                let parameters = BrotliEncoderParams {
                    quality: BROTLI_LEVEL,
                    lgwin: i32::try_from(bits).unwrap_or(16),
                    size_hint: bytes.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(0)),
                    ..BrotliEncoderParams::default()
                };
                let writer =
                    CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER_BYTES, &parameters);
                Coder::Brotli(Box::new(writer))
            }
        })
    }

    pub(super) fn push(&mut self, plain: &[u8]) -> io::Result<()> {
        match self {
            Coder::Gzip(encoder) => encoder.write_all(plain),
            Coder::Zstd(encoder) => encoder.write_all(plain),
            Coder::Brotli(encoder) => encoder.write_all(plain),
        }
    }

    /// Brings out all that went in, so that the client can have it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Coder::Gzip(encoder) => encoder.flush(),
            Coder::Zstd(encoder) => encoder.flush(),
            Coder::Brotli(encoder) => encoder.flush(),
        }
    }

    /// What has come out so far.
    pub(super) fn take(&mut self) -> Bytes {
        let out = match self {
            Coder::Gzip(encoder) => encoder.get_mut(),
            Coder::Zstd(encoder) => encoder.get_mut(),
            // What it has for its writer it has written.
            Coder::Brotli(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }

    /// How much has come out and was not taken.
    pub(super) fn ready_bytes(&self) -> usize {
        match self {
            Coder::Gzip(encoder) => encoder.get_ref().len(),
            Coder::Zstd(encoder) => encoder.get_ref().len(),
            Coder::Brotli(encoder) => encoder.get_ref().len(),
        }
    }

    /// The rest, with the end of the coding.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Coder::Gzip(encoder) => encoder.finish()?.into(),
            Coder::Zstd(encoder) => encoder.finish()?.into(),
            Coder::Brotli(encoder) => encoder.into_inner().into(),
        })
    }
}
