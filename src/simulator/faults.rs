//! What goes wrong on purpose, and which request it befalls. The words for it are in `words.rs`.
//!
//! A fault befalls a request either *before* it is processed (nothing has happened at the provider) or *after* (the
//! code is spent, the refresh token has changed, and the client does not get to know it properly).

use std::str::FromStr;

use serde_json::{Value, json};

use super::{
    coding::{Coding, EchoForm},
    combination,
    options::Unknown,
};

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
    /// `/jwks`.
    Jwks,
}

impl On {
    const ALL: [(Self, &str); 13] = [
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
        (Self::Jwks, "jwks"),
    ];

    /// Its word on the command line and in the control API.
    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(on, _)| *on == self).map_or("", |(_, word)| word)
    }

    /// Whether requests of this kind carry the token of a grant.
    fn knows_grant(self) -> bool {
        matches!(self, Self::Token | Self::Refresh | Self::Revoke | Self::Introspect | Self::Userinfo | Self::Api)
    }

    /// Whether requests of this kind name a client, or carry a token that was issued to one.
    fn knows_client(self) -> bool {
        !matches!(self, Self::Discovery | Self::Jwks)
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

/// What goes wrong. `words::WORDS` says how each is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The answer is delayed, in milliseconds.
    Slow(u64, When),
    /// No answer comes.
    Hang(When),
    /// The connection is closed without an answer.
    Drop(When),
    /// This status, and a page of HTML that says no more.
    Status(u16, When),
    /// This status and this text.
    Answer {
        /// The status, 200 to 999.
        status: u16,
        /// The body, sent as it is.
        text: String,
        /// The side on which it lies.
        when: When,
    },
    /// The connection is closed in the middle of the answer, before the length that was promised.
    Truncate,
    /// A page of HTML with status 200.
    Html(When),
    /// Ten million bytes of JSON.
    Big(When),
    /// A small gzip body that expands to more than 100 MiB of JSON.
    Bomb {
        /// Whether the `Content-Encoding` field is left out.
        bare: bool,
        /// The side on which it lies.
        when: When,
    },
    /// A head and some bytes, and then nothing more.
    NeverFinish(When),
    /// 429 and `Retry-After` in seconds. Not processed.
    RateLimit(u64),
    /// A redirect to `/elsewhere` with this status. Not processed.
    Redirect(u16),
    /// This error (RFC 6749 §5.2). Not processed.
    Error(String),
    /// The client's credentials are refused. Not processed.
    InvalidClient,
    /// An error that repeats a value of the request: the named parameter, or the credential. Not processed.
    Echo(EchoForm, Option<String>),
    /// A field of the answer has another value.
    Set(Field, FieldValue),
    /// The answer lacks a field.
    Omit(Field),
    /// `access_token` is a JSON number, which works like the token that it stands for.
    NumericToken,
    /// The answer has no refresh token; a refresh leaves the one there is as it is.
    NoRefreshToken,
    /// A refresh without `scope` is an `invalid_request`.
    NeedsScope,
    /// A refresh with `scope` is an `invalid_scope`.
    RefusesScope,
    /// A header field has this text.
    Header(HeaderField, String),
    /// Number of additional header fields.
    ManyHeaders(u16),
    /// The body is encoded, first coding first (RFC 9110 §8.4).
    Coded {
        /// The codings.
        codings: Vec<Coding>,
        /// Whether the `Content-Encoding` field is left out.
        bare: bool,
    },
    /// The body is UTF-16 with a byte order mark.
    Utf16 {
        /// Whether the high byte comes first.
        big_endian: bool,
    },
    /// The error of the `Date` header field, in seconds.
    Skew(i64),
    /// A bad access token is answered with this status in place of 401.
    ExpiredStatus(u16),
    /// The way back from `/authorize` names another issuer (RFC 9207).
    WrongIss,
    /// The way back from `/authorize` brings these parameters, form-encoded, in place of a code or an error.
    Back(String),
    /// A request that is not the first on its connection is reset.
    ResetReused,
}

/// A field of a token answer (RFC 6749 §5.1) or of a device authorization answer (RFC 8628 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the RFCs")]
pub enum Field {
    ExpiresIn,
    ExpiresAt,
    RefreshExpiresIn,
    Scope,
    TokenType,
    Interval,
}

/// The value that a fault gives a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// This JSON text, which may be a number that no program can hold.
    Json(String),
    /// An offset from now in seconds, sent as Unix time in seconds.
    UnixTime(i64),
    /// An offset from now in seconds, sent as an RFC 3339 text.
    Rfc3339(i64),
}

/// A header field that a fault sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 9110")]
pub enum HeaderField {
    ContentType,
    Date,
    RetryAfter,
    WwwAuthenticate,
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
    /// The one grant whose requests go wrong; `None`: those of every grant.
    grant: Option<u64>,
    /// The one client whose requests go wrong; `None`: those of every client.
    client: Option<String>,
    /// The words, to be shown.
    words: Vec<String>,
}

/// Maximum number of words in one rule.
const MAX_WORDS: usize = 10;
/// Maximum length of a client ID in a rule, in bytes.
const MAX_CLIENT: usize = 1000;

impl Rule {
    /// A rule from words. An error names a word that is unknown, has no effect on such requests, or contradicts another.
    pub fn new(on: On, words: &[&str], times: Option<u64>, skip: u64) -> Result<Self, Unknown> {
        if words.is_empty() || words.len() > MAX_WORDS {
            return Err(Unknown::new(format_args!("fault: 1 to {MAX_WORDS} words")));
        }
        let faults: Vec<Fault> = words.iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
        combination::check(on, words, &faults)?;
        let words = words.iter().map(ToString::to_string).collect();
        Ok(Self { on, faults, times, skip, grant: None, client: None, words })
    }

    /// The same rule for the requests of one grant or of one client.
    pub fn only(self, grant: Option<u64>, client: Option<String>) -> Result<Self, Unknown> {
        let on = self.on;
        let kinds = |knows: fn(On) -> bool| {
            let kinds: Vec<_> = On::ALL.iter().filter(|(on, _)| knows(*on)).map(|(_, word)| *word).collect();
            kinds.join(", ")
        };
        if grant.is_some() && client.is_some() {
            return Err(Unknown::new("grant, client: only one of the two; a grant belongs to one client"));
        }
        if grant == Some(0) {
            return Err(Unknown::new("grant: a number from 1"));
        }
        if grant.is_some() && !on.knows_grant() {
            let (word, known) = (on.word(), kinds(On::knows_grant));
            return Err(Unknown::new(format_args!("grant: {word} requests belong to no grant; on: one of {known}")));
        }
        if client.as_ref().is_some_and(|client| client.is_empty() || client.len() > MAX_CLIENT) {
            return Err(Unknown::new(format_args!("client: a client ID of 1 to {MAX_CLIENT} bytes")));
        }
        if client.is_some() && !on.knows_client() {
            let (word, known) = (on.word(), kinds(On::knows_client));
            return Err(Unknown::new(format_args!("client: {word} requests name no client; on: one of {known}")));
        }
        Ok(Self { grant, client, ..self })
    }

    /// Whether the rule is for requests of one of these kinds, of this grant and of this client.
    fn fits(&self, on: &[On], grant: Option<u64>, client: Option<&str>) -> bool {
        on.contains(&self.on)
            && (self.grant.is_none() || self.grant == grant)
            && (self.client.is_none() || self.client.as_deref() == client)
    }

    /// How it is shown.
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({"on": self.on.word(), "fault": self.words, "times": self.times, "skip": self.skip});
        if let Some(grant) = self.grant {
            shown["grant"] = grant.into();
        }
        if let Some(client) = &self.client {
            shown["client"] = client.as_str().into();
        }
        shown
    }
}

impl FromStr for Rule {
    type Err = Unknown;

    /// Reads what stands on the command line: `FAULT` (every token request), `ON=FAULT`, `ON@GRANT=FAULT` or
    /// `ON@client:ID=FAULT`. A FAULT that begins with `[` is a JSON list of words.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let (on, only, fault) = if let Some(fault) = rest.strip_prefix('=') {
            (word.parse()?, None, fault)
        } else if let Some(rest) = rest.strip_prefix('@') {
            let how = || Unknown::new("a fault of one grant or client: ON@GRANT=FAULT or ON@client:ID=FAULT");
            let (only, fault) = rest.split_once('=').ok_or_else(how)?;
            let only = match only.strip_prefix("client:") {
                Some(client) => (None, Some(client.to_owned())),
                None => (Some(only.parse().map_err(|_| how())?), None),
            };
            (word.parse()?, Some(only), fault)
        } else {
            (On::Token, None, text)
        };
        let rule = if fault.starts_with('[') {
            let words: Vec<String> = serde_json::from_str(fault).map_err(|_| {
                Unknown::new("a list of faults is a JSON list of texts: [\"status:429\",\"retry_after:5\"]")
            })?;
            Self::new(on, &words.iter().map(String::as_str).collect::<Vec<_>>(), None, 0)?
        } else {
            Self::new(on, &[fault], None, 0)?
        };
        match only {
            Some((grant, client)) => rule.only(grant, client),
            None => Ok(rule),
        }
    }
}

/// The faults that befall the next request of one of these kinds, of this grant and client, which uses them up: those
/// of the first rule that fits. A rule that lets requests pass first counts this one and stands back.
pub(super) fn take(rules: &mut Vec<Rule>, on: &[On], grant: Option<u64>, client: Option<&str>) -> Vec<Fault> {
    for at in 0..rules.len() {
        let Some(rule) = rules.get_mut(at).filter(|rule| rule.fits(on, grant, client)) else { continue };
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

    #[test]
    fn a_rule_of_the_command_line_is_for_the_token_endpoint_unless_it_says_more() {
        let rule = |text: &str| text.parse::<Rule>().map(|rule| (rule.on, rule.faults));
        let scope = |json: &str| Fault::Set(Field::Scope, FieldValue::Json(json.to_owned()));
        assert_eq!(rule("hang"), Ok((On::Token, vec![Fault::Hang(When::Before)])));
        assert_eq!(rule("api=slow:5"), Ok((On::Api, vec![Fault::Slow(5, When::Before)])));
        assert_eq!(rule("scope:a=b"), Ok((On::Token, vec![scope("\"a=b\"")])));
        assert_eq!(rule("scope:a@b=c"), Ok((On::Token, vec![scope("\"a@b=c\"")])));
        assert_eq!(
            rule("refresh=[\"status:429\",\"retry_after:5\"]"),
            Ok((
                On::Refresh,
                vec![Fault::Status(429, When::Before), Fault::Header(HeaderField::RetryAfter, "5".to_owned())]
            ))
        );
        assert_eq!(rule("[\"html\"]"), Ok((On::Token, vec![Fault::Html(When::Before)])));
        for bad in ["nothing=hang", "=hang", "", "refresh=", "refresh=[]", "refresh=[1]", "refresh=[\"hang\"", "[hang]"]
        {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_of_the_command_line_may_name_a_grant_or_a_client() {
        let rule = |text: &str| text.parse::<Rule>().map(|rule| (rule.on, rule.grant, rule.client));
        assert_eq!(rule("refresh@3=hang"), Ok((On::Refresh, Some(3), None)));
        assert_eq!(rule("token@client:a:b=expires_in:0"), Ok((On::Token, None, Some("a:b".to_owned()))));
        for bad in [
            "refresh@=hang",
            "refresh@0=hang",
            "refresh@-1=hang",
            "refresh@x=hang",
            "refresh@3",
            "refresh@client:=hang",
            "hang@3",
            "@3=hang",
            "code@3=hang",
            "jwks@client:a=hang",
        ] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rules_befall_requests_in_their_order_and_are_used_up() {
        let new = |on, word, times, skip| Rule::new(on, &[word], times, skip).expect("a rule");
        let mut rules = vec![
            new(On::Refresh, "drop_after", Some(1), 1),
            new(On::Token, "html", Some(2), 0),
            new(On::Api, "hang", None, 0),
        ];
        let mut next = |on: &[On]| take(&mut rules, on, None, None);
        let refresh = [On::Token, On::Refresh];
        assert_eq!(next(&refresh), [Fault::Html(When::Before)], "the first rule lets one pass");
        assert_eq!(next(&refresh), [Fault::Drop(When::After)]);
        assert_eq!(next(&[On::Token, On::Code]), [Fault::Html(When::Before)]);
        assert_eq!(next(&refresh), []);
        for _ in 0..3 {
            assert_eq!(next(&[On::Api]), [Fault::Hang(When::Before)]);
        }
    }

    #[test]
    fn a_rule_of_one_grant_or_client_lets_the_others_pass_and_is_not_used_up_by_them() {
        let rule = |times, skip| Rule::new(On::Refresh, &["hang"], times, skip).expect("a rule");
        let mut rules = vec![
            rule(Some(1), 1).only(Some(2), None).expect("a grant"),
            rule(Some(1), 0).only(None, Some("other".to_owned())).expect("a client"),
        ];
        let mut next = |grant, client| take(&mut rules, &[On::Token, On::Refresh], grant, client).len();
        for (grant, client) in [(None, None), (Some(1), Some("practice")), (Some(3), Some("others"))] {
            assert_eq!(next(grant, client), 0);
        }
        assert_eq!((next(Some(2), Some("practice")), next(Some(2), Some("practice"))), (0, 1), "the first one passes");
        assert_eq!((next(Some(9), Some("other")), next(Some(9), Some("other"))), (1, 0));
    }
}
