//! What an answer to a refresh means, or its absence: tokens are stored, a failure goes to what it belongs to, and to
//! nothing else.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    super::{
        client_status::{self, ClientStatus},
        endpoint::Endpoint,
        schedule::{self, Validity},
    },
    App, LAST_MOMENT_MS, Memory, Plan, Turn, milliseconds, persist, random_below,
};
use crate::{
    app::{failpoint, registration::LiveSecret, warnings},
    domain::{
        Result, Secret, Timestamp,
        event::EventKind,
        grant::{Blame, GrantType, Tokens},
        profile::SecretKind,
        warning::WarningCode,
    },
    oauth::{
        catalogue::Replay,
        wire::{Answer, EndpointHealth, RawAnswer, Refusal, Sent, TokenSet},
    },
    store::{
        self, Tx,
        grants::{Failure, Kept},
    },
};

/// A refresh token that may be sent again without harm is sent again once, after this pause, where the answer was lost on
/// the network.
const REPEAT_PAUSE: Duration = Duration::from_millis(250);
/// A rejected client is tried again after this time, doubled up to the last.
const FIRST_REJECTED_MS: i64 = 60 * 1000;
const LAST_REJECTED_MS: i64 = 60 * 60 * 1000;
/// A grant that is refused for this long, while its client is accepted, needs reauthorization ...
const REFUSED_MS: i64 = 60 * 60 * 1000;
/// ... if this many attempts failed.
const REFUSED_ATTEMPTS: u32 = 3;
/// After this many failures of a connection in a row a warning says so.
const FAILURES_TO_WARN: u32 = 3;
/// The access token of an uncertain grant of unknown lifetime is served for this long after the grant was rejected.
const UNKNOWN_LIFETIME_MS: i64 = schedule::UNKNOWN_LIFETIME_MS;
/// Why a grant is lost whose last answer never came.
const LOST_ANSWER: &str = "the answer to an earlier refresh was lost, and the provider takes each refresh token once";

/// Writes what an answer, or its absence, means.
pub(super) async fn settle(
    app: &App,
    plan: Plan,
    memory: &mut Memory,
    sent: Sent,
    endpoint: &Endpoint,
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
    let id = plan.connection.id;
    match refusal.endpoint_health() {
        EndpointHealth::Works => endpoint.works(),
        EndpointHealth::Fails => endpoint.fails(id),
        EndpointHealth::Limits => {}
    }
    if let Some(retry_after) = refusal.retry_after.filter(|after| !after.is_zero()) {
        endpoint.limits(id, retry_after);
    }
    app.metrics.refresh_done(Some(refusal.blame));
    tracing::info!(
        connection = id,
        failure_cause = refusal.blame.as_str(),
        reason = refusal.reason.as_str(),
        provider_error = refusal.provider_error,
        http_status = refusal.status,
        unclear = refusal.unclear,
        "refresh failed"
    );
    match refusal.blame {
        Blame::Grant => refused(app, plan, memory, &refusal).await,
        Blame::App => {
            if client_status::is_client_rejected(app, &plan, &refusal).await? {
                rejected(app, plan, memory, &refusal).await
            } else {
                put_off(app, plan, memory, &refusal).await
            }
        }
        Blame::Provider | Blame::Network => {
            // 400 is for many things; 401, 403 and the codes that may mean the client are looked into when they begin.
            let suspicious = refusal.ambiguous && (refusal.status != Some(400) || refusal.provider_error.is_some());
            let begins = plan.grant.refused_since.is_none() || plan.registration.rejected_until.is_some();
            if suspicious && begins && client_status::is_client_rejected(app, &plan, &refusal).await? {
                return rejected(app, plan, memory, &refusal).await;
            }
            put_off(app, plan, memory, &refusal).await
        }
    }
}

/// Stores the tokens of an answer.
async fn renewed(app: &App, plan: Plan, memory: &Memory, raw: &RawAnswer, set: TokenSet) -> Result<()> {
    let (id, version, profile_id) = (plan.connection.id, plan.grant.version, plan.registration.profile.id);
    let sent = plan.sent(memory).cloned();
    let rotated = sent.as_ref().map(|old| set.refresh.as_ref().is_some_and(|new| new.expose() != old.expose()));
    let kept = kept(&plan, sent.clone(), raw, set, rotated == Some(true))?;
    let fresh = (kept.tokens.refresh.clone(), kept.tokens.access.clone());
    let (secret, doubt, before) = (plan.secret, memory.doubt, plan.grant.warnings.clone());
    let renewed = persist(app, move |tx| {
        if !store::grants::renew(tx, id, version, &kept)? {
            // The account may have been reconnected, and have kept the refresh token that this answer replaces.
            let now = store::grants::find_with_tokens(tx, id)?;
            let now = now.filter(|(_, tokens)| is_same(tokens.refresh.as_ref(), sent.as_ref()));
            let Some((now, _)) = now else { return Ok(None) };
            if !store::grants::renew(tx, id, now.version, &kept)? {
                return Ok(None);
            }
        }
        if let Some(since) = doubt {
            let due = kept.expires_at.map(|end| end.plus_ms(-LAST_MOMENT_MS)).or(kept.due_at);
            store::grants::doubt(tx, id, since, due)?;
        }
        if let Some(rotated) = rotated {
            store::profiles::observe_rotation(tx, profile_id, rotated)?;
        }
        warnings::announce(tx, id, profile_id, &before, &kept.warnings)?;
        store::refreshes::finish(tx, id)?;
        if let Some(kind) = secret {
            store::profiles::secret_used(tx, profile_id, kind)?;
        }
        accepted(tx, profile_id).map(Some)
    })
    .await?;
    failpoint::reached("refresh-settled");
    app.refresher.client_statuses.accepted(profile_id);
    app.metrics.refresh_done(None);
    match renewed {
        Some(true) => app.worker.wake(),
        Some(false) => {}
        None => orphaned(app, &plan, fresh.0, fresh.1).await?,
    }
    Ok(())
}

fn is_same(one: Option<&Secret>, other: Option<&Secret>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.expose() == other.expose())
}

/// What is stored of an answer. A field that the answer leaves out keeps the value that it had.
fn kept(plan: &Plan, sent: Option<Secret>, raw: &RawAnswer, set: TokenSet, rotated: bool) -> Result<Kept> {
    let provider = &plan.registration.provider;
    let mut extra: Map<String, Value> = serde_json::from_str(plan.tokens.extra.expose()).unwrap_or_default();
    extra.extend(set.extra.clone());
    let validity = Validity::of(provider, &set.lifetime, raw.received_at, Some(&plan.grant));
    let refresh = set.refresh.clone().or_else(|| sent.clone());
    let renews = refresh.is_some() || plan.grant.grant_type == GrantType::ClientCredentials;
    let granted = set.scope.as_deref().or(plan.grant.scope.as_deref());
    let requested = plan.requested_scopes();
    let mut current = warnings::of_tokens(provider, &set, &validity, requested, granted, renews, raw.received_at);
    current.extend(warnings::kept_over_refresh(&plan.grant));
    Ok(Kept {
        grant_type: plan.grant.grant_type,
        due_at: validity.due_at(provider, raw.received_at, renews, true)?,
        tokens: Tokens {
            access: set.access,
            // The one before stays until this one has worked.
            previous: if rotated { sent } else { None },
            refresh,
            extra: Secret::new(Value::Object(extra).to_string()),
        },
        token_type: set.token_type,
        scope: set.scope,
        issued_at: raw.received_at,
        expires_at: validity.expires_at,
        refresh_expires_at: set.refresh_expires_at,
        skew_ms: raw.skew_ms(),
        stated_lifetime_ms: validity.stated_lifetime_ms,
        short_lived: validity.short_lived,
        warnings: warnings::since(&plan.grant.warnings, current, raw.received_at),
    })
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

/// New tokens for a grant that was ended meanwhile: they are revoked, unless they may belong to an account that another
/// connection uses. (Where a new grant was given meanwhile they may be the same ones, and are left alone.)
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

/// The client id or secret is rejected: the other secret is tried; then all connections of the profile wait.
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
    let (word, detail) = (refusal.word(), facts(refusal).to_string());
    let jitter = random_below(30_000)?;
    let judged = persist(app, move |tx| {
        store::refreshes::finish(tx, id)?;
        let now: Vec<_> = store::profiles::live_secrets(tx, profile_id)?;
        let same = now.len() == known.len()
            && now.iter().all(|(kind, since, _)| known.iter().any(|(k, s)| k == kind && s == since));
        if !same {
            // The secret was corrected while the request was under way.
            return Ok(false);
        }
        let (first, until) = store::profiles::reject(tx, profile_id, &word, FIRST_REJECTED_MS, LAST_REJECTED_MS)?;
        let failure = Failure {
            blame: Blame::App,
            result: word.clone(),
            due_at: Some(until.plus_ms(jitter)),
            uncertain: false,
            refused: false,
            detail: Some(detail.clone()),
        };
        store::grants::fail(tx, id, version, &failure)?;
        if first {
            let affected = store::grants::count_of_profile(tx, profile_id)?;
            let detail = json!({"error": word, "connections": affected});
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

/// The grant is rejected. It is over, unless the refresh token before it is worth a try, or an answer was lost.
async fn refused(app: &App, plan: Plan, memory: &mut Memory, refusal: &Refusal) -> Result<Turn> {
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
    // An entry that is open for a second attempt was not answered the first time, unless another secret was tried.
    let id = plan.connection.id;
    let entry = app.db.read(|read| store::refreshes::find(read, id))?;
    let sent_before = entry.is_some_and(|entry| entry.attempt > 1) && memory.rejected.is_empty();
    if plan.grant.uncertain_at.is_some() || memory.sent_again || sent_before {
        return lost_answer(app, &plan, Some(refusal)).await;
    }
    let said = match &refusal.description {
        Some(description) => format!("{}: {description}", refusal.word()),
        None => refusal.word(),
    };
    end(app, &plan, &format!("the provider rejected the grant ({said})"), refusal).await
}

/// The refresh token is used up, and the answer that brought the next one was lost: that was Grantry's loss, and not a word
/// of the account's owner. The access token is served until it expires; then the connection needs reauthorization.
pub(super) async fn lost_answer(app: &App, plan: &Plan, refusal: Option<&Refusal>) -> Result<Turn> {
    let (id, version, now) = (plan.connection.id, plan.grant.version, app.db.now());
    let since = plan.grant.uncertain_at.unwrap_or(now);
    let until = plan.grant.expires_at.unwrap_or_else(|| since.plus_ms(UNKNOWN_LIFETIME_MS));
    let word = refusal.map_or_else(|| "lost_answer".to_owned(), Refusal::word);
    let detail = refusal.map(|refusal| facts(refusal).to_string());
    let lost = persist(app, move |tx| {
        if until <= now {
            return lose(tx, id, Some(version), LOST_ANSWER, &word, detail.clone());
        }
        let failure = Failure {
            blame: Blame::Grant,
            result: word.clone(),
            due_at: Some(until),
            uncertain: true,
            refused: false,
            detail: detail.clone(),
        };
        let same = store::grants::fail(tx, id, version, &failure)?;
        if same {
            store::refreshes::finish(tx, id)?;
        }
        Ok(same)
    })
    .await?;
    app.worker.wake();
    Ok(if lost { Turn::Over } else { Turn::Again })
}

/// Marks a connection as in need of reauthorization because of this answer.
async fn end(app: &App, plan: &Plan, reason: &str, refusal: &Refusal) -> Result<Turn> {
    let (id, version) = (plan.connection.id, plan.grant.version);
    let (reason, word, detail) = (reason.to_owned(), refusal.word(), facts(refusal).to_string());
    let lost = persist(app, move |tx| lose(tx, id, Some(version), &reason, &word, Some(detail.clone()))).await?;
    app.worker.wake();
    // The grant is another one by now: look again before judging.
    Ok(if lost { Turn::Over } else { Turn::Again })
}

/// A failure of this connection, or of the way to its provider: again later.
async fn put_off(app: &App, plan: Plan, memory: &mut Memory, refusal: &Refusal) -> Result<Turn> {
    let (id, version, profile_id) = (plan.connection.id, plan.grant.version, plan.registration.profile.id);
    let now = app.db.now();
    let replay = plan.replay();
    let takes_again = match replay {
        Replay::Any | Replay::UntilUsed => true,
        Replay::Grace(grace) => {
            let begun = app.db.read(|read| store::refreshes::find(read, id))?.map_or(now, |entry| entry.begun_at);
            now.0 - begun.0 < milliseconds(grace)
        }
        Replay::Once => false,
    };
    if refusal.unclear && takes_again && refusal.blame == Blame::Network && !memory.sent_again {
        memory.sent_again = true;
        tokio::time::sleep(REPEAT_PAUSE).await;
        return Ok(Turn::Again);
    }
    let failures = plan.grant.failures.saturating_add(1);
    let is_refused = refusal.ambiguous || refusal.blame == Blame::App;
    let for_long = plan.grant.refused_since.is_some_and(|since| now.0 - since.0 >= REFUSED_MS);
    if is_refused && for_long && failures >= REFUSED_ATTEMPTS && plan.grant.grant_type != GrantType::ClientCredentials {
        match client_status::client_status(app, &plan, refusal).await? {
            ClientStatus::Accepted => {
                let word = refusal.word();
                let reason = format!("the provider refuses this grant ({word}), and accepts the client credentials");
                return end(app, &plan, &reason, refusal).await;
            }
            ClientStatus::Rejected if client_status::is_client_rejected(app, &plan, refusal).await? => {
                return rejected(app, plan, memory, refusal).await;
            }
            ClientStatus::Rejected | ClientStatus::Unknown => {}
        }
    }
    let uncertain = refusal.unclear && !takes_again && plan.grant.grant_type != GrantType::ClientCredentials;
    let mut due = schedule::retry_at(&plan.grant, now, refusal.retry_after.map(milliseconds))?;
    if uncertain && let Some(end) = plan.grant.expires_at {
        // Sending it again may cost the access token as well: not while that one is good.
        due = due.max(end.plus_ms(-LAST_MOMENT_MS));
    }
    let clear = !refusal.unclear;
    let detail = facts(refusal);
    let failure = Failure {
        blame: if is_refused { Blame::Provider } else { refusal.blame },
        result: refusal.word(),
        due_at: Some(due),
        uncertain,
        refused: is_refused,
        detail: Some(detail.to_string()),
    };
    // An outage is shown as one; what one connection is refused would be seen by its caller alone.
    let warns = failures >= FAILURES_TO_WARN && refusal.endpoint_health() == EndpointHealth::Works;
    let before = plan.grant.warnings.clone();
    persist(app, move |tx| {
        if store::grants::fail(tx, id, version, &failure)? && warns {
            let known = before.iter().filter(|warning| warning.code != WarningCode::RefreshFailing);
            let mut current: warnings::Current =
                known.map(|warning| (warning.code, warnings::params(warning))).collect();
            current.push((WarningCode::RefreshFailing, detail.clone()));
            let after = warnings::since(&before, current, tx.now());
            store::grants::set_warnings(tx, id, &after)?;
            warnings::announce(tx, id, profile_id, &before, &after)?;
        }
        // The entry stays open while it is unclear what became of the token: it says when that was sent first. Its answer
        // was read: it must not be taken for one that a crash has left unread.
        if clear { store::refreshes::finish(tx, id) } else { store::refreshes::forget_answer(tx, id) }
    })
    .await?;
    Ok(Turn::Over)
}

/// Our reason and the provider's words, apart.
pub(in crate::app) fn facts(refusal: &Refusal) -> Value {
    json!({
        "reason": refusal.reason.as_str(),
        "provider_error": refusal.provider_error,
        "provider_error_description": refusal.description.as_ref().filter(|_| refusal.status.is_some()),
        "detail": refusal.description.as_ref().filter(|_| refusal.status.is_none()),
        "http_status": refusal.status,
        "media_type": refusal.media_type,
        "excerpt": refusal.excerpt,
    })
}

/// Marks a connection as in need of reauthorization, with its event; answers whether the grant still was that version. The
/// grant stays as it is: only its owner ends it for good.
pub(super) fn lose(
    tx: &Tx<'_>,
    id: i64,
    version: Option<i64>,
    reason: &str,
    result: &str,
    detail: Option<String>,
) -> Result<bool> {
    let Some(grant) = store::grants::find(tx, id)? else { return Ok(true) };
    if version.is_some_and(|version| version != grant.version) {
        return Ok(false);
    }
    let facts: Option<Value> = detail.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let failure = Failure {
        blame: Blame::Grant,
        result: result.to_owned(),
        due_at: None,
        uncertain: false,
        refused: false,
        detail,
    };
    store::grants::fail(tx, id, grant.version, &failure)?;
    store::refreshes::finish(tx, id)?;
    store::connections::lose(tx, id, reason)?;
    let connection = store::connections::get(tx, id)?;
    let detail = json!({"reason": reason, "answer": facts});
    store::events::insert(tx, EventKind::NeedsReauthorization, Some(id), Some(connection.profile_id), &detail)?;
    Ok(true)
}
