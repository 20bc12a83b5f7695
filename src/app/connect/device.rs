//! Connecting by a code that somebody enters elsewhere (RFC 8628): we get two codes from the provider, show one, and ask
//! and ask with the other until somebody has decided, or the codes end.
//!
//! What waits is in the database, so that a restart goes on where the last run was. The asking happens on the engine
//! thread, never more often than the provider wants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, json};

use super::{
    App, Target, Wish, aim, check_scopes,
    redeem::{Aim, DEADLINE, Redeemed},
    registration, target, warnings_ahead,
};
use crate::{
    app::{
        access::Caller,
        audit,
        registration::{Registration, strings},
    },
    domain::{
        Error, Outage, Result, Timestamp, Why,
        audit::Deed,
        grant::{Blame, GrantType, NoToken, whole_seconds},
        user::Scope,
        warning::Warning,
    },
    oauth::{
        device::{DeviceAuthorization, DevicePoll},
        wire::{Answer, Ask, EndpointHealth, Refusal},
    },
    store::{self, device_authorizations},
};

/// So many connections of one profile are asked for at once: a provider that hangs holds up no other.
const MOST_OF_A_PROFILE: usize = 8;
/// So many in all.
const MOST: usize = 64;
/// `slow_down` makes the interval longer by so many seconds, for good (RFC 8628 §3.5).
const SLOWER_S: u32 = 5;
/// A provider that does not answer is asked less and less often, up to this (RFC 8628 §3.5 wants that).
const MOST_BACKOFF_S: u32 = 30;
/// No interval grows beyond this.
const MOST_INTERVAL_S: u32 = 300;
/// After a mistake of ours, or of the disk's, the same one is not asked for again at once.
const REST: Duration = Duration::from_secs(5);

/// What a person needs to connect an account elsewhere.
#[derive(Debug, Clone)]
pub struct Device {
    /// The connection that gets the account.
    pub connection_id: i64,
    /// What the person enters.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it; `None`: the provider has none.
    pub verification_uri_complete: Option<String>,
    /// When the code ends.
    pub expires_at: Timestamp,
    /// How often the provider is asked, in seconds.
    pub interval_s: u32,
    /// What should be known before the account is connected.
    pub warnings: Vec<Warning>,
}

/// The questions under way: the connection, and its profile.
#[derive(Default)]
pub(in crate::app) struct Polls(Mutex<HashMap<i64, i64>>);

impl Polls {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a question off the list, also when it panics.
struct Poll {
    app: Arc<App>,
    id: i64,
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.app.polls.lock().remove(&self.id);
        self.app.worker.wake();
    }
}

impl App {
    /// Gets a code by which somebody connects an account elsewhere, in the place of any before for the same connection.
    /// What would stop that person is an error now, and nothing is made before the provider has given its codes.
    pub async fn connect_device(&self, caller: &Caller, wish: Wish) -> Result<Device> {
        caller.need(Scope::ConnectionsWrite)?;
        check_scopes(wish.scopes.as_deref())?;
        let (registration, scopes) = self.db.read(|read| {
            let (registration, scopes) = match target(read, caller, &wish)? {
                Target::Known(known) => (registration(read, &known, wish.variables.as_ref())?, known.scopes),
                Target::New { profile, .. } => {
                    let values = wish.variables.as_ref().map(strings).unwrap_or_default();
                    (Registration::of_profile(read, profile.id, &values)?, None)
                }
            };
            if registration.provider.entry().device_url.is_none() {
                return Err(Error::invalid("provider", Why::NoDevices));
            }
            Ok((registration, wish.scopes.clone().or(scopes).unwrap_or_default()))
        })?;
        let codes = self.device_codes(registration, scopes).await?.map_err(refused)?;
        let caller = caller.clone();
        let device = self
            .db
            .write(move |tx| {
                let (connection, new_connection) = aim(tx, &caller, &wish)?;
                let new = device_authorizations::New {
                    connection_id: connection.id,
                    new_connection,
                    other_account: wish.other_account,
                    scopes: wish.scopes.as_deref(),
                    input: if new_connection { None } else { wish.variables.as_ref() },
                    device_code: &codes.device_code,
                    user_code: &codes.user_code,
                    verification_uri: &codes.verification_uri,
                    verification_uri_complete: codes.verification_uri_complete.as_deref(),
                    interval_s: codes.interval_s,
                    expires_at: codes.expires_at,
                };
                device_authorizations::put(tx, &new)?;
                audit(tx, &caller, Deed::DeviceCodeMade, "connection", connection.id, &json!({}))?;
                Ok(Device {
                    connection_id: connection.id,
                    warnings: warnings_ahead(tx, &connection)?,
                    user_code: codes.user_code,
                    verification_uri: codes.verification_uri,
                    verification_uri_complete: codes.verification_uri_complete,
                    expires_at: codes.expires_at,
                    interval_s: codes.interval_s,
                })
            })
            .await?;
        self.worker.wake();
        Ok(device)
    }

    /// Asks for the codes, on the engine thread: connections to providers live there.
    async fn device_codes(
        &self,
        registration: Registration,
        scopes: Vec<String>,
    ) -> Result<Result<DeviceAuthorization, Refusal>> {
        let stopping = || Error::unavailable(Outage::Stopping);
        let app = self.me.upgrade().ok_or_else(stopping)?;
        let (tell, told) = tokio::sync::oneshot::channel();
        self.worker.spawn(async move {
            let clock = app.db.clock();
            let mut answer = None;
            // Without a secret too: a public client.
            let secrets = registration.secrets.iter().map(Some);
            let secrets: Vec<_> = if registration.secrets.is_empty() { vec![None] } else { secrets.collect() };
            for secret in secrets {
                let client = registration.client(secret);
                let provider = &registration.provider;
                let answered = app.engine.device_authorization(provider, &client, &scopes, DEADLINE, &*clock).await;
                let next_may_help = answered.as_ref().is_err_and(Refusal::may_be_the_secret);
                answer = Some(answered);
                if !next_may_help {
                    break;
                }
            }
            // Whoever asked may have gone.
            drop(tell.send(answer));
        });
        told.await.map_err(|_| stopping())?.ok_or_else(|| Error::internal("no client to ask with"))
    }

    /// Begins the questions that are due, as many as there is room for, and tells when to look again.
    pub(in crate::app) fn ask_for_devices(&self) -> Result<Duration> {
        let stopping = || Error::unavailable(Outage::Stopping);
        let app = self.me.upgrade().ok_or_else(stopping)?;
        let (busy, many, room) = {
            let polls = self.polls.lock();
            let mut of_profile: HashMap<i64, usize> = HashMap::new();
            for profile in polls.values() {
                *of_profile.entry(*profile).or_default() += 1;
            }
            let busy = of_profile.into_iter().filter(|(_, n)| *n >= MOST_OF_A_PROFILE).map(|(id, _)| id);
            let room = MOST.saturating_sub(polls.len());
            // Those under way are due until they are done: room is for as many beside them.
            (busy.collect::<Vec<_>>(), room + polls.len(), room)
        };
        // Where there is no room, the next that is done wakes us.
        if room > 0 && !self.worker.is_stopping() {
            for (id, profile) in self.db.read(|read| device_authorizations::due(read, &busy, many))? {
                let mut polls = self.polls.lock();
                let full = polls.values().filter(|other| **other == profile).count() >= MOST_OF_A_PROFILE;
                if full || polls.len() >= MOST || polls.contains_key(&id) {
                    continue;
                }
                polls.insert(id, profile);
                drop(polls);
                let poll = Poll { app: Arc::clone(&app), id };
                self.worker.spawn(async move {
                    if let Err(error) = Box::pin(poll.app.ask_for_device(poll.id)).await {
                        tracing::warn!(connection = poll.id, %error, "what a provider said of a device was not written");
                        tokio::time::sleep(REST).await;
                    }
                    drop(poll);
                });
            }
        }
        Ok(self.until(self.db.read(device_authorizations::next_due)?))
    }

    /// Asks once whether somebody has decided, and writes down what that means.
    async fn ask_for_device(&self, id: i64) -> Result<()> {
        let found = self.db.read(|read| {
            let Some(waiting) = device_authorizations::find(read, id)? else { return Ok(None) };
            let connection = store::connections::get(read, id)?;
            let registration = registration(read, &connection, waiting.input.as_ref())?;
            Ok(Some((waiting, connection, registration)))
        });
        let (waiting, connection, registration) = match found {
            Ok(Some(found)) => found,
            Ok(None) | Err(Error::NotFound { .. }) => return Ok(()),
            Err(error @ Error::Unavailable { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(connection = id, %error, "a device's code cannot be used any more");
                return self.end_device(id, None, "misconfigured", Some(Blame::App)).await;
            }
        };
        let begun_at = waiting.begun_at;
        self.wait_for_turn(&registration.provider, registration.profile.client_id.as_str()).await;
        let aim = Aim {
            connection,
            registration,
            input: waiting.input,
            scopes: waiting.scopes,
            other_account: waiting.other_account,
            grant_type: GrantType::DeviceCode,
            extra: Map::new(),
            who: self.machine("device"),
            device: Some(begun_at),
        };
        let refusal = match self.redeem(aim, Ask::DeviceCode { device_code: waiting.device_code }).await? {
            Redeemed::Connected(_) | Redeemed::Unwanted => return Ok(()),
            // The disk is waited for as long as it takes, unless the server stops: then the code is asked for again.
            Redeemed::Lost(_) => return Err(Error::unavailable(Outage::Storage)),
            Redeemed::OtherAccount { .. } => return self.end_device(id, Some(begun_at), "other_account", None).await,
            Redeemed::Refused(refusal) => refusal,
        };
        let after = refusal.retry_after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
        // Asked once more behind its end, so that who agreed in the last seconds has not done so in vain.
        let over = self.db.now() >= waiting.expires_at;
        let interval_s = match DevicePoll::of(Answer::Refused(refusal)) {
            DevicePoll::Over(refusal) => {
                return self.end_device(id, Some(begun_at), &refusal.word(), Some(refusal.blame)).await;
            }
            DevicePoll::Again(refusal) if over => {
                return self.end_device(id, Some(begun_at), "expired_token", Some(refusal.blame)).await;
            }
            _ if over => return self.end_device(id, Some(begun_at), "expired_token", Some(Blame::Grant)).await,
            DevicePoll::Done(_) | DevicePoll::Pending => waiting.interval_s,
            DevicePoll::SlowDown => waiting.interval_s.saturating_add(SLOWER_S).min(MOST_INTERVAL_S),
            DevicePoll::Again(_) => waiting.interval_s.max(waiting.interval_s.saturating_mul(2).min(MOST_BACKOFF_S)),
        };
        self.db
            .write(move |tx| {
                let soonest = tx.now().plus_ms(i64::from(interval_s) * 1000);
                // As late as the provider wants, but not so late that the end would not be noticed.
                let next_at = soonest.max(tx.now().plus_ms(after).min(waiting.expires_at));
                device_authorizations::ask_again(tx, id, begun_at, interval_s, next_at)
            })
            .await
    }

    async fn end_device(&self, id: i64, begun_at: Option<Timestamp>, result: &str, blame: Option<Blame>) -> Result<()> {
        let result = result.to_owned();
        self.db.write(move |tx| device_authorizations::settle(tx, id, begun_at, &result, blame).map(drop)).await
    }
}

/// Why there are no codes, for whoever asked for them.
fn refused(refusal: Refusal) -> Error {
    let said = match &refusal.description {
        Some(description) => format!("{}: {description}", refusal.word()),
        None => refusal.word(),
    };
    let (is_app, retry_after) = (refusal.blame == Blame::App, refusal.retry_after);
    let refused = refusal.endpoint_health() == EndpointHealth::Works;
    let field = if refusal.is("invalid_scope") { "scopes" } else { "provider" };
    let why = match DevicePoll::of(Answer::Refused(refusal)) {
        _ if is_app => NoToken::AppSecretRejected,
        DevicePoll::Over(_) => return Error::invalid(field, Why::ProviderSays(said)),
        _ => NoToken::ProviderUnavailable { retry_after_s: retry_after.map_or(5, whole_seconds), refused },
    };
    Error::NoToken { why, connect_url: None }
}
