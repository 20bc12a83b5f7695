//! Connecting accounts: by a link and a browser (RFC 6749 §4.1 with RFC 7636), by the app's own credentials (§4.4), or by
//! bringing a grant along.
//!
//! A link lives a quarter of an hour. Whoever opens it is bound to it by a cookie; the provider's answer is taken from
//! that browser alone, once.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    App,
    access::{Caller, Origin},
    audit,
    connections::{choose_profile, of_caller},
    credential::Credential,
    reach,
    refresh::{self, flight},
    registration::Registration,
};
use crate::{
    domain::{
        Error, Name, Noun, Outage, Result, Secret, Timestamp, Why,
        api_token::TokenKind,
        audit::Deed,
        connection::{Connection, Draft, Status},
        customer::Key,
        event::EventKind,
        grant::{Blame, GrantType, NoToken, Tokens},
        profile::SecretKind,
        user::Scope,
    },
    oauth::{
        account::Account,
        catalogue::Pkce,
        pkce,
        wire::{Answer, Ask, RawAnswer, Refusal, Sent, TokenSet},
    },
    store::{self, Read, Tx, connect_links, grants::Kept},
};

/// A link lives for so long.
const LINK_MS: i64 = 15 * 60 * 1000;
/// A browser may take so long at the provider.
const BROWSER_MS: i64 = 15 * 60 * 1000;
/// A link that was looked at by whoever previews links has its first browsers forgotten.
const MOST_BROWSERS: u32 = 10;
/// A connection keeps so many open links.
const MOST_LINKS: u32 = 10;
/// A provider has so long for each answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// What stands where a secret was.
const MASK: &str = "[redacted]";
/// More scopes, or longer ones, nobody asks for.
const MOST_SCOPES: usize = 100;
const MOST_SCOPE: usize = 255;

/// What is asked for when an account is to be connected.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Through which profile; `None`: the only one of the provider.
    pub profile_id: Option<i64>,
    /// At which provider; `None`: the profile's.
    pub provider: Option<String>,
    /// To which connection again; `None`: to a new one.
    pub connection_id: Option<i64>,
    /// What a new connection is called; `None`: what its provider is called.
    pub name: Option<Name>,
    /// Whose account it is.
    pub owner: Option<String>,
    /// The connection's id in somebody else's system.
    pub external_id: Option<String>,
    /// The folder of a new connection.
    pub folder_id: Option<i64>,
    /// The connection that a new one is made from.
    pub parent_id: Option<i64>,
    /// The customer that a new connection belongs to.
    pub customer: Option<Key>,
    /// What to ask for; `None`: the provider's default.
    pub scopes: Option<Vec<String>>,
    /// Values for the provider's variables, a JSON object.
    pub variables: Option<Secret>,
    /// Where the browser goes in the end; on the allow-list.
    pub return_url: Option<String>,
    /// Whether another account than before may come.
    pub other_account: bool,
}

/// A link by which somebody connects an account.
#[derive(Debug, Clone)]
pub struct Link {
    /// The connection that gets the account.
    pub connection_id: i64,
    /// The link. Whoever has it can connect an account.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A link that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Where the browser goes now.
    pub redirect: String,
    /// The cookie by which it is known again.
    pub browser: Secret,
}

/// Which of our two addresses a provider sends browsers back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// `/oauth/callback`.
    OAuth,
    /// `/Thingworx/Oauths/oauth/return`, for apps that were registered for the product of that dialect.
    Flow,
}

impl Callback {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::Flow => "flow",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::OAuth => "/oauth/callback",
            Self::Flow => "/Thingworx/Oauths/oauth/return",
        }
    }

    fn parse(word: &str) -> Self {
        if word == "flow" { Self::Flow } else { Self::OAuth }
    }
}

/// What a browser brings back from a provider.
#[derive(Debug)]
pub struct Back {
    /// Which address it came to.
    pub callback: Callback,
    /// The parameters, each once.
    pub parameters: std::collections::BTreeMap<String, Secret>,
    /// The cookie.
    pub browser: Option<Secret>,
}

/// How a way to a provider and back has ended.
#[derive(Debug, Clone)]
pub struct Landing {
    /// What came of it.
    pub outcome: Outcome,
    /// Where the browser goes now, with the outcome in the query; `None`: it stays on our page.
    pub return_url: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// An account is connected.
    Connected {
        /// To which connection.
        connection_id: i64,
        /// What that is called.
        name: String,
        /// The provider's slug.
        provider: String,
        /// What people know the account by, or its id.
        account: Option<String>,
        /// Whose connection it is.
        owner: Option<String>,
    },
    /// This is no way that began here, or it has ended, or it began in another browser.
    Unknown,
    /// The provider, or the person at it, says no: its error code, and its description where it has one.
    Refused {
        /// The error code.
        error: String,
        /// What the provider says, bounded and without control characters.
        description: Option<String>,
        /// The redirect URI that has to be registered, where that may be the reason.
        redirect_uri: String,
    },
    /// The provider turns down the app's client id or secret.
    AppRejected,
    /// It is another account than the connection had before.
    OtherAccount {
        /// The account before.
        before: String,
        /// The account that came.
        now: String,
    },
}

impl App {
    /// The redirect URI of a profile (RFC 6749 §3.1.2): to be registered at its provider, to the letter.
    pub(super) fn redirect_uri(&self, callback: Callback) -> String {
        format!("{}{}", self.settings.public_url, callback.path())
    }

    /// Makes a link by which somebody connects an account. What would stop that person is an error now: no such profile,
    /// a secret that cannot be used, a variable that is missing.
    pub async fn make_link(&self, caller: &Caller, wish: Wish) -> Result<Link> {
        caller.need(Scope::ConnectionsWrite)?;
        check_scopes(wish.scopes.as_deref())?;
        if let Some(url) = &wish.return_url
            && !self.is_allowed_return(url)
        {
            return Err(Error::invalid("return_url", Why::NotInList));
        }
        let caller = caller.clone();
        let (connection_id, ticket, expires_at) = self
            .db
            .write(move |tx| {
                let (connection, new_connection) = aim(tx, &caller, &wish)?;
                let registration = registration(tx, &connection, wish.variables.as_ref())?;
                if registration.provider.entry().authorize_url.is_none() {
                    return Err(Error::invalid("provider", Why::NotForProvider));
                }
                let expires_at = tx.now().plus_ms(LINK_MS);
                let new = connect_links::New {
                    connection_id: connection.id,
                    new_connection,
                    other_account: wish.other_account,
                    return_url: wish.return_url.as_deref(),
                    scopes: wish.scopes.as_deref(),
                    input: if new_connection { None } else { wish.variables.as_ref() },
                    expires_at,
                };
                let id = connect_links::insert(tx, &new, MOST_LINKS)?;
                let ticket = Credential::generate(TokenKind::Link, id)?;
                connect_links::set_hash(tx, id, &ticket.hash())?;
                audit(tx, &caller, Deed::LinkMade, "connection", connection.id, &json!({}))?;
                Ok((connection.id, ticket, expires_at))
            })
            .await?;
        let url = format!("{}/connect/{}", self.settings.public_url, ticket.text().expose());
        Ok(Link { connection_id, url, expires_at })
    }

    /// A link for a connection that has to be authorised; the same one again while it has five minutes left, so that
    /// somebody who asks and asks does not make thousands.
    pub(super) async fn connect_url(&self, caller: &Caller, id: i64) -> Result<String> {
        const MOST: usize = 1000;
        const LEFT_MS: i64 = 5 * 60 * 1000;
        let now = self.db.now();
        let known = |links: &mut std::collections::HashMap<i64, Link>| {
            links.retain(|_, link| link.expires_at > now.plus_ms(LEFT_MS));
            links.get(&id).map(|link| link.url.clone())
        };
        if let Ok(mut links) = self.links.lock()
            && let Some(url) = known(&mut links)
        {
            return Ok(url);
        }
        // Who may have the token may have it connected again: the link gives no more than that.
        let wish = Wish { connection_id: Some(id), ..Wish::default() };
        let maker = Self::link_maker(caller);
        let link = self.make_link(&maker, wish).await?;
        let url = link.url.clone();
        if let Ok(mut links) = self.links.lock()
            && links.len() < MOST
        {
            links.insert(id, link);
        }
        Ok(url)
    }

    /// Whether a browser may be sent there: an operator has allowed that origin and path, or one above it.
    fn is_allowed_return(&self, text: &str) -> bool {
        let Ok(url) = url::Url::parse(text) else { return false };
        // What a parser would drop, a browser may not: no such text at all.
        let plain =
            !text.contains(['\\', '\t', '\n', '\r', ' ']) && url.username().is_empty() && url.password().is_none();
        plain
            && self.settings.return_urls.iter().any(|allowed| {
                let Ok(allowed) = url::Url::parse(allowed) else { return false };
                let path = allowed.path().trim_end_matches('/');
                let below = url.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                // Tuple origins alone: the opaque ones are never equal.
                url.origin() == allowed.origin() && below
            })
    }

    /// Opens a link: begins the way of one browser. `NotFound` for a link that is none, has ended or was used.
    pub async fn open_link(&self, ticket: &Secret, browser: Option<Secret>) -> Result<Opened> {
        let gone = || Error::not_found(Noun::Path, "");
        let ticket = Credential::parse(ticket).filter(|ticket| ticket.kind == TokenKind::Link).ok_or_else(gone)?;
        let (link, registration, callback) = self.db.read(|read| {
            let (link, hash) = connect_links::find(read, ticket.id)?.ok_or_else(gone)?;
            if !ticket.is(&hash) {
                return Err(gone());
            }
            let connection = store::connections::get(read, link.connection_id)?;
            let input = connect_links::input(read, link.id)?;
            let registration = registration(read, &connection, input.as_ref())?;
            let callback = Callback::parse(&store::profiles::callback(read, connection.profile_id)?);
            let scopes = link.scopes.clone().or(connection.scopes).unwrap_or_default();
            Ok((connect_links::Link { scopes: Some(scopes), ..link }, registration, callback))
        })?;
        let verifier = pkce::Verifier::generate()?;
        let state = random()?;
        let browser = match browser.filter(|cookie| cookie.expose().len() == state.expose().len()) {
            Some(known) => known,
            None => random()?,
        };
        let challenge = (registration.provider.entry().pkce == Pkce::S256).then(|| pkce::challenge(&verifier));
        let redirect = registration.provider.authorization_url(
            registration.profile.client_id.as_str(),
            &self.redirect_uri(callback),
            state.expose(),
            challenge.as_deref(),
            link.scopes.as_deref().unwrap_or_default(),
        )?;
        let (state, kept) = (hash(&state), hash(&browser));
        let begun = self
            .db
            .write(move |tx| {
                let until = tx.now().plus_ms(BROWSER_MS);
                connect_links::begin(tx, link.id, &state, &kept, &verifier, until, MOST_BROWSERS)
            })
            .await?;
        if begun { Ok(Opened { redirect, browser }) } else { Err(gone()) }
    }

    /// A browser is back. It is taken off the table first, whatever comes of it: nobody comes twice.
    pub async fn come_back(&self, back: Back, origin: Origin) -> Result<Landing> {
        let unknown = Landing { outcome: Outcome::Unknown, return_url: None };
        let Some(state) = back.parameters.get("state").map(hash) else { return Ok(unknown) };
        if !self.db.read(|read| connect_links::is_under_way(read, &state))? {
            return Ok(unknown);
        }
        let Some(request) = self.db.write(move |tx| connect_links::take(tx, &state)).await? else { return Ok(unknown) };
        let same_browser = back.browser.as_ref().is_some_and(|cookie| hash(cookie).ct_eq(&request.browser).into());
        if !same_browser {
            tracing::warn!("a way to a provider came back in another browser than it began in");
            return Ok(unknown);
        }
        let found = self.db.read(|read| {
            let Some(link) = connect_links::find_begun(read, request.link_id)? else { return Ok(None) };
            let connection = store::connections::get(read, link.connection_id)?;
            let input = connect_links::input(read, link.id)?;
            let registration = registration(read, &connection, input.as_ref())?;
            let callback = Callback::parse(&store::profiles::callback(read, connection.profile_id)?);
            Ok(Some((link, connection, input, registration, callback)))
        })?;
        let Some((link, connection, input, registration, callback)) = found else { return Ok(unknown) };
        if callback != back.callback {
            return Ok(unknown);
        }
        let landed = |outcome| Landing { outcome, return_url: link.return_url.clone() };
        let redirect_uri = self.redirect_uri(callback);
        let text = |name: &str| back.parameters.get(name).map(|value| value.expose().to_owned());
        let entry = registration.provider.entry();
        let code_param = entry.code_param.clone().unwrap_or_else(|| "code".to_owned());
        // Some repeat what they were sent, and what is shown may go on to somebody else (`return_url`).
        let masked = |text: String| {
            let secrets = ["state", code_param.as_str()].into_iter().filter_map(|name| back.parameters.get(name));
            secrets
                .filter(|secret| !secret.expose().is_empty())
                .fold(text, |text, secret| text.replace(secret.expose(), MASK))
        };
        let refused = |error: String, description: Option<String>| Outcome::Refused {
            error: shown(&masked(error), 64),
            description: description.map(|text| shown(&masked(text), 300)),
            redirect_uri: redirect_uri.clone(),
        };
        // RFC 9207: an answer that another server has made is none.
        if !registration.provider.takes_issuer(text("iss").as_deref()) {
            return Ok(landed(refused("wrong_issuer".to_owned(), None)));
        }
        if let Some(error) = text("error") {
            return Ok(landed(refused(error, text("error_description"))));
        }
        let Some(code) = back.parameters.get(&code_param) else {
            return Ok(landed(refused("no_code".to_owned(), None)));
        };
        let kept = entry.callback_params.iter().filter_map(|name| Some((name.clone(), Value::from(text(name)?))));
        let extra: Map<String, Value> = kept.collect();
        let verifier = (entry.pkce == Pkce::S256).then_some(request.verifier);
        let ask = Ask::AuthorizationCode { code: code.clone(), verifier, redirect_uri: redirect_uri.clone() };
        let aim = Aim {
            connection,
            registration,
            input,
            scopes: link.scopes.clone(),
            other_account: link.other_account,
            grant_type: GrantType::AuthorizationCode,
            extra,
            who: Caller::of_machine(origin),
        };
        let outcome = match self.exchange_aside(aim, ask).await? {
            Exchanged::Connected(outcome) => outcome,
            Exchanged::OtherAccount { before, now } => Outcome::OtherAccount { before, now },
            Exchanged::Refused(refusal) if refusal.blame == Blame::App => Outcome::AppRejected,
            Exchanged::Refused(refusal) => refused(refusal.error, refusal.description),
        };
        Ok(landed(outcome))
    }

    /// Exchanges on the engine thread: a browser that is closed does not cut it off.
    async fn exchange_aside(&self, aim: Aim, ask: Ask) -> Result<Exchanged> {
        let stopping = || Error::unavailable(Outage::Stopping);
        let app = self.me.upgrade().ok_or_else(stopping)?;
        let (tell, told) = tokio::sync::oneshot::channel();
        self.worker.spawn(async move {
            // Whoever asked may have gone.
            drop(tell.send(app.redeem(aim, ask).await));
        });
        told.await.map_err(|_| stopping())?
    }

    async fn redeem(&self, aim: Aim, ask: Ask) -> Result<Exchanged> {
        let clock = self.db.clock();
        let mut last = None;
        // A client that is turned down has not used up the code: the other secret may be tried.
        let kinds: Vec<Option<SecretKind>> = match aim.registration.secrets.as_slice() {
            [] => vec![None],
            secrets => secrets.iter().map(|live| Some(live.kind)).collect(),
        };
        for kind in kinds {
            let live = aim.registration.secrets.iter().find(|live| Some(live.kind) == kind);
            let client = aim.registration.client(live);
            let sent = self.engine.token(&aim.registration.provider, &client, &ask, DEADLINE, &*clock).await;
            let refusal = match &sent {
                Sent::Answered(raw) => match aim.registration.provider.read(raw) {
                    Answer::Tokens(set) => return self.keep(aim, kind, raw, set).await,
                    Answer::Refused(refusal) => refusal,
                },
                unanswered => Refusal::of_sent(unanswered),
            };
            let next_may_help = refusal.may_be_the_secret();
            last = Some(refusal);
            if !next_may_help {
                break;
            }
        }
        last.map(Exchanged::Refused).ok_or_else(|| Error::internal("no client to exchange with"))
    }

    /// Keeps the tokens that came for a connection, once it is clear whose they are.
    async fn keep(&self, aim: Aim, secret: Option<SecretKind>, raw: &RawAnswer, set: TokenSet) -> Result<Exchanged> {
        // Some providers tell in the callback whose account it is, and not with the tokens.
        let mut extra = aim.extra.clone();
        extra.extend(set.extra);
        let account = match self.engine.user_info(&aim.registration.provider, &set.access, &extra, DEADLINE).await {
            Ok(account) => account,
            Err(refusal) => {
                tracing::info!(
                    connection = aim.connection.id,
                    error = refusal.error,
                    "the provider does not say whose account it is"
                );
                None
            }
        };
        let before = aim.connection.account_id.clone().filter(|_| !aim.other_account);
        let stranger = match (&before, &account) {
            (Some(before), Some(Account { id, .. })) => before != id,
            // It had an account, and nobody says whose this is.
            (Some(_), None) => aim.registration.provider.entry().userinfo.is_some(),
            (None, _) => false,
        };
        let now = account.as_ref().map(|account| account.label.clone().unwrap_or_else(|| account.id.clone()));
        let (refresh, access) = (set.refresh.clone(), set.access.clone());
        if stranger {
            let (id, registration) = (aim.connection.id, aim.registration.clone());
            self.db
                .write(move |tx| {
                    super::revocations::queue(tx, id, &registration, refresh.as_ref(), Some(&access)).map(drop)
                })
                .await?;
            self.worker.wake();
            let label = aim.connection.account_label.clone().or(before).unwrap_or_default();
            return Ok(Exchanged::OtherAccount { before: label, now: now.unwrap_or_default() });
        }
        let refreshable = set.refresh.is_some() || aim.grant_type == GrantType::ClientCredentials;
        let due_at = refresh::due_at(&aim.registration.provider, raw.received_at, set.expires_at, refreshable)?;
        let kept = Kept {
            grant_type: aim.grant_type,
            tokens: Tokens {
                access: set.access,
                refresh: set.refresh,
                previous: None,
                extra: Secret::new(Value::Object(extra).to_string()),
            },
            token_type: set.token_type,
            scope: set.scope,
            issued_at: raw.received_at,
            expires_at: set.expires_at,
            refresh_expires_at: set.refresh_expires_at,
            due_at,
            skew_ms: raw.skew_ms(),
        };
        let outcome = Outcome::Connected {
            connection_id: aim.connection.id,
            name: aim.connection.name.to_string(),
            provider: aim.connection.provider.clone(),
            account: now,
            owner: aim.connection.owner.clone(),
        };
        self.db.write(move |tx| keep(tx, &aim, secret, account.as_ref(), &kept)).await?;
        self.worker.wake();
        Ok(Exchanged::Connected(outcome))
    }

    /// Connects by the app's own credentials (RFC 6749 §4.4): nobody has to agree to anything.
    pub async fn connect_by_client_credentials(&self, caller: &Caller, wish: Wish) -> Result<Connection> {
        caller.need(Scope::ConnectionsWrite)?;
        check_scopes(wish.scopes.as_deref())?;
        let (aim, made) = self.aim_at(caller, wish, GrantType::ClientCredentials).await?;
        let scopes = aim
            .scopes
            .clone()
            .or_else(|| aim.connection.scopes.clone())
            .unwrap_or_else(|| aim.registration.provider.entry().default_scopes.clone());
        let id = aim.connection.id;
        let exchanged = self.exchange_aside(aim, Ask::ClientCredentials { scopes }).await;
        self.connected_or_gone(caller, id, made, exchanged).await
    }

    /// Brings a grant along. Without an access token one is fetched first, and a refresh token that is no good is no
    /// connection.
    pub async fn import(&self, caller: &Caller, wish: Wish, grant: ImportedGrant) -> Result<Connection> {
        caller.need(Scope::ConnectionsWrite)?;
        let Some(access) = grant.access else {
            let (mut aim, made) = self.aim_at(caller, wish, GrantType::Imported).await?;
            aim.extra = grant.extra;
            let id = aim.connection.id;
            let exchanged = self.exchange_imported(aim, grant.refresh).await;
            return self.connected_or_gone(caller, id, made, exchanged).await;
        };
        let (caller, now) = (caller.clone(), self.db.now());
        let connection = self
            .db
            .write(move |tx| {
                let (connection, _) = aim_in(tx, &caller, &wish)?;
                let registration = registration(tx, &connection, wish.variables.as_ref())?;
                let due_at = refresh::due_at(&registration.provider, now, grant.expires_at, true)?;
                let kept = Kept {
                    grant_type: GrantType::Imported,
                    tokens: Tokens {
                        access,
                        refresh: Some(grant.refresh),
                        previous: None,
                        extra: Secret::new(Value::Object(grant.extra).to_string()),
                    },
                    token_type: "Bearer".to_owned(),
                    scope: grant.scope,
                    issued_at: now,
                    expires_at: grant.expires_at,
                    refresh_expires_at: None,
                    due_at,
                    skew_ms: None,
                };
                let id = connection.id;
                let aim = Aim {
                    connection,
                    registration,
                    input: wish.variables,
                    scopes: wish.scopes,
                    other_account: true,
                    grant_type: GrantType::Imported,
                    extra: Map::new(),
                    who: caller,
                };
                keep(tx, &aim, None, None, &kept)?;
                store::connections::get(tx, id)
            })
            .await?;
        self.worker.wake();
        Ok(connection)
    }

    async fn exchange_imported(&self, aim: Aim, refresh_token: Secret) -> Result<Exchanged> {
        self.exchange_aside(aim, Ask::Refresh { refresh_token }).await
    }

    /// The connection that a wish is about, made where it is new, and whether it was.
    async fn aim_at(&self, caller: &Caller, wish: Wish, grant_type: GrantType) -> Result<(Aim, bool)> {
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let (connection, made) = aim_in(tx, &caller, &wish)?;
                let registration = registration(tx, &connection, wish.variables.as_ref())?;
                let aim = Aim {
                    connection,
                    registration,
                    input: wish.variables,
                    scopes: wish.scopes,
                    other_account: wish.other_account,
                    grant_type,
                    extra: Map::new(),
                    who: caller,
                };
                Ok((aim, made))
            })
            .await
    }

    /// What came of connecting without a browser; a connection that was made for nothing goes again.
    async fn connected_or_gone(
        &self,
        caller: &Caller,
        id: i64,
        made: bool,
        exchanged: Result<Exchanged>,
    ) -> Result<Connection> {
        let why = match exchanged {
            Ok(Exchanged::Connected(_)) => {
                let caller = caller.clone();
                return self.db.read(|read| of_caller(read, &caller, None, id));
            }
            Ok(Exchanged::OtherAccount { .. }) => Error::invalid("connection_id", Why::OtherAccount),
            Ok(Exchanged::Refused(refusal)) => {
                let why = match refusal.blame {
                    Blame::App => NoToken::AppSecretRejected,
                    Blame::Grant => NoToken::NeedsReauthorization,
                    Blame::Provider | Blame::Network => NoToken::ProviderUnavailable {
                        retry_after: refusal.retry_after.unwrap_or(Duration::from_secs(5)),
                    },
                };
                Error::NoToken { why, connect_url: None }
            }
            Err(error) => error,
        };
        if made {
            self.db.write(move |tx| store::connections::delete(tx, id)).await?;
        }
        Err(why)
    }
}

/// A grant that is brought along.
#[derive(Debug, Clone)]
pub struct ImportedGrant {
    /// The refresh token.
    pub refresh: Secret,
    /// The access token; `None`: one is fetched.
    pub access: Option<Secret>,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// What was granted.
    pub scope: Option<String>,
    /// Fields to keep with it.
    pub extra: Map<String, Value>,
}

/// Where tokens are to go.
struct Aim {
    connection: Connection,
    registration: Registration,
    /// Values for the provider's variables that the connection gets.
    input: Option<Secret>,
    scopes: Option<Vec<String>>,
    other_account: bool,
    grant_type: GrantType,
    extra: Map<String, Value>,
    who: Caller,
}

enum Exchanged {
    Connected(Outcome),
    OtherAccount { before: String, now: String },
    Refused(Refusal),
}

fn keep(tx: &Tx<'_>, aim: &Aim, secret: Option<SecretKind>, account: Option<&Account>, kept: &Kept) -> Result<()> {
    let id = aim.connection.id;
    // It may have been deleted while the browser was away.
    let connection = store::connections::get(tx, id)?;
    store::grants::put(tx, id, kept)?;
    store::refreshes::finish(tx, id)?;
    let account_fields = account.map(|account| (account.id.as_str(), account.label.as_deref()));
    store::connections::authorize(tx, id, account_fields, aim.scopes.as_deref())?;
    if let Some(input) = &aim.input {
        store::connections::put_input(tx, id, Some(input))?;
    }
    connect_links::delete_of_connection(tx, id)?;
    store::device_authorizations::delete(tx, id)?;
    let again = connection.authorized_at.is_some();
    let detail = json!({
        "account": account.map(|account| account.label.as_ref().unwrap_or(&account.id)),
        "reconnected": again,
        "grant_type": aim.grant_type.as_str(),
    });
    store::events::insert(tx, EventKind::Connected, Some(id), Some(connection.profile_id), &detail)?;
    audit(tx, &aim.who, Deed::Connected, "connection", id, &json!({"grant_type": aim.grant_type.as_str()}))?;
    if let Some(kind) = secret {
        store::profiles::secret_used(tx, connection.profile_id, kind)?;
        flight::accepted(tx, connection.profile_id)?;
    }
    Ok(())
}

/// The registration that a connection would use with these values, or with its own.
fn registration(read: &Read<'_>, connection: &Connection, variables: Option<&Secret>) -> Result<Registration> {
    match variables {
        Some(values) => Registration::of_profile(read, connection.profile_id, &super::registration::strings(values)),
        None => Registration::of_connection(read, connection),
    }
}

/// The connection that a wish is about, and whether it was made for it.
fn aim(tx: &Tx<'_>, caller: &Caller, wish: &Wish) -> Result<(Connection, bool)> {
    aim_in(tx, caller, wish)
}

fn aim_in(tx: &Tx<'_>, caller: &Caller, wish: &Wish) -> Result<(Connection, bool)> {
    if let Some(id) = wish.connection_id {
        let connection = of_caller(tx, caller, wish.customer.as_ref(), id)?;
        if wish.profile_id.is_some_and(|profile| profile != connection.profile_id) {
            return Err(Error::invalid("custom_oauth_profile_id", Why::Fixed));
        }
        // One that nobody has connected yet and that a link brought into being is still that link's.
        let new = connection.status.is_none() && connect_links::is_new(tx, id)?;
        return Ok((connection, new));
    }
    let customer = wish.customer.as_ref().map(|key| store::customers::get(tx, key)).transpose()?;
    let customer_id = customer.map(|customer| customer.id);
    let placeholder = || Name::new("connection").map_err(|why| Error::invalid("name", why));
    let mut draft = Draft {
        name: wish.name.clone().map_or_else(placeholder, Ok)?,
        provider: wish.provider.clone(),
        profile_id: wish.profile_id,
        owner: wish.owner.clone(),
        external_id: wish.external_id.clone(),
        folder_id: wish.folder_id,
        parent_id: wish.parent_id,
        input: wish.variables.clone(),
    };
    reach::may_make(tx, caller, &mut draft)?;
    let profile = choose_profile(tx, &draft, customer_id)?;
    if wish.name.is_none() {
        draft.name = profile.name.clone();
    }
    let id = store::connections::insert(tx, &draft, &profile.provider, profile.id, customer_id)?;
    let detail = json!({"name": draft.name.as_str(), "profile": profile.id});
    audit(tx, caller, Deed::Created, "connection", id, &detail)?;
    Ok((store::connections::get(tx, id)?, true))
}

fn check_scopes(scopes: Option<&[String]>) -> Result<()> {
    let Some(scopes) = scopes else { return Ok(()) };
    if scopes.len() > MOST_SCOPES {
        return Err(Error::invalid("scopes", Why::TooMany(MOST_SCOPES)));
    }
    // RFC 6749 §3.3: visible ASCII without the quote and the backslash.
    let fine = |scope: &String| {
        !scope.is_empty()
            && scope.len() <= MOST_SCOPE
            && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    };
    match scopes.iter().position(|scope| !fine(scope)) {
        Some(n) => Err(Error::invalid(format!("scopes[{n}]"), Why::Malformed("a scope (RFC 6749 §3.3)"))),
        None => Ok(()),
    }
}

/// 256 random bits in base64url.
fn random() -> Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *bytes).map_err(Error::internal)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

fn hash(secret: &Secret) -> [u8; 32] {
    Sha256::digest(secret.expose().as_bytes()).into()
}

/// Somebody else's text, as it may be shown.
fn shown(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// Removes what nobody has come for: links, browsers, and the connections that were made for them alone.
pub(super) fn sweep(tx: &Tx<'_>) -> Result<()> {
    const SETTLED_MS: i64 = 24 * 60 * 60 * 1000;
    for id in connect_links::sweep(tx, tx.now().plus_ms(-SETTLED_MS))? {
        if store::connections::get(tx, id)?.status != Some(Status::Success) {
            store::connections::delete(tx, id)?;
        }
    }
    Ok(())
}
