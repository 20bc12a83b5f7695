//! Content codings (RFC 9110 §8.4.1), UTF-16, a decompression bomb, and the forms in which a provider repeats a value
//! that it was sent.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    str::FromStr,
    sync::OnceLock,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use super::options::Unknown;

/// Maximum number of codings on one body.
const MAX_CODINGS: usize = 4;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// gzip (RFC 1952).
    Gzip,
    /// gzip under the name that RFC 9110 §8.4.1.3 has recipients accept.
    XGzip,
    /// deflate with its zlib header (RFC 1950).
    Deflate,
    /// deflate without it (RFC 1951), as some servers send it.
    DeflateRaw,
    /// Brotli (RFC 7932), in blocks that are not compressed.
    Brotli,
}

impl Coding {
    const ALL: [(Self, &str); 5] = [
        (Self::Gzip, "gzip"),
        (Self::XGzip, "x-gzip"),
        (Self::Deflate, "deflate"),
        (Self::DeflateRaw, "deflate-raw"),
        (Self::Brotli, "br"),
    ];

    /// Reads a list such as `gzip,gzip`; the first one is applied first.
    pub(super) fn list(text: &str) -> Result<Vec<Self>, Unknown> {
        let codings: Vec<Self> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if codings.len() > MAX_CODINGS {
            return Err(Unknown::new(format_args!("encoding: at most {MAX_CODINGS} codings")));
        }
        Ok(codings)
    }

    /// Its name in `Content-Encoding`.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::XGzip => "x-gzip",
            Self::Deflate | Self::DeflateRaw => "deflate",
            Self::Brotli => "br",
        }
    }

    /// Encodes a body.
    pub(super) fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        let encoded = match self {
            Self::Gzip | Self::XGzip => written(GzEncoder::new(Vec::new(), level), bytes, GzEncoder::finish),
            Self::Deflate => written(ZlibEncoder::new(Vec::new(), level), bytes, ZlibEncoder::finish),
            Self::DeflateRaw => written(DeflateEncoder::new(Vec::new(), level), bytes, DeflateEncoder::finish),
            Self::Brotli => Ok(brotli(bytes)),
        };
        // Writing to memory does not fail.
        encoded.unwrap_or_default()
    }
}

impl FromStr for Coding {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text.trim()).map(|(coding, _)| *coding);
        let words = || Self::ALL.map(|(_, word)| word).join(", ");
        found.ok_or_else(|| Unknown::new(format_args!("encoding: a list of {}, such as gzip,gzip", words())))
    }
}

fn written<W: io::Write>(
    mut encoder: W,
    bytes: &[u8],
    finish: impl FnOnce(W) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    encoder.write_all(bytes)?;
    finish(encoder)
}

/// A Brotli stream of uncompressed meta-blocks (RFC 7932 §9.2).
fn brotli(bytes: &[u8]) -> Vec<u8> {
    const MAX_BLOCK: usize = 1 << 16;
    let mut out = Vec::with_capacity(bytes.len() + 16);
    // WBITS is one bit of 0 and stands before the first meta-block only.
    let mut shift = 1;
    for block in bytes.chunks(MAX_BLOCK) {
        // ISLAST 0, MNIBBLES 00, MLEN - 1 in 16 bits, ISUNCOMPRESSED 1, zeros up to the next byte.
        let length = u32::try_from(block.len() - 1).unwrap_or_default();
        let header = ((length << 3) | (1 << 19)) << shift;
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
        shift = 0;
    }
    // ISLAST 1, ISLASTEMPTY 1.
    out.push(0b11 << shift);
    out
}

/// UTF-16 of a text, with a byte order mark.
pub(super) fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    let bytes = if big_endian { u16::to_be_bytes } else { u16::to_le_bytes };
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
}

/// How much the bomb expands to, in MiB.
pub(super) const BOMB_MIB: u32 = 128;

/// A gzip stream of some 130 kB that expands to [`BOMB_MIB`] MiB of a JSON token answer. One MiB of it is compressed;
/// the rest is repetition.
pub(super) fn bomb() -> Bytes {
    static BOMB: OnceLock<Bytes> = OnceLock::new();
    // Writing to memory does not fail.
    BOMB.get_or_init(|| make_bomb().unwrap_or_default().into()).clone()
}

fn make_bomb() -> io::Result<Vec<u8>> {
    let (begin, end) = (&b"{\"token_type\":\"Bearer\",\"access_token\":\"sim_at_"[..], &b"\"}"[..]);
    let chunk = vec![b'a'; 1 << 20];
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(begin);
    let mut chunk_checksum = crc32fast::Hasher::new();
    chunk_checksum.update(&chunk);
    // The header of RFC 1952 §2.3: gzip, deflate, no flags, no time, no flags, unknown system.
    let out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut encoder = DeflateEncoder::new(out, Compression::best());
    encoder.write_all(begin)?;
    encoder.write_all(&chunk)?;
    encoder.flush()?;
    // A flushed block ends on a byte. It refers to the 32 KiB before it at most, and they are the same each time.
    let start = encoder.get_ref().len();
    encoder.write_all(&chunk)?;
    encoder.flush()?;
    let block = encoder.get_ref().get(start..).unwrap_or_default().to_vec();
    for _ in 2..BOMB_MIB {
        encoder.get_mut().extend_from_slice(&block);
    }
    for _ in 0..BOMB_MIB {
        checksum.combine(&chunk_checksum);
    }
    encoder.write_all(end)?;
    let mut out = encoder.finish()?;
    checksum.update(end);
    let fixed = u32::try_from(begin.len() + end.len()).unwrap_or_default();
    out.extend_from_slice(&checksum.finalize().to_le_bytes());
    out.extend_from_slice(&((BOMB_MIB << 20) + fixed).to_le_bytes());
    Ok(out)
}

/// The form in which a provider repeats a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoForm {
    /// As it was sent.
    Plain,
    /// The first half of it, and an ellipsis.
    Cut,
    /// Percent-encoded with capital digits: every byte but ASCII letters and digits.
    Percent,
    /// The same with small digits.
    PercentLower,
    /// JSON escapes of every character but ASCII letters and digits.
    Json,
    /// HTML character references of the same.
    Html,
    /// Base64 (RFC 4648 §4).
    Base64,
}

impl EchoForm {
    const ALL: [(Self, &str); 7] = [
        (Self::Plain, "plain"),
        (Self::Cut, "cut"),
        (Self::Percent, "percent"),
        (Self::PercentLower, "percent_lower"),
        (Self::Json, "json"),
        (Self::Html, "html"),
        (Self::Base64, "base64"),
    ];

    /// The value in this form.
    pub(super) fn apply(self, value: &str) -> String {
        match self {
            Self::Plain => value.to_owned(),
            Self::Cut => {
                let half = value.chars().count().div_ceil(2);
                value.chars().take(half).chain(['…']).collect()
            }
            Self::Percent => percent(value, |byte| format!("%{byte:02X}")),
            Self::PercentLower => percent(value, |byte| format!("%{byte:02x}")),
            Self::Json => value.encode_utf16().fold(String::new(), |mut out, unit| {
                let plain = u8::try_from(unit).ok().filter(u8::is_ascii_alphanumeric);
                let _ = match plain {
                    Some(byte) => write!(out, "{}", char::from(byte)),
                    None => write!(out, "\\u{unit:04x}"),
                };
                out
            }),
            Self::Html => value.chars().fold(String::new(), |mut out, c| {
                let _ = if c.is_ascii_alphanumeric() { write!(out, "{c}") } else { write!(out, "&#{};", u32::from(c)) };
                out
            }),
            Self::Base64 => STANDARD.encode(value),
        }
    }
}

/// Escapes every byte but ASCII letters and digits.
fn percent(value: &str, escape: impl Fn(u8) -> String) -> String {
    let escaped = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { escape(byte) };
    value.bytes().map(escaped).collect()
}

impl FromStr for EchoForm {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text).map(|(form, _)| *form);
        let words = || Self::ALL.map(|(_, word)| word).join(", ");
        found.ok_or_else(|| Unknown::new(format_args!("echo:FORM: FORM is one of {}", words())))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn codings_are_decoded_by_another_decoder() {
        let text = "{\"access_token\":\"a\"}".repeat(5000);
        let read = |mut decoder: Box<dyn io::Read>| {
            let mut out = String::new();
            decoder.read_to_string(&mut out).expect("readable");
            out
        };
        let encode = |coding: Coding| io::Cursor::new(coding.encode(text.as_bytes()));
        assert!(read(Box::new(flate2::read::GzDecoder::new(encode(Coding::Gzip)))) == text);
        assert!(read(Box::new(flate2::read::GzDecoder::new(encode(Coding::XGzip)))) == text);
        assert!(read(Box::new(flate2::read::ZlibDecoder::new(encode(Coding::Deflate)))) == text);
        assert!(read(Box::new(flate2::read::DeflateDecoder::new(encode(Coding::DeflateRaw)))) == text);
    }

    #[test]
    fn a_brotli_stream_has_the_bytes_of_the_rfc() {
        assert_eq!(Coding::Brotli.encode(b""), [0x06], "the empty stream of RFC 7932 §9.1");
        assert_eq!(Coding::Brotli.encode(b"{}"), [0x10, 0x00, 0x10, b'{', b'}', 0x03]);
        let long = vec![b'x'; (1 << 16) + 1];
        let encoded = Coding::Brotli.encode(&long);
        assert_eq!(encoded.len(), long.len() + 3 + 3 + 1);
    }

    #[test]
    fn a_bomb_is_small_and_expands_to_one_json_object() {
        let bomb = bomb();
        assert!(bomb.len() < 300_000, "{}", bomb.len());
        let mut decoder = flate2::read::GzDecoder::new(&bomb[..]);
        let (mut begin, mut length, mut buffer) = (Vec::new(), 0_u64, vec![0; 1 << 16]);
        loop {
            // The decoder checks length and checksum at the end.
            let read = decoder.read(&mut buffer).expect("a gzip stream");
            if read == 0 {
                break;
            }
            length += read as u64;
            let missing = 60_usize.saturating_sub(begin.len()).min(read);
            begin.extend_from_slice(&buffer[..missing]);
        }
        assert!(length > 100 << 20, "{length}");
        assert!(begin.starts_with(b"{\"token_type\":\"Bearer\",\"access_token\":\"sim_at_aaa"));
    }

    #[test]
    fn a_value_is_repeated_in_each_form() {
        let forms = EchoForm::ALL.map(|(form, word)| (word, form.apply("a_<é")));
        let expected = [
            ("plain", "a_<é"),
            ("cut", "a_…"),
            ("percent", "a%5F%3C%C3%A9"),
            ("percent_lower", "a%5f%3c%c3%a9"),
            ("json", "a\\u005f\\u003c\\u00e9"),
            ("html", "a&#95;&#60;&#233;"),
            ("base64", "YV88w6k="),
        ];
        assert_eq!(forms, expected.map(|(word, text)| (word, text.to_owned())));
    }

    #[test]
    fn utf_16_has_a_byte_order_mark() {
        assert_eq!(utf16("aé", false), [0xFF, 0xFE, b'a', 0, 0xE9, 0]);
        assert_eq!(utf16("a", true), [0xFE, 0xFF, 0, b'a']);
    }
}
