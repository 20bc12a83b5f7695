//! Trying an app's registration at its provider without any user: a token request with a code that nobody issued
//! (RFC 6749 §4.1.3), and an authorization request that nobody answers (§4.1.1). What the refusals say tells whether the
//! client's id, its secret and its redirect URI are right.
//!
//! The answers are not stored. They are shown to people, so they are redacted.

use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, LOCATION};
use url::{Url, form_urlencoded};

use super::{
    Engine, Whose, address,
    catalogue::{ClientAuth, Meaning, Pkce, Resolved},
    decode, innermost,
    pkce::{self, Verifier},
    redact::{self, REDACTED, Redactor, cut, is_secret_name},
    transport::{TIMEOUT, within_deadline},
    wire::{Answer, Ask, Client, RawAnswer, Reason, Refusal, Sent},
};
use crate::domain::{Result, Secret, Timestamp, grant::Blame};

/// The most bytes of a body that are shown.
const MOST_SHOWN: usize = 2048;
/// The most bytes of a header that are shown.
const MOST_HEADER: usize = 200;
/// The most bytes of a page that are read.
const MOST_PAGE: usize = 64 * 1024;
/// The beginning of what TLS says of a certificate that it does not accept.
const CERTIFICATE: &str = "invalid peer certificate: ";

/// A request, and what came back, both without secrets.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What went out.
    pub sent: Shown,
    /// What came back.
    pub received: Received,
}

/// A request as it may be shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The method.
    pub method: &'static str,
    /// The address without its query.
    pub url: String,
    /// How the client showed itself, where that was in a header.
    pub authorization: Option<String>,
    /// The fields of the body or the query, in their order.
    pub fields: Vec<(String, String)>,
}

/// An answer as it may be shown.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The status; `None`: there was no whole answer.
    pub status: Option<u16>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Date`.
    pub date: Option<Timestamp>,
    /// The body, at most 2 KiB of it.
    pub body: String,
    /// Why there was no whole answer.
    pub trouble: Option<String>,
}

/// What became of a made-up code.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What went over the wire.
    pub exchange: Exchange,
    /// What it means.
    pub told: Told,
    /// The provider's word for it, or ours where it has none.
    pub error: String,
    /// The provider's own description, without what we sent; where there was no answer, why not.
    pub description: Option<String>,
    /// The provider's clock less ours in milliseconds; `None`: it did not say.
    pub skew_ms: Option<i64>,
}

/// What an answer to a made-up code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The code is unknown: whoever says so has no quarrel with the client, or has not looked at it yet.
    NoSuchCode,
    /// The client is turned down: its id, its secret, or the way in which it shows them.
    NoSuchClient,
    /// The redirect URI is not one of the client's.
    NotThere,
    /// Codes are not taken here.
    NoCodes,
    /// Something else, in the provider's own words.
    Other,
    /// There are tokens, for a code that nobody issued.
    Tokens,
    /// It is somewhere else: a redirect, which no token request follows (RFC 9700 §4.12).
    Elsewhere,
    /// Nothing takes requests for tokens at this address.
    NotAnEndpoint,
    /// It is down, busy, or answers with a page for people.
    Broken,
    /// The server's certificate is not accepted.
    Certificate,
    /// Nobody answers.
    Unreachable,
}

/// What became of an authorization request that nobody answers.
#[derive(Debug, Clone)]
pub struct Visit {
    /// What went over the wire; a page is shown only where it is one of errors.
    pub exchange: Exchange,
    /// What it means.
    pub seen: Seen,
}

/// What an authorization endpoint does with our request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It shows a page, or leads to one.
    Page,
    /// It sends the browser back at once with this error (RFC 6749 §4.1.2.1).
    Back(String),
    /// It refuses the request, with this status, and speaks of the redirect URI.
    NotThere(u16),
    /// It refuses the request with this status.
    Refused(u16),
    /// It answers with this status: it is down.
    Broken(u16),
    /// The server's certificate is not accepted, for this reason.
    Certificate(String),
    /// Nobody answers, for this reason.
    Unreachable(String),
}

/// Text that looks made up and is: `what` with 128 random bits.
fn made_up(what: &str) -> Result<Secret> {
    let random = Verifier::generate()?;
    Ok(Secret::new(format!("made-up-{what}-{}", &random.expose()[..22])))
}

impl Client {
    /// A client that nobody knows in this one's place: with another secret, or where it has none with another identifier.
    pub fn impostor(&self) -> Result<Self> {
        Ok(match &self.secret {
            Some(real) => {
                let known = self.known.iter().chain([real]).cloned().collect();
                Self { id: self.id.clone(), secret: Some(made_up("secret")?), known }
            }
            None => Self { id: made_up("client")?.expose().to_owned(), secret: None, known: self.known.clone() },
        })
    }
}

impl Engine {
    /// Sends a made-up code to the token endpoint, as the code of an authorization with this redirect URI. `deadline` is for
    /// all of it; `now` tells when the answer was here.
    pub async fn try_code(
        &self,
        provider: &Resolved,
        client: &Client,
        redirect_uri: &str,
        deadline: Duration,
        now: impl Fn() -> Timestamp,
    ) -> Result<Trial> {
        let code = made_up("code")?;
        let verifier = (provider.entry().pkce == Pkce::S256).then(Verifier::generate).transpose()?;
        let ask = Ask::AuthorizationCode { code, verifier, redirect_uri: redirect_uri.to_owned() };
        let request = provider.token_request(client, &ask);
        let came = self.send(&request, deadline, now).await;
        // An answer may contain tokens that the engine does not find: they may belong to a user.
        let mut client = client.clone();
        if let Sent::Answered(raw) = &came {
            client.known.extend(redact::tokens_of(raw));
        }
        let redactor = Redactor::for_request(provider, &client, &request);
        let authorization = request.authorization.as_ref().map(|(_, value)| {
            let scheme = value.expose().split(' ').next().unwrap_or_default();
            format!("{scheme} {REDACTED}")
        });
        let fields = request.fields.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let fields = shown(fields, &redactor);
        let sent = Shown { method: "POST", url: address_of(&request.url), authorization, fields };
        let (told, error, description) = told(provider, &came);
        let received = match redactor.sent(came.clone()) {
            Sent::Answered(raw) => Received {
                status: Some(raw.status),
                content_type: raw.content_type.map(|text| cut(&text, MOST_HEADER)),
                date: raw.date,
                body: match told {
                    Told::Tokens => REDACTED.to_owned(),
                    _ => cut(raw.body.expose(), MOST_SHOWN),
                },
                trouble: None,
            },
            Sent::NotSent(why) | Sent::Unclear(why) => Received { trouble: Some(why), ..Received::default() },
        };
        let skew_ms = match &came {
            Sent::Answered(raw) => raw.skew_ms(),
            _ => None,
        };
        Ok(Trial {
            exchange: Exchange { sent, received },
            told,
            error: redactor.text(&error),
            description: description.map(|text| redactor.text(&text)),
            skew_ms,
        })
    }

    /// Opens the authorization endpoint as a browser would that somebody sent there, and goes no further. `None`: the
    /// provider has no such page.
    pub async fn visit(
        &self,
        provider: &Resolved,
        client: &Client,
        redirect_uri: &str,
        deadline: Duration,
    ) -> Result<Option<Visit>> {
        if provider.entry().authorize_url.is_none() {
            return Ok(None);
        }
        let state = made_up("state")?;
        let challenge = pkce::challenge(&Verifier::generate()?);
        let url = provider.authorization_url(&client.id, redirect_uri, state.expose(), Some(&challenge), &[])?;
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let fields: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let secrets = [&state].into_iter().chain(&client.secret).chain(&client.known);
        let redactor = Redactor::for_provider(provider, secrets);
        let sent = Shown {
            method: "GET",
            url: address_of(&url),
            authorization: None,
            fields: shown(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())), &redactor),
        };
        let (received, seen) = match self.page(&url, deadline).await {
            Err(why) => {
                let seen = match why.strip_prefix(CERTIFICATE) {
                    Some(what) => Seen::Certificate(redactor.text(what)),
                    None => Seen::Unreachable(redactor.text(&why)),
                };
                (Received { trouble: Some(redactor.text(&why)), ..Received::default() }, seen)
            }
            Ok(page) => {
                let body = if page.status < 400 { String::new() } else { cut(&redactor.body(&page.body), MOST_SHOWN) };
                let content_type = page.content_type.as_deref().map(|text| cut(&redactor.text(text), MOST_HEADER));
                let seen = match page.seen(redirect_uri) {
                    Seen::Back(error) => Seen::Back(redactor.text(&error)),
                    seen => seen,
                };
                (Received { status: Some(page.status), content_type, body, ..Received::default() }, seen)
            }
        };
        Ok(Some(Visit { exchange: Exchange { sent, received }, seen }))
    }

    async fn page(&self, url: &str, deadline: Duration) -> Result<Page, String> {
        address::check(url, self.allow_private).map_err(str::to_owned)?;
        let client = self.client(Whose::Provider).map_err(|error| error.to_string())?;
        let request = client
            .get(url)
            .header(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
            .header(ACCEPT_ENCODING, "identity");
        let begun = Instant::now();
        let mut answer = match within_deadline(deadline, request.send()).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) if !error.is_timeout() => return Err(innermost(&error.without_url())),
            Some(Err(_)) | None => return Err(TIMEOUT.to_owned()),
        };
        let text = |name| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        let (location, content_type) = (text(LOCATION), text(CONTENT_TYPE));
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let mut body = Vec::new();
        // The head has said what counts; of a page that breaks off the beginning is good enough.
        let reading = async {
            while body.len() < MOST_PAGE
                && let Ok(Some(chunk)) = answer.chunk().await
            {
                body.extend_from_slice(&chunk[..chunk.len().min(MOST_PAGE - body.len())]);
            }
        };
        within_deadline(deadline.saturating_sub(begun.elapsed()), reading).await;
        Ok(Page { status, location, content_type, body: decode::leading_text(&headers, &body, MOST_PAGE) })
    }
}

/// What an authorization endpoint answers.
struct Page {
    status: u16,
    location: Option<String>,
    content_type: Option<String>,
    body: String,
}

impl Page {
    fn seen(&self, redirect_uri: &str) -> Seen {
        match self.status {
            300..400 => match self.location.as_deref().and_then(|place| error_on_the_way_back(place, redirect_uri)) {
                Some(error) => Seen::Back(error),
                None => Seen::Page,
            },
            400..500 if speaks_of_redirect(&self.body) => Seen::NotThere(self.status),
            400..500 => Seen::Refused(self.status),
            500.. => Seen::Broken(self.status),
            _ => Seen::Page,
        }
    }
}

/// The error with which a browser is sent back to us; `None`: it is not, or without one.
fn error_on_the_way_back(place: &str, redirect_uri: &str) -> Option<String> {
    let (back, query) = place.split_once('?')?;
    if back != redirect_uri {
        return None;
    }
    let (_, error) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "error")?;
    Some(cut(&error.chars().filter(|c| !c.is_control()).collect::<String>(), 64))
}

/// Whether a page of errors has the redirect URI for its subject, and does not merely repeat our request.
fn speaks_of_redirect(page: &str) -> bool {
    let text = percent_decode_str(page).decode_utf8_lossy().to_lowercase();
    let text = text.replace("redirect_uri=", "").replace("\"redirect_uri\":", "");
    ["redirect_uri", "redirect uri", "redirect url", "redirection uri", "callback url"]
        .iter()
        .any(|words| text.contains(words))
}

/// Fields as they may be shown.
fn shown<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>, redactor: &Redactor) -> Vec<(String, String)> {
    let shown = |(name, value): (&str, &str)| {
        let value = if is_secret_name(name) { REDACTED.to_owned() } else { redactor.own_text(value) };
        (name.to_owned(), value)
    };
    fields.map(shown).collect()
}

/// An address as it may be told: user, password and query may be secret.
fn address_of(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
        Err(_) => String::new(),
    }
}

/// What an answer to a made-up code means, with the word and the words for it.
fn told(provider: &Resolved, sent: &Sent) -> (Told, String, Option<String>) {
    let raw = match sent {
        Sent::Answered(raw) => raw,
        unanswered => {
            let refusal = Refusal::of_sent(unanswered);
            let why = refusal.description.as_deref().and_then(|why| why.strip_prefix(CERTIFICATE));
            return match why {
                Some(why) => (Told::Certificate, "certificate".to_owned(), Some(why.to_owned())),
                None => (Told::Unreachable, refusal.word(), refusal.description),
            };
        }
    };
    match provider.read(raw) {
        Answer::Tokens(_) => (Told::Tokens, "tokens".to_owned(), None),
        Answer::Refused(refusal) => (meaning(provider, raw, &refusal), refusal.word(), refusal.description),
    }
}

fn meaning(provider: &Resolved, raw: &RawAnswer, refusal: &Refusal) -> Told {
    let word = refusal.word();
    let own = provider.entry().errors.get(&word);
    let no_code = word == "invalid_grant" || own == Some(&Meaning::Grant);
    // Without a grant in the request, a status that is for clients (RFC 6749 §5.2) is about the client.
    let named = refusal.provider_error.as_deref();
    let of_client = match named {
        None => raw.status == 401,
        Some(code) => {
            code == "unauthorized_client"
                || raw.status == 401 && (code == "access_denied" || code.eq_ignore_ascii_case("unauthorized"))
        }
    };
    if refusal.blame == Blame::App || (refusal.ambiguous && of_client) {
        return Told::NoSuchClient;
    }
    if about_redirect(refusal, no_code) {
        return Told::NotThere;
    }
    if no_code {
        return Told::NoSuchCode;
    }
    // No word of the provider's was found: it is the status that speaks.
    let wordless = refusal.reason == Reason::HttpError;
    match raw.status {
        300..400 => Told::Elsewhere,
        429 | 500.. => Told::Broken,
        404 | 405 | 410 if wordless => Told::NotAnEndpoint,
        400..500 if wordless && !raw.body.expose().trim_start().starts_with(['{', '[']) => Told::Broken,
        _ if refusal.reason == Reason::UnreadableBody => Told::Broken,
        _ if word == "unsupported_grant_type" => Told::NoCodes,
        _ => Told::Other,
    }
}

/// Whether a refusal is for the redirect URI. The usual sentence for `invalid_grant` (RFC 6749 §5.2) lists it among all
/// that may be wrong with a code; that is no word about ours.
fn about_redirect(refusal: &Refusal, no_code: bool) -> bool {
    let error = refusal.word().to_lowercase();
    if error.contains("redirect_uri") || error.contains("redirect-uri") {
        return true;
    }
    let Some(text) = refusal.description.as_deref().map(str::to_lowercase) else { return false };
    let subject = text.contains("redirect") && ["uri", "url"].iter().any(|word| text.contains(word));
    let others: &[&str] =
        if no_code { &["code", "expired", "revoked", "invalid grant", "authorization grant"] } else { &["missing"] };
    subject && !others.iter().any(|word| text.contains(word))
}

/// The other way for a client with a secret to show itself (RFC 6749 §2.3.1); `None`: it has nothing to show, or its
/// requests have a form in which there is only one.
pub fn other_way(provider: &Resolved) -> Option<ClientAuth> {
    match provider.client_auth() {
        ClientAuth::ClientSecretBasic => Some(ClientAuth::ClientSecretPost),
        ClientAuth::ClientSecretPost => Some(ClientAuth::ClientSecretBasic),
        ClientAuth::None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::oauth::catalogue::Entry;

    fn provider(more: &str) -> Resolved {
        let json = format!(r#"{{"slug":"acme","name":"Acme","token_url":"https://acme.example/token"{more}}}"#);
        let none = BTreeMap::new();
        Entry::parse(&json).expect("an entry").resolve(&none, &none).expect("resolved")
    }

    fn told_of(provider: &Resolved, status: u16, body: &str) -> Told {
        let raw = RawAnswer {
            status,
            content_type: None,
            date: None,
            retry_after: None,
            received_at: Timestamp(0),
            body: Secret::new(body),
        };
        told(provider, &Sent::Answered(raw)).0
    }

    #[test]
    fn refusals_are_told_apart() {
        let acme = provider("");
        let rfc = "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI \
                   used in the authorization request, or was issued to another client.";
        for (status, body, what) in [
            (400, r#"{"error":"invalid_grant"}"#.to_owned(), Told::NoSuchCode),
            (400, format!(r#"{{"error":"invalid_grant","error_description":"{rfc}"}}"#), Told::NoSuchCode),
            (401, r#"{"error":"invalid_client"}"#.to_owned(), Told::NoSuchClient),
            (401, "<h1>Unauthorized</h1>".to_owned(), Told::NoSuchClient),
            (400, r#"{"error":"unauthorized_client"}"#.to_owned(), Told::NoSuchClient),
            (400, r#"{"error":"redirect_uri_mismatch"}"#.to_owned(), Told::NotThere),
            (200, r#"{"error":"bad_redirect_uri"}"#.to_owned(), Told::NotThere),
            (
                400,
                r#"{"error":"invalid_request","error_description":"The redirect URI is not registered"}"#.to_owned(),
                Told::NotThere,
            ),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"redirect_uri is not one of this client's"}"#
                    .to_owned(),
                Told::NotThere,
            ),
            (
                400,
                r#"{"error":"invalid_request","error_description":"redirect_uri is missing"}"#.to_owned(),
                Told::Other,
            ),
            (400, r#"{"error":"unsupported_grant_type"}"#.to_owned(), Told::NoCodes),
            (400, r#"{"error":"strange"}"#.to_owned(), Told::Other),
            (400, r#"{"strange":true}"#.to_owned(), Told::Other),
            (403, r#"{"error":"access_denied"}"#.to_owned(), Told::Other),
            (200, "{}".to_owned(), Told::Other),
            (200, r#"{"access_token":"a"}"#.to_owned(), Told::Tokens),
            (200, "<html>".to_owned(), Told::Broken),
            (400, "<html>".to_owned(), Told::Broken),
            (404, "<html>".to_owned(), Told::NotAnEndpoint),
            (405, String::new(), Told::NotAnEndpoint),
            (404, r#"{"error":"no_such_app"}"#.to_owned(), Told::Other),
            (302, String::new(), Told::Elsewhere),
            (429, String::new(), Told::Broken),
            (500, r#"{"error":"server_error"}"#.to_owned(), Told::Broken),
            (503, String::new(), Told::Broken),
        ] {
            assert_eq!(told_of(&acme, status, &body), what, "{status} {body}");
        }
        let own = provider(r#","errors":{"bad_code":"grant","bad_app":"app"}"#);
        assert_eq!(told_of(&own, 200, r#"{"error":"bad_code"}"#), Told::NoSuchCode);
        assert_eq!(told_of(&own, 200, r#"{"error":"bad_app"}"#), Told::NoSuchClient);
        let certificate = Sent::NotSent("invalid peer certificate: Expired".to_owned());
        assert_eq!(told(&acme, &certificate).0, Told::Certificate);
        assert_eq!(told(&acme, &Sent::NotSent("dns".to_owned())).0, Told::Unreachable);
        assert_eq!(told(&acme, &Sent::Unclear("timeout".to_owned())).0, Told::Unreachable);
    }

    #[test]
    fn an_authorization_endpoint_is_read_by_status_and_place() {
        let uri = "https://grantry.example/oauth/callback";
        let page = |status, location: Option<&str>, body: &str| {
            let location = location.map(str::to_owned);
            Page { status, location, content_type: None, body: body.to_owned() }.seen(uri)
        };
        assert_eq!(page(200, None, "redirect_uri"), Seen::Page);
        assert_eq!(page(302, Some("/login?continue=redirect_uri"), ""), Seen::Page);
        let back = format!("{uri}?error=invalid_scope&state=s");
        assert_eq!(page(302, Some(&back), ""), Seen::Back("invalid_scope".to_owned()));
        assert_eq!(page(302, Some("https://elsewhere.example/?error=x"), ""), Seen::Page);
        assert_eq!(page(400, None, "<p>Invalid redirect URI</p>"), Seen::NotThere(400));
        assert_eq!(page(400, None, "<a href='/x?redirect_uri=https%3A%2F%2Fg'>again</a>"), Seen::Refused(400));
        assert_eq!(page(404, None, ""), Seen::Refused(404));
        assert_eq!(page(503, None, ""), Seen::Broken(503));
    }
}
