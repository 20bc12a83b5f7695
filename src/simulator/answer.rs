//! Answers, whole and broken.

use std::{io, time::Duration};

use actix_web::{
    HttpResponse,
    body::SizedStream,
    http::{StatusCode, header},
};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::{
    faults::{Fault, When},
    refusal::Refusal,
    state::Shared,
};

/// After so long what never answers closes the connection: nobody waits longer, and it would be kept for ever.
const NEVER: Duration = Duration::from_mins(10);
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
    /// A field of a JSON object and the text of its value, which may be none that a program can hold.
    raw: Option<(&'static str, String)>,
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum Body {
    Nothing,
    Json(Map<String, Value>),
    Html(String),
}

impl Answer {
    /// A JSON object; any other value is wrapped in none and must not come here.
    pub(super) fn json(status: u16, value: Value) -> Self {
        let map = match value {
            Value::Object(map) => map,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Self { status, headers: Vec::new(), body: Body::Json(map), raw: None }
    }

    /// A page.
    pub(super) fn html(status: u16, page: String) -> Self {
        Self { status, headers: Vec::new(), body: Body::Html(page), raw: None }
    }

    /// A status and nothing more.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Nothing, raw: None }
    }

    /// The same with one more header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Whether tokens are handed out.
    fn has_tokens(&self) -> bool {
        let Body::Json(map) = &self.body else { return false };
        map.contains_key("access_token") || map.contains_key("authed_user")
    }

    fn builder(&self) -> actix_web::HttpResponseBuilder {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut builder = HttpResponse::build(status);
        builder.insert_header((header::CACHE_CONTROL, "no-store"));
        for (name, value) in &self.headers {
            builder.append_header((*name, value.as_str()));
        }
        match self.body {
            Body::Nothing => {}
            Body::Json(_) => drop(builder.content_type("application/json")),
            Body::Html(_) => drop(builder.content_type("text/html; charset=utf-8")),
        }
        builder
    }

    fn bytes(&self) -> Bytes {
        match &self.body {
            Body::Nothing => Bytes::new(),
            Body::Html(page) => Bytes::copy_from_slice(page.as_bytes()),
            Body::Json(map) => {
                let mut text = serde_json::to_string(map).unwrap_or_default();
                if let Some((field, raw)) = &self.raw {
                    text.pop();
                    let comma = if map.is_empty() { "" } else { "," };
                    text = format!("{text}{comma}\"{field}\":{raw}}}");
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

/// What befalls one request.
#[derive(Debug, Default)]
pub(super) struct Plan(pub Vec<Fault>);

impl Plan {
    /// Whether the refresh token is to be left out of the answer.
    pub(super) fn keeps_refresh_token(&self) -> bool {
        self.0.contains(&Fault::NoRefreshToken)
    }

    /// Whether the way back names another issuer.
    pub(super) fn names_wrong_issuer(&self) -> bool {
        self.0.contains(&Fault::WrongIss)
    }

    /// The error that an authorization is to end with.
    pub(super) fn error(&self) -> Option<&str> {
        self.0.iter().find_map(|fault| if let Fault::Error(code) = fault { Some(code.as_str()) } else { None })
    }

    /// What happens before the request is processed; an answer instead of that, if there is to be one.
    pub(super) async fn before(&self, shared: &Shared) -> Option<HttpResponse> {
        let like = shared.options.like;
        for fault in &self.0 {
            match fault {
                Fault::RateLimit(seconds) => return Some(too_many(*seconds).whole()),
                Fault::Redirect(status) => {
                    let to = format!("{}/elsewhere", shared.url);
                    return Some(Answer::empty(*status).with("Location", to).whole());
                }
                Fault::Error(code) => return Some(Refusal::Wanted(code.clone()).answer(like).whole()),
                Fault::InvalidClient => return Some(Refusal::BadSecret { basic: false }.answer(like).whole()),
                _ => {
                    if let Some(answer) = disturb(fault, When::Before).await {
                        return Some(answer);
                    }
                }
            }
        }
        None
    }

    /// The answer to a request that has been processed.
    pub(super) async fn after(&self, mut answer: Answer) -> HttpResponse {
        if answer.has_tokens() {
            for fault in &self.0 {
                let Body::Json(map) = &mut answer.body else { break };
                match fault {
                    Fault::ExpiresIn(json) => {
                        map.remove("expires_in");
                        answer.raw = Some(("expires_in", json.clone()));
                    }
                    Fault::Scope(scope) => drop(map.insert("scope".to_owned(), scope.as_str().into())),
                    _ => {}
                }
            }
        }
        for fault in &self.0 {
            if *fault == Fault::Truncate {
                return truncated(&answer);
            }
            if let Some(instead) = disturb(fault, When::After).await {
                return instead;
            }
        }
        answer.whole()
    }

    /// Puts the clock of the answer wrong.
    pub(super) fn skew(&self, response: &mut HttpResponse) {
        let Some(seconds) =
            self.0.iter().find_map(|fault| if let Fault::Skew(seconds) = fault { Some(*seconds) } else { None })
        else {
            return;
        };
        let Ok(at) = jiff::Timestamp::now().checked_add(SignedDuration::from_secs(seconds)) else { return };
        let date = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(date) = header::HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
    }
}

/// 429.
pub(super) fn too_many(seconds: u64) -> Answer {
    let body = serde_json::json!({"error": "temporarily_unavailable", "error_description": "too many requests"});
    Answer::json(429, body).with("Retry-After", seconds.to_string())
}

/// What a fault on this side of the processing does: it takes time, or answers instead.
async fn disturb(fault: &Fault, side: When) -> Option<HttpResponse> {
    match fault {
        Fault::Slow(ms, when) if *when == side => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            None
        }
        Fault::Hang(when) if *when == side => {
            tokio::time::sleep(NEVER).await;
            Some(dropped())
        }
        Fault::Drop(when) if *when == side => Some(dropped()),
        Fault::Status(status, when) if *when == side => Some(page(*status).whole()),
        Fault::Html(when) if *when == side => Some(page(200).whole()),
        Fault::Big(when) if *when == side => Some(big()),
        Fault::NeverFinish(when) if *when == side => Some(unfinished()),
        _ => None,
    }
}

fn page(status: u16) -> Answer {
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
fn dropped() -> HttpResponse {
    let nothing = stream::iter([Err::<Bytes, _>(io::Error::other("closed on purpose"))]);
    HttpResponse::Ok().insert_header((header::CONNECTION, "close")).body(SizedStream::new(1, nothing))
}

fn truncated(answer: &Answer) -> HttpResponse {
    let bytes = answer.bytes();
    let begin = bytes.slice(..bytes.len().min(CUT_AFTER));
    let said = bytes.len() as u64 + CUT_MORE;
    answer.builder().body(SizedStream::new(said, Box::pin(broken(begin, Ending::Closed))))
}

fn unfinished() -> HttpResponse {
    let begin = Bytes::from_static(b"{\"access_token\":\"sim_at_");
    let stream = Box::pin(broken(begin, Ending::Silence));
    HttpResponse::Ok().content_type("application/json").body(SizedStream::new(1000, stream))
}

/// Ten million bytes that are JSON from the first to the last.
fn big() -> HttpResponse {
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

/// So many million bytes, none of which is kept.
pub(super) fn zeros(megabytes: u64) -> HttpResponse {
    const CHUNK: &[u8] = &[b'0'; 50_000];
    let chunks = usize::try_from(megabytes * 20).unwrap_or_default();
    let stream = stream::iter(std::iter::repeat_n(Bytes::from_static(CHUNK), chunks).map(Ok::<_, io::Error>));
    HttpResponse::Ok().content_type("application/octet-stream").body(SizedStream::new(megabytes * 1_000_000, stream))
}
