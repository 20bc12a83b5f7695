//! The fault words: how each is written, on which requests it has an effect, and what its argument means.

use std::{fmt::Write as _, str::FromStr};

use super::{
    coding::{Coding, EchoForm},
    faults::{Fault, Field, FieldValue, HeaderField, On, When},
    options::Unknown,
};

/// Maximum length of a text in a fault, in bytes.
const MAX_TEXT: usize = 1000;
/// Maximum length of a JSON value in a fault, in bytes.
const MAX_JSON: usize = 100;
/// Maximum length of a body in a fault, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// Maximum offset from now in a fault, in seconds.
const MAX_OFFSET_S: u64 = 10_000_000_000;
/// Maximum number of extra header fields.
const MAX_HEADERS: u16 = 10_000;

/// One fault word.
#[derive(Debug)]
pub struct Word {
    /// The word without its argument.
    pub name: &'static str,
    /// How the argument is written; empty: the word takes none.
    pub argument: &'static str,
    /// On which side of the processing it may lie.
    sides: Sides,
    /// The kinds of request on which it has an effect.
    pub(super) on: &'static [On],
    /// What happens.
    pub effect: &'static str,
}

/// The sides of the processing on which a fault may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sides {
    /// There is only one way; the word takes no suffix.
    Fixed,
    /// Before it (the word alone, or with `_before`) or after it (`_after`).
    Both,
    /// After it only (`_after`).
    After,
}

const EVERY: &[On] = &[
    On::Token,
    On::Refresh,
    On::Code,
    On::Device,
    On::ClientCredentials,
    On::DeviceAuthorization,
    On::Revoke,
    On::Introspect,
    On::Userinfo,
    On::Authorize,
    On::Api,
    On::Discovery,
    On::Jwks,
];
/// Answers with tokens.
const TOKENS: &[On] = &[On::Token, On::Refresh, On::Code, On::Device, On::ClientCredentials];
/// Answers with a lifetime.
const LIFETIMES: &[On] =
    &[On::Token, On::Refresh, On::Code, On::Device, On::ClientCredentials, On::DeviceAuthorization];
/// Requests of clients that show their credentials.
const CLIENTS: &[On] = &[
    On::Token,
    On::Refresh,
    On::Code,
    On::Device,
    On::ClientCredentials,
    On::DeviceAuthorization,
    On::Revoke,
    On::Introspect,
];
/// Requests that carry a value which an error can repeat.
const ECHOES: &[On] = &[
    On::Token,
    On::Refresh,
    On::Code,
    On::Device,
    On::ClientCredentials,
    On::DeviceAuthorization,
    On::Revoke,
    On::Introspect,
    On::Authorize,
];

const fn word(
    name: &'static str,
    argument: &'static str,
    sides: Sides,
    on: &'static [On],
    effect: &'static str,
) -> Word {
    Word { name, argument, sides, on, effect }
}

/// All fault words.
#[rustfmt::skip]
pub const WORDS: &[Word] = &[
    word("slow", ":MS", Sides::Both, EVERY, "the answer is delayed by MS milliseconds"),
    word("hang", "", Sides::Both, EVERY, "no answer ever comes"),
    word("drop", "", Sides::Both, EVERY, "the connection is closed without an answer"),
    word("status", ":STATUS", Sides::Both, EVERY, "this status with an HTML page"),
    word("html", "", Sides::Both, EVERY, "an HTML page with status 200"),
    word("answer", ":STATUS[:BODY]", Sides::Both, EVERY,
        "this status with this body: application/json if it is JSON, otherwise text/plain"),
    word("big", "", Sides::Both, EVERY, "ten million bytes of JSON"),
    word("bomb", "", Sides::Both, EVERY, "a gzip body of 130 kB that expands to 128 MiB of JSON"),
    word("bare_bomb", "", Sides::Both, EVERY, "the bomb without a Content-Encoding header field"),
    word("never_finish", "", Sides::Both, EVERY, "a head and some bytes, then nothing"),
    word("truncate", "", Sides::After, EVERY, "the request is processed; the answer ends before its Content-Length"),
    word("reset_reused", "", Sides::Fixed, EVERY, "a request that is not the first on its TCP connection is reset"),
    word("rate_limit", ":SECONDS", Sides::Fixed, EVERY, "429 with Retry-After"),
    word("redirect", "[:STATUS]", Sides::Fixed, EVERY, "a redirect to /elsewhere, which looks like success"),
    word("error", ":CODE", Sides::Fixed, EVERY, "this OAuth error; from authorize it goes to the redirect URI"),
    word("invalid_client", "", Sides::Fixed, CLIENTS, "the client credentials are rejected"),
    word("echo", ":FORM[:NAME]", Sides::Fixed, ECHOES,
        "an error whose description repeats the credential, or the parameter NAME, \
         as plain, cut, percent, percent_lower, json, html or base64"),
    word("expires_in", ":JSON", Sides::Fixed, LIFETIMES, "this value of expires_in"),
    word("no_expires_in", "", Sides::Fixed, LIFETIMES, "no expires_in"),
    word("expires_at", ":VALUE", Sides::Fixed, TOKENS,
        "expires_at: a JSON value, +SECONDS or -SECONDS from now, or rfc3339:+SECONDS"),
    word("refresh_expires_in", ":JSON", Sides::Fixed, TOKENS, "this lifetime of the refresh token"),
    word("interval", ":JSON", Sides::Fixed, &[On::DeviceAuthorization], "this value of interval"),
    word("no_interval", "", Sides::Fixed, &[On::DeviceAuthorization], "no interval"),
    word("token_type", ":TEXT", Sides::Fixed, TOKENS, "this token_type"),
    word("numeric_token", "", Sides::Fixed, TOKENS, "access_token is a JSON number, which works"),
    word("no_refresh_token", "", Sides::Fixed, TOKENS, "no refresh_token; a refresh does not rotate"),
    word("scope", ":TEXT", Sides::Fixed, TOKENS, "this scope"),
    word("no_scope", "", Sides::Fixed, TOKENS, "no scope"),
    word("needs_scope", "", Sides::Fixed, &[On::Token, On::Refresh], "a refresh without scope is an invalid_request"),
    word("refuses_scope", "", Sides::Fixed, &[On::Token, On::Refresh], "a refresh with scope is an invalid_scope"),
    word("retry_after", ":TEXT", Sides::Fixed, EVERY, "this Retry-After header field"),
    word("www_authenticate", ":TEXT", Sides::Fixed, EVERY, "this WWW-Authenticate header field"),
    word("type", ":MEDIATYPE", Sides::Fixed, EVERY, "this Content-Type header field"),
    word("date", ":TEXT", Sides::Fixed, EVERY, "this Date header field"),
    word("skew", ":SECONDS", Sides::Fixed, EVERY, "the Date header field is wrong by SECONDS"),
    word("many_headers", ":N", Sides::Fixed, EVERY, "N additional header fields"),
    word("encoding", ":CODINGS", Sides::Fixed, EVERY,
        "the body is encoded: gzip, x-gzip, deflate, deflate-raw, br, or a list such as gzip,gzip"),
    word("bare_encoding", ":CODINGS", Sides::Fixed, EVERY, "the body is encoded, without a Content-Encoding header field"),
    word("utf16", "", Sides::Fixed, EVERY, "the body is UTF-16, low byte first, with a byte order mark"),
    word("utf16be", "", Sides::Fixed, EVERY, "the body is UTF-16, high byte first, with a byte order mark"),
    word("expired_status", ":STATUS", Sides::Fixed, &[On::Userinfo, On::Api],
        "a bad access token is answered with this status in place of 401"),
    word("wrong_iss", "", Sides::Fixed, &[On::Authorize], "the way back names another issuer"),
    word("back", ":QUERY", Sides::Fixed, &[On::Authorize],
        "the way back brings these parameters and state, without a code"),
];

impl Word {
    /// How it is written, with its argument.
    fn form(&self) -> String {
        let suffix = if self.sides == Sides::After { "_after" } else { "" };
        format!("{}{suffix}{}", self.name, self.argument)
    }

    /// How it is written, with the suffix and the argument that it may have: `slow[_after]:MS`.
    pub fn usage(&self) -> String {
        match self.sides {
            Sides::Both => format!("{}[_after]{}", self.name, self.argument),
            Sides::Fixed | Sides::After => self.form(),
        }
    }

    /// The kinds of request on which it has an effect: `every`, or a list in which `/token` stands for all of
    /// `TOKENS`.
    pub fn endpoints(&self) -> String {
        if self.on.len() == EVERY.len() {
            return "every".to_owned();
        }
        let all = self.on.starts_with(TOKENS);
        let rest = if all { &self.on[TOKENS.len()..] } else { self.on };
        let first = all.then_some("/token");
        first.into_iter().chain(rest.iter().map(|on| on.word())).collect::<Vec<_>>().join(", ")
    }

    /// The kinds of request on which it has an effect.
    pub(super) fn kinds(&self) -> String {
        kinds(self.on)
    }

    /// The word that a text begins with, and the side that it names.
    pub(super) fn find(written: &str) -> Result<(&'static Self, Option<When>), Unknown> {
        let named = |name: &str| WORDS.iter().find(|word| word.name == name);
        if let Some(word) = named(written) {
            return Ok((word, None));
        }
        let sides = [("_before", When::Before), ("_after", When::After)];
        let found = sides.iter().find_map(|(suffix, when)| Some((named(written.strip_suffix(suffix)?)?, *when)));
        match found {
            Some((word, when)) if word.sides == Sides::Both || (word.sides == Sides::After && when == When::After) => {
                Ok((word, Some(when)))
            }
            Some((word, _)) => Err(Unknown::new(format_args!("{written:?} is not a fault; write {}", word.form()))),
            None => {
                let words: Vec<_> = WORDS.iter().map(Self::form).collect();
                let written: String = written.chars().take(100).collect();
                Err(Unknown::new(format_args!("unknown fault {written:?}; faults: {}", words.join(", "))))
            }
        }
    }

    /// Why its argument is not understood.
    fn needs(&self, what: impl std::fmt::Display) -> Unknown {
        Unknown::new(format_args!("{} needs {what}: {}", self.name, self.form()))
    }

    fn number(&self, text: &str, least: u64, most: u64) -> Result<u64, Unknown> {
        let number = text.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| self.needs(format_args!("a number from {least} to {most}")))
    }

    fn small(&self, text: &str, least: u64, most: u16) -> Result<u16, Unknown> {
        self.number(text, least, most.into()).map(|number| u16::try_from(number).unwrap_or(most))
    }

    fn json(&self, text: &str) -> Result<FieldValue, Unknown> {
        if text.len() <= MAX_JSON && is_json(text) {
            return Ok(FieldValue::Json(text.to_owned()));
        }
        Err(self.needs(format_args!("a JSON value of at most {MAX_JSON} bytes")))
    }

    fn text(&self, text: &str) -> Result<FieldValue, Unknown> {
        if text.len() <= MAX_TEXT {
            return Ok(FieldValue::Json(serde_json::Value::from(text).to_string()));
        }
        Err(self.needs(format_args!("a text of at most {MAX_TEXT} bytes")))
    }

    /// A text that may stand in a header field (RFC 9110 §5.5).
    fn header(&self, text: &str) -> Result<String, Unknown> {
        if text.len() <= MAX_TEXT && !text.chars().any(|c| c != '\t' && c.is_control()) {
            return Ok(text.to_owned());
        }
        Err(self.needs(format_args!("a text of at most {MAX_TEXT} bytes without control characters")))
    }

    /// The fault that this word and its argument stand for.
    fn read(&self, argument: Option<&str>, when: When) -> Result<Fault, Unknown> {
        let text = match argument {
            Some(_) if self.argument.is_empty() => {
                return Err(Unknown::new(format_args!("{} takes no argument", self.name)));
            }
            None if self.argument.starts_with(':') => return Err(self.needs("an argument")),
            Some(text) => text,
            None => "",
        };
        let fault = match self.name {
            "slow" => Fault::Slow(self.number(text, 0, 600_000)?, when),
            "hang" => Fault::Hang(when),
            "drop" => Fault::Drop(when),
            "status" => Fault::Status(self.small(text, 200, 599)?, when),
            "html" => Fault::Html(when),
            "answer" => {
                let (status, body) = text.split_once(':').unwrap_or((text, ""));
                if body.len() > MAX_BODY {
                    return Err(self.needs(format_args!("a body of at most {MAX_BODY} bytes")));
                }
                Fault::Answer { status: self.small(status, 200, 999)?, text: body.to_owned(), when }
            }
            "big" => Fault::Big(when),
            "bomb" => Fault::Bomb { bare: false, when },
            "bare_bomb" => Fault::Bomb { bare: true, when },
            "never_finish" => Fault::NeverFinish(when),
            "truncate" => Fault::Truncate,
            "reset_reused" => Fault::ResetReused,
            "rate_limit" => Fault::RateLimit(self.number(text, 0, 1_000_000)?),
            "redirect" if argument.is_none() => Fault::Redirect(302),
            "redirect" => Fault::Redirect(self.small(text, 301, 308)?),
            "error" if is_code(text) => Fault::Error(text.to_owned()),
            "error" => return Err(self.needs("a code such as invalid_grant")),
            "invalid_client" => Fault::InvalidClient,
            "echo" => {
                let (form, name) = text.split_once(':').map_or((text, None), |(form, name)| (form, Some(name)));
                if !name.is_none_or(is_code) {
                    return Err(self.needs("the name of a parameter such as client_secret"));
                }
                Fault::Echo(form.parse::<EchoForm>()?, name.map(str::to_owned))
            }
            "expires_in" => Fault::Set(Field::ExpiresIn, self.json(text)?),
            "no_expires_in" => Fault::Omit(Field::ExpiresIn),
            "expires_at" => Fault::Set(Field::ExpiresAt, self.time(text)?),
            "refresh_expires_in" => Fault::Set(Field::RefreshExpiresIn, self.json(text)?),
            "interval" => Fault::Set(Field::Interval, self.json(text)?),
            "no_interval" => Fault::Omit(Field::Interval),
            "token_type" => Fault::Set(Field::TokenType, self.text(text)?),
            "numeric_token" => Fault::NumericToken,
            "no_refresh_token" => Fault::NoRefreshToken,
            "scope" => Fault::Set(Field::Scope, self.text(text)?),
            "no_scope" => Fault::Omit(Field::Scope),
            "needs_scope" => Fault::NeedsScope,
            "refuses_scope" => Fault::RefusesScope,
            "retry_after" => Fault::Header(HeaderField::RetryAfter, self.header(text)?),
            "www_authenticate" => Fault::Header(HeaderField::WwwAuthenticate, self.header(text)?),
            "type" => Fault::Header(HeaderField::ContentType, self.header(text)?),
            "date" => Fault::Header(HeaderField::Date, self.header(text)?),
            "skew" => {
                let seconds = text.parse().ok().filter(|seconds: &i64| seconds.unsigned_abs() <= MAX_OFFSET_S);
                Fault::Skew(seconds.ok_or_else(|| self.needs("a number of seconds such as -86400"))?)
            }
            "many_headers" => Fault::ManyHeaders(self.small(text, 1, MAX_HEADERS)?),
            "encoding" => Fault::Coded { codings: Coding::list(text)?, bare: false },
            "bare_encoding" => Fault::Coded { codings: Coding::list(text)?, bare: true },
            "utf16" => Fault::Utf16 { big_endian: false },
            "utf16be" => Fault::Utf16 { big_endian: true },
            "expired_status" => Fault::ExpiredStatus(self.small(text, 200, 599)?),
            "wrong_iss" => Fault::WrongIss,
            "back" if text.len() <= MAX_TEXT => Fault::Back(text.to_owned()),
            "back" => return Err(self.needs(format_args!("form-encoded parameters of at most {MAX_TEXT} bytes"))),
            _ => return Err(Unknown::new(format_args!("{} is not supported", self.name))),
        };
        Ok(fault)
    }

    /// The value of `expires_at`.
    fn time(&self, text: &str) -> Result<FieldValue, Unknown> {
        let offset = |text: &str| {
            let digits = text.strip_prefix(['+', '-']).filter(|digits| !digits.is_empty());
            digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            text.parse::<i64>().ok().filter(|seconds| seconds.unsigned_abs() <= MAX_OFFSET_S)
        };
        if let Some(text) = text.strip_prefix("rfc3339:") {
            let seconds = offset(text).ok_or_else(|| self.needs("+SECONDS or -SECONDS behind rfc3339:"))?;
            return Ok(FieldValue::Rfc3339(seconds));
        }
        match offset(text) {
            Some(seconds) => Ok(FieldValue::UnixTime(seconds)),
            None => self
                .json(text)
                .map_err(|_| self.needs("+SECONDS, -SECONDS, rfc3339:+SECONDS, rfc3339:-SECONDS or a JSON value")),
        }
    }
}

impl FromStr for Fault {
    type Err = Unknown;

    /// Reads a word such as `status_after:500`. A word that can lie on either side and does not say so lies before.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        let (written, argument) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        let (word, side) = Word::find(written)?;
        word.read(argument, side.unwrap_or(When::Before))
    }
}

/// The words with what they do, for the help of the command.
pub fn fault_help() -> String {
    let mut help = "A fault from the start, [ON=]FAULT; repeatable\n\n\
        Examples: status_after:500 (every token request), refresh=drop_after, api=slow:2000, userinfo=answer:403:no.\n\
        ON@GRANT=FAULT and ON@client:ID=FAULT affect one grant or one client ID only: refresh@1=error:invalid_grant.\n\
        FAULT may be a JSON list of words, which all apply to the same answer:\n\
        refresh=[\"answer:429:{}\",\"retry_after:120.5\"].\n\n\
        ON is one of "
        .to_owned();
    help.push_str(&kinds(EVERY));
    help.push_str("; without it: token. /token in the list below stands for ");
    help.push_str(&kinds(TOKENS));
    help.push_str(
        ".\n\nWords with [_after] apply before the request is processed. With _after at the end of the word they apply \
         after it: the code is spent and the refresh token rotated.\n",
    );
    for word in WORDS {
        let on = if word.on.len() == EVERY.len() { String::new() } else { format!(" ({})", word.endpoints()) };
        let _ = write!(help, "\n{}: {}{on}", word.usage(), word.effect);
    }
    help
}

fn kinds(on: &[On]) -> String {
    on.iter().map(|on| on.word()).collect::<Vec<_>>().join(", ")
}

fn is_code(code: &str) -> bool {
    (1..=100).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Whether a text is one JSON value. Numbers that no program can hold (1e999) are among them.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
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
        assert_eq!(fault("retry_after:"), Fault::Header(HeaderField::RetryAfter, String::new()));
        assert_eq!(
            fault("answer_after:402:{\"a\":1}"),
            Fault::Answer { status: 402, text: "{\"a\":1}".to_owned(), when: When::After }
        );
        assert_eq!(fault("answer:204"), Fault::Answer { status: 204, text: String::new(), when: When::Before });
        assert_eq!(
            fault("bare_encoding:gzip, deflate-raw"),
            Fault::Coded { codings: vec![Coding::Gzip, Coding::DeflateRaw], bare: true }
        );
        assert_eq!(fault("echo:cut"), Fault::Echo(EchoForm::Cut, None));
        assert_eq!(fault("echo:html:client_secret"), Fault::Echo(EchoForm::Html, Some("client_secret".to_owned())));
        for json in ["\"3600\"", "-1", "1e99", "1e999", "null", "\"abc\"", "{\"a\":[1]}"] {
            let value = || FieldValue::Json(json.to_owned());
            assert_eq!(fault(&format!("expires_in:{json}")), Fault::Set(Field::ExpiresIn, value()));
            assert_eq!(fault(&format!("interval:{json}")), Fault::Set(Field::Interval, value()));
        }
        let time = |text: &str| match fault(&format!("expires_at:{text}")) {
            Fault::Set(Field::ExpiresAt, value) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!((time("+60"), time("-60")), (FieldValue::UnixTime(60), FieldValue::UnixTime(-60)));
        assert_eq!(time("rfc3339:-3600"), FieldValue::Rfc3339(-3600));
        assert_eq!(time("1754000000"), FieldValue::Json("1754000000".to_owned()));
        assert_eq!(time("\"soon\""), FieldValue::Json("\"soon\"".to_owned()));
    }

    #[test]
    fn a_text_that_is_not_a_word_is_refused() {
        for bad in [
            "",
            ":",
            "slow",
            "slow:",
            "slow:x",
            "slow:600001",
            "hang:1",
            "hang:",
            "status:99",
            "answer",
            "answer:",
            "answer:x:y",
            "answer:199:",
            "answer:1000",
            "truncate_before",
            "error:",
            "error:A B",
            "error_after:a",
            "expires_in:abc",
            "expires_in:1 2",
            "expires_at:",
            "expires_at:soon",
            "expires_at:+",
            "expires_at:+1x",
            "expires_at:rfc3339:60",
            "expires_at:+99999999999999999999",
            "wrong_iss_after",
            "skew:",
            "skew:10000000001",
            "redirect:200",
            "retry_after",
            "retry_after:1\r\nX: y",
            "type:a\0b",
            "many_headers:0",
            "many_headers:10001",
            "encoding:",
            "encoding:zstd",
            "encoding:gzip,,gzip",
            "encoding:gzip,gzip,gzip,gzip,gzip",
            "echo:rot13",
            "echo:plain:",
            "echo:plain:A",
            "numeric_token:1",
            "expired_status:1",
            "wrong",
            "_after",
        ] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
        let long = "x".repeat(MAX_BODY + 1);
        for name in ["answer:200", "scope", "token_type", "retry_after", "www_authenticate", "back", "expires_in"] {
            assert!(format!("{name}:{long}").parse::<Fault>().is_err(), "{name}");
        }
        let error = "x".repeat(5000).parse::<Fault>().expect_err("not a word").to_string();
        assert!(error.len() < 1500 && error.contains("retry_after:TEXT"), "{error}");
    }

    #[test]
    fn every_word_of_the_table_is_read_on_its_sides() {
        for word in WORDS {
            let argument = match (word.argument, word.name) {
                ("", _) => "",
                (":JSON", _) => ":0",
                (":VALUE", _) => ":+60",
                (_, "error") => ":invalid_grant",
                (_, "echo") => ":plain",
                (_, "encoding" | "bare_encoding") => ":gzip",
                (_, "redirect") => ":307",
                _ => ":418",
            };
            let ways: &[(&str, bool)] = match word.sides {
                Sides::Fixed => &[("", true), ("_before", false), ("_after", false)],
                Sides::Both => &[("", true), ("_before", true), ("_after", true)],
                Sides::After => &[("", true), ("_before", false), ("_after", true)],
            };
            for (suffix, good) in ways {
                let text = format!("{}{suffix}{argument}", word.name);
                assert_eq!(text.parse::<Fault>().is_ok(), *good, "{text}");
            }
            assert!(!word.effect.is_empty() && !word.on.is_empty());
        }
        assert!(On::from_str("jwks").is_ok_and(|on| EVERY.contains(&on)));
    }
}
