//! Checks of what is there: one connector's configurations, or the whole installation. Each finding comes from looking.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, stream};

use serde_json::{Map, Value};

use super::{
    App, SecretsMode,
    access::Caller,
    connections::of_caller,
    provider_check::{self, Checked, Finding, Verdict},
    providers,
    registration::strings,
};
use crate::{
    domain::{
        Error, Fault, Noun, Outage, Result, Secret, Timestamp,
        connection::{Connection, Filter, Status},
        grant::Blame,
        profile::{Profile, SecretKind},
        provider::Provider,
        user::Scope,
    },
    oauth::catalogue::{ClientAuth, Entry},
    store::{self, Read, seal::KeyList},
};

pub use crate::oauth::Reach;
use crate::oauth::Whose;

/// How many endpoints are knocked at together.
const PARALLEL: usize = 8;
/// How long all of them together may take.
const KNOCKING: Duration = Duration::from_mins(1);
/// How long all trials of client ids and secrets together may take.
const TRYING: Duration = Duration::from_mins(2);
/// The header by which a setup check knows its own request again.
pub const PROBE_HEADER: &str = "grantry-probe";
/// The header in which `/livez` tells a setup check under which host it was asked.
pub const SEEN_HOST_HEADER: &str = "grantry-seen-host";

/// What was found out about a connector.
#[derive(Debug, Clone)]
pub struct ConnectorReport {
    /// Its configurations, by id.
    pub configurations: Vec<ConfigurationReport>,
    /// What its token and authorization endpoints answer, by address.
    pub endpoints: Vec<(String, Reach)>,
}

impl ConnectorReport {
    /// Whether nothing is wrong, as far as anybody can tell.
    pub fn is_fine(&self) -> bool {
        self.configurations.iter().all(ConfigurationReport::is_fine)
            && self.endpoints.iter().all(|(_, reach)| answers_well(reach))
    }
}

/// What was found out about one configuration.
#[derive(Debug, Clone)]
pub struct ConfigurationReport {
    /// Its name.
    pub name: String,
    /// Whether its secret can be used.
    pub secret: SecretState,
    /// Parameters without which nobody can connect, where its provider has no fixed endpoints.
    pub missing_parameters: Vec<String>,
    /// What else is wrong with its parameters.
    pub faults: Vec<Fault>,
    /// How many connections it has.
    pub connections: usize,
    /// Those whose grant is lost, with their owners.
    pub lost_connections: Vec<(String, String)>,
    /// Those with something else the matter.
    pub ailing: Vec<Ailing>,
    /// What the provider says to its client id and secret.
    pub tried: Tried,
}

impl ConfigurationReport {
    fn is_fine(&self) -> bool {
        self.secret == SecretState::Usable
            && self.missing_parameters.is_empty()
            && self.faults.is_empty()
            && self.lost_connections.is_empty()
            && self.ailing.is_empty()
            && match &self.tried {
                Tried::Found { verdict, .. } => matches!(verdict, Verdict::Accepted | Verdict::Unknown),
                // Why it is pointless is told elsewhere.
                Tried::NeedsVariables(_) | Tried::Pointless => true,
                Tried::NotNow => false,
            }
    }
}

/// Whether client id and secret were tried at the provider.
#[derive(Debug, Clone)]
pub enum Tried {
    /// They were.
    Found {
        /// In a word.
        verdict: Verdict,
        /// Fact by fact.
        findings: Vec<Finding>,
    },
    /// There is no address to send them to: it takes values for these variables, which each account has its own of.
    NeedsVariables(Vec<String>),
    /// Something else that is wrong has to be mended first.
    Pointless,
    /// Somebody else is at it, or there were too many to try.
    NotNow,
}

/// A connection with something the matter.
#[derive(Debug, Clone)]
pub struct Ailing {
    /// What it is called.
    pub name: String,
    /// Whose it is; empty when nobody said.
    pub owner: String,
    /// What is the matter.
    pub what: Ailment,
}

/// What is the matter with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ailment {
    /// Values for the provider's variables are missing or malformed.
    Settings(Vec<Fault>),
    /// It counts as connected and has no tokens.
    NoTokens,
    /// Its tokens do not open.
    DoesNotOpen,
    /// Its refreshes fail.
    Failing {
        /// How many in a row.
        failures: u32,
        /// Who is to blame.
        blame: Blame,
        /// What came of the last one, in a word.
        result: String,
    },
    /// Nobody knows whether its refresh token is the last one, as an answer was lost.
    Uncertain {
        /// Since when.
        since: Timestamp,
    },
}

/// Whether a secret can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretState {
    /// It opens.
    Usable,
    /// Only its hash is kept.
    OnlyHashed,
    /// It does not open: it was moved, changed or sealed with another key.
    DoesNotOpen,
}

/// Something that is wrong with the installation. The order is the order of the codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupFault {
    /// The dialect is switched off.
    DialectOff,
    /// What works in the background does not.
    WorkersStopped,
    /// Nobody answers at the public URL.
    ApiUnreachable(String),
    /// Somebody else does, with this status.
    ApiOfAnother(u16),
    /// We answer at the public URL, but saw another host: a proxy in between does not say the right one.
    ApiSeenElsewhere(String),
    /// Client secrets are sealed with keys that are not there.
    ClientSecretKeyMissing(Vec<String>),
    /// Tokens are sealed with keys that are not there.
    TokenKeyMissing(Vec<String>),
    /// The key file cannot be read or parsed.
    KeyFile(String),
    /// The key file's active key is not this database's.
    KeyDoesNotFit(String),
    /// Token endpoints answer wrongly: address and status.
    ExchangeAnswersWrongly(Vec<(String, String)>),
    /// Token endpoints cannot be reached: address and reason.
    ExchangeUnreachable(Vec<(String, String)>),
    /// The connection engine meets what it cannot open, or clients that their providers turn down.
    EngineErrors(EngineErrors),
    /// The connection engine cannot work: only hashes are kept.
    EngineOff,
}

/// What the connection engine cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineErrors {
    /// Profiles with a secret that does not open: id and kind of secret.
    pub profiles: Vec<(i64, String)>,
    /// Connections whose tokens do not open.
    pub grants: Vec<i64>,
    /// Connections whose refresh was cut off, and whose answer was kept and does not open.
    pub answers: Vec<i64>,
    /// Connections whose values for their provider's variables do not open.
    pub inputs: Vec<i64>,
    /// Profiles whose client id or secret is turned down: id, name, and what the provider says.
    pub rejected: Vec<(i64, String, String)>,
}

impl SetupFault {
    /// The code of the Flow dialect.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DialectOff => "FLOW-CONFIG-01",
            Self::WorkersStopped => "FLOW-RABBIT-01",
            Self::ApiUnreachable(_) | Self::ApiOfAnother(_) => "FLOW-API-01",
            Self::ApiSeenElsewhere(_) => "FLOW-API-02",
            Self::ClientSecretKeyMissing(_) => "FLOW-KEY-01",
            Self::TokenKeyMissing(_) => "FLOW-KEY-02",
            Self::KeyFile(_) => "FLOW-KEY-03",
            Self::KeyDoesNotFit(_) => "FLOW-KEY-04",
            Self::ExchangeAnswersWrongly(_) => "FLOW-EXCHANGE-01",
            Self::ExchangeUnreachable(_) => "FLOW-EXCHANGE-02",
            Self::EngineErrors(_) => "FLOW-OAUTH-01",
            Self::EngineOff => "FLOW-OAUTH-02",
        }
    }
}

/// An endpoint that knows no such request still answers below 500; a redirect would be followed by no client.
fn answers_well(reach: &Reach) -> bool {
    matches!(reach, Reach::Answered { status, .. } if *status < 500)
}

impl App {
    /// Looks at every configuration of a connector: asks its endpoints, tries client id and secret there, and looks after
    /// its connections.
    pub async fn check_connector(&self, caller: &Caller, connector: &str) -> Result<ConnectorReport> {
        caller.need(Scope::ProfilesRead)?;
        // Client secrets go out.
        caller.need(Scope::ProfilesWrite)?;
        let (slug, who) = (connector.to_owned(), caller.clone());
        let looked = self.db.scan(move |read| {
            let profiles = store::profiles::of_provider(read, &slug)?;
            let Some((entry, origin)) = providers::find(read, &slug)?.filter(|_| !profiles.is_empty()) else {
                return Err(Error::not_found(Noun::Provider, &slug));
            };
            let provider = entry.provider(origin);
            profiles
                .into_iter()
                .map(|profile| look(read, &who, &entry, &provider, &profile))
                .collect::<Result<Vec<_>>>()
        });
        let mut looked = looked.await?;
        let urls = looked.iter().flat_map(|one| one.urls.iter().cloned()).collect();
        let endpoints = self.knock(urls).await?;
        let bad: Vec<&str> =
            endpoints.iter().filter(|(_, reach)| !answers_well(reach)).map(|(url, _)| url.as_str()).collect();
        for one in &mut looked {
            if one.urls.iter().any(|url| bad.contains(&shown(url).as_str())) {
                one.report.tried = Tried::Pointless;
            }
        }
        self.try_clients(caller, &mut looked).await?;
        Ok(ConnectorReport { configurations: looked.into_iter().map(|one| one.report).collect(), endpoints })
    }

    /// Tries client id and secret of those that wait for it.
    async fn try_clients(&self, caller: &Caller, looked: &mut [Looked]) -> Result<()> {
        let waiting = looked.iter().filter(|one| matches!(one.report.tried, Tried::NotNow)).map(|one| one.profile);
        let waiting: Vec<i64> = waiting.collect();
        let mut tried: BTreeMap<i64, Tried> = BTreeMap::new();
        let mut trials = stream::iter(waiting)
            .map(|id| async move { (id, self.check_in_turn(caller, id).await) })
            .buffer_unordered(PARALLEL);
        let trying = async {
            while let Some((id, checked)) = trials.next().await {
                match checked {
                    Ok(Checked { verdict, findings, .. }) => {
                        tried.insert(id, Tried::Found { verdict, findings });
                    }
                    // Gone meanwhile, or somebody else is at it.
                    Err(Error::TooMany { .. } | Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        // What was not tried in time is told as such.
        let in_time = tokio::time::timeout(TRYING, trying).await;
        drop(trials);
        if let Ok(done) = in_time {
            done?;
        }
        for one in looked {
            if let Some(found) = tried.remove(&one.profile) {
                one.report.tried = found;
            }
        }
        Ok(())
    }

    /// Looks at the whole installation. Empty: nothing is wrong.
    pub async fn check_setup(&self, caller: &Caller) -> Result<Vec<SetupFault>> {
        caller.need(Scope::Admin)?;
        let mut faults = Vec::new();
        if !self.settings.flow_services {
            faults.push(SetupFault::DialectOff);
        }
        if !self.housekeeper.is_running() || !self.worker.is_running() {
            faults.push(SetupFault::WorkersStopped);
        }
        faults.extend(self.check_public_url().await?);
        faults.extend(self.check_keys().await?);
        faults.extend(self.check_exchange().await?);
        let who = caller.clone();
        let errors = self.db.scan(move |read| engine_errors(read, &who)).await?;
        if errors != EngineErrors::default() {
            faults.push(SetupFault::EngineErrors(errors));
        }
        if self.settings.secrets == SecretsMode::Hashed {
            faults.push(SetupFault::EngineOff);
        }
        Ok(faults)
    }

    /// Whether a request to `/livez` is a setup check's own.
    pub fn is_own_probe(&self, number: &str) -> bool {
        self.probes.lock().is_ok_and(|probes| probes.iter().any(|probe| probe == number))
    }

    async fn check_public_url(&self) -> Result<Option<SetupFault>> {
        let number = uuid::Uuid::new_v4().to_string();
        if let Ok(mut probes) = self.probes.lock() {
            probes.push(number.clone());
        }
        let url = format!("{}/livez", self.settings.public_url);
        let reach = self.engine.probe(Whose::Ours, &url, &[(PROBE_HEADER, &number)], &[SEEN_HOST_HEADER]).await;
        if let Ok(mut probes) = self.probes.lock() {
            probes.retain(|probe| *probe != number);
        }
        let ours = self.settings.public_url.split_once("://").map_or("", |(_, host)| host);
        Ok(match reach? {
            Reach::Failed(why) => Some(SetupFault::ApiUnreachable(why)),
            Reach::Answered { status, headers } => match headers.into_iter().next().flatten() {
                None => Some(SetupFault::ApiOfAnother(status)),
                Some(seen) if !seen.eq_ignore_ascii_case(ours) => Some(SetupFault::ApiSeenElsewhere(seen)),
                Some(_) => None,
            },
        })
    }

    async fn check_keys(&self) -> Result<Vec<SetupFault>> {
        let mut faults = Vec::new();
        let (in_use, expected) =
            self.db.scan(|read| Ok((store::sealed::key_ids_in_use(read)?, store::installation::key(read)?))).await?;
        let keys = self.db.sealer().keys();
        let known: Vec<&str> = keys.ids().map(|(id, _)| id).collect();
        let missing = |client_secrets: bool| -> Vec<String> {
            in_use
                .iter()
                .filter(|(table, id, _)| {
                    (*table == "profile_secrets") == client_secrets && !known.contains(&id.as_str())
                })
                .map(|(_, id, _)| id.clone())
                .collect()
        };
        let (secrets, tokens) = (missing(true), missing(false));
        if !secrets.is_empty() {
            faults.push(SetupFault::ClientSecretKeyMissing(secrets));
        }
        if !tokens.is_empty() {
            faults.push(SetupFault::TokenKeyMissing(tokens));
        }
        // Read again: what is in memory works, but the next start would not.
        if let Some(path) = &self.settings.key_file {
            match KeyList::load(path) {
                Err(error) => faults.push(SetupFault::KeyFile(error.to_string())),
                Ok(list) if list.active_id() != expected.0 || list.fingerprint()[..] != expected.1 => {
                    faults.push(SetupFault::KeyDoesNotFit(list.active_id().to_owned()));
                }
                Ok(_) => {}
            }
        }
        Ok(faults)
    }

    async fn check_exchange(&self) -> Result<Vec<SetupFault>> {
        let urls = self
            .db
            .scan(|read| {
                let mut urls = Vec::new();
                for slug in store::profiles::providers_in_use(read)? {
                    let Some((entry, origin)) = providers::find(read, &slug)? else { continue };
                    urls.extend(entry.token_url.as_deref().and_then(fixed));
                    let mut endpoints = entry.provider(origin).endpoint_parameters;
                    let Some(parameter) = endpoints.remove("token_url") else { continue };
                    for profile in store::profiles::of_provider(read, &slug)? {
                        let parameters = parameters(read, profile.id);
                        urls.extend(parameters.get(&parameter).and_then(Value::as_str).map(str::to_owned));
                    }
                }
                Ok(urls)
            })
            .await?;
        let (mut wrong, mut unreachable) = (Vec::new(), Vec::new());
        for (url, reach) in self.knock(urls).await? {
            match reach {
                Reach::Failed(why) => unreachable.push((url, why)),
                Reach::Answered { status, .. } if status >= 500 => wrong.push((url, status.to_string())),
                Reach::Answered { .. } => {}
            }
        }
        let mut faults = Vec::new();
        if !wrong.is_empty() {
            faults.push(SetupFault::ExchangeAnswersWrongly(wrong));
        }
        if !unreachable.is_empty() {
            faults.push(SetupFault::ExchangeUnreachable(unreachable));
        }
        Ok(faults)
    }

    /// Knocks at each address once, a few together; the answers by address.
    async fn knock(&self, mut urls: Vec<String>) -> Result<Vec<(String, Reach)>> {
        urls.sort();
        urls.dedup();
        let all = urls.clone();
        let mut answers: BTreeMap<String, Reach> = BTreeMap::new();
        let mut knocks = stream::iter(urls)
            .map(|url| async move {
                let reach = self.engine.probe(Whose::Provider, &url, &[], &[]).await;
                (shown(&url), reach)
            })
            .buffer_unordered(PARALLEL);
        let knocking = async {
            while let Some((url, reach)) = knocks.next().await {
                answers.insert(url, reach?);
            }
            Ok::<_, Error>(())
        };
        // What was not asked in time is missing from the answers; that is told below.
        let in_time = tokio::time::timeout(KNOCKING, knocking).await;
        drop(knocks);
        if let Ok(done) = in_time {
            done?;
        }
        for url in all {
            answers
                .entry(shown(&url))
                .or_insert_with(|| Reach::Failed("not asked: the check has taken too long".to_owned()));
        }
        Ok(answers.into_iter().collect())
    }

    /// Whether the server can do its work: the database can be read and written, and the background works.
    pub async fn check_ready(&self) -> Result<()> {
        self.db.read(store::users::count_admins)?;
        self.db.check_writable().await?;
        if self.housekeeper.is_running() { Ok(()) } else { Err(Error::unavailable(Outage::Stopping)) }
    }
}

/// What the database says of a configuration, before anybody is asked.
struct Looked {
    profile: i64,
    report: ConfigurationReport,
    /// Its endpoints, as far as they are known.
    urls: Vec<String>,
}

fn look(read: &Read<'_>, caller: &Caller, entry: &Entry, provider: &Provider, profile: &Profile) -> Result<Looked> {
    let secret = match store::profiles::live_secrets(read, profile.id) {
        Ok(live) if live.is_empty() && entry.client_auth != ClientAuth::None => SecretState::OnlyHashed,
        Ok(_) => SecretState::Usable,
        Err(_) => SecretState::DoesNotOpen,
    };
    let given = parameters(read, profile.id);
    let text = |parameter: &String| given.get(parameter).and_then(Value::as_str);
    let missing_parameters: Vec<String> =
        provider.endpoint_parameters.values().filter(|parameter| text(parameter).is_none()).cloned().collect();
    let (mut faults, mut tried) = (Vec::new(), Tried::NotNow);
    let urls = match provider_check::register(read, caller, profile.id, &BTreeMap::new()) {
        Ok((registration, _)) => {
            let authorize_url = registration.provider.entry().authorize_url.clone();
            authorize_url.into_iter().chain([registration.provider.token_url().to_owned()]).collect()
        }
        Err(error) => {
            tried = Tried::Pointless;
            if let Error::Invalid(all) = error {
                let (variables, others): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|fault| fault.path.starts_with("variables."));
                if others.is_empty() && secret == SecretState::Usable {
                    tried = Tried::NeedsVariables(variables.into_iter().map(|fault| fault.path).collect());
                }
                faults = others;
                // Those have a place of their own.
                faults.retain(|fault| fault.path.starts_with("parameters.") && !is_listed(fault, &missing_parameters));
            }
            known_endpoints(entry, provider, text)
        }
    };
    if secret != SecretState::Usable {
        tried = Tried::Pointless;
    }
    let reach = caller.reach().clone();
    let filter = Filter { profile_id: Some(profile.id), include_runtime: true, reach, ..Filter::default() };
    let connections = store::connections::list(read, &filter)?;
    let lost = |connection: &&Connection| connection.status == Some(Status::Failed);
    let names = |connection: &Connection| (connection.name.to_string(), connection.owner.clone().unwrap_or_default());
    let mut ailing = Vec::new();
    for connection in &connections {
        if let Some(what) = ailment(read, entry, &given, connection)? {
            let (name, owner) = names(connection);
            ailing.push(Ailing { name, owner, what });
        }
    }
    let report = ConfigurationReport {
        name: profile.name.to_string(),
        secret,
        missing_parameters,
        faults,
        connections: connections.len(),
        lost_connections: connections.iter().filter(lost).map(names).collect(),
        ailing,
        tried,
    };
    Ok(Looked { profile: profile.id, report, urls })
}

fn is_listed(fault: &Fault, missing: &[String]) -> bool {
    fault.path.strip_prefix("parameters.").is_some_and(|name| missing.iter().any(|parameter| parameter == name))
}

/// The endpoints of a configuration that lacks something: those that are the same for every account, and those that its
/// parameters give.
fn known_endpoints<'a>(entry: &Entry, provider: &Provider, text: impl Fn(&String) -> Option<&'a str>) -> Vec<String> {
    let fixed = [&entry.authorize_url, &entry.token_url].into_iter().flatten().filter_map(|url| fixed(url));
    let asked = |endpoint: &str| matches!(endpoint, "authorize_url" | "token_url");
    let given = provider.endpoint_parameters.iter().filter(|(endpoint, _)| asked(endpoint));
    fixed.chain(given.filter_map(|(_, parameter)| text(parameter).map(str::to_owned))).collect()
}

/// What is the matter with a connection, beside that it may be lost.
fn ailment(
    read: &Read<'_>,
    entry: &Entry,
    parameters: &Map<String, Value>,
    connection: &Connection,
) -> Result<Option<Ailment>> {
    if connection.status == Some(Status::Success) {
        let (grant, _) = match store::grants::find_with_tokens(read, connection.id) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Some(Ailment::NoTokens)),
            Err(Error::Internal(_)) => return Ok(Some(Ailment::DoesNotOpen)),
            Err(error) => return Err(error),
        };
        if let Some(since) = grant.uncertain_at {
            return Ok(Some(Ailment::Uncertain { since }));
        }
        if let (1.., Some(blame)) = (grant.failures, grant.blame) {
            let result = grant.last_result.unwrap_or_default();
            return Ok(Some(Ailment::Failing { failures: grant.failures, blame, result }));
        }
    }
    if entry.variables.is_empty() {
        return Ok(None);
    }
    let Ok(input) = store::connections::input(read, connection.id) else { return Ok(Some(Ailment::DoesNotOpen)) };
    let mut values = strings(&Secret::new(Value::Object(parameters.clone()).to_string()));
    let own = values.clone();
    values.extend(input.as_ref().map(strings).unwrap_or_default());
    match entry.resolve(&values, &own) {
        Err(Error::Invalid(mut faults)) => {
            // What is wrong with the configuration is told there.
            faults.retain(|fault| fault.path.starts_with("variables."));
            Ok((!faults.is_empty()).then_some(Ailment::Settings(faults)))
        }
        _ => Ok(None),
    }
}

fn engine_errors(read: &Read<'_>, caller: &Caller) -> Result<EngineErrors> {
    let in_reach = |mut ids: Vec<i64>| {
        ids.retain(|id| of_caller(read, caller, None, *id).is_ok());
        ids
    };
    Ok(EngineErrors {
        profiles: store::profiles::unopenable(read)?,
        grants: in_reach(store::grants::unopenable(read)?),
        answers: in_reach(store::refreshes::unopenable(read)?),
        inputs: in_reach(store::connections::unopenable(read)?),
        rejected: store::profiles::rejected(read)?,
    })
}

/// An address as it may be told: parameters give some of them, and user, password or query may be secret.
fn shown(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(url) if url.has_host() => format!("{}{}", url.origin().ascii_serialization(), url.path()),
        _ => "(a parameter that is no URL)".to_owned(),
    }
}

/// A URL that is the same for every account.
fn fixed(template: &str) -> Option<String> {
    (!template.contains('{')).then(|| template.to_owned())
}

fn parameters(read: &Read<'_>, profile_id: i64) -> Map<String, Value> {
    store::profiles::open_secret(read, profile_id, SecretKind::Parameters)
        .ok()
        .flatten()
        .and_then(|text| serde_json::from_str(text.expose()).ok())
        .unwrap_or_default()
}
