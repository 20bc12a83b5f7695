//! What a crash cut off, taken up: by what the journal says of it.

use sha2::{Digest as _, Sha256};

use super::{
    super::{App, Wanted},
    LAST_MOMENT_MS, Look, Memory, Turn, is_older_than_doubt, look, milliseconds, misconfigured,
    settle::settle,
};
use crate::{
    app::registration::Registration,
    domain::{Result, Secret, grant::Blame},
    oauth::{
        catalogue::Replay,
        wire::{Answer, RawAnswer, Sent},
    },
    store,
};

/// What has become of a refresh that a crash cut off.
pub(super) enum Resumed {
    /// There is none, or it is known how it ended.
    Settled,
    /// Its token is to be sent again, at once.
    SendAgain,
    /// Nothing can be read or sent until somebody has mended our settings.
    NotYet,
}

/// Takes up the refresh that a crash cut off at this connection, if there is one: once, whatever else is wanted.
pub(super) async fn resume(app: &App, id: i64) -> Result<Resumed> {
    if !app.refresher.cut_off().contains(&id) {
        return Ok(Resumed::Settled);
    }
    let resumed = Box::pin(take_up(app, id)).await?;
    if !matches!(resumed, Resumed::NotYet) {
        app.refresher.cut_off().remove(&id);
    }
    Ok(resumed)
}

async fn take_up(app: &App, id: i64) -> Result<Resumed> {
    let found = app.db.read(|read| {
        let Some(entry) = store::refreshes::find(read, id)? else { return Ok(None) };
        Ok(Some((entry, look(read, id, Wanted::Now, &Memory::default())?, store::refreshes::kept_answer(read, id)?)))
    })?;
    let Some((entry, look, kept)) = found else { return Ok(Resumed::Settled) };
    let mut plan = match look {
        Look::Send(plan) => plan,
        // The entry, and what it holds, stays.
        Look::Misconfigured(why) => return misconfigured(app, id, why).await.map(|()| Resumed::NotYet),
        _ => return resume_ended(app, id, kept).await.map(|()| Resumed::Settled),
    };
    let mut memory = Memory::default();
    let matches = |token: &Option<Secret>| {
        token.as_ref().is_some_and(|token| Sha256::digest(token.expose().as_bytes()).as_slice() == entry.fingerprint)
    };
    if plan.grant.version != entry.version || !(matches(&plan.tokens.refresh) || matches(&plan.tokens.previous)) {
        // The grant has moved on; the entry is of no use.
        return app.db.write(move |tx| store::refreshes::finish(tx, id)).await.map(|()| Resumed::Settled);
    }
    memory.previous = !matches(&plan.tokens.refresh);
    if plan.registration.secrets.iter().any(|live| live.kind == entry.secret) {
        plan.secret = Some(entry.secret);
    }
    if let Some(raw) = kept.as_ref().and_then(RawAnswer::from_secret) {
        tracing::info!(connection = id, "a refresh was cut off behind its answer: the answer is read now");
        let provider = &plan.registration.provider;
        let client_id = plan.registration.profile.client_id.as_str();
        let endpoint = app.refresher.endpoints.at(provider.refresh_url(), client_id, provider.throttle());
        let old = is_older_than_doubt(&entry, &plan.grant);
        memory.doubt = plan.grant.uncertain_at.filter(|_| old);
        let turn = settle(app, *plan, &mut memory, Sent::Answered(raw), &endpoint).await?;
        if old {
            // Whatever it said, it is read once.
            return app.db.write(move |tx| store::refreshes::finish(tx, id)).await.map(|()| Resumed::Settled);
        }
        return Ok(match turn {
            Turn::Over => Resumed::Settled,
            Turn::Again => Resumed::SendAgain,
        });
    }
    let takes_again = match plan.replay() {
        Replay::Any | Replay::UntilUsed => true,
        Replay::Grace(grace) => app.db.now().0 - entry.begun_at.0 < milliseconds(grace),
        Replay::Once => false,
    };
    tracing::info!(connection = id, again = takes_again, "a refresh was cut off before its answer");
    if takes_again {
        return Ok(Resumed::SendAgain);
    }
    let version = plan.grant.version;
    let now = app.db.now();
    let due = plan.grant.expires_at.map_or(now, |end| now.max(end.plus_ms(-LAST_MOMENT_MS)));
    let failure = store::grants::Failure {
        blame: Blame::Network,
        result: "cut_off".to_owned(),
        due_at: Some(due),
        uncertain: true,
        refused: false,
        detail: None,
    };
    app.db.write(move |tx| store::grants::fail(tx, id, version, &failure).map(|_| Resumed::Settled)).await
}

/// A refresh was cut off, and the grant has ended meanwhile: what came for it is ended too.
async fn resume_ended(app: &App, id: i64, kept: Option<Secret>) -> Result<()> {
    app.db
        .write(move |tx| {
            if store::grants::find(tx, id)?.is_none()
                && let Some(raw) = kept.as_ref().and_then(RawAnswer::from_secret)
                && let Ok(connection) = store::connections::get(tx, id)
                && let Ok(registration) = Registration::of_connection(tx, &connection)
                && let Answer::Tokens(set) = registration.provider.read(&raw)
            {
                crate::app::revocations::queue(tx, id, &registration, set.refresh.as_ref(), Some(&set.access))?;
            }
            store::refreshes::finish(tx, id)
        })
        .await
}
