//! What comes to its end by itself.

use rusqlite::params;

use super::{Read, profiles::foreign_row, reach};
use crate::domain::{
    Result, Timestamp,
    expiring::{Cause, Expiring, RefreshTimes, What},
    profile::SecretKind,
    reach::Reach,
};

/// Client secrets that end until `until`, those that have ended included: they are still in their places.
pub fn client_secrets(read: &Read<'_>, until: Timestamp, limit: usize) -> Result<Vec<Expiring>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT p.id, p.name, p.provider, s.kind, s.expires_at FROM profile_secrets s JOIN profiles p ON p.id = s.profile_id
         WHERE s.expires_at <= ?1 AND s.kind IN ('current', 'next') ORDER BY s.expires_at, p.id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![until.0, limit], |row| {
        let kind = match row.get::<_, String>(3)?.as_str() {
            "current" => SecretKind::Current,
            "next" => SecretKind::Next,
            _ => return Err(foreign_row("the kind of a secret")),
        };
        let what = What::ClientSecret { profile_id: row.get(0)?, name: row.get(1)?, provider: row.get(2)?, kind };
        Ok(Expiring { what, why: Cause::Expiry, expires_at: Timestamp(row.get(4)?) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Tokens for our own API that end until `until`. One that has ended is no more than a line in a list.
pub fn api_tokens(read: &Read<'_>, until: Timestamp, limit: usize) -> Result<Vec<Expiring>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT id, name, user_id, expires_at FROM api_tokens WHERE expires_at > ?1 AND expires_at <= ?2
         ORDER BY expires_at, id LIMIT ?3",
    )?;
    let rows = statement.query_map(params![read.now.0, until.0, limit], |row| {
        let what = What::ApiToken { id: row.get(0)?, name: row.get(1)?, user_id: row.get(2)? };
        Ok(Expiring { what, why: Cause::Expiry, expires_at: Timestamp(row.get(3)?) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Access tokens that expire until `until` and cannot be refreshed, of connections within reach.
pub fn access_tokens(read: &Read<'_>, reach: &Reach, until: Timestamp, limit: usize) -> Result<Vec<Expiring>> {
    let mut statement = read.conn.prepare_cached(&format!(
        "SELECT c.id, c.name, c.owner, c.external_id, c.provider, g.expires_at
         FROM grants g JOIN connections c ON c.id = g.connection_id
         WHERE g.refresh_token = 0 AND g.grant_type <> 'client_credentials' AND g.expires_at <= ?1
            AND c.status = 'success' AND {} ORDER BY g.expires_at, c.id LIMIT ?2",
        reach::within("c.id", "c.owner", 3)
    ))?;
    let rows = statement.query_map(params![until.0, limit, reach::ids(reach), reach.owner], |row| {
        let what = What::AccessToken {
            connection_id: row.get(0)?,
            name: row.get(1)?,
            owner: row.get(2)?,
            external_id: row.get(3)?,
            provider: row.get(4)?,
        };
        Ok(Expiring { what, why: Cause::Expiry, expires_at: Timestamp(row.get(5)?) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The slugs of the providers that connections have.
pub fn providers(read: &Read<'_>) -> Result<Vec<String>> {
    let mut statement = read.conn.prepare_cached("SELECT DISTINCT provider FROM connections")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Calls `each` for every connection within reach with a refresh token that may end until `until` and has not been lost: its provider,
/// what counts for the end of the token, and who it is, should somebody want to know. A token may end where its provider
/// said when, or lets none live for ever (`limiting`, slugs); the others, mostly all, are not even looked at.
pub fn each_refresh_token(
    read: &Read<'_>,
    reach: &Reach,
    until: Timestamp,
    limiting: &[&str],
    mut each: impl FnMut(&str, RefreshTimes, &dyn Fn() -> Result<What>) -> Result<()>,
) -> Result<()> {
    let mut statement = read.conn.prepare_cached(&format!(
        "SELECT c.provider, g.granted_at, g.refresh_issued_at, g.refresh_expires_at, g.due_at, g.failures,
            c.id, c.name, c.owner, c.external_id
         FROM grants g JOIN connections c ON c.id = g.connection_id
         WHERE g.connection_id IN (SELECT connection_id FROM grants WHERE refresh_expires_at <= ?1
                UNION ALL SELECT id FROM connections WHERE provider IN (SELECT value FROM json_each(?2)))
            AND g.refresh_token = 1 AND c.status IS NOT 'failed' AND {} ORDER BY g.connection_id",
        reach::within("c.id", "c.owner", 3)
    ))?;
    let limiting = serde_json::json!(limiting).to_string();
    let mut rows = statement.query(params![until.0, limiting, reach::ids(reach), reach.owner])?;
    while let Some(row) = rows.next()? {
        let time = |n| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(n)?.map(Timestamp));
        let provider = row.get_ref(0)?.as_str().map_err(|_| foreign_row("a connection's provider"))?;
        let times = RefreshTimes {
            granted_at: Timestamp(row.get(1)?),
            refresh_issued_at: time(2)?,
            refresh_expires_at: time(3)?,
            due_at: time(4)?,
            failures: row.get(5)?,
        };
        let what = || {
            Ok(What::RefreshToken {
                connection_id: row.get(6)?,
                name: row.get(7)?,
                owner: row.get(8)?,
                external_id: row.get(9)?,
                provider: provider.to_owned(),
            })
        };
        each(provider, times, &what)?;
    }
    Ok(())
}
