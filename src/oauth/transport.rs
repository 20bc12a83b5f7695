//! Requests on their way: sent once, to where they say, and an answer that comes back whole or not at all.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use zeroize::Zeroizing;

use super::{
    Engine, Whose, address, innermost,
    request::{Method, Request},
    wire::{RawAnswer, Sent},
};
use crate::domain::{Secret, Timestamp};

/// The most bytes of an answer.
const MOST: usize = 1024 * 1024;
/// A provider that wants to be left alone for longer is asked again all the same.
const MOST_WAITING: Duration = Duration::from_hours(24);

/// In a [`Sent::Unclear`]: no whole answer in time.
pub(super) const TIMEOUT: &str = "timeout";
/// In a [`Sent::Unclear`]: more than is read.
pub(super) const TOO_LARGE: &str = "too large";

impl Engine {
    /// Sends a request. `deadline` is for all of it, the last byte of the answer included; `now` is asked when that is
    /// here.
    pub(super) async fn send(&self, request: &Request, deadline: Duration, now: impl Fn() -> Timestamp) -> Sent {
        let prepared = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(why) => return Sent::NotSent(why),
        };
        let mut answer = match prepared.timeout(deadline).send().await {
            Ok(answer) => answer,
            Err(error) => return failed(error),
        };
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let mut body = Zeroizing::new(Vec::new());
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MOST => return Sent::Unclear(TOO_LARGE.to_owned()),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Sent::Unclear(told(error)),
            }
        }
        let received_at = now();
        let date = text(&headers, &DATE).and_then(http_date);
        Sent::Answered(RawAnswer {
            status,
            content_type: text(&headers, &CONTENT_TYPE).map(str::to_owned),
            date,
            retry_after: text(&headers, &RETRY_AFTER).and_then(|text| waiting(text, date.unwrap_or(received_at))),
            received_at,
            body: Secret::new(String::from_utf8_lossy(&body)),
        })
    }

    fn prepare(&self, request: &Request) -> Result<reqwest::RequestBuilder, String> {
        address::check(&request.url, self.allow_private).map_err(str::to_owned)?;
        let client = self.client(Whose::Provider).map_err(|error| error.to_string())?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = client
            .request(method, &request.url)
            .header(ACCEPT, "application/json")
            // What is packed may grow without end when it is unpacked.
            .header(ACCEPT_ENCODING, "identity");
        if let Some((name, value)) = &request.authorization {
            const NOT: &str = "a header cannot carry this";
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NOT)?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| NOT)?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        if let Some((media_type, body)) = request.body() {
            builder = builder.header(CONTENT_TYPE, media_type).body(body.expose().to_owned());
        } else if request.method == Method::Post {
            // Some answer 411 where a body is missing without a word.
            builder = builder.body("");
        }
        Ok(builder)
    }
}

/// Whether the provider can have seen a request whose answer did not begin. Name, route and TLS come before its first
/// byte; anything else may have come after.
fn failed(error: reqwest::Error) -> Sent {
    let before = error.is_builder() || error.is_connect();
    let why = told(error);
    if before { Sent::NotSent(why) } else { Sent::Unclear(why) }
}

fn told(error: reqwest::Error) -> String {
    if error.is_timeout() && !error.is_connect() { TIMEOUT.to_owned() } else { innermost(&error.without_url()) }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A date of RFC 9110 §5.6.7, in the form that everybody sends.
fn http_date(text: &str) -> Option<Timestamp> {
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp(at.as_millisecond()))
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date by the clock that also says what time it is `there`.
fn waiting(text: &str, there: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let seconds = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let wait = if seconds {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let ms = http_date(text)?.0.saturating_sub(there.0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    };
    Some(wait.min(MOST_WAITING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_an_end() {
        let there = http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        assert_eq!(there, Timestamp(784_111_777_000));
        for (text, wait) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("99999999999999999999999", Some(86400)),
            ("Sun, 06 Nov 2394 08:49:37 GMT", Some(86400)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(waiting(text, there), wait.map(Duration::from_secs), "{text}");
        }
    }
}
