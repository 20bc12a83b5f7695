//! One refresh, step by step:
//!
//! 1. read what there is; decide whether anything is to be sent at all;
//! 2. **write the intent**: connection, version, fingerprint of the refresh token, attempt, time;
//! 3. send;
//! 4. **write the answer** as it came, sealed;
//! 5. read it; **write what it means** by compare-and-swap on the version, and close the entry, in one transaction.
//!
//! A crash before 2 leaves nothing. Between 2 and 4 nobody knows whether the provider has seen the token: it is sent again
//! at once where the provider takes it again (it does not rotate, or within its grace, or until the new one was used); where
//! it takes each token once, the connection is *uncertain*: its access token is used for as long as it lives, the refresh
//! token is looked at without using it (RFC 7662) where that can be done, and sent again only when there is no other way. A
//! crash after 4 loses nothing: the answer is read at the next start.

mod resume;
mod settle;

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::{App, Wanted};
use crate::{
    app::{
        failpoint,
        registration::{LiveSecret, Registration, grant_secrets},
    },
    domain::{
        Error, Result, Secret, Timestamp,
        connection::{Connection, Status},
        grant::{Blame, Grant, GrantType, Tokens},
        profile::{RefreshScope, SecretKind},
    },
    oauth::{
        catalogue::Replay,
        wire::{Ask, Sent},
    },
    store::{self, Read, Tx},
};
use resume::Resumed;
pub(in crate::app) use settle::accepted;

/// A provider has so long to answer. Callers wait less; a request that is given up is one whose end nobody knows.
const DEADLINE: Duration = Duration::from_mins(1);
/// A flight has at most so many turns: both secrets, the token before, a second look, a few sendings again.
const MOST_TURNS: u32 = 8;
/// Where a refresh token may be used up, it is sent again only so long before the access token ends.
pub(in crate::app) const LAST_MOMENT_MS: i64 = 60 * 1000;
/// What is wrong with our own settings does not mend itself: look again after so long.
const MISCONFIGURED_MS: i64 = 60 * 60 * 1000;

/// What a flight remembers from turn to turn.
#[derive(Default)]
struct Memory {
    /// Secrets that this flight has seen turned down. Another one may come into the place of one meanwhile.
    rejected: Vec<(SecretKind, Timestamp)>,
    /// The current refresh token was refused, and the one before is worth a try.
    previous: bool,
    /// Whether the token was sent again at once, as the first answer got lost on the network.
    sent_again: bool,
    /// The refresh token was looked at, and it is alive.
    probed: bool,
    /// The answer that is read now is older than the doubt: it came before a backup was made that was put back since.
    doubt: Option<Timestamp>,
}

/// Whether there is more to do.
enum Turn {
    Over,
    Again,
}

/// What is to be sent.
pub(in crate::app::refresh) struct Plan {
    connection: Connection,
    grant: Grant,
    tokens: Tokens,
    registration: Registration,
    secret: Option<SecretKind>,
}

impl Plan {
    /// What it takes to speak to the provider.
    pub(in crate::app::refresh) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// The connection.
    pub(in crate::app::refresh) fn connection_id(&self) -> i64 {
        self.connection.id
    }

    /// The client secret that is sent; `None`: the client is public.
    pub(in crate::app::refresh) fn live_secret(&self) -> Option<&LiveSecret> {
        self.registration.secrets.iter().find(|live| Some(live.kind) == self.secret)
    }

    /// The refresh token that goes out; `None` for client credentials.
    fn sent(&self, memory: &Memory) -> Option<&Secret> {
        match self.grant.grant_type {
            GrantType::ClientCredentials => None,
            _ if memory.previous => self.tokens.previous.as_ref(),
            _ => self.tokens.refresh.as_ref(),
        }
    }

    /// The scopes that were requested for the connection.
    fn requested_scopes(&self) -> &[String] {
        self.connection.scopes.as_deref().unwrap_or(&self.registration.provider.entry().default_scopes)
    }

    /// The `scope` parameter of the refresh request: never a scope beyond what was granted (RFC 6749 §6). Where the
    /// provider told no scope, what was requested was granted (§5.1).
    fn refresh_scopes(&self) -> Vec<String> {
        let provider = &self.registration.provider;
        let requested = self.requested_scopes();
        let granted = self.grant.scope.as_deref();
        match self.registration.refresh_scope {
            RefreshScope::None => Vec::new(),
            RefreshScope::Granted => granted.map_or_else(|| requested.to_vec(), |text| provider.scopes_of(text)),
            RefreshScope::Requested => {
                let missing = granted.map(|text| provider.missing_scopes(requested, text)).unwrap_or_default();
                requested.iter().filter(|scope| !missing.contains(scope)).cloned().collect()
            }
        }
    }

    /// Whether the provider takes a refresh token again.
    fn replay(&self) -> Replay {
        match self.registration.provider.replay(self.registration.rotation) {
            // However long the provider takes it again, it may have been used before that time.
            Replay::Grace(_) | Replay::UntilUsed if self.grant.uncertain_at.is_some() => Replay::Once,
            declared => declared,
        }
    }
}

/// What looking at a connection comes to.
enum Look {
    /// Nothing to be done.
    Nothing,
    /// Not now: look again then.
    Wait(Timestamp),
    /// The profile's secret is turned down: wait for it.
    WaitForApp(Timestamp),
    /// The grant is over, for this reason.
    Lose(&'static str),
    /// Our own settings are not enough to send anything.
    Misconfigured(String),
    /// Send.
    Send(Box<Plan>),
}

/// Refreshes a connection. `Unavailable` when the database takes nothing.
pub(super) async fn fly(app: &App, id: i64, wanted: Wanted) -> Result<()> {
    // A caller may come before the start has got to what a crash cut off here: that goes first, or a token that is used up
    // would be sent again.
    let wanted = match Box::pin(resume::resume(app, id)).await? {
        Resumed::SendAgain => Wanted::Now,
        Resumed::Settled => wanted,
        Resumed::NotYet => return Ok(()),
    };
    let mut memory = Memory::default();
    for _ in 0..MOST_TURNS {
        let look = app.db.read(|read| look(read, id, wanted, &memory));
        let plan = match look? {
            Look::Nothing => return Ok(()),
            Look::Wait(at) => return app.db.write(move |tx| store::grants::schedule(tx, id, Some(at))).await,
            Look::WaitForApp(at) => return app.db.write(move |tx| store::grants::wait_for_app(tx, id, at)).await,
            Look::Lose(reason) => {
                app.db.write(move |tx| settle::lose(tx, id, None, reason, "ended", None)).await?;
                app.worker.wake();
                return Ok(());
            }
            Look::Misconfigured(why) => return misconfigured(app, id, why).await,
            Look::Send(plan) => plan,
        };
        match Box::pin(turn(app, *plan, wanted, &mut memory)).await? {
            Turn::Over => return Ok(()),
            Turn::Again => {}
        }
    }
    Ok(())
}

/// Whether the answer of an entry came before the grant became uncertain: both are from a backup.
fn is_older_than_doubt(entry: &store::refreshes::Entry, grant: &Grant) -> bool {
    entry.answered_at.zip(grant.uncertain_at).is_some_and(|(answered, doubt)| answered < doubt)
}

fn look(read: &Read<'_>, id: i64, wanted: Wanted, memory: &Memory) -> Result<Look> {
    let now = read.now();
    let connection = match store::connections::get(read, id) {
        Err(Error::NotFound { .. }) => return Ok(Look::Nothing),
        other => other?,
    };
    let Some((grant, tokens)) = store::grants::find_with_tokens(read, id)? else { return Ok(Look::Nothing) };
    if connection.status != Some(Status::Success) {
        return Ok(Look::Nothing);
    }
    let waits = grant.due_at.is_some_and(|at| at > now);
    let fresh_memory = memory.rejected.is_empty() && !memory.previous && !memory.sent_again && !memory.probed;
    // A refresh for callers keeps its distance to the last attempt, whatever came of that.
    let too_soon = fresh_memory && grant.caller_refresh_at(now) > now;
    match wanted {
        Wanted::ForCaller(ms) if too_soon || grant.is_good_for(ms, now) => return Ok(Look::Nothing),
        // The token of an uncertain grant is sent only when there is no other way.
        Wanted::ForCaller(_)
            if fresh_memory && waits && grant.uncertain_at.is_some() && !needs_last_moment(&grant, now) =>
        {
            return Ok(Look::Nothing);
        }
        Wanted::Refused(version) if too_soon || grant.version != version => return Ok(Look::Nothing),
        Wanted::Due if fresh_memory && (waits || grant.due_at.is_none()) => return Ok(Look::Nothing),
        _ => {}
    }
    if !grant.renews() {
        return Ok(match grant.expires_at {
            Some(end) if end > now => Look::Wait(end),
            Some(_) => Look::Lose("the access token has ended, and there is no refresh token"),
            None => Look::Nothing,
        });
    }
    let registration = match Registration::of_connection(read, &connection) {
        Err(Error::Invalid(faults)) => {
            let paths: Vec<String> = faults.into_iter().map(|fault| fault.path).collect();
            return Ok(Look::Misconfigured(paths.join(", ")));
        }
        other => other?,
    };
    if let Some(until) = registration.rejected_until
        && until > now
        && wanted != Wanted::Now
    {
        return Ok(Look::WaitForApp(jittered(until, 30_000)?));
    }
    let untried = |live: &&LiveSecret| !memory.rejected.contains(&(live.kind, live.since));
    let secret = registration.secrets.iter().find(untried).map(|live| live.kind);
    Ok(Look::Send(Box::new(Plan { connection, grant, tokens, registration, secret })))
}

/// An uncertain grant is put off to the last moment of its access token, which may be now for a caller.
fn needs_last_moment(grant: &Grant, now: Timestamp) -> bool {
    grant.uncertain_at.is_some() && !grant.is_good_for(LAST_MOMENT_MS, now)
}

async fn turn(app: &App, plan: Plan, wanted: Wanted, memory: &mut Memory) -> Result<Turn> {
    let id = plan.connection.id;
    let provider = &plan.registration.provider;
    let client_id = plan.registration.profile.client_id.as_str();
    let endpoint = app.refresher.endpoints.at(provider.refresh_url(), client_id, provider.throttle());
    // What an administrator asks for is always sent.
    if wanted != Wanted::Now
        && let Err(pause) = endpoint.admit(wanted != Wanted::Due)
    {
        // A caller's request does not bring the next attempt forward.
        if wanted == Wanted::Due {
            let at = jittered(app.db.now().plus_ms(milliseconds(pause)), 2_000)?;
            app.db.write(move |tx| store::grants::schedule(tx, id, Some(at))).await?;
        }
        return Ok(Turn::Over);
    }
    if plan.grant.uncertain_at.is_some() && plan.replay() == Replay::Once && !memory.probed {
        match probe(app, &plan).await {
            Some(true) => memory.probed = true,
            Some(false) => return settle::lost_answer(app, &plan, None).await,
            None => {}
        }
    }
    endpoint.turn().await;
    let mut client = plan.registration.client(plan.live_secret());
    client.known.extend(grant_secrets(&plan.tokens));
    let clock = app.db.clock();
    let Some(sent_token) = plan.sent(memory).cloned() else {
        if plan.grant.grant_type != GrantType::ClientCredentials {
            return Ok(Turn::Over);
        }
        // Nothing can be lost: another token is to be had at any time.
        let scopes = plan.connection.scopes.clone().unwrap_or_else(|| provider.entry().default_scopes.clone());
        let ask = Ask::ClientCredentials { scopes };
        let sent = app.engine.token(provider, &client, &ask, DEADLINE, &*clock).await;
        return settle::settle(app, plan, memory, sent, &endpoint).await;
    };
    let fingerprint: [u8; 32] = Sha256::digest(sent_token.expose().as_bytes()).into();
    let (version, kind) = (plan.grant.version, plan.secret.unwrap_or(SecretKind::Current));
    failpoint::reached("refresh-begin");
    let begun = app
        .db
        .write(move |tx| {
            let still = store::grants::find(tx, id)?.is_some_and(|grant| grant.version == version);
            if still {
                store::refreshes::begin(tx, id, version, &fingerprint, kind)?;
            }
            Ok(still)
        })
        .await;
    if !matches!(begun, Ok(true)) {
        return begun.map(|_| Turn::Again);
    }
    failpoint::reached("refresh-intent");
    let ask = Ask::Refresh { refresh_token: sent_token, scopes: plan.refresh_scopes() };
    let sent = app.engine.token(provider, &client, &ask, DEADLINE, &*clock).await;
    failpoint::reached("refresh-answered");
    if let Sent::Answered(raw) = &sent {
        let kept = raw.to_secret();
        persist(app, move |tx| store::refreshes::answer(tx, id, &fingerprint, &kept)).await?;
    }
    failpoint::reached("refresh-kept");
    settle::settle(app, plan, memory, sent, &endpoint).await
}

/// Whether the refresh token is alive, without using it; `None`: nobody can tell.
async fn probe(app: &App, plan: &Plan) -> Option<bool> {
    let token = plan.tokens.refresh.as_ref()?;
    let client = plan.registration.first_client();
    app.engine.introspect(&plan.registration.provider, &client, token, Duration::from_secs(15)).await
}

/// Writes what is nowhere but in our hands, as soon as the disk takes it.
pub(in crate::app) async fn persist<T: Send + 'static>(
    app: &App,
    work: impl Fn(&Tx<'_>) -> Result<T> + Clone + Send + 'static,
) -> Result<T> {
    persist_within(app, Duration::MAX, work).await
}

/// The same, where somebody waits for the answer: an error when the disk has taken nothing for so long.
pub(in crate::app) async fn persist_within<T: Send + 'static>(
    app: &App,
    most: Duration,
    work: impl Fn(&Tx<'_>) -> Result<T> + Clone + Send + 'static,
) -> Result<T> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match app.db.write(work.clone()).await {
            Err(Error::Unavailable { .. }) if begun.elapsed().saturating_add(pause) <= most => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            done => return done,
        }
    }
}

/// What we would send cannot be put together: a provider or a variable is missing.
async fn misconfigured(app: &App, id: i64, why: String) -> Result<()> {
    tracing::warn!(connection = id, missing = why, "a connection cannot be refreshed: its settings are not enough");
    app.db
        .write(move |tx| {
            let Some(grant) = store::grants::find(tx, id)? else { return Ok(()) };
            let failure = store::grants::Failure {
                blame: Blame::App,
                result: "misconfigured".to_owned(),
                due_at: Some(tx.now().plus_ms(MISCONFIGURED_MS)),
                uncertain: false,
                refused: false,
                detail: None,
            };
            store::grants::fail(tx, id, grant.version, &failure).map(drop)
        })
        .await
}

/// A number from 0 to `below` - 1, to spread what would otherwise come together.
pub(in crate::app) fn random_below(below: i64) -> Result<i64> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(i64::from(u32::from_be_bytes(bytes)) % below.max(1))
}

fn jittered(at: Timestamp, spread_ms: i64) -> Result<Timestamp> {
    Ok(at.plus_ms(random_below(spread_ms)?))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
