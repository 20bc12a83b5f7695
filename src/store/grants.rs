//! Grants: what providers gave us. The secrets of one are sealed together, so that they change together.

use rusqlite::{OptionalExtension as _, Row, params};
use serde_json::{Map, Value, json};

use super::{
    Read, Tx,
    profiles::foreign_row,
    refresh_results,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{
    Error, Result, Secret, Timestamp,
    grant::{Blame, Grant, GrantType, Tokens},
    warning::{Warning, WarningCode},
};

pub(super) const SEALED: Column = Column { purpose: Purpose::Tokens, table: "grants", name: "sealed" };

const COLUMNS: &str = "g.connection_id, g.grant_type, g.version, g.token_type, g.scope, g.granted_at, g.issued_at,
    g.expires_at, g.refresh_token, g.refresh_issued_at, g.refresh_expires_at, g.due_at, g.uncertain_at,
    g.failures, g.blame, g.last_attempt_at, g.last_result, g.last_refreshed_at, g.skew_ms, g.handed_out, g.handed_out_at,
    g.lifetime_ms, g.short_lived, g.refused_since, g.failure, g.warnings";

/// The number of [`COLUMNS`]: what is selected behind them begins here.
const BEHIND: usize = 26;

fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let time = |n| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(n)?.map(Timestamp));
    Ok(Grant {
        connection_id: row.get(0)?,
        grant_type: GrantType::parse(&row.get::<_, String>(1)?).unwrap_or(GrantType::Imported),
        version: row.get(2)?,
        token_type: row.get(3)?,
        scope: row.get(4)?,
        granted_at: Timestamp(row.get(5)?),
        issued_at: Timestamp(row.get(6)?),
        expires_at: time(7)?,
        refreshable: row.get(8)?,
        refresh_issued_at: time(9)?,
        refresh_expires_at: time(10)?,
        due_at: time(11)?,
        uncertain_at: time(12)?,
        failures: row.get(13)?,
        blame: row.get::<_, Option<String>>(14)?.as_deref().and_then(Blame::parse),
        last_attempt_at: time(15)?,
        last_result: row.get(16)?,
        last_refreshed_at: time(17)?,
        skew_ms: row.get(18)?,
        handed_out: row.get(19)?,
        handed_out_at: time(20)?,
        stated_lifetime_ms: row.get(21)?,
        short_lived: row.get(22)?,
        refused_since: time(23)?,
        failure: row.get(24)?,
        warnings: row.get::<_, Option<String>>(25)?.map(|text| warnings(&text)).transpose()?.unwrap_or_default(),
    })
}

/// The warnings of a column.
fn warnings(text: &str) -> rusqlite::Result<Vec<Warning>> {
    let items: Vec<Map<String, Value>> = serde_json::from_str(text).map_err(|_| foreign_row("a grant's warnings"))?;
    let warning = |item: Map<String, Value>| {
        Some(Warning {
            code: WarningCode::parse(item.get("code")?.as_str()?)?,
            params: item.get("params")?.to_string(),
            since: Timestamp(item.get("since")?.as_i64()?),
        })
    };
    items.into_iter().map(|item| warning(item).ok_or_else(|| foreign_row("a warning"))).collect()
}

/// The form in which warnings are stored; `None`: there are none.
fn warnings_text(warnings: &[Warning]) -> Option<String> {
    let item = |warning: &Warning| {
        let params: Value = serde_json::from_str(&warning.params).unwrap_or_else(|_| json!({}));
        json!({"code": warning.code.as_str(), "params": params, "since": warning.since.0})
    };
    (!warnings.is_empty()).then(|| warnings.iter().map(item).collect::<Value>().to_string())
}

/// The grant of a connection.
pub fn find(read: &Read<'_>, connection_id: i64) -> Result<Option<Grant>> {
    let sql = format!("SELECT {COLUMNS} FROM grants g WHERE g.connection_id = ?1");
    Ok(read.conn.prepare_cached(&sql)?.query_row([connection_id], grant).optional()?)
}

/// The grant of a connection with its secrets. `Internal` when they do not open.
pub fn find_with_tokens(read: &Read<'_>, connection_id: i64) -> Result<Option<(Grant, Tokens)>> {
    let sql = format!(
        "SELECT {COLUMNS}, g.key_id, g.sealed, (SELECT profile_id FROM connections WHERE id = g.connection_id)
         FROM grants g WHERE g.connection_id = ?1"
    );
    let found = read.conn.prepare_cached(&sql)?.query_row([connection_id], |row| {
        let sealed = Sealed { key_id: row.get(BEHIND)?, bytes: row.get(BEHIND + 1)? };
        Ok((grant(row)?, sealed, row.get::<_, i64>(BEHIND + 2)?))
    });
    let Some((grant, sealed, profile_id)) = found.optional()? else { return Ok(None) };
    let text = read.sealer.open(SEALED, &connection_id.to_string(), &sealed)?;
    Ok(Some((grant, parse(&text, profile_id)?)))
}

/// Seals the secrets of a grant for its connection and the profile that the connection has now.
fn seal(tx: &Tx<'_>, connection_id: i64, tokens: &Tokens) -> Result<Sealed> {
    let sql = "SELECT profile_id FROM connections WHERE id = ?1";
    let profile_id: i64 = tx.conn.prepare_cached(sql)?.query_row([connection_id], |row| row.get(0))?;
    tx.sealer.seal(SEALED, &connection_id.to_string(), &text(tokens, profile_id)?)
}

/// The form in which the secrets are sealed. The profile is part of it: whose pin says where they may go.
fn text(tokens: &Tokens, profile_id: i64) -> Result<Secret> {
    let extra: Value = serde_json::from_str(tokens.extra.expose()).map_err(|_| Error::internal("extra is no JSON"))?;
    let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    let value = json!({
        "access": tokens.access.expose(),
        "refresh": text(&tokens.refresh),
        "previous": text(&tokens.previous),
        "extra": extra,
        "profile": profile_id,
    });
    Ok(Secret::new(value.to_string()))
}

fn parse(text: &Secret, profile_id: i64) -> Result<Tokens> {
    // The parser's own words could hold a piece of a secret.
    let mut fields: Map<String, Value> =
        serde_json::from_str(text.expose()).map_err(|_| Error::internal("a grant's secrets are malformed"))?;
    // One that was sealed before there were pins names no profile, until it is refreshed.
    if fields.get("profile").is_some_and(|bound| bound.as_i64() != Some(profile_id)) {
        return Err(Error::internal("a grant of another profile"));
    }
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(Secret::new(text)),
        _ => None,
    };
    Ok(Tokens {
        access: take("access").ok_or_else(|| Error::internal("a grant without an access token"))?,
        refresh: take("refresh"),
        previous: take("previous"),
        extra: Secret::new(fields.remove("extra").unwrap_or_else(|| json!({})).to_string()),
    })
}

/// What a provider gave us, ready to be kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// How it came; a refresh leaves that as it is.
    pub grant_type: GrantType,
    /// The secrets.
    pub tokens: Tokens,
    /// How the access token is to be shown.
    pub token_type: String,
    /// What was granted.
    pub scope: Option<String>,
    /// When it came.
    pub issued_at: Timestamp,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends.
    pub refresh_expires_at: Option<Timestamp>,
    /// When to refresh next.
    pub due_at: Option<Timestamp>,
    /// The provider's clock less ours.
    pub skew_ms: Option<i64>,
    /// The lifetime of access tokens, as last stated.
    pub stated_lifetime_ms: Option<i64>,
    /// Successive answers with a short-lived token.
    pub short_lived: u32,
    /// What should be known of it.
    pub warnings: Vec<Warning>,
}

/// Keeps a grant that somebody has just given, in the place of any before.
pub fn put(tx: &Tx<'_>, connection_id: i64, kept: &Kept) -> Result<()> {
    let sealed = seal(tx, connection_id, &kept.tokens)?;
    let refresh_issued_at = kept.tokens.refresh.is_some().then_some(kept.issued_at.0);
    tx.conn
        .prepare_cached(
            "INSERT INTO grants (connection_id, grant_type, version, key_id, sealed, token_type, scope, granted_at,
                issued_at, expires_at, refresh_token, refresh_issued_at, refresh_expires_at, due_at, failures, skew_ms,
                handed_out, lifetime_ms, short_lived, warnings)
             VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, 0, ?14, ?15, ?16)
             ON CONFLICT (connection_id) DO UPDATE SET grant_type = excluded.grant_type, version = version + 1,
                key_id = excluded.key_id, sealed = excluded.sealed, token_type = excluded.token_type,
                scope = excluded.scope, granted_at = excluded.granted_at, issued_at = excluded.issued_at,
                expires_at = excluded.expires_at, refresh_token = excluded.refresh_token,
                refresh_issued_at = excluded.refresh_issued_at, refresh_expires_at = excluded.refresh_expires_at,
                due_at = excluded.due_at, uncertain_at = NULL, failures = 0, blame = NULL, last_result = NULL,
                skew_ms = excluded.skew_ms, lifetime_ms = excluded.lifetime_ms, short_lived = excluded.short_lived,
                refused_since = NULL, failure = NULL, warnings = excluded.warnings",
        )?
        .execute(params![
            connection_id,
            kept.grant_type.as_str(),
            sealed.key_id,
            sealed.bytes,
            kept.token_type,
            kept.scope,
            kept.issued_at.0,
            kept.expires_at.map(|at| at.0),
            kept.tokens.refresh.is_some(),
            refresh_issued_at,
            kept.refresh_expires_at.map(|at| at.0),
            kept.due_at.map(|at| at.0),
            kept.skew_ms,
            kept.stated_lifetime_ms,
            kept.short_lived,
            warnings_text(&kept.warnings),
        ])?;
    Ok(())
}

/// Keeps what a refresh of this version of a grant brought; answers whether the grant still had that version.
pub fn renew(tx: &Tx<'_>, connection_id: i64, version: i64, kept: &Kept) -> Result<bool> {
    let sealed = seal(tx, connection_id, &kept.tokens)?;
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE grants SET version = version + 1, key_id = ?3, sealed = ?4, token_type = ?5,
                scope = coalesce(?6, scope), issued_at = ?7, expires_at = ?8, refresh_token = ?9,
                refresh_issued_at = CASE WHEN ?9 THEN ?7 END, refresh_expires_at = coalesce(?10, refresh_expires_at),
                due_at = ?11, uncertain_at = NULL, failures = 0, blame = NULL, last_attempt_at = ?7,
                last_result = 'refreshed', last_refreshed_at = ?7, skew_ms = coalesce(?12, skew_ms), lifetime_ms = ?13,
                short_lived = ?14, refused_since = NULL, failure = NULL, warnings = ?15
             WHERE connection_id = ?1 AND version = ?2",
        )?
        .execute(params![
            connection_id,
            version,
            sealed.key_id,
            sealed.bytes,
            kept.token_type,
            kept.scope,
            kept.issued_at.0,
            kept.expires_at.map(|at| at.0),
            kept.tokens.refresh.is_some(),
            kept.refresh_expires_at.map(|at| at.0),
            kept.due_at.map(|at| at.0),
            kept.skew_ms,
            kept.stated_lifetime_ms,
            kept.short_lived,
            warnings_text(&kept.warnings),
        ])?;
    if changed == 1 {
        refresh_results::note(tx, connection_id, None)?;
    }
    Ok(changed == 1)
}

/// What is noted when a refresh has failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Who is to blame.
    pub blame: Blame,
    /// What came of it, in a word.
    pub result: String,
    /// When to try again; `None`: not by itself.
    pub due_at: Option<Timestamp>,
    /// Whether the provider may have changed the refresh token all the same.
    pub uncertain: bool,
    /// Whether the provider answered 400, 401 or 403 and named neither the client nor the grant.
    pub refused: bool,
    /// Our reason and the provider's words, a JSON object as text.
    pub detail: Option<String>,
}

/// Notes that a refresh of this version of a grant has failed; answers whether the grant still had that version.
pub fn fail(tx: &Tx<'_>, connection_id: i64, version: i64, failure: &Failure) -> Result<bool> {
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE grants SET failures = failures + 1, blame = ?3, last_result = ?4, last_attempt_at = ?5, due_at = ?6,
                uncertain_at = CASE WHEN ?7 THEN coalesce(uncertain_at, ?5) ELSE uncertain_at END,
                refused_since = CASE WHEN ?8 THEN coalesce(refused_since, ?5) ELSE refused_since END, failure = ?9
             WHERE connection_id = ?1 AND version = ?2",
        )?
        .execute(params![
            connection_id,
            version,
            failure.blame.as_str(),
            failure.result,
            tx.now.0,
            failure.due_at.map(|at| at.0),
            failure.uncertain,
            failure.refused,
            failure.detail,
        ])?;
    if changed == 1 {
        refresh_results::note(tx, connection_id, Some((failure.blame, &failure.result)))?;
    }
    Ok(changed == 1)
}

/// Replaces the warnings of a grant.
pub fn set_warnings(tx: &Tx<'_>, connection_id: i64, warnings: &[Warning]) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE grants SET warnings = ?2 WHERE connection_id = ?1")?
        .execute(params![connection_id, warnings_text(warnings)])?;
    Ok(())
}

/// Sets when a grant is to be refreshed next.
pub fn schedule(tx: &Tx<'_>, connection_id: i64, due_at: Option<Timestamp>) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE grants SET due_at = ?2 WHERE connection_id = ?1")?
        .execute(params![connection_id, due_at.map(|at| at.0)])?;
    Ok(())
}

/// Puts off a grant that waits for its profile's secret: it is the app's fault, and no attempt was made.
pub fn wait_for_app(tx: &Tx<'_>, connection_id: i64, due_at: Timestamp) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE grants SET due_at = ?2, blame = 'app' WHERE connection_id = ?1")?
        .execute(params![connection_id, due_at.0])?;
    Ok(())
}

/// Up to `limit` grants that became uncertain at exactly this moment, by id, beyond `after`.
pub fn doubted(read: &Read<'_>, at: Timestamp, after: i64, limit: usize) -> Result<Vec<Grant>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM grants g WHERE g.uncertain_at = ?1 AND g.connection_id > ?2 ORDER BY g.connection_id LIMIT ?3"
    );
    let mut statement = read.conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![at.0, after, limit], grant)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The provider whose clock was furthest from ours when it last gave a token, and the milliseconds that it is ahead.
pub fn largest_skew(read: &Read<'_>) -> Result<Option<(String, i64)>> {
    let sql = "SELECT c.provider, g.skew_ms FROM grants g JOIN connections c ON c.id = g.connection_id
               WHERE g.skew_ms IS NOT NULL ORDER BY abs(g.skew_ms) DESC LIMIT 1";
    Ok(read.conn.prepare(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Our refresh token is the last one after all.
pub fn trust(tx: &Tx<'_>, connection_id: i64) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE grants SET uncertain_at = NULL WHERE connection_id = ?1")?
        .execute([connection_id])?;
    Ok(())
}

/// Nobody knows since then whether our refresh token is the last one; it is to be refreshed at `due_at`.
pub fn doubt(tx: &Tx<'_>, connection_id: i64, since: Timestamp, due_at: Option<Timestamp>) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE grants SET uncertain_at = ?2, due_at = ?3 WHERE connection_id = ?1")?
        .execute(params![connection_id, since.0, due_at.map(|at| at.0)])?;
    Ok(())
}

/// Gives the grant of a connection back what belongs to a refresh token that it keeps from the grant `before`.
pub fn keep_refresh_token(tx: &Tx<'_>, before: &Grant) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE grants SET granted_at = ?2, refresh_issued_at = ?3, refresh_expires_at = coalesce(refresh_expires_at, ?4),
                uncertain_at = ?5
             WHERE connection_id = ?1",
        )?
        .execute(params![
            before.connection_id,
            before.granted_at.0,
            before.refresh_issued_at.map(|at| at.0),
            before.refresh_expires_at.map(|at| at.0),
            before.uncertain_at.map(|at| at.0),
        ])?;
    Ok(())
}

/// Whether another connection of the profile than `other_than` works and may have this account; `None`: any account.
pub fn may_be_in_use(read: &Read<'_>, profile_id: i64, other_than: i64, account_id: Option<&str>) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM connections c JOIN grants g ON g.connection_id = c.id
                   WHERE c.profile_id = ?1 AND c.id <> ?2 AND c.status = 'success'
                       AND (?3 IS NULL OR c.account_id IS NULL OR c.account_id = ?3))";
    Ok(read.conn.prepare_cached(sql)?.query_row(params![profile_id, other_than, account_id], |row| row.get(0))?)
}

/// Removes a grant.
pub fn delete(tx: &Tx<'_>, connection_id: i64) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM grants WHERE connection_id = ?1")?.execute([connection_id])?;
    Ok(())
}

/// A grant that is due, and the profile that it was made through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The connection.
    pub connection_id: i64,
    /// Its profile.
    pub profile_id: i64,
}

/// Up to `limit` grants that are due, the most overdue first, none of these profiles.
pub fn due(read: &Read<'_>, busy_profiles: &[i64], limit: usize) -> Result<Vec<Due>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT g.connection_id, c.profile_id FROM grants g JOIN connections c ON c.id = g.connection_id
         WHERE g.due_at <= ?1 AND c.profile_id NOT IN (SELECT value FROM json_each(?2)) ORDER BY g.due_at LIMIT ?3",
    )?;
    let rows = statement.query_map(params![read.now.0, json!(busy_profiles).to_string(), limit], |row| {
        Ok(Due { connection_id: row.get(0)?, profile_id: row.get(1)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When the next grant that is not due yet will be.
pub fn next_due(read: &Read<'_>) -> Result<Option<Timestamp>> {
    let sql = "SELECT due_at FROM grants WHERE due_at > ?1 ORDER BY due_at LIMIT 1";
    let next = read.conn.prepare_cached(sql)?.query_row([read.now.0], |row| row.get(0));
    Ok(next.optional()?.map(Timestamp))
}

/// How many grants of a profile there are.
pub fn count_of_profile(read: &Read<'_>, profile_id: i64) -> Result<u64> {
    let sql = "SELECT count(*) FROM grants g JOIN connections c ON c.id = g.connection_id WHERE c.profile_id = ?1";
    Ok(read.conn.prepare_cached(sql)?.query_row([profile_id], |row| row.get(0))?)
}

/// How many connections of a profile have a grant for this account, as far as we know a live one.
pub fn count_of_account(read: &Read<'_>, profile_id: i64, account_id: &str) -> Result<u64> {
    let sql = "SELECT count(*) FROM connections c JOIN grants g ON g.connection_id = c.id
               WHERE c.profile_id = ?1 AND c.account_id = ?2 AND c.status = 'success'";
    Ok(read.conn.prepare_cached(sql)?.query_row(params![profile_id, account_id], |row| row.get(0))?)
}

/// Makes every grant due whose access token came after now: somebody has set the clock back, and nobody knows when it ends.
pub fn distrust_the_future(tx: &Tx<'_>, tolerance_ms: i64) -> Result<u64> {
    let sql = "UPDATE grants SET due_at = ?1 WHERE issued_at > ?1 + ?2 AND (refresh_token OR grant_type = 'client_credentials')";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![tx.now.0, tolerance_ms])? as u64)
}

/// Connections whose grant does not open, by id.
pub fn unopenable(read: &Read<'_>) -> Result<Vec<i64>> {
    let mut statement = read.conn.prepare("SELECT connection_id, key_id, sealed FROM grants ORDER BY connection_id")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let sealed = Sealed { key_id: row.get(1)?, bytes: row.get(2)? };
        if read.sealer.open(SEALED, &id.to_string(), &sealed).is_err() {
            found.push(id);
        }
    }
    Ok(found)
}
