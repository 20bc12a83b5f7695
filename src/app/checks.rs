//! Checks of what is there: one connector's configurations, or the whole installation. Each finding comes from looking.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, stream};

use super::{App, SecretsMode, access::Caller, providers};
use crate::{
    domain::{
        Error, Noun, Outage, Result,
        connection::{Filter, Status},
        profile::SecretKind,
        user::Scope,
    },
    store::{self, seal::KeyList},
};

pub use crate::oauth::Reach;
use crate::oauth::Whose;

/// How many endpoints are knocked at together.
const PARALLEL: usize = 8;
/// How long all of them together may take.
const KNOCKING: Duration = Duration::from_mins(1);
/// The header by which a setup check knows its own request again.
pub const PROBE_HEADER: &str = "grantry-probe";
/// The header in which `/livez` tells a setup check under which host it was asked.
pub const SEEN_HOST_HEADER: &str = "grantry-seen-host";

/// What was found out about a connector.
#[derive(Debug, Clone)]
pub struct ConnectorReport {
    /// Its configurations, by id.
    pub configurations: Vec<ConfigurationReport>,
    /// What its token endpoints answer, by address.
    pub endpoints: Vec<(String, Reach)>,
}

impl ConnectorReport {
    /// Whether nothing is wrong.
    pub fn is_fine(&self) -> bool {
        self.configurations.iter().all(|c| {
            c.secret == SecretState::Usable && c.missing_parameters.is_empty() && c.lost_connections.is_empty()
        }) && self.endpoints.iter().all(|(_, reach)| answers_well(reach))
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
    /// How many connections it has.
    pub connections: usize,
    /// Those whose grant is lost, with their owners.
    pub lost_connections: Vec<(String, String)>,
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
    /// Nobody, or somebody else, answers at the public URL.
    ApiUnreachable(String),
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
    /// The connection engine meets secrets that it cannot open: profile and kind.
    EngineErrors(Vec<(i64, String)>),
    /// The connection engine cannot work: only hashes are kept.
    EngineOff,
}

impl SetupFault {
    /// The code of the Flow dialect.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DialectOff => "FLOW-CONFIG-01",
            Self::WorkersStopped => "FLOW-RABBIT-01",
            Self::ApiUnreachable(_) => "FLOW-API-01",
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
    /// Looks at every configuration of a connector.
    pub async fn check_connector(&self, caller: &Caller, connector: &str) -> Result<ConnectorReport> {
        caller.need(Scope::ProfilesRead)?;
        let slug = connector.to_owned();
        let (configurations, urls) = self
            .db
            .scan(move |read| {
                let profiles = store::profiles::of_provider(read, &slug)?;
                let Some((entry, origin)) = providers::find(read, &slug)?.filter(|_| !profiles.is_empty()) else {
                    return Err(Error::not_found(Noun::Provider, &slug));
                };
                let provider = entry.provider(origin);
                let mut urls: Vec<String> = entry.token_url.as_deref().and_then(fixed).into_iter().collect();
                let mut configurations = Vec::new();
                for profile in profiles {
                    let secret = match store::profiles::open_secret(read, profile.id, SecretKind::Current) {
                        Ok(Some(_)) => SecretState::Usable,
                        Ok(None) => SecretState::OnlyHashed,
                        Err(_) => SecretState::DoesNotOpen,
                    };
                    let parameters = parameters(read, profile.id);
                    let mut missing_parameters = Vec::new();
                    for (endpoint, parameter) in &provider.endpoint_parameters {
                        match parameters.get(parameter).and_then(serde_json::Value::as_str) {
                            Some(url) if endpoint == "token_url" => urls.push(url.to_owned()),
                            Some(_) => {}
                            None => missing_parameters.push(parameter.clone()),
                        }
                    }
                    let filter = Filter { profile_id: Some(profile.id), include_runtime: true, ..Filter::default() };
                    let connections = store::connections::list(read, &filter)?;
                    configurations.push(ConfigurationReport {
                        name: profile.name.to_string(),
                        secret,
                        missing_parameters,
                        connections: connections.len(),
                        lost_connections: connections
                            .iter()
                            .filter(|connection| connection.status == Some(Status::Failed))
                            .map(|c| (c.name.to_string(), c.owner.clone().unwrap_or_default()))
                            .collect(),
                    });
                }
                Ok((configurations, urls))
            })
            .await?;
        Ok(ConnectorReport { configurations, endpoints: self.knock(urls).await? })
    }

    /// Looks at the whole installation. Empty: nothing is wrong.
    pub async fn check_setup(&self, caller: &Caller) -> Result<Vec<SetupFault>> {
        caller.need(Scope::Admin)?;
        let mut faults = Vec::new();
        if !self.settings.flow_services {
            faults.push(SetupFault::DialectOff);
        }
        if !self.housekeeper.is_running() {
            faults.push(SetupFault::WorkersStopped);
        }
        faults.extend(self.check_public_url().await?);
        faults.extend(self.check_keys().await?);
        faults.extend(self.check_exchange().await?);
        let unopenable = self.db.scan(store::profiles::unopenable).await?;
        if !unopenable.is_empty() {
            faults.push(SetupFault::EngineErrors(unopenable));
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
                None => Some(SetupFault::ApiUnreachable(format!("another server answers there, with status {status}"))),
                Some(seen) if !seen.eq_ignore_ascii_case(ours) => Some(SetupFault::ApiSeenElsewhere(seen)),
                Some(_) => None,
            },
        })
    }

    async fn check_keys(&self) -> Result<Vec<SetupFault>> {
        let mut faults = Vec::new();
        let (in_use, expected) = self
            .db
            .scan(|read| Ok((store::installation::key_ids_in_use(read)?, store::installation::key(read)?)))
            .await?;
        let known: Vec<&str> = self.db.sealer().keys().ids().map(|(id, _)| id).collect();
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
                        urls.extend(parameters.get(&parameter).and_then(serde_json::Value::as_str).map(str::to_owned));
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

fn parameters(read: &store::Read<'_>, profile_id: i64) -> serde_json::Map<String, serde_json::Value> {
    store::profiles::open_secret(read, profile_id, SecretKind::Parameters)
        .ok()
        .flatten()
        .and_then(|text| serde_json::from_str(text.expose()).ok())
        .unwrap_or_default()
}
