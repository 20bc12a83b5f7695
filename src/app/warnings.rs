//! Warnings of a connection: what is known of its tokens that an operator or a caller should know, although the token is
//! served. They are computed when tokens come, stored with the grant, and each begins with one event.

use serde_json::{Value, json};

use super::refresh::schedule::Validity;
use crate::{
    domain::{
        Result, Timestamp,
        event::EventKind,
        grant::{Crowd, Grant, MIN_REFRESH_INTERVAL_MS},
        warning::{Warning, WarningCode},
    },
    oauth::{
        catalogue::Resolved,
        wire::{StatedLifetime, TokenSet},
    },
    store::{self, Tx},
};

/// The warnings that hold now, with their `params`.
pub(super) type Current = Vec<(WarningCode, Value)>;

/// What an answer with tokens gives reason to warn of. `requested`: the scopes that were asked for; `granted`: what the
/// answer says, or what an earlier one said; `renews`: whether a new access token can be fetched without the account's
/// owner.
pub(super) fn of_tokens(
    provider: &Resolved,
    set: &TokenSet,
    validity: &Validity,
    requested: &[String],
    granted: Option<&str>,
    renews: bool,
    received_at: Timestamp,
) -> Current {
    let mut current = of_scopes(provider, requested, granted);
    if let StatedLifetime::Invalid(value) = &set.lifetime {
        current.push((WarningCode::LifetimeInvalid, json!({"value": value})));
    }
    current.extend(of_validity(provider, validity, renews));
    if renews {
        current.extend(of_short_lifetime(validity.lifetime_ms(received_at)));
    }
    current
}

/// What was requested and not granted. An answer without `scope` grants what was requested (RFC 6749 §5.1).
pub(super) fn of_scopes(provider: &Resolved, requested: &[String], granted: Option<&str>) -> Current {
    let missing = granted.map(|granted| provider.missing_scopes(requested, granted)).unwrap_or_default();
    if missing.is_empty() { Vec::new() } else { vec![(WarningCode::MissingScopes, json!({"scopes": missing}))] }
}

/// What follows from how long an access token is valid.
pub(super) fn of_validity(provider: &Resolved, validity: &Validity, renews: bool) -> Current {
    let mut current = Vec::new();
    match validity.expires_at {
        None if renews => current.push((WarningCode::LifetimeUnknown, json!({}))),
        Some(end) if !renews => {
            let params = json!({"expires_at": rfc3339(end), "ask_for": remedies(provider)});
            current.push((WarningCode::NotRefreshable, params));
        }
        _ => {}
    }
    current
}

/// A lifetime that is shorter than the minimum interval between two refreshes.
fn of_short_lifetime(lifetime_ms: Option<i64>) -> Current {
    let below = lifetime_ms.filter(|ms| *ms < MIN_REFRESH_INTERVAL_MS);
    let params = |ms: i64| json!({"lifetime_seconds": ms / 1000});
    below.map(|ms| (WarningCode::LifetimeBelowFloor, params(ms))).into_iter().collect()
}

/// What is to be asked for so that a refresh token comes: as the definition has it, or what is customary.
fn remedies(provider: &Resolved) -> Vec<String> {
    const OFFLINE: &str = "offline_access";
    let entry = provider.entry();
    let parameters = ["access_type", "prompt", "duration", "token_access_type"];
    let own = parameters.iter().filter_map(|name| Some(format!("{name}={}", entry.authorize_params.get(*name)?)));
    let mut own: Vec<String> = own.collect();
    own.extend(entry.default_scopes.iter().filter(|scope| *scope == OFFLINE).cloned());
    if own.is_empty() {
        own = [OFFLINE, "access_type=offline", "prompt=consent"].map(str::to_owned).to_vec();
    }
    own
}

/// The warning of an account that has as many grants as its provider keeps.
pub(super) fn of_grant_limit(crowd: Option<&Crowd>) -> Current {
    let params = |Crowd { account, count, most }: &Crowd| json!({"account": account, "count": count, "most": most});
    crowd.map(|crowd| (WarningCode::GrantLimitReached, params(crowd))).into_iter().collect()
}

/// Warnings that a refresh neither proves nor disproves: they stay until the account is connected again.
pub(super) fn kept_over_refresh(grant: &Grant) -> Current {
    let stays =
        |warning: &&Warning| matches!(warning.code, WarningCode::GrantLimitReached | WarningCode::AccountUnverified);
    grant.warnings.iter().filter(stays).map(|warning| (warning.code, params(warning))).collect()
}

/// The `params` of a warning as JSON.
pub fn params(warning: &Warning) -> Value {
    serde_json::from_str(&warning.params).unwrap_or_else(|_| json!({}))
}

/// The warnings to store: each code once, and one that held `before` holds since then.
pub(super) fn since(before: &[Warning], current: Current, now: Timestamp) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = Vec::new();
    for (code, params) in current {
        if warnings.iter().any(|known| known.code == code) {
            continue;
        }
        let since = before.iter().find(|known| known.code == code).map_or(now, |known| known.since);
        warnings.push(Warning { code, params: params.to_string(), since });
    }
    warnings
}

/// Writes an event for each warning that did not hold before.
pub(super) fn announce(
    tx: &Tx<'_>,
    connection_id: i64,
    profile_id: i64,
    before: &[Warning],
    warnings: &[Warning],
) -> Result<()> {
    for warning in warnings.iter().filter(|new| before.iter().all(|known| known.code != new.code)) {
        let detail = json!({"code": warning.code.as_str(), "params": params(warning)});
        store::events::insert(tx, EventKind::Warning, Some(connection_id), Some(profile_id), &detail)?;
    }
    Ok(())
}

/// An instant as RFC 3339 in UTC with milliseconds.
fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| format!("{at:.3}")).unwrap_or_default()
}
