//! Requests on their way: sent once, to where they say, and an answer that comes back whole or not at all.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::time::{Instant, sleep_until, timeout};
use zeroize::Zeroizing;

use super::{
    Engine, Whose, address,
    decode::{self, DecodeError},
    fields, http_date, innermost,
    request::{Method, Request},
    wire::{RawAnswer, Sent},
};
use crate::domain::{Secret, Timestamp};

/// Maximum size of the body of an answer, both as received and after decoding.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Maximum wait that a provider can ask for in `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);
/// The longest that a timer is late in a process that runs. A later one was stopped together with its process.
const MAX_TIMER_DELAY: Duration = Duration::from_secs(3);
/// Time for an answer to pass from the socket to its reader after the process was stopped.
const GRACE_AFTER_STOP: Duration = Duration::from_secs(1);
/// The error of hyper for too many header fields and for too many bytes of them.
const HEAD_TOO_LARGE: &str = "message head is too large";

/// In a [`Sent::Unclear`]: no whole answer in time.
pub(super) const TIMEOUT: &str = "timeout";
/// In a [`Sent::Unclear`]: more than is read.
pub(super) const TOO_LARGE: &str = "too large";
/// In a [`Sent::Unclear`]: compressed data that is corrupt or truncated.
pub(super) const UNDECODABLE: &str = "the content coding could not be decoded";
/// In a [`Sent::Unclear`], before the name of the coding: a content coding that is not supported.
pub(super) const UNSUPPORTED_CODING: &str = "unsupported content coding: ";
/// In a [`Sent::Unclear`]: the head of the answer exceeds the limits, [`super::MAX_HEADER_FIELDS`] among them.
pub(super) const TOO_MANY_HEADERS: &str = "more than 256 header fields, or more than 400 KiB of them";

impl Engine {
    /// Sends a request. `deadline` is for all of it, the last byte of the answer included; `now` is asked when that is
    /// here.
    pub(super) async fn send(&self, request: &Request, deadline: Duration, now: impl Fn() -> Timestamp) -> Sent {
        let prepared = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(why) => return Sent::NotSent(why),
        };
        let answer = within_deadline(deadline, exchange(prepared, now)).await;
        answer.unwrap_or_else(|| Sent::Unclear(TIMEOUT.to_owned()))
    }

    fn prepare(&self, request: &Request) -> Result<reqwest::RequestBuilder, String> {
        address::check(&request.url, self.allow_private).map_err(str::to_owned)?;
        let client = if request.is_repeatable { self.client(Whose::Provider) } else { self.single_use() };
        let client = client.map_err(|error| error.to_string())?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = client
            .request(method, &request.url)
            .header(ACCEPT, "application/json")
            // A preference only (RFC 9110 §12.5.3): see `decode`.
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

/// Sends a prepared request and reads the whole answer.
async fn exchange(request: reqwest::RequestBuilder, now: impl Fn() -> Timestamp) -> Sent {
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return failed(error),
    };
    let status = answer.status().as_u16();
    let headers = std::mem::take(answer.headers_mut());
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER_BYTES => {
                return Sent::Unclear(TOO_LARGE.to_owned());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Sent::Unclear(told(error)),
        }
    }
    let received_at = now();
    let body = match decode::complete_text(&headers, &body, MAX_ANSWER_BYTES) {
        Ok(body) => body,
        Err(DecodeError::TooLarge) => return Sent::Unclear(TOO_LARGE.to_owned()),
        // The status of a refusal has a meaning of its own, and so has `Retry-After` beside it.
        Err(_) if !(200..300).contains(&status) => Secret::new(""),
        Err(DecodeError::Unsupported(name)) => return Sent::Unclear(format!("{UNSUPPORTED_CODING}{name}")),
        Err(DecodeError::Corrupt) => return Sent::Unclear(UNDECODABLE.to_owned()),
    };
    let date = text(&headers, &DATE).and_then(|text| http_date::parse(text, received_at));
    Sent::Answered(RawAnswer {
        status,
        content_type: text(&headers, &CONTENT_TYPE).map(str::to_owned),
        date,
        retry_after: text(&headers, &RETRY_AFTER).and_then(|text| retry_after(text, date.unwrap_or(received_at))),
        received_at,
        body,
    })
}

/// Waits for `answer` for at most `deadline`; `None`: it did not come.
///
/// An answer that has arrived counts, however late the timer is looked at: a process that was stopped finds both the
/// answer and a timer that has expired.
pub(super) async fn within_deadline<T>(deadline: Duration, answer: impl Future<Output = T>) -> Option<T> {
    let due = Instant::now() + deadline;
    let mut answer = pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => Some(answer),
        () = sleep_until(due) => after_deadline(due, answer).await,
    }
}

/// Looks for `answer` once more after a timer that was `due` at this time has fired. If the timer is so late that the
/// process must have been stopped, the answer gets [`GRACE_AFTER_STOP`] to pass through the other tasks.
pub(super) async fn after_deadline<T>(due: Instant, answer: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let grace = if due.elapsed() > MAX_TIMER_DELAY { GRACE_AFTER_STOP } else { Duration::ZERO };
    // The task that reads the socket may have been woken by the same turn of the runtime, and goes first.
    tokio::task::yield_now().await;
    timeout(grace, answer).await.ok()
}

/// Whether the provider can have seen a request whose answer did not begin. Name, route and TLS come before its first
/// byte; anything else may have come after.
fn failed(error: reqwest::Error) -> Sent {
    let before = error.is_builder() || error.is_connect();
    let why = told(error);
    if before { Sent::NotSent(why) } else { Sent::Unclear(why) }
}

fn told(error: reqwest::Error) -> String {
    if error.is_timeout() && !error.is_connect() {
        return TIMEOUT.to_owned();
    }
    match innermost(&error.without_url()) {
        why if why == HEAD_TOO_LARGE => TOO_MANY_HEADERS.to_owned(),
        why => why,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Parses `Retry-After` (RFC 9110 §10.2.3): seconds, or a date by the provider's clock, which shows `now`. Fractions are
/// rounded up. A negative number and a date in the past are zero; the maximum is [`MAX_RETRY_AFTER`]. `None`:
/// neither a number nor a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = seconds(text).or_else(|| {
        let ms = http_date::parse(text, now)?.0.saturating_sub(now.0);
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    })?;
    Some(wait.min(MAX_RETRY_AFTER))
}

/// A number of seconds, with a sign or a fraction or without.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let seconds = fields::whole(text.parse::<f64>().ok()?.ceil());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::sync::oneshot;

    use super::*;

    /// 1994-11-06T08:49:37Z.
    const NOW: Timestamp = Timestamp(784_111_777_000);

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_maximum() {
        for (text, wait) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("120.5", Some(121)),
            ("120.0", Some(120)),
            ("0.001", Some(1)),
            (".5", Some(1)),
            ("+5", Some(5)),
            ("-1", Some(0)),
            ("-0.5", Some(0)),
            ("86399.5", Some(86400)),
            ("1000000000", Some(86400)),
            ("99999999999999999999999", Some(86400)),
            (&"9".repeat(400), Some(86400)),
            (&format!("-{}", "9".repeat(400)), Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:00:00 GMT", Some(0)),
            ("Sun Nov  6 08:00:00 1994", Some(0)),
            ("Sun, 06 Nov 2394 08:49:37 GMT", Some(86400)),
            ("soon", None),
            ("", None),
            (".", None),
            ("-", None),
            ("1.2.3", None),
            ("1e3", None),
            ("inf", None),
            ("NaN", None),
            ("infinity", None),
            ("120 seconds", None),
            ("--5", None),
        ] {
            assert_eq!(retry_after(text, NOW), wait.map(Duration::from_secs), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_retry_after_panics_or_exceeds_the_maximum(
            text in prop_oneof![any::<String>(), "[-+]?[0-9]{0,30}[.,]?[0-9]{0,30}", "[A-Z][a-z]{2}, [0-9: A-Za-z-]{20,30}"],
            now in any::<i64>(),
        ) {
            prop_assert!(retry_after(&text, Timestamp(now)).is_none_or(|wait| wait <= MAX_RETRY_AFTER));
        }

        #[test]
        fn every_number_of_seconds_is_rounded_up_and_limited(seconds in 0..200_000_u32, thousandths in 0..1000_u32) {
            let wait = retry_after(&format!("{seconds}.{thousandths:03}"), NOW);
            let whole = u64::from(seconds) + u64::from(thousandths > 0);
            prop_assert_eq!(wait, Some(Duration::from_secs(whole.min(86400))));
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
    }

    /// An answer that arrives this long after its request.
    async fn answer_after(delay: Duration) -> &'static str {
        tokio::time::sleep(delay).await;
        "answer"
    }

    #[test]
    fn an_answer_in_time_is_returned_and_a_missing_one_is_not_waited_for() {
        block_on(async {
            let (short, long) = (Duration::from_millis(20), Duration::from_mins(1));
            assert_eq!(within_deadline(long, answer_after(short)).await, Some("answer"));
            let begun = Instant::now();
            assert_eq!(within_deadline(short, answer_after(long)).await, None);
            assert!(begun.elapsed() < GRACE_AFTER_STOP, "no grace for a process that was not stopped");
            assert_eq!(within_deadline(Duration::ZERO, async { "answer" }).await, Some("answer"));
        });
    }

    #[test]
    fn an_answer_that_arrived_while_the_thread_was_blocked_counts() {
        block_on(async {
            // Both the answer and the timer are due when the thread runs again, and the answer comes by another task.
            for deadline in [5, 20, 60] {
                let (sender, receiver) = oneshot::channel();
                let waiting = within_deadline(Duration::from_millis(deadline), receiver);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    sender.send("answer").expect("still waited for");
                });
                let blocking = async {
                    tokio::task::yield_now().await;
                    std::thread::sleep(Duration::from_millis(120));
                };
                let (answer, ()) = tokio::join!(waiting, blocking);
                assert_eq!(answer, Some(Ok("answer")), "{deadline} ms");
            }
        });
    }

    #[test]
    fn a_timer_that_is_very_late_gives_the_answer_another_second() {
        block_on(async {
            let ago = |late: Duration| Instant::now().checked_sub(late).expect("the machine runs for longer");
            let soon = Duration::from_millis(200);
            let stopped = MAX_TIMER_DELAY + Duration::from_millis(10);
            assert_eq!(after_deadline(ago(stopped), pin!(answer_after(soon))).await, Some("answer"));
            assert_eq!(after_deadline(ago(Duration::from_secs(1)), pin!(answer_after(soon))).await, None);
            assert_eq!(after_deadline(ago(Duration::from_secs(1)), pin!(async { "answer" })).await, Some("answer"));
            let begun = Instant::now();
            assert_eq!(after_deadline(ago(stopped), pin!(answer_after(Duration::from_mins(1)))).await, None);
            assert!(begun.elapsed() < GRACE_AFTER_STOP * 2);
        });
    }
}
