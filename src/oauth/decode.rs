//! Content codings (RFC 9110 §8.4) and character encodings of the bodies that providers send.
//!
//! `Accept-Encoding: identity` is a preference, not a guarantee (RFC 9110 §12.5.3), and proxies add or drop
//! `Content-Encoding` without changing the body. The body is therefore believed before the header field: readable text
//! is used as it is, and compressed data is recognized without the field.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use zeroize::Zeroizing;

use super::fields;
use crate::domain::Secret;

/// Bytes that are decompressed at a time.
const CHUNK_BYTES: usize = 8 * 1024;
/// Maximum number of gzip members in one body. Each costs the setup of a decoder.
const MAX_GZIP_MEMBERS: usize = 1024;
/// Maximum length of the name of an unsupported coding, in characters.
const MAX_NAME_CHARS: usize = 40;
/// The first bytes of a gzip member (RFC 1952 §2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Reasons why a body has no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The decoded body exceeds the limit.
    TooLarge,
    /// The coding is not supported, or there are several. The name is printable ASCII.
    Unsupported(String),
    /// The compressed data is corrupt or truncated.
    Corrupt,
}

/// The value of `Content-Encoding`.
#[derive(Debug, PartialEq, Eq)]
enum Coding {
    /// None, or `identity`.
    Identity,
    /// `gzip` or `x-gzip` (RFC 9110 §8.4.1.3).
    Gzip,
    /// `deflate`: a zlib stream by RFC 9110 §8.4.1.2, a raw deflate stream from some servers.
    Deflate,
    /// Any other coding, or more than one. The name is printable ASCII.
    Unsupported(String),
}

/// Formats of compressed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 1950.
    Zlib,
    /// RFC 1951 without a wrapper.
    Deflate,
}

/// Where decompression stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    TooLarge,
    Corrupt,
}

/// Decodes a complete body to text. `max_bytes` limits the decompressed size; more is never allocated.
///
/// Bytes that are not text in the encoding of the body are replaced by U+FFFD.
pub(super) fn complete_text(headers: &HeaderMap, body: &[u8], max_bytes: usize) -> Result<Secret, DecodeError> {
    let coding = Coding::of(headers);
    let formats = formats(&coding, body);
    let plain = text(body);
    if (coding == Coding::Identity && formats.is_empty()) || body.is_empty() || is_readable(&plain) {
        return Ok(Secret::new(plain.as_str()));
    }
    for format in formats {
        match decompress(*format, body, max_bytes) {
            (decoded, End::Complete) if decoded.starts_with(GZIP_MAGIC) => {
                return Err(DecodeError::Unsupported("gzip, gzip".to_owned()));
            }
            (decoded, End::Complete) => return Ok(Secret::new(text(&decoded).as_str())),
            (_, End::TooLarge) => return Err(DecodeError::TooLarge),
            (_, End::Corrupt) => {}
        }
    }
    Err(match coding {
        Coding::Unsupported(name) => DecodeError::Unsupported(name),
        Coding::Identity | Coding::Gzip | Coding::Deflate => DecodeError::Corrupt,
    })
}

/// Decodes the beginning of a page whose end may be missing: at most `max_bytes`, and as much as can be decoded. Empty
/// if that is nothing.
pub(super) fn leading_text(headers: &HeaderMap, body: &[u8], max_bytes: usize) -> String {
    let coding = Coding::of(headers);
    let formats = formats(&coding, body);
    let plain = text(&body[..body.len().min(max_bytes)]);
    // The last character may be incomplete.
    if (coding == Coding::Identity && formats.is_empty()) || is_readable(plain.trim_end_matches('\u{fffd}')) {
        return plain.to_string();
    }
    let decoded = formats.iter().map(|format| decompress(*format, body, max_bytes).0);
    decoded
        .into_iter()
        .find(|decoded| !decoded.is_empty())
        .map_or_else(String::new, |decoded| text(&decoded).to_string())
}

impl Coding {
    /// The coding that `Content-Encoding` names, over all fields of this name. `identity` and empty names do not count.
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
        let names: Vec<&[u8]> =
            names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity")).collect();
        match names[..] {
            [] => Self::Identity,
            [name] if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => Self::Gzip,
            [name] if name.eq_ignore_ascii_case(b"deflate") => Self::Deflate,
            _ => Self::Unsupported(printable(&names.join(&b", "[..]))),
        }
    }
}

/// A name for display: printable ASCII, at most [`MAX_NAME_CHARS`] characters.
fn printable(name: &[u8]) -> String {
    let char_of = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' };
    name.iter().map(char_of).take(MAX_NAME_CHARS).collect()
}

/// The formats that the body can have, in the order in which they are tried. Empty: not compressed, or not supported.
fn formats(coding: &Coding, body: &[u8]) -> &'static [Format] {
    match coding {
        Coding::Unsupported(_) => &[],
        _ if body.starts_with(GZIP_MAGIC) => &[Format::Gzip],
        Coding::Deflate if has_zlib_header(body) => &[Format::Zlib, Format::Deflate],
        Coding::Deflate => &[Format::Deflate],
        // Without the name of a coding, only what compressors write today: a window of 32 KiB and one of four levels.
        _ if has_zlib_header(body) && body[0] == 0x78 && [0x01, 0x5e, 0x9c, 0xda].contains(&body[1]) => &[Format::Zlib],
        Coding::Identity | Coding::Gzip => &[],
    }
}

/// Whether the body begins with a valid zlib header (RFC 1950 §2.2) without a preset dictionary.
fn has_zlib_header(body: &[u8]) -> bool {
    let [method, flags, ..] = *body else { return false };
    let (deflate, window, dictionary) = (method & 0x0f == 8, method >> 4 <= 7, flags & 0x20 != 0);
    deflate && window && !dictionary && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// Whether a body can be used as it is. Compressed data has control characters or is not valid UTF-8.
fn is_readable(plain: &str) -> bool {
    let is_text = |c: char| c != '\u{fffd}' && (!c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{c}'));
    // JSON in an old 8-bit encoding is not valid UTF-8, but has only the characters of its texts replaced.
    plain.chars().all(is_text) || fields::parse_json(plain).is_some()
}

/// The text of a body: UTF-16 with a byte order mark, else UTF-8.
fn text(body: &[u8]) -> Zeroizing<String> {
    let utf16 = |body: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = body.as_chunks::<2>();
        let units = pairs.iter().map(|pair| unit(*pair));
        let mut text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        text.extend(rest.iter().map(|_| char::REPLACEMENT_CHARACTER));
        text
    };
    Zeroizing::new(match body {
        [0xff, 0xfe, body @ ..] => utf16(body, u16::from_le_bytes),
        [0xfe, 0xff, body @ ..] => utf16(body, u16::from_be_bytes),
        _ => String::from_utf8_lossy(body).into_owned(),
    })
}

/// Decompresses a body to at most `max_bytes`. The result is what was decoded before `End`.
fn decompress(format: Format, body: &[u8], max_bytes: usize) -> (Zeroizing<Vec<u8>>, End) {
    // Never grows, so that no copy of a token stays behind in freed memory.
    let mut decoded = Zeroizing::new(Vec::with_capacity(max_bytes));
    let mut rest = body;
    let end = match format {
        Format::Gzip => return gunzip(body, max_bytes),
        Format::Zlib => fill(&mut decoded, ZlibDecoder::new(&mut rest), max_bytes),
        Format::Deflate => fill(&mut decoded, DeflateDecoder::new(&mut rest), max_bytes),
    };
    let end = if end == End::Complete && !is_padding(rest) { End::Corrupt } else { end };
    (decoded, end)
}

/// Decompresses all gzip members of a body (RFC 1952 §2.2).
fn gunzip(body: &[u8], max_bytes: usize) -> (Zeroizing<Vec<u8>>, End) {
    let mut decoded = Zeroizing::new(Vec::with_capacity(max_bytes));
    let mut rest = body;
    for _ in 0..MAX_GZIP_MEMBERS {
        match fill(&mut decoded, GzDecoder::new(&mut rest), max_bytes) {
            End::Complete if is_padding(rest) => return (decoded, End::Complete),
            End::Complete => {}
            end => return (decoded, end),
        }
    }
    (decoded, End::Corrupt)
}

/// Whether the bytes after compressed data have no meaning: some servers fill up with zeros.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0)
}

/// Reads a decoder to its end, or until `decoded` has `max_bytes` and more would follow.
fn fill(decoded: &mut Vec<u8>, mut decoder: impl Read, max_bytes: usize) -> End {
    let mut chunk = Zeroizing::new([0; CHUNK_BYTES]);
    loop {
        match decoder.read(&mut chunk[..]) {
            Ok(0) => return End::Complete,
            Ok(length) => {
                let room = max_bytes.saturating_sub(decoded.len());
                decoded.extend_from_slice(&chunk[..length.min(room)]);
                if length > room {
                    return End::TooLarge;
                }
            }
            Err(_) => return End::Corrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write as _, repeat};

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    const MAX: usize = 64 * 1024;
    const ALL: [Format; 3] = [Format::Gzip, Format::Zlib, Format::Deflate];

    fn compressed_at(format: Format, body: &[u8], level: u32) -> Vec<u8> {
        let level = Compression::new(level);
        macro_rules! written {
            ($encoder:ident) => {{
                let mut encoder = $encoder::new(Vec::new(), level);
                encoder.write_all(body).expect("memory");
                encoder.finish().expect("memory")
            }};
        }
        match format {
            Format::Gzip => written!(GzEncoder),
            Format::Zlib => written!(ZlibEncoder),
            Format::Deflate => written!(DeflateEncoder),
        }
    }

    fn compressed(format: Format, body: &[u8]) -> Vec<u8> {
        compressed_at(format, body, 6)
    }

    fn headers(codings: &[&str]) -> HeaderMap {
        let fields = codings
            .iter()
            .map(|coding| (CONTENT_ENCODING, HeaderValue::from_bytes(coding.as_bytes()).expect("a field value")));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }

    fn decoded(codings: &[&str], body: &[u8]) -> Result<String, DecodeError> {
        complete_text(&headers(codings), body, MAX).map(|text| text.expose().to_owned())
    }

    fn unsupported(name: &str) -> Result<String, DecodeError> {
        Err(DecodeError::Unsupported(name.to_owned()))
    }

    /// The values of `Content-Encoding` with which a format is sent, none included.
    fn codings_of(format: Format) -> &'static [&'static [&'static str]] {
        match format {
            Format::Gzip => {
                &[&[], &["identity"], &[""], &["gzip"], &["x-gzip"], &["GZip"], &[" X-GZIP "], &["identity, gzip"]]
            }
            Format::Zlib => &[&[], &["identity"], &["deflate"], &["Deflate"], &["deflate,"], &["identity", "deflate"]],
            Format::Deflate => &[&["deflate"], &[" DEFLATE"]],
        }
    }

    #[test]
    fn every_supported_coding_is_decoded_with_and_without_its_header_field() {
        let body = r#"{"access_token":"PLANTED-é"}"#;
        for format in ALL {
            for codings in codings_of(format) {
                assert_eq!(decoded(codings, &compressed(format, body.as_bytes())).as_deref(), Ok(body), "{codings:?}");
            }
        }
        // The header field of a zlib stream depends on the level: 78 01, 78 5e, 78 9c, 78 da.
        for level in [0, 1, 3, 6, 9] {
            let stream = compressed_at(Format::Zlib, body.as_bytes(), level);
            assert_eq!(decoded(&[], &stream).as_deref(), Ok(body), "{:x?}", &stream[..2]);
        }
    }

    #[test]
    fn several_gzip_members_and_padding_are_one_body() {
        let members = [compressed(Format::Gzip, b"{\"a\":"), compressed(Format::Gzip, b"1}")].concat();
        assert_eq!(decoded(&["gzip"], &members).as_deref(), Ok(r#"{"a":1}"#));
        let empty = [compressed(Format::Gzip, b""), members.clone(), compressed(Format::Gzip, b"")].concat();
        assert_eq!(decoded(&[], &empty).as_deref(), Ok(r#"{"a":1}"#));
        for format in ALL {
            let stream = compressed(format, b"{}");
            assert_eq!(decoded(codings_of(format)[0], &[&stream[..], &[0; 9]].concat()).as_deref(), Ok("{}"));
            let rest = decoded(codings_of(format)[0], &[&stream[..], b"rest"].concat());
            assert_eq!(rest, Err(DecodeError::Corrupt), "{format:?}");
        }
        let many = compressed(Format::Gzip, b"").repeat(MAX_GZIP_MEMBERS + 1);
        assert_eq!(decoded(&["gzip"], &many), Err(DecodeError::Corrupt));
    }

    #[test]
    fn readable_bodies_are_used_whatever_coding_they_claim() {
        for codings in [&["gzip"][..], &["x-gzip"], &["deflate"], &["br"], &["zstd"], &["gzip, gzip"], &["utf-8"], &[]]
        {
            for body in [r#"{"a":"b"}"#, " [1]\r\n", "access_token=a&scope=b", "<!doctype html>\n", "plain", "x^", ""] {
                assert_eq!(decoded(codings, body.as_bytes()).as_deref(), Ok(body), "{codings:?}");
            }
            // ISO 8859-1.
            assert_eq!(decoded(codings, b"{\"a\":\"\xe9\"}").as_deref(), Ok("{\"a\":\"\u{fffd}\"}"));
        }
        assert_eq!(decoded(&[], b"\x00\xff").as_deref(), Ok("\0\u{fffd}"), "nothing says that it is compressed");
    }

    #[test]
    fn unsupported_and_stacked_codings_are_refused_by_name() {
        let gzip = compressed(Format::Gzip, b"{}");
        assert_eq!(decoded(&["br"], b"\x0b\x02\x80{}\n\x03"), unsupported("br"));
        assert_eq!(decoded(&["Zstd"], b"\x28\xb5\x2f\xfd"), unsupported("Zstd"));
        assert_eq!(decoded(&["gzip, gzip"], &compressed(Format::Gzip, &gzip)), unsupported("gzip, gzip"));
        assert_eq!(decoded(&["gzip", "gzip"], &compressed(Format::Gzip, &gzip)), unsupported("gzip, gzip"));
        assert_eq!(decoded(&["deflate,gzip"], &gzip), unsupported("deflate, gzip"));
        // A proxy has compressed again and replaced the field, or dropped it.
        assert_eq!(decoded(&["gzip"], &compressed(Format::Gzip, &gzip)), unsupported("gzip, gzip"));
        assert_eq!(decoded(&[], &compressed(Format::Gzip, &gzip)), unsupported("gzip, gzip"));
        let long = "é\t<".repeat(99);
        let Err(DecodeError::Unsupported(name)) = decoded(&[&long], &gzip) else { panic!("{long}") };
        assert_eq!(name, "???<".repeat(MAX_NAME_CHARS / 4));
    }

    #[test]
    fn corrupt_data_has_no_text() {
        for (codings, body) in [
            (&["gzip"][..], &b"\x1f\x8b\x08\x00"[..]),
            (&["gzip"], b"\x1f\x8b"),
            (&[], b"\x1f\x8b\x08\x00"),
            (&["gzip"], b"\x80"),
            (&["x-gzip"], b"\0"),
            (&["deflate"], b"\xff\xff"),
            (&["deflate"], b"\x78\x9c\xff"),
            (&[], b"\x78\x9c\xff"),
            // A preset dictionary.
            (&["deflate"], b"\x78\xbb\x00\x00\x00\x01"),
        ] {
            assert_eq!(decoded(codings, body), Err(DecodeError::Corrupt), "{codings:?} {body:x?}");
        }
    }

    #[test]
    fn the_limit_applies_to_the_output_and_bounds_the_memory() {
        for format in ALL {
            let coding = codings_of(format)[0];
            let exact = "x".repeat(MAX);
            assert_eq!(decoded(coding, &compressed(format, exact.as_bytes())).as_ref(), Ok(&exact), "{format:?}");
            assert_eq!(decoded(coding, &compressed(format, &vec![b'x'; MAX + 1])), Err(DecodeError::TooLarge));
            let bomb = compressed(format, &vec![0; 16 * 1024 * 1024]);
            assert!(bomb.len() < MAX, "{}", bomb.len());
            assert_eq!(decoded(coding, &bomb), Err(DecodeError::TooLarge), "{format:?}");
            let (start, end) = decompress(format, &bomb, MAX);
            assert_eq!((start.len(), start.capacity(), end), (MAX, MAX, End::TooLarge));
        }
        let members = compressed(Format::Gzip, &vec![0; MAX / 2]).repeat(3);
        assert_eq!(decoded(&["gzip"], &members), Err(DecodeError::TooLarge));
        // A decoder without an end is read no further than one chunk behind the limit.
        let mut endless = Vec::with_capacity(MAX);
        assert_eq!(fill(&mut endless, repeat(b'x'), MAX), End::TooLarge);
        assert_eq!((endless.len(), endless.capacity()), (MAX, MAX));
        let mut some = Vec::new();
        assert_eq!(fill(&mut some, repeat(b'x').take((MAX + CHUNK_BYTES) as u64), MAX), End::TooLarge);
        assert_eq!(fill(&mut Vec::new(), repeat(b'x').take(MAX as u64), MAX), End::Complete);
    }

    #[test]
    fn utf_16_with_a_byte_order_mark_is_text() {
        let body = r#"{"access_token":"PLANTED-é🜁"}"#;
        let little: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = body.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for body_of in [[&[0xff, 0xfe][..], &little].concat(), [&[0xfe, 0xff][..], &big].concat()] {
            assert_eq!(decoded(&[], &body_of).as_deref(), Ok(body));
            assert_eq!(decoded(&["gzip"], &body_of).as_deref(), Ok(body), "decoded by a proxy");
            for format in ALL {
                assert_eq!(decoded(codings_of(format)[0], &compressed(format, &body_of)).as_deref(), Ok(body));
            }
        }
        let marked = format!("\u{feff}{body}");
        assert_eq!(decoded(&[], marked.as_bytes()), Ok(marked), "UTF-8: removed by the parser");
        assert_eq!(decoded(&[], &[0xff, 0xfe, b'a', 0, 0, 0xd8, b'b']).as_deref(), Ok("a\u{fffd}\u{fffd}"));
    }

    #[test]
    fn a_page_is_decoded_as_far_as_it_goes() {
        let page = "<p>redirect_uri é</p>".repeat(1000);
        let start = |codings: &[&str], body: &[u8]| leading_text(&headers(codings), body, 1000);
        for format in ALL {
            let stream = compressed_at(format, page.as_bytes(), 0);
            for codings in codings_of(format) {
                let text = start(codings, &stream[..stream.len() / 2]);
                assert!(page.starts_with(text.trim_end_matches('\u{fffd}')) && text.len() >= 1000, "{codings:?}");
                assert!(text.len() <= 1002, "one incomplete character at most");
            }
        }
        for codings in [&[][..], &["gzip"], &["br"]] {
            // The limit is in the middle of a character.
            let text = start(codings, &page.as_bytes()[5..]);
            assert!(text.contains("redirect_uri"), "{codings:?}");
        }
        for body in [&b"\x1f\x8b"[..], b"\x1f\x8b\x08\x00\x00"] {
            assert_eq!(start(&["gzip"], body), "");
        }
        assert_eq!(start(&["br"], b"\x0b\x02\x80{}\n\x03"), "");
    }

    /// A format and one of its codings.
    fn a_way() -> impl Strategy<Value = (Format, &'static [&'static str])> {
        prop::sample::select(ALL.to_vec())
            .prop_flat_map(|format| (Just(format), prop::sample::select(codings_of(format).to_vec())))
    }

    /// A JSON object with any texts.
    fn a_body() -> impl Strategy<Value = String> {
        prop::collection::vec((any::<String>(), any::<String>()), 0..9).prop_map(|fields| {
            let fields: serde_json::Map<_, _> = fields.into_iter().map(|(name, value)| (name, value.into())).collect();
            serde_json::Value::Object(fields).to_string()
        })
    }

    proptest! {
        #[test]
        fn every_body_survives_every_coding(body in a_body(), (format, codings) in a_way(), level in 0..10_u32) {
            let stream = compressed_at(format, body.as_bytes(), level);
            prop_assert_eq!(decoded(codings, &stream), Ok(body.clone()));
            prop_assert_eq!(decoded(codings, body.as_bytes()), Ok(body.clone()), "not compressed");
            let limit = complete_text(&headers(codings), &stream, body.len() - 1).map(|_| ());
            prop_assert_eq!(limit, Err(DecodeError::TooLarge));
        }

        #[test]
        fn truncated_data_never_becomes_a_shorter_body(body in a_body(), (format, codings) in a_way(), cut in any::<prop::sample::Index>()) {
            let stream = compressed(format, body.as_bytes());
            let start = &stream[..cut.index(stream.len())];
            let text = decoded(codings, start);
            prop_assert!(text == Err(DecodeError::Corrupt) || text.as_deref() == Ok(&text_of(start)), "{:?}", text);
            prop_assert!(format == Format::Deflate || start.len() < 2 || text.is_err());
        }

        #[test]
        fn changed_data_never_becomes_another_body(
            body in a_body(),
            format in prop::sample::select(vec![Format::Gzip, Format::Zlib]),
            at in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let mut stream = compressed(format, body.as_bytes());
            let at = 2 + at.index(stream.len() - 2);
            stream[at] ^= change;
            let text = decoded(codings_of(format)[3], &stream);
            prop_assert!(text.is_err() || text.as_ref() == Ok(&body), "{:?}", text);
        }

        #[test]
        fn no_bytes_panic_or_exceed_the_limit(
            magic in prop::sample::select(vec![&[][..], GZIP_MAGIC, &[0x1f, 0x8b, 8, 0xff], &[0x78, 0x9c], &[0xff, 0xfe], &[0xfe, 0xff]]),
            rest in prop::collection::vec(any::<u8>(), 0..300),
            coding in "[ -~]{0,12}|gzip|deflate|br|, ,gzip",
            max in 0..200_usize,
        ) {
            let body = [magic, &rest].concat();
            let headers = headers(&[&coding]);
            if let Ok(text) = complete_text(&headers, &body, max) {
                // A replaced byte takes three.
                prop_assert!(text.expose().len() <= 3 * max.max(body.len()));
            }
            prop_assert!(leading_text(&headers, &body, max).len() <= 3 * max);
        }
    }

    fn text_of(body: &[u8]) -> String {
        text(body).to_string()
    }
}
