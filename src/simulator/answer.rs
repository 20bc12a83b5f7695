//! Answers, whole and broken.

use std::{io, time::Duration};

use actix_web::{
    HttpResponse,
    body::{MessageBody, SizedStream},
    http::{StatusCode, header},
};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde_json::{Map, Value};

use super::{coding, words};

/// After so long what never answers closes the connection: nobody waits longer, and it would be kept for ever.
pub(super) const NEVER: Duration = Duration::from_mins(10);
/// How much is sent of an answer that is cut off.
const CUT_AFTER: usize = 24;
/// How much larger than what is sent an answer that is cut off says it is.
const CUT_MORE: u64 = 200;

/// An answer before it is written.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pub body: Body,
    /// JSON texts that stand in for their marks in the body, because no program can hold them (1e999).
    pub raw: Vec<String>,
}

/// The JSON text that is replaced by a raw one: no account or scope begins like this.
pub(super) fn mark(number: usize) -> Value {
    format!("\u{0}raw {number}").into()
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum Body {
    Nothing,
    Json(Map<String, Value>),
    Html(String),
    /// A text, sent as it is, and its media type; empty: none.
    Text(String, &'static str),
}

impl Answer {
    /// A JSON object; any other value is wrapped in none and must not come here.
    pub(super) fn json(status: u16, value: Value) -> Self {
        let map = match value {
            Value::Object(map) => map,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Self { status, headers: Vec::new(), body: Body::Json(map), raw: Vec::new() }
    }

    /// A page.
    pub(super) fn html(status: u16, page: String) -> Self {
        Self { status, headers: Vec::new(), body: Body::Html(page), raw: Vec::new() }
    }

    /// This text: JSON if it is one JSON value.
    pub(super) fn text(status: u16, text: String) -> Self {
        let media = match &text {
            text if text.is_empty() => "",
            text if words::is_json(text) => "application/json",
            _ => "text/plain; charset=utf-8",
        };
        Self { status, headers: Vec::new(), body: Body::Text(text, media), raw: Vec::new() }
    }

    /// A status and nothing more.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Nothing, raw: Vec::new() }
    }

    /// The same with one more header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The head of the answer.
    pub(super) fn builder(&self) -> actix_web::HttpResponseBuilder {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut builder = HttpResponse::build(status);
        builder.insert_header((header::CACHE_CONTROL, "no-store"));
        for (name, value) in &self.headers {
            builder.append_header((*name, value.as_str()));
        }
        match self.body {
            Body::Nothing | Body::Text(_, "") => {}
            Body::Text(_, media) => drop(builder.content_type(media)),
            Body::Json(_) => drop(builder.content_type("application/json")),
            Body::Html(_) => drop(builder.content_type("text/html; charset=utf-8")),
        }
        builder
    }

    /// The body.
    pub(super) fn bytes(&self) -> Bytes {
        match &self.body {
            Body::Nothing => Bytes::new(),
            Body::Html(text) | Body::Text(text, _) => Bytes::copy_from_slice(text.as_bytes()),
            Body::Json(map) => {
                let mut text = serde_json::to_string(map).unwrap_or_default();
                for (number, raw) in self.raw.iter().enumerate() {
                    text = text.replacen(&mark(number).to_string(), raw, 1);
                }
                text.into()
            }
        }
    }

    /// The answer as it is meant.
    pub(super) fn whole(&self) -> HttpResponse {
        self.builder().body(self.bytes())
    }
}

/// 429.
pub(super) fn too_many(seconds: u64) -> Answer {
    let body = serde_json::json!({"error": "temporarily_unavailable", "error_description": "too many requests"});
    Answer::json(429, body).with("Retry-After", seconds.to_string())
}

/// A page of HTML that says no more than its status.
pub(super) fn page(status: u16) -> Answer {
    let page = format!("<!doctype html><title>{status}</title><h1>Practice page {status}</h1><p>This is no JSON.");
    Answer::html(status, page)
}

/// What comes of a body that is not whole.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// The connection is closed.
    Closed,
    /// Nothing more comes.
    Silence,
}

/// A body that begins and goes wrong. What it begins with is on its way before that.
fn broken(begin: Bytes, ending: Ending) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(Some(begin), move |begin| async move {
        match begin {
            Some(begin) if !begin.is_empty() => Some((Ok(begin), Some(Bytes::new()))),
            Some(_) => {
                tokio::task::yield_now().await;
                if matches!(ending, Ending::Silence) {
                    tokio::time::sleep(NEVER).await;
                }
                Some((Err(io::Error::other("closed on purpose")), None))
            }
            None => None,
        }
    })
}

/// Closes the connection without a byte: the head of an answer is held back until its body has begun, and this one
/// fails before that.
pub(super) fn dropped() -> HttpResponse {
    let nothing = stream::iter([Err::<Bytes, _>(io::Error::other("closed on purpose"))]);
    HttpResponse::Ok().insert_header((header::CONNECTION, "close")).body(SizedStream::new(1, nothing))
}

/// A body that ends before the length that the head promises.
pub(super) fn cut(bytes: &Bytes) -> impl MessageBody + use<> {
    let begin = bytes.slice(..bytes.len().min(CUT_AFTER));
    SizedStream::new(bytes.len() as u64 + CUT_MORE, Box::pin(broken(begin, Ending::Closed)))
}

/// A head, some bytes, and then nothing more.
pub(super) fn unfinished() -> HttpResponse {
    let begin = Bytes::from_static(b"{\"access_token\":\"sim_at_");
    let stream = Box::pin(broken(begin, Ending::Silence));
    HttpResponse::Ok().content_type("application/json").body(SizedStream::new(1000, stream))
}

/// Ten million bytes that are JSON from the first to the last.
pub(super) fn big() -> HttpResponse {
    const CHUNK: &[u8] = &[b'a'; 50_000];
    const CHUNKS: usize = 200;
    let begin = Bytes::from_static(b"{\"token_type\":\"Bearer\",\"access_token\":\"sim_at_");
    let end = Bytes::from_static(b"\"}");
    let chunks = std::iter::once(begin)
        .chain(std::iter::repeat_n(Bytes::from_static(CHUNK), CHUNKS))
        .chain(std::iter::once(end))
        .map(Ok::<_, io::Error>);
    HttpResponse::Ok().content_type("application/json").streaming(stream::iter(chunks))
}

/// A decompression bomb (see `coding.rs`).
pub(super) fn bomb(bare: bool) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    if !bare {
        builder.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    builder.content_type("application/json").body(coding::bomb())
}

/// So many million bytes, none of which is kept.
pub(super) fn zeros(megabytes: u64) -> HttpResponse {
    const CHUNK: &[u8] = &[b'0'; 50_000];
    let chunks = usize::try_from(megabytes * 20).unwrap_or_default();
    let stream = stream::iter(std::iter::repeat_n(Bytes::from_static(CHUNK), chunks).map(Ok::<_, io::Error>));
    HttpResponse::Ok().content_type("application/octet-stream").body(SizedStream::new(megabytes * 1_000_000, stream))
}
