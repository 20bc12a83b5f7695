//! Requests of others, passed on to a provider's API with the token put in (RFC 9110 §7.6: we are a gateway).
//!
//! Bodies are passed on as they come, either way, and never kept: a part that nobody takes holds up the next one. There is
//! no limit on how long they are, only on how long nothing may happen. No redirect is followed: one that stays below the
//! API's address is handed back, any other is refused, as it would lead the caller past us, or the token away.

mod headers;
mod target;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION, TRANSFER_ENCODING};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

pub use headers::Headers;
pub use target::Target;

use super::{
    Engine, address,
    catalogue::Resolved,
    innermost,
    transport::{after_deadline, within_deadline},
};
use crate::domain::{Error, Result, Secret, proxy::NotPassed};

/// So many parts of a body wait between two that pass it on.
const PARTS: usize = 2;

/// A request without its body.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method.
    pub method: String,
    /// The fields, as they came.
    pub headers: Headers,
}

impl Head {
    /// Turns down what is not passed on, whatever the provider: before anybody fetches a token for it.
    pub fn check(&self, path: &str) -> Result<(), NotPassed> {
        target::check_path(path)?;
        headers::onward(&self.headers).map(drop)
    }
}

/// The body of a request, as it comes.
#[derive(Debug)]
pub struct Body {
    /// How many bytes it has, where that was said.
    pub length: Option<u64>,
    /// Its parts. It is whole when the sender is gone without an error.
    pub parts: mpsc::Receiver<Result<Bytes, Cut>>,
}

/// A body ended before it was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body ended before it was whole")]
pub struct Cut;

/// A way for a body, from whoever has it to whoever takes it.
#[expect(clippy::type_complexity, reason = "two ends of one thing")]
pub fn body_way() -> (mpsc::Sender<Result<Bytes, Cut>>, mpsc::Receiver<Result<Bytes, Cut>>) {
    mpsc::channel(PARTS)
}

/// The answer of an API: its head is here, its body is on its way.
#[derive(Debug)]
pub struct Answer {
    response: reqwest::Response,
    target: Target,
}

impl Engine {
    /// Passes a request on, with the token put in as the provider's API takes it. `idle`: how long nothing may happen.
    ///
    /// Without a body it can be sent again; a body is spent.
    pub async fn forward(
        &self,
        provider: &Resolved,
        token: &Secret,
        target: &Target,
        head: &Head,
        body: Option<Body>,
        idle: Duration,
    ) -> Result<Answer> {
        let inside = address::check(target.url().as_str(), self.allow_private).is_err();
        if inside {
            return Err(NotPassed::Inside.into());
        }
        let mut headers = headers::onward(&head.headers)?;
        let (name, value) = provider.token_header(None, token);
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| Error::internal("a token's header has no name"))?;
        let mut value =
            HeaderValue::from_str(value.expose()).map_err(|_| Error::internal("a token that fits no header"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
        let method = reqwest::Method::from_bytes(head.method.as_bytes()).map_err(|_| Error::internal("no method"))?;
        let mut request = self.forwarding()?.request(method, target.url().clone());
        let watch = Arc::new(Watch::new());
        if let Some(body) = body {
            match body.length {
                Some(length) => headers.insert(CONTENT_LENGTH, HeaderValue::from(length)),
                // Without it a GET would have none.
                None => headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
            };
            request = request.body(reqwest::Body::wrap_stream(watched(body.parts, Arc::clone(&watch), idle)));
        }
        let sending = request.headers(headers).send();
        tokio::pin!(sending);
        let answer = loop {
            let until = watch.last() + idle;
            tokio::select! {
                biased;
                answer = &mut sending => break answer,
                () = sleep_until(until) => {
                    if let Some(answer) = after_deadline(until, sending.as_mut()).await {
                        break answer;
                    }
                    // While the body is on its way, the API need not say anything.
                    if watch.last() + idle <= Instant::now() {
                        return Err(NotPassed::Timeout.into());
                    }
                },
            }
        };
        let response = answer.map_err(|error| watch.fault().unwrap_or_else(|| failed(error)))?;
        if response.status() == reqwest::StatusCode::SWITCHING_PROTOCOLS {
            return Err(NotPassed::Broken("it changes the protocol unasked".to_owned()).into());
        }
        Ok(Answer { response, target: target.clone() })
    }
}

fn failed(error: reqwest::Error) -> NotPassed {
    let (connect, timeout) = (error.is_connect(), error.is_timeout());
    let what = innermost(&error.without_url());
    match (connect, timeout) {
        (true, _) if what == address::PRIVATE => NotPassed::Inside,
        (true, true) => NotPassed::Unreachable("no connection in time".to_owned()),
        (true, false) => NotPassed::Unreachable(what),
        (false, _) => NotPassed::Broken(what),
    }
}

/// What is seen of a body on its way to the provider.
struct Watch {
    last: Mutex<Instant>,
    fault: AtomicU8,
}

const CUT: u8 = 1;
const SLOW: u8 = 2;

impl Watch {
    fn new() -> Self {
        Self { last: Mutex::new(Instant::now()), fault: AtomicU8::new(0) }
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moves(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn fault(&self) -> Option<NotPassed> {
        match self.fault.load(Ordering::Relaxed) {
            CUT => Some(NotPassed::BodyCut),
            SLOW => Some(NotPassed::BodyTimeout),
            _ => None,
        }
    }

    fn fails(&self, fault: u8) -> Cut {
        self.fault.store(fault, Ordering::Relaxed);
        Cut
    }
}

/// The parts of a body as the provider takes them. Time runs only while it waits for the next one.
fn watched(
    parts: mpsc::Receiver<Result<Bytes, Cut>>,
    watch: Arc<Watch>,
    idle: Duration,
) -> impl Stream<Item = Result<Bytes, Cut>> + Send + 'static {
    stream::unfold(Some((parts, watch)), move |open| async move {
        let (mut parts, watch) = open?;
        let part = within_deadline(idle, parts.recv()).await;
        watch.moves();
        match part {
            Some(Some(Ok(bytes))) => Some((Ok(bytes), Some((parts, watch)))),
            Some(Some(Err(Cut))) => Some((Err(watch.fails(CUT)), None)),
            Some(None) => None,
            None => Some((Err(watch.fails(SLOW)), None)),
        }
    })
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// How many bytes its body has, or would have; `None`: nobody says.
    pub fn length(&self) -> Option<u64> {
        self.response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Its fields as the caller gets them. `below` is where the API's address is to be found here (`/proxy/7`): a `Location`
    /// below the API's address becomes one below that. A redirect to anywhere else is refused.
    pub fn headers(&self, below: &str) -> Result<Headers, NotPassed> {
        let mut headers = headers::back(self.response.headers());
        for location in self.response.headers().get_all(LOCATION) {
            let text = location.to_str().ok();
            match text.and_then(|text| self.target.located(text)) {
                Some(rest) => headers.push(("location".to_owned(), format!("{below}{rest}").into_bytes())),
                None if self.response.status().is_redirection() => return Err(NotPassed::Elsewhere),
                // Nobody goes there by itself.
                None => headers.push(("location".to_owned(), location.as_bytes().to_vec())),
            }
        }
        Ok(headers)
    }

    /// Its body, as it comes; `keep` is held until it has ended, one way or the other. A caller that takes no part of it for
    /// `idle` loses it, and so does one that goes away.
    pub fn into_parts(mut self, idle: Duration, keep: impl Send + 'static) -> mpsc::Receiver<Result<Bytes, Cut>> {
        let (way, parts) = body_way();
        tokio::spawn(async move {
            let _keep = keep;
            loop {
                let next = tokio::select! {
                    biased;
                    () = way.closed() => return,
                    next = within_deadline(idle, self.response.chunk()) => next,
                };
                let (part, last) = match next {
                    Some(Ok(Some(bytes))) => (Ok(bytes), false),
                    Some(Ok(None)) => return,
                    // It broke off, or has nothing to say any more.
                    Some(Err(_)) | None => (Err(Cut), true),
                };
                if !matches!(within_deadline(idle, way.send(part)).await, Some(Ok(()))) || last {
                    return;
                }
            }
        });
        parts
    }
}
