//! Keeping tokens fresh: one refresh at a time for each connection, begun ahead of expiry, by a caller who needs it, or by
//! hand; whoever comes while it is under way shares it.
//!
//! The sequence of one refresh, and what survives a power cut at each of its steps, is in `flight/mod.rs`.

mod client_status;
mod endpoint;
pub(super) mod flight;
pub(super) mod schedule;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{App, access::Caller, audit, connections};
use crate::{
    domain::{Error, Outage, Result, Timestamp, audit::Deed, connection::Connection, grant::Grant, user::Scope},
    oauth::catalogue::Resolved,
    store,
};
use client_status::ClientStatuses;
use endpoint::Endpoints;

/// So many connections of one profile are refreshed in the background at once: a provider that hangs holds up no other.
const MOST_OF_A_PROFILE: usize = 8;
/// So many in the background at once in all.
const MOST: usize = 64;
/// Grants that came later than now by more than this were given before somebody set the clock back.
const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1000;
/// A wall clock that moves so far from the one that nobody sets has been set.
const JUMP: Duration = Duration::from_secs(30);

/// What keeps refreshes apart.
pub(super) struct Refresher {
    /// Connections whose refresh was under way when the process before this one ended, until that is taken up.
    cut_off: Mutex<BTreeSet<i64>>,
    flights: Mutex<HashMap<i64, Flight>>,
    /// Background refreshes under way, by profile.
    background: Mutex<HashMap<i64, usize>>,
    endpoints: Endpoints,
    client_statuses: ClientStatuses,
    clocks: Mutex<Option<(Timestamp, std::time::Instant)>>,
}

/// A refresh under way.
#[derive(Clone)]
struct Flight {
    over: watch::Receiver<Option<Over>>,
}

/// How a refresh ended, as far as those who wait need to know: the rest stands in the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Whatever came of it is in the database.
    Kept,
    /// It was not begun, or what came of it could not be written.
    Out(Outage),
}

/// Why a refresh is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The time has come.
    Due,
    /// Somebody needs a token that is good for so many milliseconds.
    ForCaller(i64),
    /// The provider's API has turned down the access token of this version.
    Refused(i64),
    /// Somebody said so: no waiting, whatever failed before.
    Now,
}

impl Refresher {
    /// One that knows what the process before this one left behind.
    pub(super) fn new(db: &store::Db) -> Result<Self> {
        Ok(Self {
            cut_off: Mutex::new(db.read(store::refreshes::open)?.into_iter().collect()),
            flights: Mutex::default(),
            background: Mutex::default(),
            endpoints: Endpoints::default(),
            client_statuses: ClientStatuses::default(),
            clocks: Mutex::default(),
        })
    }

    fn cut_off(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.cut_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<i64, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn background(&self) -> MutexGuard<'_, HashMap<i64, usize>> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many token endpoints are left alone just now.
    pub(super) fn count_open_endpoints(&self) -> usize {
        self.endpoints.count_open()
    }

    /// How many refreshes are under way.
    pub(super) fn count_under_way(&self) -> usize {
        self.flights().len()
    }
}

/// Takes a flight off the list, also when it panics.
struct Landing {
    app: Arc<App>,
    id: i64,
    profile: Option<i64>,
    over: watch::Sender<Option<Over>>,
    how: Over,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.app.refresher.flights().remove(&self.id);
        if let Some(profile) = self.profile {
            let mut background = self.app.refresher.background();
            if let Some(count) = background.get_mut(&profile) {
                *count -= 1;
                if *count == 0 {
                    background.remove(&profile);
                }
            }
            drop(background);
            self.app.worker.wake();
        }
        // Nobody may wait for it.
        let _ = self.over.send(Some(self.how));
    }
}

impl App {
    /// Waits until the throttle of a provider's token endpoint has room for one request more of this client.
    pub(super) async fn wait_for_turn(&self, provider: &Resolved, client_id: &str) {
        self.refresher.endpoints.at(provider.token_url(), client_id, provider.throttle()).turn().await;
    }

    /// Notes that a token endpoint gave a readable answer to a request that was no refresh: a code, a device, an import.
    pub(super) fn endpoint_works(&self, provider: &Resolved, client_id: &str) {
        for url in [provider.token_url(), provider.refresh_url()] {
            self.refresher.endpoints.at(url, client_id, provider.throttle()).works();
        }
    }

    /// Begins a refresh of a connection, or finds the one under way.
    fn take_off(&self, id: i64, wanted: Wanted, profile: Option<i64>) -> Result<Flight> {
        let stopping = || Error::unavailable(Outage::Stopping);
        let app = self.me.upgrade().ok_or_else(stopping)?;
        let mut flights = self.refresher.flights();
        if let Some(flight) = flights.get(&id) {
            return Ok(flight.clone());
        }
        if self.worker.is_stopping() {
            return Err(stopping());
        }
        let (over, waiting) = watch::channel(None);
        let flight = Flight { over: waiting };
        flights.insert(id, flight.clone());
        drop(flights);
        if let Some(profile) = profile {
            *self.refresher.background().entry(profile).or_default() += 1;
        }
        let mut landing = Landing { app, id, profile, over, how: Over::Out(Outage::Stopping) };
        self.worker.spawn(async move {
            let how = match Box::pin(flight::fly(&landing.app, id, wanted)).await {
                Ok(()) => Over::Kept,
                Err(Error::Unavailable { why, .. }) => Over::Out(why),
                Err(error) => {
                    tracing::error!(connection = id, %error, "a refresh went wrong");
                    Over::Kept
                }
            };
            landing.how = how;
            drop(landing);
        });
        Ok(flight)
    }

    /// Refreshes a connection, or shares the refresh under way, and waits for its end, at most `patience`; what came of it
    /// stands in the grant. `Unavailable` when the database takes nothing, or the server stops.
    pub(super) async fn refresh(&self, id: i64, wanted: Wanted, patience: Duration) -> Result<()> {
        let mut flight = self.take_off(id, wanted, None)?;
        let landed = async {
            match flight.over.wait_for(Option::is_some).await.map(|over| *over) {
                Ok(Some(Over::Out(why))) => Err(Error::unavailable(why)),
                Ok(_) => Ok(()),
                // The engine thread went away with it.
                Err(_) => Err(Error::unavailable(Outage::Stopping)),
            }
        };
        // It flies on without us; what it brings is for whoever asks next.
        tokio::time::timeout(patience, landed).await.unwrap_or(Ok(()))
    }

    /// Refreshes a connection at once, whatever failed before, and answers its grant as it stands then.
    pub async fn refresh_now(&self, caller: &Caller, id: i64) -> Result<(Connection, Option<Grant>)> {
        caller.need(Scope::ConnectionsWrite)?;
        let begun = self.db.now();
        let caller = caller.clone();
        let who = caller.clone();
        self.db
            .write(move |tx| {
                connections::of_caller(tx, &who, None, id)?;
                audit(tx, &who, Deed::Refreshed, "connection", id, &serde_json::json!({}))
            })
            .await?;
        // One that was under way already may have been none of ours.
        for _ in 0..2 {
            self.refresh(id, Wanted::Now, PATIENCE).await?;
            let tried = self.db.read(|read| store::grants::find(read, id))?;
            if tried.is_none_or(|grant| grant.last_attempt_at.is_some_and(|at| at >= begun)) {
                break;
            }
        }
        self.db.read(|read| Ok((connections::of_caller(read, &caller, None, id)?, store::grants::find(read, id)?)))
    }

    /// Takes up what a crash cut off, at once: every entry of the journal that was open at the start. Each is a flight, so
    /// that nobody sends a token while it is not known what became of it.
    pub(super) fn resume_refreshes(&self) {
        let open = self.refresher.cut_off().clone();
        for id in open {
            if let Err(error) = self.take_off(id, Wanted::Due, None) {
                tracing::error!(connection = id, %error, "a refresh that was cut off could not be taken up");
            }
        }
    }

    /// Begins the refreshes that are due, as many as there is room for, and tells when to look again.
    pub(super) async fn refresh_due(&self) -> Result<Duration> {
        self.check_clocks().await?;
        loop {
            let (busy, room) = {
                let background = self.refresher.background();
                let busy: Vec<i64> =
                    background.iter().filter(|(_, count)| **count >= MOST_OF_A_PROFILE).map(|(id, _)| *id).collect();
                (busy, MOST.saturating_sub(background.values().sum()))
            };
            if room == 0 {
                // A landing wakes us.
                return Ok(Duration::from_secs(5));
            }
            // Those under way are due until they land: room is for as many beside them.
            let many = room + self.refresher.count_under_way();
            let due = self.db.scan(move |read| store::grants::due(read, &busy, many)).await?;
            let mut begun = 0;
            for due in due {
                if begun == room {
                    break;
                }
                let full = self.refresher.background().get(&due.profile_id).is_some_and(|n| *n >= MOST_OF_A_PROFILE);
                if full || self.refresher.flights().contains_key(&due.connection_id) {
                    continue;
                }
                self.take_off(due.connection_id, Wanted::Due, Some(due.profile_id))?;
                begun += 1;
            }
            if begun == 0 {
                break;
            }
        }
        let (next, now) = self.db.read(|read| Ok((store::grants::next_due(read)?, read.now())))?;
        let wait = next.map_or(i64::MAX, |at| at.0 - now.0);
        Ok(Duration::from_millis(u64::try_from(wait).unwrap_or_default()))
    }

    /// Notices that somebody has set the clock. Whatever came "later than now" has an end that nobody knows.
    async fn check_clocks(&self) -> Result<()> {
        let (wall, steady) = (self.db.now(), std::time::Instant::now());
        let before = self.refresher.clocks.lock().unwrap_or_else(PoisonError::into_inner).replace((wall, steady));
        let set_back = match before {
            // At a start nobody knows what happened before.
            None => true,
            Some((wall_before, steady_before)) => {
                let passed = i64::try_from((steady - steady_before).as_millis()).unwrap_or(i64::MAX);
                let jump = (wall.0 - wall_before.0) - passed;
                if u128::from(jump.unsigned_abs()) > JUMP.as_millis() {
                    tracing::warn!(milliseconds = jump, "the clock of this machine was set");
                }
                jump < -i64::try_from(JUMP.as_millis()).unwrap_or_default()
            }
        };
        if set_back {
            let many = self.db.write(|tx| store::grants::distrust_the_future(tx, CLOCK_TOLERANCE_MS)).await?;
            if many > 0 {
                tracing::warn!(grants = many, "tokens that came later than now are fetched anew");
            }
        }
        Ok(())
    }
}

/// How long somebody waits for a refresh. It goes on without them.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);
