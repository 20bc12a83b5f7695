//! What goes wrong on purpose: the words for it, and which request it befalls.
//!
//! A fault befalls a request either *before* it is processed (nothing has happened at the provider) or *after* (the
//! code is spent, the refresh token has changed, and the client does not get to know it properly).

use std::str::FromStr;

use serde_json::{Value, json};

use super::options::Unknown;

/// On which requests something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Every request to `/token`.
    Token,
    /// Refreshes at `/token`.
    Refresh,
    /// Codes at `/token`.
    Code,
    /// Polls of devices at `/token`.
    Device,
    /// Client credentials at `/token`.
    ClientCredentials,
    /// `/device_authorization`.
    DeviceAuthorization,
    /// `/revoke`.
    Revoke,
    /// `/introspect`.
    Introspect,
    /// `/userinfo`.
    Userinfo,
    /// The answer of `/authorize`: the way back to the client.
    Authorize,
    /// Everything below `/api`.
    Api,
    /// The two documents below `/.well-known`.
    Discovery,
}

impl On {
    const ALL: [(Self, &str); 12] = [
        (Self::Token, "token"),
        (Self::Refresh, "refresh"),
        (Self::Code, "code"),
        (Self::Device, "device"),
        (Self::ClientCredentials, "client_credentials"),
        (Self::DeviceAuthorization, "device_authorization"),
        (Self::Revoke, "revoke"),
        (Self::Introspect, "introspect"),
        (Self::Userinfo, "userinfo"),
        (Self::Authorize, "authorize"),
        (Self::Api, "api"),
        (Self::Discovery, "discovery"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(on, _)| *on == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for On {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text).map(|(on, _)| *on);
        found.ok_or_else(|| Unknown::new(format_args!("on: one of {}", Self::ALL.map(|(_, word)| word).join(", "))))
    }
}

/// On which side of the processing a fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing has happened at the provider.
    Before,
    /// Everything has.
    After,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It takes so many milliseconds.
    Slow(u64, When),
    /// No answer comes.
    Hang(When),
    /// The connection is closed without an answer.
    Drop(When),
    /// This status, and a page of HTML that says no more.
    Status(u16, When),
    /// The connection is closed in the middle of the answer, before the length that was promised.
    Truncate,
    /// A page of HTML with status 200.
    Html(When),
    /// Ten million bytes of JSON.
    Big(When),
    /// A head and some bytes, and then nothing more.
    NeverFinish(When),
    /// 429 and `Retry-After` with so many seconds. Not processed.
    RateLimit(u64),
    /// A redirect to `/elsewhere` with this status. Not processed.
    Redirect(u16),
    /// This error (RFC 6749 §5.2). Not processed.
    Error(String),
    /// The client's credentials are refused. Not processed.
    InvalidClient,
    /// `expires_in` is this JSON text.
    ExpiresIn(String),
    /// The answer has no refresh token; a refresh leaves the one there is as it is.
    NoRefreshToken,
    /// The answer tells this scope.
    Scope(String),
    /// The way back from `/authorize` names another issuer (RFC 9207).
    WrongIss,
    /// The `Date` header is off by so many seconds.
    Skew(i64),
}

/// A fault that lies on either side: the side → the fault.
type Sided = fn(When) -> Fault;

impl FromStr for Fault {
    type Err = Unknown;

    /// Reads a word such as `status_after:500`. A word that can lie on either side and does not say so lies before.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        let (word, argument) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        let (name, side) = if let Some(name) = word.strip_suffix("_after") {
            (name, Some(When::After))
        } else if let Some(name) = word.strip_suffix("_before") {
            (name, Some(When::Before))
        } else {
            (word, None)
        };
        let when = side.unwrap_or(When::Before);
        let unknown = || Unknown::new(format_args!("{text:?} is no fault; {WORDS}"));
        let number = |least: u64, most: u64| {
            let number = argument.and_then(|text| text.parse::<u64>().ok()).filter(|n| (least..=most).contains(n));
            number.ok_or_else(|| Unknown::new(format_args!("{word} needs a number from {least} to {most}: {word}:N")))
        };
        let plain: Option<Sided> = match name {
            "hang" => Some(Self::Hang),
            "drop" => Some(Self::Drop),
            "html" => Some(Self::Html),
            "big" => Some(Self::Big),
            "never_finish" => Some(Self::NeverFinish),
            _ => None,
        };
        match (name, argument) {
            ("slow", _) => Ok(Self::Slow(number(0, 600_000)?, when)),
            ("status", _) => Ok(Self::Status(u16::try_from(number(200, 599)?).unwrap_or(500), when)),
            ("truncate", None) if side != Some(When::Before) => Ok(Self::Truncate),
            (_, None) if plain.is_some() => plain.map(|fault| fault(when)).ok_or_else(unknown),
            _ if side.is_some() => Err(unknown()),
            ("rate_limit", _) => Ok(Self::RateLimit(number(0, 1_000_000)?)),
            ("redirect", None) => Ok(Self::Redirect(302)),
            ("redirect", Some(_)) => Ok(Self::Redirect(u16::try_from(number(301, 308)?).unwrap_or(302))),
            ("error", Some(code)) if is_error_code(code) => Ok(Self::Error(code.to_owned())),
            ("error", _) => Err(Unknown::new("error needs a code: error:invalid_grant")),
            ("invalid_client", None) => Ok(Self::InvalidClient),
            ("expires_in", Some(json)) if json.len() <= 100 && is_json(json) => Ok(Self::ExpiresIn(json.to_owned())),
            ("expires_in", _) => Err(Unknown::new("expires_in needs a JSON value: expires_in:\"3600\"")),
            ("no_refresh_token", None) => Ok(Self::NoRefreshToken),
            ("scope", Some(scope)) if scope.len() <= 1000 => Ok(Self::Scope(scope.to_owned())),
            ("wrong_iss", None) => Ok(Self::WrongIss),
            ("skew", Some(seconds)) => {
                let seconds = seconds.parse::<i64>().ok().filter(|s| s.unsigned_abs() <= 10_000_000_000);
                seconds.map(Self::Skew).ok_or_else(|| Unknown::new("skew needs a number of seconds: skew:-86400"))
            }
            _ => Err(unknown()),
        }
    }
}

const WORDS: &str = "there are slow:MS, hang, drop, status:CODE, html, big, never_finish (each also with _before or \
    _after at the end of the word), truncate_after, rate_limit:SECONDS, redirect[:STATUS], error:CODE, invalid_client, \
    expires_in:JSON, no_refresh_token, scope:TEXT, wrong_iss, skew:SECONDS";

fn is_error_code(code: &str) -> bool {
    (1..=100).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Whether it is one JSON value. Numbers that nobody can count with (1e999) are among them.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Faults, and which requests they befall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The kind of request.
    pub on: On,
    /// What goes wrong, all of it on the same request.
    pub faults: Vec<Fault>,
    /// How many requests go wrong; `None`: every one.
    pub times: Option<u64>,
    /// How many requests go well before that.
    pub skip: u64,
    /// The words, to be shown.
    words: Vec<String>,
}

/// More faults than these on one request mean nothing.
const MOST_WORDS: usize = 10;

impl Rule {
    /// A rule from words.
    pub fn new(on: On, words: &[&str], times: Option<u64>, skip: u64) -> Result<Self, Unknown> {
        if words.is_empty() || words.len() > MOST_WORDS {
            return Err(Unknown::new(format_args!("fault: 1 to {MOST_WORDS} words")));
        }
        let faults = words.iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
        Ok(Self { on, faults, times, skip, words: words.iter().map(ToString::to_string).collect() })
    }

    /// How it is shown.
    pub(super) fn shown(&self) -> Value {
        json!({"on": self.on.word(), "fault": self.words, "times": self.times, "skip": self.skip})
    }
}

impl FromStr for Rule {
    type Err = Unknown;

    /// Reads what stands on the command line, `[ON=]FAULT`: every request from the start, to the token endpoint where
    /// nothing else is said.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        // An equals sign behind a colon belongs to the fault.
        match text.split_once('=').filter(|(on, _)| !on.contains(':')) {
            Some((on, fault)) => Self::new(on.parse()?, &[fault], None, 0),
            None => Self::new(On::Token, &[text], None, 0),
        }
    }
}

/// The faults that befall the next request of one of these kinds, which uses them up: those of the first rule that
/// fits. A rule that lets requests pass first counts this one and stands back.
pub(super) fn take(rules: &mut Vec<Rule>, on: &[On]) -> Vec<Fault> {
    for at in 0..rules.len() {
        let Some(rule) = rules.get_mut(at).filter(|rule| on.contains(&rule.on)) else { continue };
        if rule.skip > 0 {
            rule.skip -= 1;
            continue;
        }
        let faults = rule.faults.clone();
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                rules.remove(at);
            }
        }
        return faults;
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(word: &str) -> Fault {
        word.parse().unwrap_or_else(|error| panic!("{word}: {error}"))
    }

    #[test]
    fn words_are_read() {
        assert_eq!(fault("slow:200"), Fault::Slow(200, When::Before));
        assert_eq!(fault("slow_after:200"), Fault::Slow(200, When::After));
        assert_eq!(fault("drop_before"), Fault::Drop(When::Before));
        assert_eq!(fault("drop_after"), Fault::Drop(When::After));
        assert_eq!(fault("hang"), Fault::Hang(When::Before));
        assert_eq!(fault("status_after:500"), Fault::Status(500, When::After));
        assert_eq!(fault("truncate_after"), Fault::Truncate);
        assert_eq!(fault("redirect"), Fault::Redirect(302));
        assert_eq!(fault("error:invalid_grant"), Fault::Error("invalid_grant".to_owned()));
        assert_eq!(fault("skew:-86400"), Fault::Skew(-86_400));
        for json in ["\"3600\"", "-1", "1e99", "1e999", "null", "\"abc\"", "{\"a\":[1]}"] {
            assert_eq!(fault(&format!("expires_in:{json}")), Fault::ExpiresIn(json.to_owned()));
        }
        for bad in [
            "",
            "slow",
            "slow:",
            "slow:x",
            "hang:1",
            "status:99",
            "truncate_before",
            "error:",
            "error:A B",
            "expires_in:abc",
            "expires_in:1 2",
            "wrong_iss_after",
            "skew:",
            "redirect:200",
            "wrong",
        ] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_of_the_command_line_is_for_the_token_endpoint_unless_it_says_more() {
        let rule = |text: &str| text.parse::<Rule>().map(|rule| (rule.on, rule.faults));
        assert_eq!(rule("hang"), Ok((On::Token, vec![Fault::Hang(When::Before)])));
        assert_eq!(rule("api=slow:5"), Ok((On::Api, vec![Fault::Slow(5, When::Before)])));
        assert_eq!(rule("scope:a=b"), Ok((On::Token, vec![Fault::Scope("a=b".to_owned())])));
        assert!(rule("nothing=hang").is_err());
    }

    #[test]
    fn rules_befall_requests_in_their_order_and_are_used_up() {
        let new = |on, word, times, skip| Rule::new(on, &[word], times, skip).expect("a rule");
        let mut rules = vec![
            new(On::Refresh, "drop_after", Some(1), 1),
            new(On::Token, "html", Some(2), 0),
            new(On::Api, "hang", None, 0),
        ];
        let mut next = |on: &[On]| take(&mut rules, on);
        let refresh = [On::Token, On::Refresh];
        assert_eq!(next(&refresh), [Fault::Html(When::Before)], "the first rule lets one pass");
        assert_eq!(next(&refresh), [Fault::Drop(When::After)]);
        assert_eq!(next(&[On::Token, On::Code]), [Fault::Html(When::Before)]);
        assert_eq!(next(&refresh), []);
        for _ in 0..3 {
            assert_eq!(next(&[On::Api]), [Fault::Hang(When::Before)]);
        }
    }
}
