//! Connecting by a link and a browser (RFC 6749 §4.1 with RFC 7636).
//!
//! A link lives a quarter of an hour. Whoever opens it is bound to it by a cookie; the provider's answer is taken from
//! that browser alone, once.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    App, Wish, aim, check_scopes,
    redeem::{Aim, Redeemed},
    registration, warnings_ahead,
};
use crate::{
    app::{
        access::{Caller, Origin},
        audit,
        connections::of_caller,
        credential::Credential,
        registration::connection_secrets,
    },
    domain::{
        Error, Name, Noun, Result, Secret, Timestamp, Why,
        api_token::TokenKind,
        audit::Deed,
        customer::Key,
        grant::{Blame, GrantType},
        user::Scope,
        warning::Warning,
    },
    oauth::{
        catalogue::Pkce,
        pkce,
        redact::{Redactor, is_secret_name},
        wire::Ask,
    },
    store::{self, Tx, connect_links},
};

/// A link lives for so long.
const LINK_MS: i64 = 15 * 60 * 1000;
/// A browser may take so long at the provider.
const BROWSER_MS: i64 = 15 * 60 * 1000;
/// A link that was looked at by whoever previews links has its first browsers forgotten.
const MOST_BROWSERS: u32 = 10;
/// A connection keeps so many open links.
const MOST_LINKS: u32 = 10;

/// What is asked for when an end user is to connect an account of their own, in the way another connection shows.
#[derive(Debug, Clone)]
pub struct RuntimeWish {
    /// The connection that shows the way.
    pub parent_id: i64,
    /// Which end user it is, in somebody else's system.
    pub external_id: Option<String>,
    /// The folder of a new connection.
    pub folder_id: Option<i64>,
    /// What a new connection is called; `None`: as the other one.
    pub name: Option<Name>,
    /// Where the browser goes in the end; on the allow-list.
    pub return_url: Option<String>,
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
    /// What should be known before the account is connected.
    pub warnings: Vec<Warning>,
    /// From 1; it is in the link's text as well.
    id: i64,
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
        /// What should be known of it.
        warnings: Vec<Warning>,
    },
    /// This is no way that began here, or it has ended, or it began in another browser.
    Unknown,
    /// The account is not connected.
    Refused(ConnectRefusal),
    /// The provider turns down the app's client id or secret.
    AppRejected,
    /// It is another account than the connection had before.
    OtherAccount {
        /// The account before.
        before: String,
        /// The account that came.
        now: String,
    },
    /// The provider agreed, and the database took nothing for so long that what came is lost.
    Lost(Loss),
}

/// Why an account is not connected: our reason, and apart from it what the provider sent.
#[derive(Debug, Clone, Default)]
pub struct ConnectRefusal {
    /// Our reason, from a closed list: `provider_error`, `wrong_issuer`, `no_code`, `admin_consent`, or that of the token
    /// request ([`crate::oauth::wire::Reason`]).
    pub reason: &'static str,
    /// The provider's error code (RFC 6749 §4.1.2.1, §5.2), at most 64 characters.
    pub provider_error: Option<String>,
    /// The provider's description, at most 300 characters.
    pub description: Option<String>,
    /// The status of its answer.
    pub http_status: Option<u16>,
    /// The beginning of an answer that could not be read.
    pub excerpt: Option<String>,
    /// The redirect URI that has to be registered, where the provider's words are about that.
    pub redirect_uri: Option<String>,
}

/// What has become of tokens that were not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The provider has ended them again.
    GivenBack,
    /// They stand at the provider, and nobody has them.
    AtProvider,
    /// The same, but the connection works on with those that it had.
    BesideOthers,
}

impl App {
    /// The redirect URI of a profile (RFC 6749 §3.1.2): to be registered at its provider, to the letter.
    pub(in crate::app) fn redirect_uri(&self, callback: Callback) -> String {
        format!("{}{}", self.settings.public_url, callback.path())
    }

    /// Makes a link by which somebody connects an account. What would stop that person is an error now: no such profile,
    /// a secret that cannot be used, a variable that is missing.
    pub async fn make_link(&self, caller: &Caller, wish: Wish) -> Result<Link> {
        caller.need(Scope::ConnectionsWrite)?;
        check_scopes(wish.scopes.as_deref())?;
        self.check_return("return_url", wish.return_url.as_deref())?;
        let (caller, public_url) = (caller.clone(), self.settings.public_url.clone());
        self.db.write(move |tx| link_in(tx, &caller, &wish, &public_url)).await
    }

    /// Makes a link by which an end user connects an account of their own in the way another connection shows: through its
    /// profile, with its variables and scopes, for its customer. The same external id again is the same connection again.
    pub async fn make_runtime_link(&self, caller: &Caller, customer: Option<Key>, wish: RuntimeWish) -> Result<Link> {
        caller.need(Scope::ConnectionsWrite)?;
        self.check_return("redirect_url", wish.return_url.as_deref())?;
        let (caller, public_url) = (caller.clone(), self.settings.public_url.clone());
        self.db
            .write(move |tx| {
                let parent =
                    of_caller(tx, &caller, customer.as_ref(), wish.parent_id).map_err(|error| match error {
                        Error::NotFound { what: Noun::Connection, .. } => Error::invalid("parent_id", Why::NotInList),
                        other => other,
                    })?;
                let known = match &wish.external_id {
                    Some(external_id) => store::connections::find_made_from(tx, parent.id, external_id)?,
                    None => None,
                };
                let made = match known {
                    Some(id) => Wish { connection_id: Some(id), return_url: wish.return_url, ..Wish::default() },
                    None => Wish {
                        profile_id: Some(parent.profile_id),
                        name: Some(wish.name.unwrap_or(parent.name)),
                        external_id: wish.external_id,
                        folder_id: wish.folder_id,
                        parent_id: Some(parent.id),
                        customer: parent.customer_id.map(Key::Id),
                        scopes: parent.scopes,
                        variables: store::connections::input(tx, parent.id)?,
                        return_url: wish.return_url,
                        ..Wish::default()
                    },
                };
                link_in(tx, &caller, &made, &public_url)
            })
            .await
    }

    fn check_return(&self, field: &str, url: Option<&str>) -> Result<()> {
        match url {
            Some(url) if !self.is_allowed_return(url) => Err(Error::invalid(field, Why::NotInList)),
            _ => Ok(()),
        }
    }

    /// A link for a connection that has to be authorised; the same one again while it has five minutes left, so that
    /// somebody who asks and asks does not make thousands.
    pub(in crate::app) async fn connect_url(&self, caller: &Caller, id: i64) -> Result<String> {
        const MOST: usize = 1000;
        const LEFT_MS: i64 = 5 * 60 * 1000;
        let now = self.db.now();
        let known = |links: &mut std::collections::HashMap<i64, Link>| {
            links.retain(|_, link| link.expires_at > now.plus_ms(LEFT_MS));
            links.get(&id).map(|link| (link.id, link.url.clone()))
        };
        let known = self.links.lock().ok().and_then(|mut links| known(&mut links));
        // It may have done its work, or have made room for newer ones.
        if let Some((link, url)) = known
            && self.db.read(|read| connect_links::find(read, link))?.is_some()
        {
            return Ok(url);
        }
        // Who may have the token may have it connected again: the link gives no more than that.
        let wish = Wish { connection_id: Some(id), ..Wish::default() };
        let maker = Self::link_maker(caller);
        let link = self.make_link(&maker, wish).await?;
        let url = link.url.clone();
        if let Ok(mut links) = self.links.lock()
            && (links.len() < MOST || links.contains_key(&id))
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
        // The browser's parameters are text of the provider, and what is shown may go on to another site (`return_url`).
        let parameters = back.parameters.iter().filter(|(name, _)| **name == code_param || is_secret_name(name));
        let client = registration.first_client();
        let held = self.db.read(|read| Ok(connection_secrets(read, connection.id)))?;
        let secrets = parameters.map(|(_, value)| value).chain(&back.browser).chain([&request.verifier]);
        let redactor = Redactor::for_provider(
            &registration.provider,
            secrets.chain(&client.secret).chain(&client.known).chain(&held),
        );
        let refused = |refusal: ConnectRefusal| {
            let provider_error = refusal.provider_error.map(|text| shown(&redactor.text(&text), 64));
            let description = refusal.description.map(|text| shown(&redactor.text(&text), 300));
            let about_redirect = [&provider_error, &description]
                .into_iter()
                .flatten()
                .any(|text| text.to_lowercase().contains("redirect"));
            let redirect_uri = about_redirect.then(|| redirect_uri.clone());
            Outcome::Refused(ConnectRefusal { provider_error, description, redirect_uri, ..refusal })
        };
        let because = |reason| refused(ConnectRefusal { reason, ..ConnectRefusal::default() });
        // RFC 9207: an answer that another server has made is none.
        if !registration.provider.takes_issuer(text("iss").as_deref()) {
            return Ok(landed(because("wrong_issuer")));
        }
        if let Some(error) = text("error") {
            let (provider_error, description) = (Some(error), text("error_description"));
            let refusal =
                ConnectRefusal { reason: "provider_error", provider_error, description, ..Default::default() };
            return Ok(landed(refused(refusal)));
        }
        let Some(code) = back.parameters.get(&code_param) else {
            // Some providers send the browser back when an administrator has consented for everyone, without a code.
            let consented = text("admin_consent").is_some_and(|value| value.eq_ignore_ascii_case("true"));
            return Ok(landed(because(if consented { "admin_consent" } else { "no_code" })));
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
            device: None,
        };
        let outcome = match self.redeem_aside(aim, ask).await? {
            Redeemed::Connected(outcome) => outcome,
            Redeemed::Unwanted => Outcome::Unknown,
            Redeemed::OtherAccount { before, now } => Outcome::OtherAccount { before, now },
            Redeemed::Lost(loss) => Outcome::Lost(loss),
            Redeemed::Refused(refusal) if refusal.blame == Blame::App => Outcome::AppRejected,
            Redeemed::Refused(refusal) => refused(ConnectRefusal {
                reason: refusal.reason.as_str(),
                provider_error: refusal.provider_error,
                description: refusal.description,
                http_status: refusal.status,
                excerpt: refusal.excerpt,
                redirect_uri: None,
            }),
        };
        Ok(landed(outcome))
    }
}

/// Makes a link, and the connection where it is new.
fn link_in(tx: &Tx<'_>, caller: &Caller, wish: &Wish, public_url: &str) -> Result<Link> {
    let (connection, new_connection) = aim(tx, caller, wish)?;
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
    audit(tx, caller, Deed::LinkMade, "connection", connection.id, &json!({}))?;
    let url = format!("{public_url}/connect/{}", ticket.text().expose());
    Ok(Link { connection_id: connection.id, url, expires_at, warnings: warnings_ahead(tx, &connection)?, id })
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

/// Text of a provider without control characters, at most `most` characters of it.
fn shown(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}
