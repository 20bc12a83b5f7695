//! The use cases: one method of [`App`] each, and if it writes, one transaction with its audit entry inside.
//!
//! Nothing here knows how a caller speaks: dialects call these methods and dress what they answer.

pub mod access;
pub mod api_tokens;
mod attempts;
pub mod audit;
pub mod backups;
pub mod checks;
pub mod client_applications;
pub mod connect;
pub mod connections;
pub mod credential;
pub mod customers;
mod deliveries;
pub mod doctor;
pub mod document;
pub mod events;
pub mod exchange;
pub mod expiring;
mod failpoint;
mod hand_outs;
pub mod hashing;
pub mod history;
pub mod housekeeping;
pub mod keys;
pub mod live;
pub mod load;
pub mod metrics;
pub mod overview;
mod pins;
pub mod profile_registration;
pub mod profiles;
pub mod provider_check;
pub mod providers;
pub mod proxy;
mod reach;
mod refresh;
mod refusals;
mod registration;
mod restored;
pub mod revocations;
pub mod search;
pub mod second_factors;
pub mod sessions;
pub mod settings;
pub mod tokens;
pub mod users;
pub mod warnings;
pub mod webhooks;
pub mod worker;

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{
    domain::{Result, Secret, Timestamp, audit::Deed},
    oauth::Engine,
    store::{self, Db, Tx},
};
use access::Caller;
use attempts::{Attempts, Recognised};
use backups::Backups;
use credential::Credential;
use deliveries::Pings;
use hand_outs::HandOuts;
use hashing::Hasher;
use housekeeping::Housekeeper;
use live::Live;
use metrics::Metrics;
use proxy::Forwards;
use refresh::Refresher;
use refusals::Refusals;
use worker::Worker;

/// What the use cases need to know of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients find this server: scheme, host, port, no slash at the end.
    pub public_url: String,
    /// Whether client secrets of providers are kept so that they can be opened.
    pub secrets: SecretsMode,
    /// Where the keys come from, to be read again by the setup check; `None`: from a variable.
    pub key_file: Option<std::path::PathBuf>,
    /// Whether that file is ours to write: one that systemd makes at each start is not.
    pub keys_can_change: bool,
    /// Whether the services of the Flow dialect do their work.
    pub flow_services: bool,
    /// Whether providers may be at private and link-local addresses.
    pub allow_private: bool,
    /// How long an access token of a client application lives, in seconds.
    pub access_token_life_s: u32,
    /// How many bytes an uploaded file may have.
    pub most_upload: u64,
    /// Where browsers may be sent once an account is connected: URLs, each for what lies below it.
    pub return_urls: Vec<String>,
    /// For how long nothing may happen while a request is passed on.
    pub proxy_idle: Duration,
    /// Where backups are, and when they are made.
    pub backups: backups::Schedule,
    /// What only the doctor needs to know.
    pub surroundings: doctor::Surroundings,
    /// For how many days the audit trail is kept; 0: for ever.
    pub audit_days: u32,
    /// What is told of all settings.
    pub about: settings::About,
}

/// How client secrets of providers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretsMode {
    /// Hashed and sealed: they can be compared and used.
    Sealed,
    /// Hashed only: they can be compared.
    Hashed,
}

/// Grantry without a surface.
pub struct App {
    db: Db,
    hasher: Hasher,
    engine: Engine,
    refresher: Refresher,
    worker: Worker,
    hand_outs: HandOuts,
    refusals: Refusals,
    metrics: Metrics,
    live: Live,
    /// For what goes on in the background when the caller has gone.
    me: Weak<App>,
    /// Links that were given to callers whose connection has to be authorised, by connection.
    links: Mutex<std::collections::HashMap<i64, connect::Link>>,
    settings: Settings,
    attempts: Attempts,
    application_attempts: Attempts,
    code_attempts: Attempts,
    started_at: Timestamp,
    recognised: Recognised,
    /// Places for large uploads.
    uploads: Arc<Semaphore>,
    housekeeper: Housekeeper,
    /// The credential of the command line on the same machine; its hash alone.
    run: [u8; 32],
    /// Places for documents that are being loaded.
    loads: tokio::sync::Semaphore,
    /// Numbers of setup probes that are under way.
    probes: Mutex<Vec<String>>,
    pings: Pings,
    checks: provider_check::Checks,
    forwards: Arc<Forwards>,
    backups: Backups,
    /// Held by whoever changes the keys.
    changing_keys: tokio::sync::Mutex<()>,
    polls: connect::Polls,
}

impl App {
    /// Puts the parts together and starts what works in the background. `run` is the credential that the command line on
    /// the same machine will show.
    pub fn start(db: Db, settings: Settings, run: &Credential) -> std::io::Result<Arc<Self>> {
        let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let hasher = Hasher::start(workers)?;
        let housekeeper = Housekeeper::start(db.clone(), settings.audit_days)?;
        let worker = Worker::new()?;
        let started_at = db.now();
        pins::pin_all(&db).map_err(std::io::Error::other)?;
        let refresher = Refresher::new(&db).map_err(std::io::Error::other)?;
        let app = Arc::new_cyclic(|me| Self {
            started_at,
            hasher,
            engine: Engine::new(settings.allow_private),
            housekeeper,
            refresher,
            worker,
            hand_outs: HandOuts::default(),
            refusals: Refusals::default(),
            metrics: Metrics::default(),
            live: Live::default(),
            pings: Pings::default(),
            checks: provider_check::Checks::default(),
            forwards: Arc::default(),
            backups: Backups::default(),
            changing_keys: tokio::sync::Mutex::default(),
            polls: connect::Polls::default(),
            me: me.clone(),
            links: Mutex::default(),
            db,
            settings,
            attempts: Attempts::at_passwords(),
            application_attempts: Attempts::at_secrets(),
            code_attempts: Attempts::at_codes(),
            recognised: Recognised::default(),
            uploads: Arc::new(Semaphore::new(client_applications::MOST_UPLOADS)),
            run: run.hash(),
            loads: tokio::sync::Semaphore::new(load::MOST_AT_ONCE),
            probes: Mutex::default(),
        });
        app.worker.start(Arc::downgrade(&app))?;
        Ok(app)
    }

    /// What works on the engine thread.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Begins nothing more in the background, and waits for what is under way, at most `within`. What is not finished then
    /// is taken up at the next start.
    pub async fn finish(&self, within: Duration) {
        self.backups.stop();
        self.worker.finish(within).await;
        if let Err(error) = self.write_hand_outs().await {
            tracing::warn!(%error, "the last hand-outs were not counted");
        }
        if let Err(error) = self.write_refusals(true).await {
            tracing::warn!(%error, "the last refusals of passwords are not in the audit trail");
        }
        self.housekeeper.stop();
        // Whoever still holds the database when the process ends keeps nothing in the log that is not in the file.
        self.db.write_back().await;
    }

    /// Looks after refreshes; answers when to look again at the latest.
    async fn refresh_round(&self) -> Result<Duration> {
        let next = self.refresh_due().await;
        self.metrics.set_breakers_open(self.refresher.count_open_endpoints() as u64);
        next
    }

    /// Looks after revocations; answers when to look again at the latest.
    async fn revocation_round(&self) -> Result<Duration> {
        Ok(self.until(self.revoke_due().await?))
    }

    /// How long it is until then; very long for never.
    fn until(&self, at: Option<Timestamp>) -> Duration {
        at.map_or(Duration::MAX, |at| Duration::from_millis(u64::try_from(at.0 - self.db.now().0).unwrap_or(0)))
    }

    /// What was configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The database, for what has no rule: whether it can be written, where it is.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// What works in the background.
    pub fn housekeeper(&self) -> &Housekeeper {
        &self.housekeeper
    }

    /// Secrets as they may be kept under this configuration: the value itself only where it may be sealed.
    fn sealable<'a>(&self, secret: &'a Secret) -> Option<&'a Secret> {
        (self.settings.secrets == SecretsMode::Sealed).then_some(secret)
    }
}

/// Writes the audit entry of a deed, in its transaction.
fn audit(
    tx: &Tx<'_>,
    caller: &Caller,
    deed: Deed,
    noun: &str,
    noun_id: impl ToString,
    detail: &serde_json::Value,
) -> Result<()> {
    store::audit::insert(
        tx,
        &store::audit::Entry {
            actor: &caller.actor(),
            deed,
            noun,
            noun_id: &noun_id.to_string(),
            detail: &detail.to_string(),
            request_id: &caller.origin().request_id,
            address: &caller.origin().address.to_string(),
        },
    )
}
