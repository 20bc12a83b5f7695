//! The multipart body of create and update (RFC 7578): the parts `metadata` and `file`, in either order, read as they
//! come.
//!
//! A file grows in memory up to the limit and not a byte further, and nothing of it is written anywhere before it is
//! whole and checked.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{
    HttpRequest,
    error::PayloadError,
    http::header::{Charset, ContentDisposition},
    web::{self, Bytes},
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::messages;
use crate::{
    app::{
        App,
        document::{Fields, parse},
    },
    domain::{Error, Fault, Faults, Name, Why, client_application::File},
    http::{
        body::media_type,
        problem::{Failure, Kind},
    },
};

/// The most bytes of the part `metadata`.
const MOST_METADATA: usize = 64 * 1024;
/// What may stand around the parts: heads, boundaries, text before and after.
const MOST_AROUND: u64 = 64 * 1024;
/// More parts than these are not looked at: there are two names.
const MOST_PARTS: usize = 16;
/// A file that is larger takes one of the places for large uploads.
const LARGE: usize = 256 * 1024;
/// Somebody who sends nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(30);
/// Nobody's line is slower than this: bytes a second.
const SLOWEST: u64 = 64 * 1024;

/// What came in.
pub(super) struct Upload {
    /// The part `metadata`; one with faults has no values.
    pub metadata: Option<Metadata>,
    /// The part `file`.
    pub file: Option<File>,
    /// What was wrong so far.
    pub faults: Faults,
    /// The place among the large uploads, to be held until the file is written.
    pub place: Option<OwnedSemaphorePermit>,
}

/// The part `metadata`.
#[derive(Default)]
pub(super) struct Metadata {
    /// Whether it is a JSON object: only then is it worth saying what it lacks.
    pub is_read: bool,
    pub name: Option<Name>,
    pub enabled: Option<bool>,
}

/// Reads a body. What is wrong within its parts is in `faults`; what makes it unreadable is the error.
pub(super) async fn read(app: &App, request: &HttpRequest, payload: web::Payload) -> Result<Upload, Failure> {
    const FORM: &str = "multipart/form-data";
    if media_type(request).as_deref() != Some(FORM) {
        return Err(Kind::MediaType(FORM).into());
    }
    let most = app.settings().most_upload;
    let body = paced(payload, most + MOST_METADATA as u64 + MOST_AROUND);
    let parts = Multipart::new(request.headers(), body);
    let patience = SILENCE + Duration::from_secs(most / SLOWEST);
    timeout(patience, read_parts(app, parts, most)).await.map_err(|_| Failure::from(Kind::Timeout))?
}

/// The body with an end to its length and to the patience with its sender.
fn paced(payload: web::Payload, most: u64) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    // The parser asks again after the end.
    let chunks =
        stream::unfold((payload, 0_u64, Lengths::default()), move |(mut payload, before, mut lengths)| async move {
            let next = match timeout(SILENCE, payload.next()).await {
                Ok(next) => next?.map(|chunk| lengths.hide(chunk)),
                Err(_) => Err(PayloadError::Io(ErrorKind::TimedOut.into())),
            };
            let length = before + next.as_ref().map_or(0, |chunk| chunk.len() as u64);
            let next = if length > most { Err(PayloadError::Io(ErrorKind::FileTooLarge.into())) } else { next };
            Some((next, (payload, length, lengths)))
        });
    chunks.fuse()
}

/// Hides `Content-Length` in the heads of parts: RFC 7578 §4.8 wants it ignored, while the parser would believe it and with a
/// wrong one add bytes to a file or take some away. The name gets another last letter wherever it begins a line; no valid
/// file has it there, as neither a name without quotes nor a line break within quotes is JSON.
#[derive(Default)]
struct Lengths {
    /// How many bytes of the name have gone by.
    matched: usize,
}

impl Lengths {
    const NAME: &[u8] = b"\ncontent-length";

    fn hide(&mut self, chunk: Bytes) -> Bytes {
        let mut found = Vec::new();
        let mut at = 0;
        while at < chunk.len() {
            if self.matched == 0 {
                let Some(skipped) = chunk[at..].iter().position(|byte| *byte == b'\n') else { break };
                at += skipped;
            }
            let byte = chunk[at].to_ascii_lowercase();
            self.matched = if byte == Self::NAME[self.matched] { self.matched + 1 } else { usize::from(byte == b'\n') };
            if self.matched == Self::NAME.len() {
                found.push(at);
                self.matched = 0;
            }
            at += 1;
        }
        if found.is_empty() {
            return chunk;
        }
        let mut changed = chunk.to_vec();
        for at in found {
            changed[at] = b'x';
        }
        changed.into()
    }
}

async fn read_parts(app: &App, mut parts: Multipart, most: u64) -> Result<Upload, Failure> {
    let mut upload = Upload { metadata: None, file: None, faults: Faults::default(), place: None };
    let mut seen = [false; 2];
    let mut count = 0;
    while let Some(part) = parts.next().await {
        let mut part = part.map_err(|error| broken(&error, most))?;
        count += 1;
        if count > MOST_PARTS {
            upload.faults.add("multipart", Why::TooMany(MOST_PARTS));
            break;
        }
        let name = part.name().unwrap_or_default().to_owned();
        let Some(which) = ["metadata", "file"].into_iter().position(|known| known == name) else {
            // Enough of the name to know it again.
            upload.faults.add(name.chars().take(100).collect::<String>(), Why::Unknown);
            skip(&mut part, most).await?;
            continue;
        };
        if std::mem::replace(&mut seen[which], true) {
            upload.faults.add(name, Why::Duplicate);
            skip(&mut part, most).await?;
            continue;
        }
        if is_encoded(&part) {
            return Err(Kind::Broken(messages::ENCODED).into());
        }
        if which == 0 {
            let bytes = collect(&mut part, MOST_METADATA as u64, most, |_| Ok(())).await?;
            upload.metadata = Some(metadata(&bytes, &mut upload.faults)?);
        } else {
            let file_name = part.content_disposition().and_then(file_name);
            let place = &mut upload.place;
            let data = collect(&mut part, most, most, |length| {
                if length > LARGE && place.is_none() {
                    *place = Some(app.take_upload_place()?);
                }
                Ok(())
            })
            .await?;
            match file_name {
                Some(name) => upload.file = Some(File { name, data }),
                None => upload.faults.add("file", Why::Malformed(messages::A_FILE_NAME)),
            }
        }
    }
    Ok(upload)
}

/// The bytes of a part, at most `limit` of them; `grown` hears of each length.
async fn collect(
    part: &mut Field,
    limit: u64,
    most: u64,
    mut grown: impl FnMut(usize) -> Result<(), Failure>,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(|error| broken(&error, most))?;
        let length = bytes.len() + chunk.len();
        if length as u64 > limit {
            return Err(Error::TooLarge { limit }.into());
        }
        grown(length)?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn skip(part: &mut Field, most: u64) -> Result<(), Failure> {
    while let Some(chunk) = part.next().await {
        chunk.map_err(|error| broken(&error, most))?;
    }
    Ok(())
}

/// Whether the part's bytes stand for others. RFC 7578 §4.7 has done away with that.
fn is_encoded(part: &Field) -> bool {
    let coding = part.headers().get("content-transfer-encoding").map(|coding| coding.as_bytes().to_ascii_lowercase());
    coding.is_some_and(|coding| !matches!(coding.as_slice(), b"7bit" | b"8bit" | b"binary"))
}

/// The file's name without the path that some programs send before it.
fn file_name(disposition: &ContentDisposition) -> Option<String> {
    let extended = || {
        let value = disposition.get_filename_ext().filter(|value| value.charset == Charset::Ext("UTF-8".to_owned()))?;
        String::from_utf8(value.value.clone()).ok()
    };
    let name = disposition.get_filename().map(str::to_owned).or_else(extended)?;
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    (!last.is_empty()).then(|| last.to_owned())
}

fn metadata(bytes: &[u8], faults: &mut Faults) -> Result<Metadata, Failure> {
    let value = match parse(bytes) {
        Ok(value) => value,
        Err(Error::Invalid(found)) => {
            for Fault { why, .. } in found {
                faults.add("metadata", why);
            }
            return Ok(Metadata::default());
        }
        Err(other) => return Err(other.into()),
    };
    let Some(object) = value.as_object() else {
        faults.add("metadata", Why::WrongType("object"));
        return Ok(Metadata::default());
    };
    for key in object.keys() {
        let meant = ["name", "isEnabled"].iter().any(|known| known.eq_ignore_ascii_case(key) && known != key);
        if meant {
            faults.add(key.as_str(), Why::Unknown);
        }
    }
    let mut fields = Fields::of(&value)?;
    let name = fields.may("name", Name::new);
    let enabled = match fields.value("isEnabled") {
        None => None,
        Some(serde_json::Value::Bool(flag)) => Some(*flag),
        Some(value) => match value.as_str() {
            Some("true" | "1") => Some(true),
            Some("false" | "0") => Some(false),
            _ => {
                let words = ["true", "false", "1", "0"].map(str::to_owned).to_vec();
                fields.fault("isEnabled", Why::NotOneOf(words));
                None
            }
        },
    };
    for Fault { path, why } in fields.faults.into_vec() {
        faults.add(path, why);
    }
    Ok(Metadata { is_read: true, name, enabled })
}

fn broken(error: &MultipartError, most: u64) -> Failure {
    let kind = match error {
        MultipartError::Payload(PayloadError::Io(error)) => match io::Error::kind(error) {
            ErrorKind::TimedOut => Kind::Timeout,
            ErrorKind::FileTooLarge => return Error::TooLarge { limit: most }.into(),
            _ => Kind::Broken(messages::CUT_OFF),
        },
        MultipartError::Payload(PayloadError::Overflow) => Kind::Broken(messages::LONG_HEAD),
        MultipartError::Payload(_) | MultipartError::Incomplete => Kind::Broken(messages::CUT_OFF),
        MultipartError::ContentTypeParse | MultipartError::BoundaryMissing => Kind::Broken(messages::NO_BOUNDARY),
        MultipartError::ContentDispositionMissing | MultipartError::ContentDispositionNameMissing => {
            Kind::Broken(messages::NO_NAME)
        }
        MultipartError::Nested => Kind::Broken(messages::NESTED),
        _ => Kind::Broken(messages::BAD_HEAD),
    };
    kind.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_length_is_hidden_wherever_the_body_is_divided() {
        let body = "--b\r\nContent-Disposition: x\r\nCONTENT-length: 7\n\nContent-Lengt\n\ncontent-length: \"\ncontent";
        let expected =
            "--b\r\nContent-Disposition: x\r\nCONTENT-lengtx: 7\n\nContent-Lengt\n\ncontent-lengtx: \"\ncontent";
        for size in 1..=body.len() {
            let mut lengths = Lengths::default();
            let chunks = body.as_bytes().chunks(size).map(|chunk| lengths.hide(Bytes::copy_from_slice(chunk)));
            let whole: Vec<u8> = chunks.flat_map(|chunk| chunk.to_vec()).collect();
            assert_eq!(String::from_utf8_lossy(&whole), expected, "in chunks of {size}");
        }
    }
}
