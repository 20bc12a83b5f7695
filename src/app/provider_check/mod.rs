//! The check of one profile at its provider, without any user: are client id, secret and redirect URI right, do the
//! endpoints answer, does the provider's own metadata agree with what we believe of it?
//!
//! A code that nobody issued is sent to the token endpoint. "No such code" means that the client was taken, if, and only
//! if, the provider looks at the client first. That is asked too: the same code goes out with a secret that is made up,
//! and only where that one is turned down is the first answer good news. One wrong secret hurts nobody: if it did, anybody
//! who has seen the client id in an address bar could do it.

mod finding;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    App,
    access::Caller,
    audit, connections, providers, refresh,
    registration::{LiveSecret, Registration},
};
use crate::{
    domain::{Error, Fault, Faults, Outage, Result, Timestamp, Why, audit::Deed, profile::SecretKind, user::Scope},
    oauth::{
        catalogue::{ClientAuth, Entry, Pkce, Resolved},
        discovery::Discovered,
        trial::{Seen, Told, Trial, other_way},
        wire::Client,
    },
    store::{self, Read},
};

pub use crate::oauth::trial::{Exchange, Received, Shown};
pub use finding::{Finding, Place, Severity, Verdict, Words};

/// So many profiles are checked at once.
const MOST_AT_ONCE: usize = 4;
/// Who finds no room may come back after so long.
const COME_BACK: Duration = Duration::from_secs(5);
/// Each request may take so long.
const DEADLINE: Duration = Duration::from_secs(15);
/// Of so many connections the variables are tried.
const MOST_BORROWED: usize = 50;

/// The checks that are under way.
pub(super) struct Checks {
    places: Arc<Semaphore>,
    profiles: Arc<Mutex<HashSet<i64>>>,
}

impl Default for Checks {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST_AT_ONCE)), profiles: Arc::default() }
    }
}

/// A place for one check, given back when it is dropped.
struct Going {
    id: i64,
    profiles: Arc<Mutex<HashSet<i64>>>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Going {
    fn drop(&mut self) {
        self.profiles.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Checks {
    fn begin(&self, id: i64, place: OwnedSemaphorePermit) -> Result<Going> {
        let begun = self.profiles.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        if !begun {
            return Err(Error::TooMany { retry_after: COME_BACK });
        }
        Ok(Going { id, profiles: Arc::clone(&self.profiles), _place: place })
    }
}

/// What a check came to.
#[derive(Debug, Clone)]
pub struct Checked {
    /// In a word.
    pub verdict: Verdict,
    /// Fact by fact.
    pub findings: Vec<Finding>,
    /// What was sent to the token and the authorization endpoint, and what came back.
    pub exchanges: Vec<Exchange>,
    /// The redirect URI that the app is to be registered with.
    pub redirect_uri: String,
    /// The provider's clock less ours, in milliseconds; `None`: it did not say.
    pub skew_ms: Option<i64>,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Everything.
    Whole,
    /// Whether the client is taken.
    Client,
}

/// What the check of a profile begins with.
struct Start {
    redirect_uri: String,
    /// The registration, or what is wrong with it.
    registration: Result<Registration, Vec<Finding>>,
    /// The connection whose variables are used.
    borrowed: Option<i64>,
}

impl App {
    /// Checks a profile at its provider. `variables` are values for the variables of the provider; where none are given
    /// and some are needed, those of a connection that is authorised are used.
    ///
    /// `TooMany` while the same profile, or too many others, are being checked.
    pub async fn check_profile(
        &self,
        caller: &Caller,
        id: i64,
        variables: BTreeMap<String, String>,
    ) -> Result<Checked> {
        caller.need(Scope::ProfilesWrite)?;
        let place = Arc::clone(&self.checks.places).try_acquire_owned();
        let place = place.map_err(|_| Error::TooMany { retry_after: COME_BACK })?;
        self.check_in(place, caller, id, variables, Depth::Whole).await
    }

    /// The same for those who ask for many, one after the other: they wait for a place.
    pub(super) async fn check_in_turn(&self, caller: &Caller, id: i64) -> Result<Checked> {
        caller.need(Scope::ProfilesWrite)?;
        let place = Arc::clone(&self.checks.places).acquire_owned().await.map_err(Error::internal)?;
        self.check_in(place, caller, id, BTreeMap::new(), Depth::Client).await
    }

    async fn check_in(
        &self,
        place: OwnedSemaphorePermit,
        caller: &Caller,
        id: i64,
        variables: BTreeMap<String, String>,
        depth: Depth,
    ) -> Result<Checked> {
        let start = self.db.read(|read| self.start_check(read, caller, id, &variables))?;
        let stopping = || Error::unavailable(Outage::Stopping);
        if self.worker.is_stopping() {
            return Err(stopping());
        }
        let app = self.me.upgrade().ok_or_else(stopping)?;
        let going = self.checks.begin(id, place)?;
        let caller = caller.clone();
        let (tell, told) = oneshot::channel();
        // What has been sent in somebody's name leaves its entry in the trail, whether or not they wait for the end.
        self.worker.spawn(async move {
            let done = app.run_check(&caller, id, start, depth).await;
            drop(going);
            drop(tell.send(done));
        });
        told.await.map_err(|_| stopping())?
    }

    fn start_check(
        &self,
        read: &Read<'_>,
        caller: &Caller,
        id: i64,
        variables: &BTreeMap<String, String>,
    ) -> Result<Start> {
        let profile = store::profiles::get(read, id)?;
        if let Some((entry, _)) = providers::find(read, &profile.provider)? {
            let mut faults = Faults::default();
            for name in variables.keys().filter(|name| !entry.variables.contains_key(*name)) {
                faults.add(format!("variables.{name}"), Why::Unknown);
            }
            faults.or(())?;
        }
        let redirect_uri = format!("{}{}", self.settings.public_url, store::profiles::callback_path(read, id)?);
        let (registration, borrowed) = match register(read, caller, id, variables) {
            Err(Error::Invalid(faults)) => (Err(faults.into_iter().map(misconfigured).collect()), None),
            Err(Error::Internal(_)) if !opens(read, id) => (Err(vec![Finding::DoesNotOpen]), None),
            other => other.map(|(registration, borrowed)| (Ok(registration), borrowed))?,
        };
        Ok(Start { redirect_uri, registration, borrowed })
    }

    async fn run_check(&self, caller: &Caller, id: i64, start: Start, depth: Depth) -> Result<Checked> {
        let Start { redirect_uri, registration, borrowed } = start;
        let mut findings: Vec<Finding> =
            borrowed.map(|connection| Finding::Borrowed { connection }).into_iter().collect();
        let registration = match registration {
            Ok(registration) => registration,
            Err(more) => {
                findings.extend(more);
                let checked = Checked {
                    verdict: finding::verdict(&findings),
                    findings,
                    exchanges: Vec::new(),
                    redirect_uri,
                    skew_ms: None,
                };
                return self.note_check(caller, id, checked, None).await;
            }
        };
        let mut judge = Judge {
            app: self,
            registration: &registration,
            redirect_uri: &redirect_uri,
            exchanges: Vec::new(),
            skew_ms: None,
            impostors: Vec::new(),
        };
        let visiting = async {
            match depth {
                Depth::Whole => self.visit(&registration, &redirect_uri).await,
                Depth::Client => Ok((None, Vec::new())),
            }
        };
        let discovering = async {
            match depth {
                Depth::Whole => self.compare_metadata(&registration.provider).await,
                Depth::Client => Vec::new(),
            }
        };
        let (judged, visited, discovered) = tokio::join!(judge.all(), visiting, discovering);
        let (mut exchanges, skew_ms) = (std::mem::take(&mut judge.exchanges), judge.skew_ms);
        findings.extend(judged?);
        findings.extend(skew_ms.map(|skew_ms| Finding::Clock { skew_ms }));
        let (exchange, seen) = visited?;
        exchanges.extend(exchange);
        findings.extend(seen);
        findings.extend(discovered);
        let checked = Checked { verdict: finding::verdict(&findings), findings, exchanges, redirect_uri, skew_ms };
        self.note_check(caller, id, checked, Some(&registration)).await
    }

    /// Leaves the entry in the trail; and where the provider takes what it turned down before, all that waited goes on.
    async fn note_check(
        &self,
        caller: &Caller,
        id: i64,
        mut checked: Checked,
        registration: Option<&Registration>,
    ) -> Result<Checked> {
        let works: Vec<(SecretKind, Timestamp)> = registration
            .into_iter()
            .flat_map(|registration| &registration.secrets)
            .filter(|live| takes(&checked.findings, Some(live.kind)))
            .map(|live| (live.kind, live.since))
            .collect();
        let public = takes(&checked.findings, None);
        let detail = json!({"verdict": checked.verdict.as_str()});
        let caller = caller.clone();
        let healed = self
            .db
            .write(move |tx| {
                audit(tx, &caller, Deed::Checked, "profile", id, &detail)?;
                // Somebody may have put another secret there while we asked; then we know nothing of it.
                let now = store::profiles::live_secrets(tx, id).unwrap_or_default();
                let mut good = public;
                for (kind, _, _) in now.iter().filter(|(kind, since, _)| works.contains(&(*kind, *since))) {
                    store::profiles::secret_used(tx, id, *kind)?;
                    good = true;
                }
                if good { refresh::flight::accepted(tx, id) } else { Ok(false) }
            })
            .await?;
        if healed {
            checked.findings.push(Finding::Healed);
            self.worker.wake();
        }
        Ok(checked)
    }

    async fn visit(&self, registration: &Registration, redirect_uri: &str) -> Result<(Option<Exchange>, Vec<Finding>)> {
        let client = registration.first_client();
        let Some(visit) = self.engine.visit(&registration.provider, &client, redirect_uri, DEADLINE).await? else {
            return Ok((None, Vec::new()));
        };
        let (place, url) = (Place::Authorization, visit.exchange.sent.url.clone());
        let answers = Finding::Answers { place, url: url.clone() };
        let findings = match visit.seen {
            Seen::Page => vec![answers],
            Seen::Back(error) => vec![answers, Finding::SentBack { error }],
            Seen::NotThere(_) => {
                vec![answers, Finding::RedirectUri { place, register: redirect_uri.to_owned(), words: None }]
            }
            Seen::Refused(status) => vec![answers, Finding::Refused { status }],
            Seen::Broken(status) => vec![Finding::Broken { place, url, status }],
            Seen::Certificate(why) => vec![Finding::Certificate { place, url, why }],
            Seen::Unreachable(why) => vec![Finding::NoAnswer { place, url, why }],
        };
        Ok((Some(visit.exchange), findings))
    }

    /// Compares the definition with what the provider says of itself, where it does.
    async fn compare_metadata(&self, provider: &Resolved) -> Vec<Finding> {
        let named = provider.entry().issuer.clone();
        // Where nobody named an issuer the host of the token endpoint may be one, and need not.
        let guess = || url::Url::parse(provider.token_url()).ok().map(|url| url.origin().ascii_serialization());
        let Some(issuer) = named.clone().or_else(guess) else { return Vec::new() };
        match self.engine.discover(&issuer, DEADLINE).await {
            Ok(found) => compare(provider.entry(), &found),
            Err(_) if named.is_none() => Vec::new(),
            Err(Error::Invalid(faults)) => {
                let why = faults.into_iter().find_map(|fault| match fault.why {
                    Why::NotDiscovered(why) => Some(why),
                    _ => None,
                });
                vec![Finding::NotDiscovered { why: why.unwrap_or_default() }]
            }
            Err(error) => {
                tracing::warn!(%error, "a discovery went wrong");
                Vec::new()
            }
        }
    }
}

/// Whether the provider takes the client with this secret.
fn takes(findings: &[Finding], kind: Option<SecretKind>) -> bool {
    findings.iter().any(|finding| matches!(finding, Finding::Accepted { secret, .. } if *secret == kind))
}

/// The registration of a profile with these variables; where none are given and some are missing, with those of a
/// connection that is authorised, and that connection.
pub(super) fn register(
    read: &Read<'_>,
    caller: &Caller,
    id: i64,
    given: &BTreeMap<String, String>,
) -> Result<(Registration, Option<i64>)> {
    let faults = match Registration::of_profile(read, id, given) {
        Err(Error::Invalid(faults)) => faults,
        other => return other.map(|registration| (registration, None)),
    };
    if given.is_empty() && faults.iter().all(|fault| fault.path.starts_with("variables.")) {
        for connection in
            store::connections::authorized(read, id, None, caller.reach())?.into_iter().take(MOST_BORROWED)
        {
            // A caller who does not see a connection does not see its variables in an address either.
            if let Ok(connection) = connections::of_caller(read, caller, None, connection)
                && let Ok(registration) = Registration::of_connection(read, &connection)
            {
                return Ok((registration, Some(connection.id)));
            }
        }
    }
    Err(Error::Invalid(faults))
}

fn misconfigured(fault: Fault) -> Finding {
    match fault.why {
        Why::OnlyHashed => Finding::OnlyHashed,
        why => Finding::Setting { path: fault.path, why },
    }
}

/// Whether what is sealed of a profile opens.
fn opens(read: &Read<'_>, id: i64) -> bool {
    let kinds = [SecretKind::Current, SecretKind::Next, SecretKind::Parameters];
    kinds.into_iter().all(|kind| store::profiles::open_secret(read, id, kind).is_ok())
}

/// Finds out what the token endpoint thinks of a client.
struct Judge<'a> {
    app: &'a App,
    registration: &'a Registration,
    redirect_uri: &'a str,
    exchanges: Vec<Exchange>,
    skew_ms: Option<i64>,
    /// What became of clients that nobody knows, by the way in which they showed themselves.
    impostors: Vec<(ClientAuth, Told)>,
}

impl Judge<'_> {
    /// Tries every live secret, or the client without one.
    async fn all(&mut self) -> Result<Vec<Finding>> {
        let registration = self.registration;
        let secrets: Vec<Option<&LiveSecret>> = match registration.secrets.as_slice() {
            [] => vec![None],
            secrets => secrets.iter().map(Some).collect(),
        };
        let mut findings = Vec::new();
        for live in secrets {
            let more = self.one(live).await?;
            // What is wrong with the endpoint is wrong whatever the secret.
            let over = more.iter().any(|finding| {
                matches!(finding.verdict(), Some(Verdict::Unreachable))
                    || matches!(finding, Finding::Elsewhere { .. } | Finding::NotAnEndpoint { .. } | Finding::NoCodes)
            });
            findings.extend(more.into_iter().filter(|finding| !matches!(finding, Finding::Answers { .. })));
            if over {
                return Ok(findings);
            }
        }
        let url = self.exchanges.first().map_or_else(String::new, |exchange| exchange.sent.url.clone());
        findings.insert(0, Finding::Answers { place: Place::Token, url });
        let some_work = findings.iter().any(|finding| matches!(finding, Finding::Accepted { .. }));
        for finding in &mut findings {
            if let Finding::Rejected { other_works, .. } = finding {
                *other_works = some_work;
            }
        }
        Ok(findings)
    }

    async fn one(&mut self, live: Option<&LiveSecret>) -> Result<Vec<Finding>> {
        let registration = self.registration;
        let (client, secret) = (registration.client(live), live.map(|live| live.kind));
        let trial = self.ask(&registration.provider, &client).await?;
        let url = trial.exchange.sent.url.clone();
        let status = trial.exchange.received.status.unwrap_or_default();
        let why = || trial.description.clone().unwrap_or_else(|| trial.error.clone());
        let words = Words { error: trial.error.clone(), description: trial.description.clone() };
        let place = Place::Token;
        Ok(vec![match trial.told {
            Told::NoSuchCode => match self.impostor(&registration.provider, &client).await? {
                Told::NoSuchClient => Finding::Accepted { secret, confirmed: true },
                Told::NoSuchCode | Told::Tokens => Finding::CodeFirst { secret },
                _ => Finding::Accepted { secret, confirmed: false },
            },
            Told::NotThere => {
                let there = Finding::RedirectUri { place, register: self.redirect_uri.to_owned(), words: Some(words) };
                if self.impostor(&registration.provider, &client).await? == Told::NoSuchClient {
                    return Ok(vec![Finding::Accepted { secret, confirmed: true }, there]);
                }
                there
            }
            // Whatever it means: a client that nobody knows hears something else.
            Told::Other => match self.impostor(&registration.provider, &client).await? {
                Told::NoSuchClient => Finding::Accepted { secret, confirmed: true },
                _ => Finding::Unclear { secret, words },
            },
            Told::NoSuchClient => match self.other_way(&client).await? {
                Some(way) => Finding::OtherWay { secret, client_auth: way_word(way) },
                None => Finding::Rejected { secret, words, other_works: false },
            },
            Told::NoCodes => Finding::NoCodes,
            Told::Tokens => Finding::Tokens,
            Told::Elsewhere => Finding::Elsewhere { url },
            Told::NotAnEndpoint => Finding::NotAnEndpoint { url, status },
            Told::Broken => Finding::Broken { place, url, status },
            Told::Certificate => Finding::Certificate { place, url, why: why() },
            Told::Unreachable => Finding::NoAnswer { place, url, why: why() },
        }])
    }

    /// The way in which the client is taken, where the one that the definition names is not it.
    async fn other_way(&mut self, client: &Client) -> Result<Option<ClientAuth>> {
        let Some(way) = other_way(&self.registration.provider) else { return Ok(None) };
        let provider = self.registration.provider.clone().with_client_auth(way);
        let told = self.ask(&provider, client).await?.told;
        let heard = matches!(told, Told::NoSuchCode | Told::NotThere | Told::Other);
        let taken = heard && self.impostor(&provider, client).await? == Told::NoSuchClient;
        Ok(taken.then_some(way))
    }

    /// What becomes of a client that nobody knows.
    async fn impostor(&mut self, provider: &Resolved, client: &Client) -> Result<Told> {
        let way = provider.client_auth();
        if let Some((_, told)) = self.impostors.iter().find(|(known, _)| *known == way) {
            return Ok(*told);
        }
        let told = self.ask(provider, &client.impostor()?).await?.told;
        self.impostors.push((way, told));
        Ok(told)
    }

    async fn ask(&mut self, provider: &Resolved, client: &Client) -> Result<Trial> {
        // A check is no reason to ask more often than the provider allows, and nobody waits an hour for one.
        let turn = tokio::time::timeout(DEADLINE, self.app.wait_for_turn(provider, &client.id)).await;
        turn.map_err(|_| Error::TooMany { retry_after: COME_BACK })?;
        let clock = self.app.db.clock();
        let trial = self.app.engine.try_code(provider, client, self.redirect_uri, DEADLINE, &*clock).await?;
        self.exchanges.push(trial.exchange.clone());
        self.skew_ms = self.skew_ms.or(trial.skew_ms);
        Ok(trial)
    }
}

/// The value of a definition's `client_auth`.
fn way_word(way: ClientAuth) -> &'static str {
    match way {
        ClientAuth::ClientSecretBasic => "client_secret_basic",
        ClientAuth::ClientSecretPost => "client_secret_post",
        ClientAuth::None => "none",
    }
}

/// What a provider says of itself, against its definition here.
fn compare(entry: &Entry, found: &Discovered) -> Vec<Finding> {
    let mut findings = Vec::new();
    let token_url = Some(found.token_url.clone());
    for (field, ours, theirs) in [
        ("authorize_url", &entry.authorize_url, &found.authorize_url),
        ("token_url", &entry.token_url, &token_url),
        ("revoke_url", &entry.revoke_url, &found.revoke_url),
        ("device_url", &entry.device_url, &found.device_url),
        ("introspect_url", &entry.introspect_url, &found.introspect_url),
        ("userinfo.url", &entry.userinfo.as_ref().and_then(|info| info.url.clone()), &found.userinfo_url),
    ] {
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if !is_same_place(ours, theirs) => {
                findings.push(Finding::Differs { field, ours: bare(ours), theirs: bare(theirs) });
            }
            // Who is behind a token is told in many places; that one is not used says nothing.
            (None, Some(theirs)) if field != "userinfo.url" => {
                findings.push(Finding::Offers { field, theirs: bare(theirs) });
            }
            _ => {}
        }
    }
    if !found.client_auth.contains(&entry.client_auth) {
        let theirs = found.client_auth.iter().map(|way| way_word(*way)).collect::<Vec<_>>().join(", ");
        let ours = way_word(entry.client_auth).to_owned();
        findings.push(Finding::Differs { field: "client_auth", ours, theirs });
    }
    if entry.pkce == Pkce::S256 && found.pkce == Pkce::None {
        findings.push(Finding::Differs { field: "pkce", ours: "S256".to_owned(), theirs: "none".to_owned() });
    }
    if !findings.iter().any(|finding| matches!(finding, Finding::Differs { .. })) {
        findings.insert(0, Finding::Agrees { issuer: found.issuer.clone() });
    }
    if entry.issuer.is_none() {
        findings.push(Finding::Offers { field: "issuer", theirs: found.issuer.clone() });
    }
    findings
}

/// An address without its query, which may be somebody's.
fn bare(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn is_same_place(one: &str, other: &str) -> bool {
    match (url::Url::parse(&bare(one)), url::Url::parse(&bare(other))) {
        (Ok(one), Ok(other)) => {
            one.origin() == other.origin() && one.path().trim_end_matches('/') == other.path().trim_end_matches('/')
        }
        _ => false,
    }
}
