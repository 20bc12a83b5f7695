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

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{App, Wanted};
use crate::{
    app::{
        failpoint,
        registration::{LiveSecret, Registration},
    },
    domain::{
        Error, Result, Secret, Timestamp,
        connection::{Connection, Status},
        event::EventKind,
        grant::{Blame, Grant, GrantType, Tokens},
        profile::SecretKind,
    },
    oauth::{
        catalogue::Replay,
        wire::{Answer, Ask, RawAnswer, Refusal, Sent, TokenSet},
    },
    store::{self, Read, Tx, grants::Kept},
};
use resume::Resumed;

/// A provider has so long to answer. Callers wait less; a request that is given up is one whose end nobody knows.
const DEADLINE: Duration = Duration::from_mins(1);
/// A flight has at most so many turns: both secrets, the token before, a second look, a few sendings again.
const MOST_TURNS: u32 = 8;
/// A token that may be sent again without harm is, at once, so often.
const QUICK: u32 = 2;
/// Between those.
const QUICK_PAUSE: Duration = Duration::from_millis(250);
/// Waiting between attempts: doubled from the first to the last.
const FIRST_BACKOFF_MS: i64 = 2_000;
const LAST_BACKOFF_MS: i64 = 30 * 60 * 1000;
/// A rejected app is asked again after so long, doubled up to the last.
const FIRST_REJECTED_MS: i64 = 60 * 1000;
const LAST_REJECTED_MS: i64 = 60 * 60 * 1000;
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
    /// How often the token was sent again at once.
    quick: u32,
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
struct Plan {
    connection: Connection,
    grant: Grant,
    tokens: Tokens,
    registration: Registration,
    secret: Option<SecretKind>,
}

impl Plan {
    /// The refresh token that goes out; `None` for client credentials.
    fn sent(&self, memory: &Memory) -> Option<&Secret> {
        match self.grant.grant_type {
            GrantType::ClientCredentials => None,
            _ if memory.previous => self.tokens.previous.as_ref(),
            _ => self.tokens.refresh.as_ref(),
        }
    }

    /// Whether the provider takes a refresh token again.
    fn replay(&self) -> Replay {
        match self.registration.provider.replay() {
            // Nobody declared that it rotates, but it does.
            Replay::Any if self.grant.rotates => Replay::Once,
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
                app.db.write(move |tx| lose(tx, id, None, reason, "ended")).await?;
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
    let fresh_memory = memory.rejected.is_empty() && !memory.previous && memory.quick == 0 && !memory.probed;
    match wanted {
        // Somebody was faster, or it was tried a moment ago and is left alone for a while.
        Wanted::ForCaller(ms) if grant.is_good_for(ms, now) => return Ok(Look::Nothing),
        Wanted::ForCaller(_) if fresh_memory && waits && grant.failures > 0 && !needs_last_moment(&grant, now) => {
            return Ok(Look::Nothing);
        }
        Wanted::Refused(version) if grant.version != version => return Ok(Look::Nothing),
        Wanted::Refused(_) if fresh_memory && waits && grant.failures > 0 => return Ok(Look::Nothing),
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
    let endpoint = app.refresher.endpoints.at(provider.refresh_url(), provider.throttle());
    if let Err(pause) = endpoint.admit()
        && wanted != Wanted::Now
    {
        // Somebody else's attempts have shown that it is down: this one is not even made.
        let at = jittered(app.db.now().plus_ms(milliseconds(pause)), 2_000)?;
        app.db.write(move |tx| store::grants::schedule(tx, id, Some(at))).await?;
        return Ok(Turn::Over);
    }
    if plan.grant.uncertain_at.is_some() && plan.replay() == Replay::Once && !memory.probed {
        match probe(app, &plan).await {
            Some(true) => memory.probed = true,
            Some(false) => {
                endpoint.works();
                let why = "the answer to the last refresh was lost, and the provider takes each refresh token once";
                app.db.write(move |tx| lose(tx, id, Some(plan.grant.version), why, "lost_answer")).await?;
                app.worker.wake();
                return Ok(Turn::Over);
            }
            None => {}
        }
    }
    endpoint.turn().await;
    let live = plan.registration.secrets.iter().find(|live| Some(live.kind) == plan.secret);
    let client = plan.registration.client(live);
    let clock = app.db.clock();
    let Some(sent_token) = plan.sent(memory).cloned() else {
        if plan.grant.grant_type != GrantType::ClientCredentials {
            endpoint.not_asked();
            return Ok(Turn::Over);
        }
        // Nothing can be lost: another token is to be had at any time.
        let scopes = plan.connection.scopes.clone().unwrap_or_else(|| provider.entry().default_scopes.clone());
        let ask = Ask::ClientCredentials { scopes };
        let sent = app.engine.token(provider, &client, &ask, DEADLINE, &*clock).await;
        return settle(app, plan, memory, sent, &endpoint).await;
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
        endpoint.not_asked();
        return begun.map(|_| Turn::Again);
    }
    failpoint::reached("refresh-intent");
    let ask = Ask::Refresh { refresh_token: sent_token };
    let sent = app.engine.token(provider, &client, &ask, DEADLINE, &*clock).await;
    failpoint::reached("refresh-answered");
    if let Sent::Answered(raw) = &sent {
        let kept = raw.to_secret();
        persist(app, move |tx| store::refreshes::answer(tx, id, &fingerprint, &kept)).await?;
    }
    failpoint::reached("refresh-kept");
    settle(app, plan, memory, sent, &endpoint).await
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

/// Writes what an answer, or its absence, means.
async fn settle(
    app: &App,
    plan: Plan,
    memory: &mut Memory,
    sent: Sent,
    endpoint: &super::endpoint::Endpoint,
) -> Result<Turn> {
    let refusal = match &sent {
        Sent::Answered(raw) => match plan.registration.provider.read(raw) {
            Answer::Tokens(set) => {
                endpoint.works();
                renewed(app, plan, memory, raw, set).await?;
                return Ok(Turn::Over);
            }
            Answer::Refused(refusal) => refusal,
        },
        unanswered => Refusal::of_sent(unanswered),
    };
    match refusal.blame {
        Blame::App | Blame::Grant => endpoint.works(),
        Blame::Provider | Blame::Network => endpoint.fails(refusal.retry_after),
    }
    app.metrics.refresh_done(Some(refusal.blame));
    tracing::info!(
        connection = plan.connection.id,
        blame = refusal.blame.as_str(),
        error = refusal.error,
        unclear = refusal.unclear,
        "a refresh failed"
    );
    match refusal.blame {
        Blame::App => rejected(app, plan, memory, &refusal).await,
        Blame::Grant => refused(app, plan, memory, &refusal).await,
        Blame::Provider | Blame::Network => put_off(app, plan, memory, &refusal).await,
    }
}

/// The tokens are here: keep them.
async fn renewed(app: &App, plan: Plan, memory: &Memory, raw: &RawAnswer, set: TokenSet) -> Result<()> {
    let (id, version, profile_id) = (plan.connection.id, plan.grant.version, plan.registration.profile.id);
    let sent = plan.sent(memory).cloned();
    let skew_ms = raw.skew_ms();
    let (kept, rotated) = kept(&plan, sent.as_ref(), raw, set, skew_ms)?;
    let fresh = (kept.tokens.refresh.clone(), kept.tokens.access.clone());
    let (secret, doubt) = (plan.secret, memory.doubt);
    let renewed = persist(app, move |tx| {
        if !store::grants::renew(tx, id, version, &kept, rotated)? {
            return Ok(None);
        }
        if let Some(since) = doubt {
            let due = kept.expires_at.map(|end| end.plus_ms(-LAST_MOMENT_MS)).or(kept.due_at);
            store::grants::doubt(tx, id, since, due)?;
        }
        store::refreshes::finish(tx, id)?;
        if let Some(kind) = secret {
            store::profiles::secret_used(tx, profile_id, kind)?;
        }
        accepted(tx, profile_id).map(Some)
    })
    .await?;
    failpoint::reached("refresh-settled");
    app.metrics.refresh_done(None);
    match renewed {
        Some(true) => app.worker.wake(),
        Some(false) => {}
        None => orphaned(app, &plan, fresh.0, fresh.1).await?,
    }
    Ok(())
}

/// What is kept of an answer.
fn kept(
    plan: &Plan,
    sent: Option<&Secret>,
    raw: &RawAnswer,
    set: TokenSet,
    skew_ms: Option<i64>,
) -> Result<(Kept, bool)> {
    let rotated = match (&set.refresh, sent) {
        (Some(new), Some(old)) => new.expose() != old.expose(),
        _ => false,
    };
    let mut extra: Map<String, Value> = serde_json::from_str(plan.tokens.extra.expose()).unwrap_or_default();
    extra.extend(set.extra);
    let expires_at = set.expires_at;
    let refresh = set.refresh.or_else(|| sent.cloned());
    let due_at = super::due_at(&plan.registration.provider, raw.received_at, expires_at, refresh.is_some())?;
    let tokens = Tokens {
        access: set.access,
        // The one before stays until this one has worked.
        previous: if rotated { sent.cloned() } else { None },
        refresh,
        extra: Secret::new(Value::Object(extra).to_string()),
    };
    let kept = Kept {
        grant_type: plan.grant.grant_type,
        tokens,
        token_type: set.token_type,
        scope: set.scope,
        issued_at: raw.received_at,
        expires_at,
        refresh_expires_at: set.refresh_expires_at,
        due_at,
        skew_ms,
    };
    Ok((kept, rotated))
}

/// The provider takes the profile's credentials: whatever waited for that is due now. Answers whether anything did.
pub(in crate::app) fn accepted(tx: &Tx<'_>, profile_id: i64) -> Result<bool> {
    if !store::profiles::is_rejected(tx, profile_id)? {
        return Ok(false);
    }
    let healed = store::profiles::heal(tx, profile_id)?;
    store::events::insert(tx, EventKind::Healed, None, Some(profile_id), &json!({"connections": healed}))?;
    Ok(true)
}

/// New tokens for a grant that somebody has ended meanwhile: they are ended too. (Where somebody has given a new grant
/// meanwhile, they may be the same ones, and are left alone.)
async fn orphaned(app: &App, plan: &Plan, refresh: Option<Secret>, access: Secret) -> Result<()> {
    let (id, registration) = (plan.connection.id, plan.registration.clone());
    persist(app, move |tx| {
        if store::grants::find(tx, id)?.is_none() {
            crate::app::revocations::queue(tx, id, &registration, refresh.as_ref(), Some(&access))?;
            store::refreshes::finish(tx, id)?;
        }
        Ok(())
    })
    .await?;
    app.worker.wake();
    Ok(())
}

/// The client id or secret is turned down: the other secret is tried; then all connections of the profile wait.
async fn rejected(app: &App, plan: Plan, memory: &mut Memory, refusal: &Refusal) -> Result<Turn> {
    let live = plan.registration.secrets.iter().filter(|live| Some(live.kind) == plan.secret);
    memory.rejected.extend(live.map(|live| (live.kind, live.since)));
    let untried = |live: &LiveSecret| !memory.rejected.contains(&(live.kind, live.since));
    if refusal.may_be_the_secret() && plan.registration.secrets.iter().any(untried) {
        return Ok(Turn::Again);
    }
    let (id, version, profile_id) = (plan.connection.id, plan.grant.version, plan.registration.profile.id);
    let known: Vec<(SecretKind, Timestamp)> =
        plan.registration.secrets.iter().map(|live| (live.kind, live.since)).collect();
    let error = refusal.error.clone();
    let jitter = random_below(30_000)?;
    let judged = persist(app, move |tx| {
        store::refreshes::finish(tx, id)?;
        let now: Vec<_> = store::profiles::live_secrets(tx, profile_id)?;
        let same = now.len() == known.len()
            && now.iter().all(|(kind, since, _)| known.iter().any(|(k, s)| k == kind && s == since));
        if !same {
            // Somebody has mended it while we asked.
            return Ok(false);
        }
        let (first, until) = store::profiles::reject(tx, profile_id, &error, FIRST_REJECTED_MS, LAST_REJECTED_MS)?;
        let failure = store::grants::Failure {
            blame: Blame::App,
            result: error.clone(),
            due_at: Some(until.plus_ms(jitter)),
            uncertain: false,
        };
        store::grants::fail(tx, id, version, &failure)?;
        if first {
            let affected = store::grants::count_of_profile(tx, profile_id)?;
            let detail = json!({"error": error, "connections": affected});
            store::events::insert(tx, EventKind::AppSecretRejected, None, Some(profile_id), &detail)?;
        }
        Ok(true)
    })
    .await?;
    app.worker.wake();
    if !judged {
        memory.rejected.clear();
        return Ok(Turn::Again);
    }
    Ok(Turn::Over)
}

/// The grant is refused. It is over, unless the token before it is still worth a try.
async fn refused(app: &App, plan: Plan, memory: &mut Memory, refusal: &Refusal) -> Result<Turn> {
    let (id, version) = (plan.connection.id, plan.grant.version);
    // To send an old token to a provider that takes each once would end the whole family.
    let harmless = plan.replay() != Replay::Once;
    if harmless
        && !memory.previous
        && plan.tokens.previous.is_some()
        && plan.grant.grant_type != GrantType::ClientCredentials
    {
        memory.previous = true;
        return Ok(Turn::Again);
    }
    let reason = match (plan.grant.uncertain_at, &refusal.description) {
        (Some(_), _) => {
            "the answer to an earlier refresh was lost, and the provider takes each refresh token once".to_owned()
        }
        (None, Some(description)) => format!("the provider says {}: {description}", refusal.error),
        (None, None) => format!("the provider says {}", refusal.error),
    };
    let error = refusal.error.clone();
    let lost = persist(app, move |tx| lose(tx, id, Some(version), &reason, &error)).await?;
    app.worker.wake();
    // Somebody was faster: look again before judging.
    Ok(if lost { Turn::Over } else { Turn::Again })
}

/// The provider or the way to it is at fault: again later.
async fn put_off(app: &App, plan: Plan, memory: &mut Memory, refusal: &Refusal) -> Result<Turn> {
    let (id, version, now) = (plan.connection.id, plan.grant.version, app.db.now());
    let replay = plan.replay();
    let takes_again = match replay {
        Replay::Any | Replay::UntilUsed => true,
        Replay::Grace(grace) => {
            let begun = app.db.read(|read| store::refreshes::find(read, id))?.map_or(now, |entry| entry.begun_at);
            now.0 - begun.0 < milliseconds(grace)
        }
        Replay::Once => false,
    };
    if refusal.unclear && takes_again && memory.quick < QUICK {
        memory.quick += 1;
        tokio::time::sleep(QUICK_PAUSE).await;
        return Ok(Turn::Again);
    }
    let uncertain = refusal.unclear && !takes_again && plan.grant.grant_type != GrantType::ClientCredentials;
    let backoff = FIRST_BACKOFF_MS.saturating_mul(1 << plan.grant.failures.min(20)).min(LAST_BACKOFF_MS);
    let wanted = refusal.retry_after.map_or(backoff, |after| backoff.max(milliseconds(after)));
    let mut due = now.plus_ms(wanted + random_below(wanted / 4 + 1)?);
    if uncertain && let Some(end) = plan.grant.expires_at {
        // Sending it again may cost the access token as well: not while that one is good.
        due = due.max(end.plus_ms(-LAST_MOMENT_MS));
    }
    let result = refusal.error.clone();
    let clear = !refusal.unclear;
    let failure = store::grants::Failure { blame: refusal.blame, result, due_at: Some(due), uncertain };
    persist(app, move |tx| {
        store::grants::fail(tx, id, version, &failure)?;
        // The entry stays open while nobody knows: it says when the token was sent first. Its answer, where there was one,
        // is done with: it must not be taken for one that a crash has left unread.
        if clear { store::refreshes::finish(tx, id) } else { store::refreshes::forget_answer(tx, id) }
    })
    .await?;
    Ok(Turn::Over)
}

/// Marks a connection as in need of authorisation, with its event; answers whether the grant still was that version. The
/// grant stays as it is: only its owner ends it for good.
fn lose(tx: &Tx<'_>, id: i64, version: Option<i64>, reason: &str, result: &str) -> Result<bool> {
    let Some(grant) = store::grants::find(tx, id)? else { return Ok(true) };
    if version.is_some_and(|version| version != grant.version) {
        return Ok(false);
    }
    let failure =
        store::grants::Failure { blame: Blame::Grant, result: result.to_owned(), due_at: None, uncertain: false };
    store::grants::fail(tx, id, grant.version, &failure)?;
    store::refreshes::finish(tx, id)?;
    store::connections::lose(tx, id, reason)?;
    let connection = store::connections::get(tx, id)?;
    let detail = json!({"reason": reason});
    store::events::insert(tx, EventKind::NeedsReauthorization, Some(id), Some(connection.profile_id), &detail)?;
    Ok(true)
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
