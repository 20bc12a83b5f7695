//! Token exchange (RFC 8693): whoever has a token of ours gets a provider's for it, in the words of a standard.
//!
//! The token shown decides who asks: what it may do, and to which connections. A client application may say who it is
//! besides, and then exchanges no other application's token.

use super::{
    App,
    access::{Caller, Origin, Shown},
    credential::Credential,
    metrics::HandOut,
    registration::Registration,
    tokens::HandedOut,
};
use crate::{
    domain::{Error, Result, Secret, api_token::TokenKind, connection::Connection, user::Scope},
    oauth::catalogue::Resolved,
};

/// What is asked for.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The token shown (`subject_token`).
    pub subject: &'a Secret,
    /// The application that asks, where it has shown its secret.
    pub client: Option<&'a Caller>,
    /// The application that says it asks, without a secret.
    pub client_id: Option<&'a str>,
    /// Whose connection's token is wanted.
    pub connection: i64,
    /// Scopes that the token must have, separated by spaces; `None`: whatever it has.
    pub scope: Option<&'a str>,
    /// For how long the token has to be good, in milliseconds.
    pub min_ttl_ms: i64,
}

/// What is given.
#[derive(Debug)]
pub struct Exchanged {
    /// The token.
    pub given: HandedOut,
    /// Its scopes; `None`: nobody knows.
    pub scopes: Option<Vec<String>>,
    /// Whether the provider's API takes it as a bearer token (RFC 6750).
    pub is_bearer: bool,
}

/// Why nothing is given.
#[derive(Debug)]
pub enum Refusal {
    /// The token shown opens nothing, or is not this client's.
    Subject,
    /// The token shown lacks this.
    Lacks(Scope),
    /// There is no such connection, as far as the token shown reaches.
    Target,
    /// The connection was not granted this scope.
    Scope(String),
    /// Whatever keeps a token from being handed out.
    Other(Error),
}

impl App {
    /// Gives an access token of a provider for one of ours.
    pub async fn exchange(&self, asked: Exchange<'_>, origin: Origin) -> Result<Exchanged, Refusal> {
        let caller = self.subject(&asked, origin).await?;
        caller.need(Scope::ConnectionsToken).map_err(|_| Refusal::Lacks(Scope::ConnectionsToken))?;
        let found = self.fresh_token(&caller, asked.connection, asked.min_ttl_ms).await;
        self.metrics.handed_out(found.as_ref().map_or_else(HandOut::of, |_| HandOut::Ok));
        let (connection, given) = found.map_err(|error| match error {
            Error::NotFound { .. } => Refusal::Target,
            other => Refusal::Other(other),
        })?;
        let provider = self.db.read(|read| Ok(Registration::provider_of(read, &connection).ok()));
        let provider = provider.map_err(Refusal::Other)?;
        let scopes = granted(&connection, &given, provider.as_ref());
        let has = |word: &str| scopes.as_ref().is_some_and(|scopes| scopes.iter().any(|scope| scope == word));
        if let Some(missing) = asked.scope.unwrap_or_default().split_ascii_whitespace().find(|word| !has(word)) {
            return Err(Refusal::Scope(missing.to_owned()));
        }
        self.count_hand_out(&caller, connection.id);
        let is_bearer = is_bearer(&given.token_type, provider.as_ref());
        Ok(Exchanged { given, scopes, is_bearer })
    }

    /// Who the token shown stands for.
    async fn subject(&self, asked: &Exchange<'_>, origin: Origin) -> Result<Caller, Refusal> {
        let kind = Credential::parse(asked.subject).map(|token| token.kind);
        if !matches!(kind, Some(TokenKind::Api | TokenKind::Access)) {
            return Err(Refusal::Subject);
        }
        let caller = self.authenticate(Some(Shown::Token(asked.subject.clone())), origin).await;
        let caller = caller.map_err(|error| match error {
            Error::Unauthenticated(_) => Refusal::Subject,
            other => Refusal::Other(other),
        })?;
        let client = asked.client.and_then(Caller::application).or(asked.client_id);
        match (client, caller.application()) {
            (Some(client), Some(subject)) if client != subject => Err(Refusal::Subject),
            _ => Ok(caller),
        }
    }
}

/// What a token may do: what the provider said, else what was asked for (RFC 6749 §5.1). Some providers separate scopes by
/// commas whatever they are asked with.
fn granted(connection: &Connection, given: &HandedOut, provider: Option<&Resolved>) -> Option<Vec<String>> {
    let words = |text: &str| {
        let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let said = given.scope.as_deref().map(words).filter(|said| !said.is_empty());
    let asked = || connection.scopes.clone().or_else(|| Some(provider?.entry().default_scopes.clone()));
    said.or_else(asked).filter(|scopes| !scopes.is_empty())
}

/// Some APIs take tokens in a header or under a scheme of their own, and some tokens need a proof besides.
fn is_bearer(token_type: &str, provider: Option<&Resolved>) -> bool {
    if token_type.eq_ignore_ascii_case("dpop") || token_type.eq_ignore_ascii_case("mac") {
        return false;
    }
    match provider.and_then(Resolved::api) {
        Some(api) => api.header.eq_ignore_ascii_case("authorization") && api.scheme.eq_ignore_ascii_case("bearer"),
        None => token_type.eq_ignore_ascii_case("bearer"),
    }
}
