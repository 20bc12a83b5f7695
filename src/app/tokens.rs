//! Handing out access tokens. A token that is good for as long as the caller needs it is read and given; only where none
//! is does anybody wait, and then for the one refresh under way.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{App, access::Caller, connections, metrics::HandOut, refresh::Wanted};
use crate::{
    domain::{
        Error, Result, Secret, Timestamp,
        connection::{Connection, Status},
        grant::{Blame, Grant, NoToken, Tokens, whole_seconds},
        user::Scope,
        warning::Warning,
    },
    store::{self, Read},
};

/// A token is good for so long at least, where the caller says nothing: 60 seconds.
pub const MIN_TTL_MS: i64 = 60 * 1000;
/// Nobody needs a token for longer than this: 24 hours.
pub const MOST_TTL_MS: i64 = 24 * 60 * 60 * 1000;
/// A caller waits so long for a refresh. It goes on without it.
const PATIENCE: Duration = Duration::from_secs(20);

/// An access token, as it is handed out.
#[derive(Debug, Clone)]
pub struct HandedOut {
    /// The token.
    pub access_token: Secret,
    /// How it is to be shown: `Bearer` mostly.
    pub token_type: String,
    /// When it ends; `None`: nobody said.
    pub expires_at: Option<Timestamp>,
    /// In so many whole seconds.
    pub expires_in_s: Option<i64>,
    /// What was granted, as the provider wrote it.
    pub scope: Option<String>,
    /// What was kept of the provider's answer and callback (`instance_url`).
    pub extra: Map<String, Value>,
    /// What the caller should know about it.
    pub warnings: Vec<Warning>,
    /// Which of the connection's tokens it is.
    pub(super) version: i64,
    /// When it came.
    pub(super) issued_at: Timestamp,
}

struct Found {
    connection: Connection,
    grant: Option<(Grant, Tokens)>,
    rejected: bool,
    now: Timestamp,
}

impl App {
    /// The access token of a connection, good for at least `min_ttl_ms`.
    ///
    /// `NoToken` says why there is none, in one of five ways; `Unavailable` when the database takes nothing.
    pub async fn access_token(&self, caller: &Caller, id: i64, min_ttl_ms: i64) -> Result<HandedOut> {
        caller.need(Scope::ConnectionsToken)?;
        let given = self.fresh_token(caller, id, min_ttl_ms).await;
        self.metrics.handed_out(given.as_ref().map_or_else(HandOut::of, |_| HandOut::Ok));
        let (_, given) = given?;
        self.count_hand_out(caller, id);
        Ok(given)
    }

    /// Whether there is such a token: the same, but nobody is handed it.
    pub async fn check_access_token(&self, caller: &Caller, id: i64, min_ttl_ms: i64) -> Result<()> {
        caller.need(Scope::ConnectionsToken)?;
        self.fresh_token(caller, id, min_ttl_ms).await.map(drop)
    }

    /// The same without counting, with the connection: for what uses a token on a caller's behalf.
    pub(super) async fn fresh_token(
        &self,
        caller: &Caller,
        id: i64,
        min_ttl_ms: i64,
    ) -> Result<(Connection, HandedOut)> {
        let look = || self.db.read(|read| find(read, caller, id));
        let found = look()?;
        if let Some(given) = hand_out(&found, min_ttl_ms)? {
            return Ok((found.connection, given));
        }
        if refusal(&found, min_ttl_ms).is_none() {
            self.refresh(id, Wanted::ForCaller(min_ttl_ms), PATIENCE).await?;
        }
        let found = look()?;
        if let Some(given) = hand_out(&found, min_ttl_ms)? {
            return Ok((found.connection, given));
        }
        let why = no_token(&found, min_ttl_ms);
        let connect_url = match why {
            NoToken::NotConnected | NoToken::NeedsReauthorization => self.connect_url(caller, id).await.ok(),
            _ => None,
        };
        Err(Error::NoToken { why, connect_url })
    }
}

/// Why there is no token to give, once nothing more can be done about it.
fn no_token(found: &Found, min_ttl_ms: i64) -> NoToken {
    if let Some(why) = refusal(found, min_ttl_ms) {
        return why;
    }
    let Some((grant, _)) = &found.grant else { return NoToken::NotConnected };
    let next = grant.caller_refresh_at(found.now);
    if grant.blame.is_none() && next > found.now {
        // The provider has just given a token: it is not out.
        let retry_after_s = whole_seconds(Duration::from_millis((next.0 - found.now.0).unsigned_abs()));
        let lifetime_s = grant.lifetime_ms().unwrap_or_default() / 1000;
        return NoToken::TooShortLived { lifetime_s, retry_after_s };
    }
    // Not before the next attempt; a minute is long enough to be told nothing.
    let due = grant.due_at.unwrap_or(found.now).min(next.max(found.now));
    let wait = (due.0 - found.now.0).clamp(1_000, 60_000);
    NoToken::ProviderUnavailable {
        retry_after_s: whole_seconds(Duration::from_millis(wait.unsigned_abs())),
        refused: grant.failure.as_deref().is_some_and(is_answer_about_connection),
    }
}

/// Whether the last failure was an answer that refused, and not an outage: a status below 500 that is not a limit.
fn is_answer_about_connection(failure: &str) -> bool {
    let facts: Value = serde_json::from_str(failure).unwrap_or_default();
    let reason = facts["reason"].as_str().unwrap_or_default();
    ["provider_error", "http_error"].contains(&reason) && facts["http_status"].as_u64().is_some_and(|it| it < 500)
}

fn find(read: &Read<'_>, caller: &Caller, id: i64) -> Result<Found> {
    let connection = connections::of_caller(read, caller, None, id)?;
    let rejected =
        store::profiles::rejected_until(read, connection.profile_id)?.is_some_and(|until| until > read.now());
    Ok(Found { connection, grant: store::grants::find_with_tokens(read, id)?, rejected, now: read.now() })
}

/// The token, where there is one that is good enough.
fn hand_out(found: &Found, min_ttl_ms: i64) -> Result<Option<HandedOut>> {
    let Some((grant, tokens)) = &found.grant else { return Ok(None) };
    if found.connection.status != Some(Status::Success) || !grant.is_good_for(min_ttl_ms, found.now) {
        return Ok(None);
    }
    let extra = serde_json::from_str(tokens.extra.expose()).map_err(|_| Error::internal("extra is no JSON"))?;
    Ok(Some(HandedOut {
        access_token: tokens.access.clone(),
        token_type: grant.token_type.clone(),
        expires_at: grant.expires_at,
        expires_in_s: grant.expires_at.map(|end| (end.0 - found.now.0).max(0) / 1000),
        scope: grant.scope.clone(),
        extra,
        warnings: grant.warnings.clone(),
        version: grant.version,
        issued_at: grant.issued_at,
    }))
}

/// Why no refresh would help; `None`: one might.
fn refusal(found: &Found, min_ttl_ms: i64) -> Option<NoToken> {
    let grant = match (&found.connection.status, &found.grant) {
        (Some(Status::Failed), _) => return Some(NoToken::NeedsReauthorization),
        (Some(Status::Success), Some((grant, _))) => grant,
        _ => return Some(NoToken::NotConnected),
    };
    if found.rejected || (grant.blame == Some(Blame::App) && grant.due_at.is_some_and(|at| at > found.now)) {
        return Some(NoToken::AppSecretRejected);
    }
    // Where a new one would live no longer than this one did, there is no point in asking for it; one that lives for just
    // so long has less left once it is here.
    match grant.lifetime_ms() {
        Some(life) if life <= min_ttl_ms && grant.is_good_for(life / 2, found.now) => {
            Some(NoToken::TooShortLived { lifetime_s: life / 1000, retry_after_s: 0 })
        }
        _ => None,
    }
}
